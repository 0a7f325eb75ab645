"""The report: one page that says what the results allow, needs nothing beside itself, and can be made again."""

from __future__ import annotations

import ast
import copy
import enum
import io
import json
import math
import re
import tokenize
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_runs import made_up_attention

import careedu
from careedu.errors import InvalidInputError, StorageError
from careedu.experiment.results import MAIN_METRICS
from careedu.measure.statistics import Difference
from careedu.methods.method import UntrainedMethod
from careedu.show.compare import Comparison
from careedu.show.report import report_page, write_report
from careedu.show.report.facts import methods, source_of
from careedu.show.report.recipe import DEEPEST, keywords, literal, recipe
from careedu.show.report.words import few_groups, groups_of_classes, out_of_reach, summary
from careedu.show.style import Picture

PNG = bytes.fromhex("89504e470d0a1a0a")
VOID = {"meta", "img", "link", "br", "hr"}
LOADED = ("src", "href", "srcset", "data", "action", "poster", "background", "xlink:href", "formaction", "cite", "ping")


class Page(HTMLParser):
    """What stands in a page: elements, tables as rows of cells, text; unbalanced tags are an error."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements, self.open, self.tables, self.text, self.values = [], [], [], "", []
        self.feed(content.decode())
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append({"caption": "", "rows": [], "values": []})
        if tag == "tr":
            self.tables[-1]["rows"].append([])
            self.tables[-1]["values"].append([])
        if tag in ("td", "th"):
            self.tables[-1]["rows"][-1].append("")
            self.tables[-1]["values"][-1].append(())
        if tag == "data":
            self.tables[-1]["values"][-1][-1] = tuple(map(float, dict(attributes)["value"].split()))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if "caption" in self.open:
            self.tables[-1]["caption"] += data
        elif "td" in self.open or "th" in self.open:
            self.tables[-1]["rows"][-1][-1] += data

    def table(self, beginning):
        return next(t for t in self.tables if t["caption"].startswith(beginning))

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """Pictures that cost nothing; the browser test has the real ones."""
    stand_in = {
        "plot_comparison": lambda results: Picture(PNG, 'recalls "of" <all> methods', 700),
        "plot_differences": lambda results, metric: Picture(PNG, f"differences in {metric}", 700),
        "plot_confusion": lambda results, methods: Picture(PNG, f"confusion of {len(methods)}", 700),
    }
    for name, function in stand_in.items():
        monkeypatch.setattr(f"careedu.show.report.page.{name}", function)


@pytest.fixture(scope="module")
def base():
    """Two methods without network and a network of one epoch, two seeds."""
    data = careedu.load("phantom-skin", size=32, imbalance=3, largest=9, val=2, test=8)
    methods = ["nearest-neighbour", careedu.NearestNeighbour(size=4), "balanced-sampling"]
    return careedu.compare(data, methods, seeds=2, epochs=1, batch_size=8, learning_rate=0.001, progress=False)


def made_up(base, skills, seeds=8, **options):
    """Results of methods that are right on so large a share of the images, from a fixed draw; names are the keys."""
    first = base.first
    runs = {}
    for name, skill in skills.items():
        runs[name] = {}
        for seed in range(seeds):
            luck = np.random.default_rng([seed, 1]).random(len(first.labels))
            wrong = (first.labels + 1) % len(first.classes)
            probabilities = np.eye(len(first.classes))[np.where(luck < skill, first.labels, wrong)]
            runs[name][seed] = replace(
                first, probabilities=probabilities, configuration={**copy.deepcopy(first.configuration), "seed": seed}
            )
    return Comparison(runs, **options)


def change(results, method, **changes):
    """The same with other values in the configuration of one method's runs, or of all (None): data__name=…"""
    runs = {name: dict(by_seed) for name, by_seed in results.runs.items()}
    for name, seed in [(each, seed) for each in runs for seed in runs[each] if method in (each, None)]:
        run = runs[name][seed]
        configuration = copy.deepcopy(run.configuration)
        for path, value in changes.items():
            inner = configuration
            *parts, last = path.split("__")
            for part in parts:
                inner = inner[part]
            inner[last] = value
        runs[name][seed] = replace(run, configuration=configuration)
    return Comparison(runs, reference=results.reference, provenance=results.provenance)


def test_it_is_one_whole_page_with_every_part(base):
    page = Page(report_page(base))
    assert page.named("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in page.named("meta"))
    assert len(page.named("title")) == len(page.named("h1")) == 1
    parts = [a["id"] for a in page.named("section")]
    assert parts == [
        "summary",
        "methods",
        "data",
        "training",
        "figures",
        "results",
        "differences",
        "confusion",
        "limits",
        "again",
    ]
    assert [a["href"].removeprefix("#") for a in page.named("a")] == parts
    assert len(page.named("caption")) == len(page.tables) > 10
    assert {a.get("scope") for a in page.named("th")} == {"col", "row"}
    assert [a["alt"] for a in page.named("img")] == [
        'recalls "of" <all> methods',
        "differences in balanced accuracy",
        "differences in rare recall",
        "confusion of 3",
    ]
    fingerprint = base.first.configuration["data"]["fingerprint"]
    for expected in ("phantom-skin", "seed 1", "careedu", "torch", "3 × 32 × 32", fingerprint):
        assert expected in page.text


def test_nothing_in_it_comes_from_elsewhere_and_nothing_runs(base):
    content = report_page(base)
    page = Page(content)
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form"), tag
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            if name in LOADED:
                assert value.startswith(("data:image/png;base64,", "#")), value
            assert name != "style"
    style = re.search(r"<style>(.*?)</style>", content.decode(), re.DOTALL)[1]
    assert not re.search(r"url\(|@import|https?:|//", style)
    assert "default-src 'none'" in content.decode()


def test_the_same_results_give_the_same_bytes(base):
    assert report_page(base) == report_page(base)


def test_every_number_of_the_table_stands_in_it_in_full(base):
    frame, page = base.table(), Page(report_page(base))
    main, recalls = page.table("Main metrics"), page.table("Recall of each class")
    for table, metrics in ((main, MAIN_METRICS), (recalls, [f"recall of {c}" for c in base.classes])):
        for k, method in enumerate(base.methods, start=1):
            for j, metric in enumerate(metrics, start=1):
                expected = tuple(frame.loc[method, metric][["mean", "low", "high"]])
                assert table["values"][k][j] == expected
                assert table["rows"][k][j] == "{:.2f}[{:.2f}, {:.2f}]".format(*expected)


def test_every_difference_stands_in_it_with_p_verdict_and_what_could_be_found(base):
    results = made_up(base, {"a": 0.5, "b": 0.95, "c": 0.52})
    frame, page = results.table(), Page(report_page(results))
    for metric in (*MAIN_METRICS, *(f"recall of {c}" for c in results.classes)):
        title = metric + (" (less is better)" if metric == "calibration error" else "")
        table = page.table(f"{title}: difference to a")
        for k, method in enumerate(("b", "c"), start=1):
            one = frame.loc[method, metric]
            assert table["rows"][k][:2] == [method, one["verdict"]]
            assert table["values"][k][2] == tuple(one[["difference", "difference low", "difference high"]])
            assert table["values"][k][3:] == [(one["p"],), (one["smallest"],)]
    assert frame.loc["b", "balanced accuracy"]["verdict"] == "better"
    assert page.table("balanced accuracy")["rows"][1][2].startswith("+0.")


def test_the_summary_says_what_the_verdicts_say(base):
    results = made_up(base, {"plain": 0.5, "good": 0.97, "same": 0.5, "bad": 0.05})
    lines = summary(results)
    verdicts = {name: one.verdict for name, one in results.differences("balanced accuracy").items()}
    assert verdicts == {"good": "better", "same": "no difference shown", "bad": "worse"}
    line = next(line for line in lines if line.startswith("In balanced accuracy"))
    assert re.search(
        r"of 3 methods compared with plain, 1 is better \(good \+0\.\d+ \[.*\]\); 1 is worse \(bad −0", line
    )
    assert "for 1 no difference is shown (same)" in line


@pytest.mark.parametrize(
    ("methods", "seeds", "needed"), [(1, 2, 0), (2, 5, 6), (2, 6, 0), (4, 6, 7), (4, 7, 0), (11, 8, 9), (26, 10, 0)]
)
def test_it_tells_when_no_difference_can_be_shown_however_large(base, methods, seeds, needed):
    """The smallest p that so many seeds can have, times the number of comparisons, decides."""
    compared = methods - 1
    assert (compared > 0 and (seeds < 6 or compared * 2 / 2**seeds > 0.05)) == bool(needed)
    results = made_up(base, dict.fromkeys(map(str, range(methods)), 0.5), seeds)
    assert out_of_reach(results) == needed


def test_no_verdict_is_promised_where_none_is_possible(base):
    results = made_up(base, {"a": 0.1, "b": 1.0, "c": 1.0, "d": 1.0}, seeds=6)
    assert results.differences()["b"].verdict == "no difference shown"
    text = Page(report_page(results)).text
    assert "With 6 seeds and 3 comparisons no difference can be shown, however large; it takes 7 seeds." in text
    table = Page(report_page(results)).table("balanced accuracy")
    assert [row[-1] for row in table["rows"][1:]] == ["none"] * 3
    few = summary(made_up(base, {"a": 0.1, "b": 1.0}, seeds=3))
    assert few[-1] == "In balanced accuracy, 3 seeds are too few to tell any method from a: at least 6 are needed."


def test_better_is_said_of_no_method_that_is_not(base, monkeypatch):
    results = made_up(base, {"a": 0.5, "b": 0.97})
    unsure = Difference("rare recall", 0.2, -0.01, 0.41, 0.06, 8, 0.3)
    monkeypatch.setattr(results, "differences", lambda metric="", reference=None: {"b": unsure})
    said = " ".join(summary(results))
    assert "better" not in said
    assert "no method is shown to differ from a (b)" in said
    assert "differences below about 0.30 are found less than four times in five" in said


# With and without a mark


def marked(results, rows=None):
    """The same results, of which it is known that each third test image, or these rows, carry a mark."""
    n = len(results.labels)
    rows = np.arange(n) % 3 == 0 if rows is None else rows
    runs = {
        name: {s: replace(run, marked=rows) for s, run in by_seed.items()} for name, by_seed in results.runs.items()
    }
    return Comparison(runs)


def test_without_known_marks_there_is_not_a_word_of_them(base):
    page = Page(report_page(base))
    assert "mark" not in [a["id"] for a in page.named("section")]
    assert "with mark" not in page.text and "Mark" not in page.text


def test_recalls_with_and_without_the_mark_stand_in_it_in_full(base):
    results = marked(made_up(base, {"a": 0.5, "b": 0.9}))
    page = Page(report_page(results))
    parts = [a["id"] for a in page.named("section")]
    assert parts[6:9] == ["differences", "mark", "confusion"]
    assert [a["href"].removeprefix("#") for a in page.named("a")] == parts
    tables = [table for table in page.tables if table["caption"].startswith("With and without the mark")]
    for k, method in enumerate(results.methods, start=1):
        by_mark = results.recalls_by_mark(method)
        found = {
            head: values
            for table in tables
            for head, values in zip(table["rows"][0][1:], table["values"][k][1:], strict=True)
        }
        for (label, part), row in by_mark.iterrows():
            assert found.pop(f"{label} {part} ({row['n']:.0f})") == tuple(row[["mean", "low", "high"]])
        assert found == {}
        group, one = results.worst_group(method)
        worst = page.table("Worst group")
        assert worst["rows"][k][:2] == [method, group]
        assert worst["values"][k][2] == (one.estimate, one.low, one.high)
    assert "Where the networks look" not in page.text
    assert "by chance a little too low" in page.text.replace("\n", " ")
    # Levels, and no verdict.
    section = report_page(results).decode().split('<section id="mark">')[1].split("</section>")[0]
    assert "no method better or worse" in section.replace("\n", " ") and section.count("better") == 1


def test_a_part_without_images_is_named_and_has_no_column(base):
    results = marked(made_up(base, {"a": 0.5}), np.zeros(len(base.labels), dtype=bool))
    page = Page(report_page(results))
    missing = ", ".join(f"{label} with mark" for label in results.classes)
    assert f"Without test images: {missing}." in page.text
    assert not [head for table in page.tables for head in table["rows"][0] if " with mark" in head]


@pytest.mark.parametrize("known", ["marks", "no marks", "no mark on any image"])
def test_where_the_networks_look_stands_beside_it(base, known):
    rows = None if known == "marks" else np.zeros(len(base.labels), dtype=bool)
    results = marked(made_up(base, {"a": 0.5, "b": 0.9}), rows)
    results.attention = made_up_attention(results)
    for measures in results.attention.values.values() if known == "no marks" else ():
        del measures["mark share"], measures["mark chance"]
    page = Page(report_page(results))
    expected = ["inside share", "chance", *(["mark share", "mark chance"] if known == "marks" else [])]
    for label in (None, *results.rare):
        table = page.table(f"Where the networks look on test images of {'all' if label is None else 'class ' + label}")
        assert table["rows"][0] == ["method", *expected]
        for row, method in enumerate(results.methods, start=1):
            for column, measure in enumerate(expected, start=1):
                one = results.attention.estimate(method, measure, label)
                ends = () if "chance" in measure else (one.low, one.high)
                assert table["values"][row][column] == (one.estimate, *ends)


def test_one_method_alone_is_compared_with_nothing(base):
    results = made_up(base, {"alone": 0.5})
    page = Page(report_page(results))
    assert "no other method" in page.text
    assert "differences" not in [a["id"] for a in page.named("section")]
    assert len(page.named("img")) == 2


def test_names_that_look_like_markup_are_text(base):
    nasty = '<script>alert("1")</script>&amp;\'"'
    results = made_up(base, {nasty: 0.5, "<b>": 0.6}, provenance={nasty: nasty, "command": nasty})
    classes = [nasty, "</table>", "<img src=x onerror=y>"]
    results = change(results, None, data__name=nasty, data__classes=classes, data__rare=[nasty], method__label=nasty)
    results = Comparison(marked(results).runs, provenance=results.provenance)
    results.attention = made_up_attention(results)
    page = Page(report_page(results))
    assert not page.named("script")
    assert not page.named("b")
    assert len(page.named("img")) == 4
    assert nasty in page.table("Main metrics")["rows"][1]
    assert nasty in page.table("Recall of each class")["rows"][0]


def test_what_has_changed_since_is_seen_at_once(base):
    assert "may be out of date" not in Page(report_page(base)).text
    old = change(base, base.methods[0], method__revision="0")
    page = Page(report_page(old))
    assert [a for a in page.named("div") if a.get("class") == "notice"]
    for line in old.outdated():
        assert line in page.text


def test_epochs_that_are_counted_apart_are_told(base):
    runs = {name: dict(by_seed) for name, by_seed in base.runs.items()}
    first, second = list(runs)[:2]
    rows = pandas.DataFrame({"stage": ["pretraining"] * 3, "epoch": [1, 2, 3], "loss: contrast": [3.0, 2.0, 1.5]})
    runs[second] = {seed: replace(run, pretraining=rows) for seed, run in runs[second].items()}
    text = Page(report_page(Comparison(runs))).text
    assert f"Some methods had epochs that are counted apart: {second} 3." in text
    assert "counted apart" not in Page(report_page(Comparison({first: runs[first]}))).text


def test_what_is_not_alike_is_told(base):
    text = Page(report_page(change(base, base.methods[2], epochs=7, data__fingerprint="other"))).text
    assert "Not all methods were trained alike; they differ in: epochs." in text
    assert "With seed 1 not all methods had the same images" in text
    assert "not all methods" not in Page(report_page(base)).text.lower()


def test_exploratory_runs_are_called_so(base):
    results = made_up(base, {"a": 0.5}, provenance={"exploratory": True, "processor": {"model": "a chip"}})
    text = Page(report_page(results)).text
    assert "exploratory" in text
    assert "a chip" in text


def test_that_images_are_squeezed_stands_among_the_data(base):
    squeezed = change(base, None, data__squeezed="into squares of 112 pixels (one of 767x576 the most)")
    said = "images are squeezed into squares of 112 pixels (one of 767x576 the most), which changes shapes"
    assert said in report_page(squeezed).decode() and "squeezed" not in report_page(base).decode()


def test_a_class_without_test_images_is_said_in_words(base):
    keep = base.labels != 1
    name, rare = base.classes[1], [base.classes[1]]
    parts = {what: getattr(base.first, what)[keep] for what in ("labels", "groups", "ids")}
    runs = {
        method: {s: replace(run, probabilities=run.probabilities[keep], **parts) for s, run in by_seed.items()}
        for method, by_seed in base.runs.items()
    }
    short = change(Comparison(runs), None, data__rare=rare)
    content = report_page(short).decode()
    text = re.sub(r'<data value="[^"]*">', "", content)
    assert "rare recall no test images" in summary(short)[0] and "balanced accuracy (of 2 of 3 classes) 0." in text
    assert "nan" not in text.lower() and f"{name} has no test images" in text
    assert text.count("no test images</data>") >= 2 * len(short.methods), "as its recall, and as that of the rare ones"
    assert "nan" not in short.summary().to_string()


def test_few_groups_are_warned_of(base):
    listed = ", ".join(f"{name} 8" for name in base.classes)
    text = Page(report_page(base)).text
    assert f"less than about 20 test groups: {listed}." in text
    assert f"fewest test groups is {base.classes[0]}, with 8." in " ".join(text.split())
    many = made_up(base, {"a": 0.5})
    for run in many.runs["a"].values():
        run.labels, run.groups = np.repeat([0, 1, 2], [30, 30, 25]), np.array([f"g{i}" for i in range(85)])
    assert few_groups(many) == []
    assert groups_of_classes(many) == dict(zip(many.classes, (30, 30, 25), strict=True))
    for run in many.runs["a"].values():
        run.labels = np.repeat([0, 1], [40, 45])
    assert "no test images" in few_groups(many)[0]


def test_phantoms_are_no_patients_and_real_sets_have_a_licence(base):
    assert "These are phantoms" in Page(report_page(base)).text
    real = change(made_up(base, {"a": 0.5}), "a", data__name="brain-tumor")
    text = Page(report_page(real)).text
    assert "believed CC BY 4.0" in text
    assert "data/README.md" in text
    assert "These are phantoms" not in text
    assert "not known to careedu" in Page(report_page(change(real, "a", data__name="my-folder"))).text


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("logit-adjusted", "Menon et al., ICLR 2021, sections 4.1 and 4.2"),
        ("global-attention", "Xu et al., arXiv 2007.15897"),
        ("simclr", "Chen et al., ICML 2020"),
        ("deep-pneumonia", "Wei et al., arXiv 2207.11393"),
        ("local-attention", "SE, Hu 2018; CBAM, Woo 2018"),
        ("nearest-neighbour", "our choice"),
        ("cross-entropy", "–"),
        ("somebody's own", "–"),
    ],
)
def test_the_source_is_what_the_documentation_names(name, source):
    assert source_of(name) == source


# How to make it again


def execute(code):
    """Run the lines, and give what they leave behind."""
    left = {}
    with redirect_stdout(io.StringIO()):
        exec(compile(code, "recipe", "exec"), left)
    return left


def test_the_recipe_makes_the_same_bits(base):
    again = execute(recipe(base))["comparison"]
    pandas.testing.assert_frame_equal(again.table(), base.table(), check_exact=True)
    assert again.reference == base.reference
    for method in base.methods:
        assert np.array_equal(again.probabilities(method), base.probabilities(method))


def test_the_recipe_in_the_page_is_that_one(base):
    page = Page(report_page(base))
    assert recipe(base) in page.text


def test_the_recipe_notices_other_images(base):
    with pytest.raises(AssertionError):
        execute(recipe(base).replace("largest=9", "largest=10"))


def test_methods_that_were_trained_otherwise_get_a_call_of_their_own(base):
    """Epochs, names, order, seeds, reference and an augmentation of one's own all come back."""
    data, seeds, options = base.data, [5, 3], {"progress": False, "batch_size": 8}
    mild = careedu.Augmentation(rotation=5.0)
    first = careedu.compare(data, {"short $'\"": "cross-entropy"}, seeds=seeds, epochs=1, **options)
    second = careedu.compare(data, ["focal"], seeds=seeds, epochs=2, augmentation=mild, **options)
    both = Comparison({**second.runs, **first.runs}, reference="short $'\"")
    code = recipe(both)
    assert code.count("careedu.compare(") == 2
    again = execute(code)["comparison"]
    assert again.methods == both.methods
    assert again.reference == both.reference
    pandas.testing.assert_frame_equal(again.table(), both.table(), check_exact=True)


def test_a_setting_that_is_younger_than_the_runs_is_left_to_its_default(base):
    old = change(base, None)
    for run in (run for by_seed in old.runs.values() for run in by_seed.values()):
        del run.configuration["probes"]
    assert "probes=" in recipe(base) and "probes=" not in recipe(old)
    compile(recipe(old), "recipe", "exec")


@dataclass(frozen=True)
class OwnMethod(UntrainedMethod):
    """A method that careedu does not know."""

    name = "own"

    def predict(self, train, images):
        return np.full((len(images), 3), 1 / 3)


def test_a_method_of_ones_own_is_left_open_in_the_recipe(base):
    results = careedu.compare(base.data, [OwnMethod()], seeds=1, progress=False)
    assert "'own': ...,  # none of careedu's" in recipe(results)
    compile(recipe(results), "recipe", "exec")
    assert "a method that is not careedu's" in Page(report_page(results)).text


def test_images_that_load_has_not_made_are_left_open_in_the_recipe(base):
    other = change(made_up(base, {"a": 0.5}), "a", data__recipe={"made up": True})
    assert "data = ...  # not made by careedu.load" in recipe(other)
    compile(recipe(other), "recipe", "exec")
    folder = change(made_up(base, {"a": 0.5}), "a", data__recipe={"name": "mine", "options": {"odd name": 1}})
    assert "careedu.load('path/to/mine', **{'odd name': 1})" in recipe(folder)


# Names and values of a stranger's file


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NASTY = [
    "class",
    "None",
    "__debug__",
    "match",
    "seed",
    "root",
    "name_or_path",
    "two words",
    "\ufb01",  # a ligature that Python takes for fi
    "fi",
    "é",
    "a=1, b",
    "x)\nimport os\nos.system('true')  #",
    "\n#",
    "# \r\nprint(1)",
    "'\"\\",
    "\\",
    '"""',
    "\x00\x1b[0m\u2028\u202e",
    "\ud800",
    "{0}{{x}}",
    "__import__('os').system('true')",
    "</code><script>alert(1)</script>",
    "",
]
TEXT = st.sampled_from(NASTY) | st.text()
OPTIONS = st.dictionaries(TEXT, JSON | TEXT, max_size=4)
CALLED = {"careedu.load", "careedu.compare", "careedu.Comparison", "careedu.Augmentation", "build_method", "float"}
CALLED |= {"comparison.table", "print"}
VARIABLES = r"careedu|build_method|float|print|(data|methods|comparison)(_\d+)?|runs|in_order|name"
NODES = (
    *(ast.Module, ast.Import, ast.ImportFrom, ast.alias, ast.Assign, ast.Assert, ast.Expr, ast.Call, ast.keyword),
    *(ast.Name, ast.Attribute, ast.Constant, ast.Dict, ast.List, ast.Compare, ast.Eq, ast.UnaryOp, ast.USub),
    *(ast.Load, ast.Store, ast.DictComp, ast.comprehension, ast.Subscript),
)


COMMENTS = {
    "# A folder of one's own: put its path here.",
    "# the very same images",
    "# not made by careedu.load: put the same Splits here",
    "# none of careedu's methods: put your own here",
}


def assert_only_what_a_recipe_does(code):
    """Python, and of its kinds of statements, names and calls only those that a recipe is made of."""
    tree = ast.parse(code)
    compile(code, "recipe", "exec")
    for node in ast.walk(tree):
        assert isinstance(node, NODES), ast.dump(node)
        if isinstance(node, ast.Name):
            assert re.fullmatch(VARIABLES, node.id), node.id
        if isinstance(node, ast.Attribute):
            assert node.attr in (
                "load",
                "compare",
                "Comparison",
                "Augmentation",
                "redraw",
                "fingerprint",
                "runs",
                "table",
            )
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name in CALLED or re.fullmatch(r"data(_\d+)?\.redraw(\(-?\d+\)\.fingerprint)?", name), name
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert ast.unparse(node) in ("import careedu", "from careedu.methods import build_method")
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    assert {token.string for token in tokens if token.type == tokenize.COMMENT} <= COMMENTS
    return tree


def arguments_of(tree, function):
    """What the calls of a function are given: by name, and in mappings."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == function]
    found = []
    for one in calls:
        scope = {"float": float}
        found.append({k.arg: k.value for k in one.keywords if k.arg})
        for mapping in (k.value for k in one.keywords if not k.arg):
            found[-1] |= eval(compile(ast.Expression(mapping), "mapping", "eval"), scope)
    return [
        {
            key: eval(compile(ast.Expression(v), "value", "eval"), {"float": float}) if isinstance(v, ast.AST) else v
            for key, v in one.items()
        }
        for one in found
    ]


def alike(a, b):
    """Equal, where NaN is like NaN, and a list like a tuple."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


often = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@often
@given(name=TEXT, folder=TEXT, options=OPTIONS, data=OPTIONS, own=TEXT, moved=OPTIONS | TEXT, fingerprint=TEXT | JSON)
def test_what_stands_in_a_file_is_data_in_the_recipe(base, name, folder, options, data, own, moved, fingerprint):
    results = made_up(base, {name: 0.5, f"{name} 2": 0.5, own or "x": 0.5}, seeds=1)
    results = change(results, name, method__options=options, method__name="focal", model=own)
    results = change(results, f"{name} 2", method__name=own)
    recipe_of = {"name": folder, "options": data, "size": data, "rare": [own], "counts": options}
    results = change(results, None, data__recipe=recipe_of, augmentation=moved, data__fingerprint=fingerprint)
    code = recipe(results)
    tree = assert_only_what_a_recipe_does(code)
    built = arguments_of(tree, "build_method")
    assert any(alike(one, options) for one in built) or not built
    (loaded, *_) = arguments_of(tree, "careedu.load")
    taken = {"root", "name_or_path", "size", "imbalance", "counts", "seed", "rare", "augmentation"}
    for key in set(data) - taken:
        assert alike(loaded[key], data[key])
    assert "root" not in loaded and "name_or_path" not in loaded
    assert alike(loaded["counts"], options)


@pytest.mark.parametrize("key", NASTY)
def test_a_key_that_is_no_name_goes_into_a_mapping(key):
    (argument,) = keywords({key: 1})
    code = f"made({argument})"
    made = eval(compile(code, "call", "eval"), {"made": dict})
    assert made == {key: 1}
    assert argument.startswith("**") != (key in ("match", "seed", "root", "name_or_path", "fi"))
    assert keywords({"fi": 1, "\ufb01": 2}) == ["fi=1", "**{'\ufb01': 2}"]


def test_a_column_called_class_comes_back(base):
    folder = {"name": "mine", "options": {"class": "a", "plane": "axial", "lambda": 2, "group": "run"}}
    code = recipe(change(made_up(base, {"a": 0.5}), None, data__recipe=folder))
    assert_only_what_a_recipe_does(code)
    assert "'path/to/mine'" in code and "plane='axial'" in code and "**{'class': 'a', 'lambda': 2}" in code


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("../../etc", "path/to/etc"),
        ("/home/somebody/x", "path/to/x"),
        ("C:\\Users\\x", "path/to/x"),
        ("..", "path/to/images"),
        ("", "path/to/images"),
        ("a\nb", "path/to/a\nb"),
    ],
)
def test_a_folder_in_the_recipe_is_a_name_and_no_way(base, name, path):
    tree = assert_only_what_a_recipe_does(
        recipe(change(made_up(base, {"a": 0.5}), None, data__recipe={"name": name, "options": {}}))
    )
    (load,) = (n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "careedu.load")
    assert ast.literal_eval(load.args[0]) == path


@pytest.mark.parametrize("made", [{"name": ["x"], "options": {}}, {"name": "x", "options": 3}, {}, {"options": {}}])
def test_images_of_which_a_file_tells_nonsense_are_left_open(base, made):
    code = recipe(change(made_up(base, {"a": 0.5}), None, data__recipe=made))
    assert_only_what_a_recipe_does(code)
    assert "data = ...  # not made by careedu.load" in code


@pytest.mark.parametrize("name", [["x"], {"a": 1}, None, 3])
def test_a_method_whose_name_is_no_name_is_none_of_careedus(base, name):
    results = change(made_up(base, {"a": 0.5}), None, method__name=name)
    assert "'a': ...,  # none of careedu's" in recipe(results)
    assert next(iter(methods(results).values()))["line"] == "a method that is not careedu's"


class Word(str, enum.Enum):  # noqa: UP042 - whose own text is not its value
    ONE = "o'ne"


class Count(enum.IntEnum):
    TWO = 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.str_("a'b"), "a'b"),
        (Word.ONE, "o'ne"),
        (Count.TWO, 2),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        ((1, (2.5, None)), [1, [2.5, None]]),
        ({"a": {"b": [True, -0.0, 1e300, -7]}}, {"a": {"b": [True, -0.0, 1e300, -7]}}),
        ({1: {"x": np.float64(2)}}, {1: {"x": 2.0}}),
        (io.IOBase, str(io.IOBase)),
        ("\ud800\u202e\n'", "\ud800\u202e\n'"),
    ],
)
def test_a_value_is_written_as_a_literal(value, expected):
    code = literal(value)
    assert eval(compile(code, "value", "eval"), {"float": float, "__builtins__": {}}) == expected
    assert "\n" not in code and code.isprintable()
    assert math.isnan(eval(literal(math.nan), {"float": float}))


def test_what_is_nested_without_end_is_cut_off(base):
    deep = {}
    for _ in range(400):
        deep = {"a": [deep]}
    assert literal(deep).count("{") == DEEPEST / 2 and "..." in literal(deep)
    endless = []
    endless.append(endless)
    compile(literal(endless), "value", "eval")
    results = change(made_up(base, {"a": 0.5}), None, method__options={"a": deep}, data__recipe__options={"deep": deep})
    results = Comparison(results.runs, provenance={"deep": deep})
    compile(recipe(results), "recipe", "exec")
    assert "…" in Page(report_page(results)).text


@settings(often, max_examples=25)
@given(name=TEXT, label=TEXT, options=OPTIONS, provenance=OPTIONS)
def test_what_stands_in_a_file_is_text_in_the_page(base, name, label, options, provenance):
    results = change(made_up(base, {name: 0.5, f"{name} 2": 0.6}, seeds=1), None, data__name=label)
    results = change(results, name, method__label=label, method__options=options, model=name, versions__torch=label)
    results = Comparison(results.runs, provenance=provenance | {"command": name})
    page = Page(report_page(results))
    tags = {tag for tag, _ in page.elements}
    assert tags <= TAGS, tags - TAGS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES


TAGS = {"html", "head", "meta", "title", "style", "body", "main", "header", "nav", "section", "h1", "h2", "h3", "p"}
TAGS |= {"ul", "li", "a", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "small", "data", "dl", "dt"}
TAGS |= {"dd", "figure", "img", "figcaption", "pre", "code", "strong"}
ATTRIBUTES = {
    "lang",
    "charset",
    "name",
    "content",
    "http-equiv",
    "class",
    "id",
    "href",
    "aria-label",
    "role",
    "tabindex",
}
ATTRIBUTES |= {"scope", "value", "data-label", "alt", "width", "src"}


# The file


def test_the_file_is_written_whole_and_its_folder_made(base, tmp_path):
    path = base.report(tmp_path / "new" / "report.html")
    assert path.read_bytes() == report_page(base)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert base.report(str(path)) == path  # replaced


@pytest.mark.parametrize("name", ["folder", "folder.html", "notes.txt", "file.html/report.html", "none"])
def test_where_it_cannot_stand_nothing_is_written(base, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file.html").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    error = StorageError if "/" in name else InvalidInputError
    with pytest.raises(error, match=re.escape(str(tmp_path)) + "|name it 'no"):
        write_report(base, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "notes.txt").read_text() == (tmp_path / "file.html").read_text() == "mine"


def test_an_error_on_the_way_leaves_the_old_report(base, tmp_path, monkeypatch):
    path = base.report(tmp_path / "report.html")
    before = path.read_bytes()

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(StorageError, match=r"No space left.*make room"):
        base.report(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
