"""Every number in the notebooks' running text is computed here, or is listed with where it is from.

Where a number has changed, the failure says how the sentence has to read. A new number in a text fails until it stands
in `SAID`, with the expression that gives it, or in `GIVEN`: a paper's, a definition's, or one that a cell asserts.
"""

from __future__ import annotations

import inspect
import json
import re
from functools import cache
from itertools import combinations, pairwise, product

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.metrics.pairwise import cosine_similarity
from torchvision.ops import box_iou

import careedu
from careedu.course.experiments import EXPERIMENTS
from careedu.course.experiments.distractor import BEST, REGIMES, WORST, regime
from careedu.course.experiments.global_attention import AFTER, JITTERS, TRIED
from careedu.data.shipped import shipped
from careedu.data.shortcuts import with_shortcut
from careedu.measure import map_auroc, recall_per_class
from careedu.methods.boxes import inside_boxes, lesion_boxes
from careedu.nn.losses import effective_number_weights, inverse_frequency_weights
from careedu.show import DistractorRecord, Embeddings, GeneratedFeatures, look_alike_confusion, shares_by_temptation

NOTEBOOKS = {path.name[:2]: path for path in sorted(shipped("notebooks").glob("*.ipynb"))}
SETS_OF_07 = ("phantom-skin", "marked-skin", "brain-tumor")
WORDS = dict(enumerate(["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]))
# What is no running text: mathematics, code, headings' numbers, and names of notebooks and sections.
NO_TEXT = r"\$\$[\s\S]*?\$\$|\$[^$]*\$|`[^`]*`|(?m:^#+ (?:\d+|Exercise \d+) ·)|[Nn]otebooks?\s+\d+|sections?\s+\d+"
NO_TEXT += r"|\*\*References?\.[\s\S]*"
LINK = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")
NUMBER = r"(?<![\w.])[−+]?\.?\d(?:[\d.,/³]*[\d³])?"


@cache
def cells(notebook):
    """Sources of a notebook's cells of text, by their id; of a link the words."""
    found = json.loads(NOTEBOOKS[notebook].read_text(encoding="utf-8"))["cells"]
    texts = {cell["id"]: "".join(cell["source"]) for cell in found if cell["cell_type"] == "markdown"}
    return {cell: LINK.sub(r"\1", text) for cell, text in texts.items()}


def line(text):
    return " ".join(text.split())


@cache
def load(name):
    return careedu.Comparison.load(name)


@cache
def attention(name):
    return careedu.AttentionResults.load(name)


def mean(name, arm, metric="rare_recall"):
    return float(np.mean([getattr(run, metric)() for run in load(name).runs[arm].values()]))


def verdicts(name, one, others, metric="rare recall"):
    """What is said of one arm against others, each pair alone."""
    return {load(name).difference(one, other, metric).verdict for other in others}


def table_verdicts(name, arms=None, metric="rare recall"):
    """What the table of all arms says of some, or of all but the reference."""
    found = load(name).differences(metric)
    return {found[arm].verdict for arm in arms or found}


def ends(name, arm, metric="rare recall"):
    """Difference of an arm to the reference, and the ends of its interval."""
    found = load(name).differences(metric)[arm]
    return found.effect, found.low, found.high


def lead(name, one, other, metric="rare_recall"):
    """By how much the mean of one arm lies above that of another."""
    return mean(name, one, metric) - mean(name, other, metric)


def short(value, digits=2):
    """A share as the texts have it: .19."""
    return f"{value:.{digits}f}".removeprefix("0")


def is_share(value, part, whole):
    """Whether a share is said in words as well as can be: no other share of so many is nearer."""
    return round(value * whole) == part


def configuration(name):
    return load(name).first.configuration


def counts(name):
    return dict(zip(load(name).classes, configuration(name)["data"]["train counts"], strict=True))


def recipe(name):
    return configuration(name)["data"]["recipe"]


def option(name, key):
    return recipe(name)["options"][key]


def epochs(name):
    return configuration(name)["epochs"]


def seeds(name):
    return WORDS[len(load(name).seeds)]


def fresh(name, other):
    """Whether no seed of one experiment is among those of another."""
    return not {*load(name).seeds} & {*load(other).seeds}


def trained(name):
    """Arms that have a network."""
    runs = load(name).runs
    return [arm for arm, seeds in runs.items() if next(iter(seeds.values())).configuration["model"] != "none"]


def rarest(name):
    """Which test images are of the rare class, or of the last one of several."""
    return load(name).labels == load(name).rare_indices[-1]


def images_of(name):
    return int(rarest(name).sum())


def groups_of(name):
    return len(set(load(name).groups[rarest(name)]))


def looks(name, arm, what):
    """Of the maps of each seed and image of the rare class."""
    return np.stack([attention(name).values[arm][what][seed][rarest(name)] for seed in load(name).seeds])


def pointing(name, arm):
    return looks(name, arm, "pointing").mean()


def inside(name, arm):
    return looks(name, arm, "inside share").mean()


def maps(name, arm):
    return [careedu.trained_map(run) for run in load(name).runs[arm].values()]


def mean_image():
    """Of the training images that the notebook loads; min-max changes no order."""
    return loaded("phantom-chest").train.images.float().mean((0, 1)).numpy()


def likeness(name, arm):
    """Correlation of an arm's maps with the negative mean image of the same seed."""
    pairs = zip(maps(name, arm), maps(name, "negative mean image"), strict=True)
    return np.array([np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs])


def failed(name):
    """Arms of which a training finds none of the rare images."""
    return [arm for arm, runs in load(name).runs.items() if min(run.rare_recall() for run in runs.values()) == 0]


def chosen_of_the_search():
    """Rate, λ_s and λ_tv of the map after the network with the highest AUROC."""
    arms = [arm for arm in load("03-search").methods if arm.startswith("after")]
    options = configuration_of("03-search", max(arms, key=lambda a: np.mean(aurocs_of("03-search", a))))["method"]
    return [options["options"][name] for name in ("learning_rate", "sparsity", "variation")]


def along_jitter(arm):
    """Mean AUROC of an arm's maps, from no jitter to the largest."""
    return [np.mean(aurocs_of(f"03-jitter-{jitter:g}", arm)) for jitter in JITTERS]


def on_brain(arm):
    """AUROC of an arm's maps against the places where the training tumours lie."""
    places = maps(SLICES, "after: mean mask")[0] > 0.1
    return [map_auroc(one, places) for one in maps(SLICES, arm)]


def configuration_of(name, arm):
    return next(iter(load(name).runs[arm].values())).configuration


def last_loss(arm):
    return np.mean([run.history["loss: classification"].iloc[-1] for run in load(CHEST).runs[arm].values()])


def first_share():
    """Of the squared intensities of the notebook's training images, in their first singular picture."""
    images = loaded("phantom-chest").train.images.float().flatten(1) / 255
    found = torch.linalg.svdvals(images).square()
    return float(found[0] / found.sum())


def aurocs_of(name, arm):
    zone = careedu.lesion_zones("chest", 64)
    return [map_auroc(one, zone) for one in maps(name, arm)]


def auroc(arm):
    zone = careedu.lesion_zones("chest", 64)
    return np.mean([map_auroc(one, zone) for one in maps("03-phantom-chest", arm)])


def clinic(name, arm):
    """Recall of the rare class where nothing goes with it: on the test images without the mark."""
    return load(name).estimate(arm, "recall of streaked without mark").estimate


def against(name, arm, reference=None):
    """How an arm's recall there stands against another's, as the table of all arms says."""
    return load(name).differences("recall of streaked without mark", reference)[arm]


def common(name, arm):
    """Recall of the commonest class where it carries the mark."""
    return load(name).estimate(arm, "recall of reticular with mark").estimate


def saliency_overlap():
    """Of saliency's boxes with the true ones, of rare training images: the lowest of the tuning seeds' medians."""
    found = []
    for seed in load(BOXED).seeds:
        train = careedu.load("phantom-skin", imbalance=10, seed=1, **recipe(BOXED)["options"]).redraw(seed).train
        rows = (train.labels == 2).nonzero()[:, 0]
        found.append(box_iou(lesion_boxes(train.images[rows]), train.boxes[rows]).diagonal().median().item())
    return min(found)


def worst(arm):
    return load(MARKED).worst_group(arm)


def dose_of(arm):
    alpha = load(MARKED).runs[arm][0].configuration["method"]["options"]["alpha"]
    return alpha / (1 - alpha)


def validated(arm):
    """Balanced accuracy on the validation images, which carry the mark as the training images do."""
    recalls = [
        recall_per_class(run.validation_probabilities, run.validation_labels) for run in load(TUNED).runs[arm].values()
    ]
    return np.mean([recall.mean() for recall in recalls])


def called_rare(name, arm, label=None):
    """Of the common test images with the mark, or of those of one class."""
    rows = load(name).marked & ~rarest(name)
    rows &= (label is None) | (load(name).labels == load(name).classes.index(label or load(name).classes[0]))
    return (load(name).probabilities(arm)[:, rows].argmax(axis=2) == load(name).rare_indices[-1]).mean()


@cache
def marked_phantoms():
    return careedu.load("phantom-skin", imbalance=10, **recipe(MARKED)["options"])


def marked_share(part):
    """Of the rare class."""
    images = getattr(marked_phantoms(), part)
    return float(images.marked[images.labels == 2].double().mean())


@cache
def held(boxes):
    """Shares of the lesion and of the mark that the boxes of CARE's controls hold, of marked training images."""
    lesion, mark = [], []
    for seed in load(MARKED).seeds:
        data = marked_phantoms().redraw(seed)
        given = careedu.CARE(alpha=0.8, boxes=boxes).prepare(data, seed)
        rows = given.has_box & data.train.marked
        inside_box = inside_boxes(given.boxes[rows], tuple(given.images.shape[2:]))
        for shares, regions in ((lesion, data.train.masks[rows]), (mark, data.train.marks[rows])):
            shares.append(((inside_box & regions).sum((1, 2)) / regions.sum((1, 2))).numpy())
    return np.concatenate(lesion), np.concatenate(mark)


def from_inverse(beta):
    """How far effective-number weights of the notebook's images lie from inverse-frequency weights, at most."""
    counts = loaded("phantom-skin").train.counts
    return float((effective_number_weights(counts, beta) - inverse_frequency_weights(counts)).abs().max())


def loaded(name):
    """Of a data set as the notebook loads it."""
    options = {"lesion_size": 1.15} if name == "phantom-chest" else {}
    return careedu.load(name, imbalance=10, **options)


MARKED, CAST, TUNED, BASE = "02-marked-skin", "02-cast-skin", "02-dose-marked", "logit adjustment"
BROKEN, BOXED, LETTERED = "02-rivals-marked", "02-boxes-marked", "02-lettered-brain"
AT_DOSE, ENERGY = "CARE, dose 4", "CARE, dose 4, energy"
SHIFTED, RANDOM = "CARE, dose 4, shifted boxes", "CARE, dose 4, random boxes"
CURVE = ["CARE without attention", "dose 0.25", "dose 1", "dose 4", "dose 16"]
DEFAULT_SHARE = inspect.signature(with_shortcut).parameters["share"].default[0]
NEARLY_AS_MANY = ["inverse-frequency weights", "logit adjustment", "classifier retraining"]
CHEST, XRAYS, SLICES = "03-phantom-chest", "03-pneumonia", "03-brain-tumor"


# (notebook, cell): what it says, with braces where numbers belong: what gives these numbers, or tells whether it is so.
PNEUMONIA = "04-pneumonia"
ORGANS, SHARES = ("chest", "skin", "brain"), ("15", "50", "all")
BOTH = ("rare_recall", "balanced_accuracy")
SAME_LOSS = [
    ("+ pretraining", "cross-entropy"),
    ("logit adjustment, pretrained", "logit adjustment"),
    ("attention, no masks", "logit adjustment"),
]


def pool(organ):
    """How many images the pretraining of a set looks at."""
    return sum(counts(f"04-labels-all-{organ}").values())


def labels_of(name):
    """Labelled images of each class: one number, where all have as many."""
    return sorted(set(counts(name).values()))


def tried(organ):
    """Mean validation balanced accuracy of the fine-tuned networks of a search, by arm."""
    runs = load(f"04-search-{organ}").runs
    return {
        arm: np.mean([run.history["balanced accuracy"].iloc[-1] for run in by_seed.values()])
        for arm, by_seed in runs.items()
    }


def gain(share, organ):
    """What pretraining adds to the mean balanced accuracy, as the texts have it."""
    return short(lead(f"04-labels-{share}-{organ}", "pretrained", "from scratch", "balanced_accuracy"))


def pretraining_gains(organ):
    """The same at each share of labels, in their order."""
    return [gain(share, organ) for share in SHARES]


def of_own_class(organ, name, others=False):
    """Share of the five nearest that are of an image's class; with `others` among images of other groups alone."""
    saved, results = Embeddings.load(f"04-labels-15-{organ}/embeddings"), load(f"04-labels-15-{organ}")
    assert saved.ids.tolist() == results.first.ids.tolist()
    nearness = cosine_similarity(saved.of(name))
    barred = results.groups[:, None] == results.groups if others else np.eye(len(nearness), dtype=bool)
    nearest = np.where(barred, -2, nearness).argsort(axis=1)[:, -5:]
    return (saved.labels[nearest] == saved.labels[:, None]).mean()


LOOK_ALIKES, DISTRACTOR = "05-phantom-skin", "+ distractor"


def regime_gains(arm):
    """Of each regime, by how much the mean balanced accuracy with an arm lies above that of the loss alone."""
    return [lead(regime(*knobs), arm, "logit adjustment", "balanced_accuracy") for knobs in REGIMES]


def rising(values):
    return list(values) == sorted(values)


@cache
def tempted():
    return DistractorRecord.load(f"{LOOK_ALIKES}/distractors")


def last(arm, column):
    """Mean over seeds of what the history of an arm ends with."""
    return float(np.mean([run.history[column].iloc[-1] for run in load(LOOK_ALIKES).runs[arm].values()]))


@cache
def spots(missed=False):
    """Which shares of its last relevance lie on the lesion and on the patches, of each network that was looked at.

    Over images with patches; with `missed` over those that the network is wrong about.
    """
    record, test, found = tempted(), load(LOOK_ALIKES).data.test, []
    (*_, h, w) = record.relevance.shape
    for maps, probabilities in zip(record.relevance[:, -1].astype(float), record.probabilities[:, -1], strict=True):
        shares = []
        looked_at = (record.patch_labels >= 0) & ((probabilities.argmax(axis=1) != record.labels) | (not missed))
        for mask in (test.masks.numpy(), test.marks.numpy()):
            covered = mask.reshape(len(mask), h, mask.shape[1] // h, w, mask.shape[2] // w).mean(axis=(2, 4))
            shares.append(((maps * covered).sum(axis=(1, 2)) / maps.sum(axis=(1, 2)))[looked_at].mean())
        found.append(shares)
    return found


MASKS, MASKS_OF_BRAIN = "06-phantom-brain", "06-brain-tumor"
GENERATORS = ("ACGAN", "WGAN-GP")
BALANCED = "balanced_accuracy"


@cache
def generated(name):
    return GeneratedFeatures.load(f"{name}/generated")


def at_the_end(name, arm, column):
    """By seed, of what is recorded of an arm's generator, the mean of the last 50 epochs."""
    return np.array([run.pretraining[column].tail(50).mean() for run in load(name).runs[arm].values()])


def distances(name, arm, of=np.mean):
    """Of each class the Fréchet distance at the end, 1 being collapse; of what has no generator, that of the record."""
    record = generated(name)
    if arm in GENERATORS:
        found = [at_the_end(name, arm, f"Fréchet distance: {c}") for c in load(name).classes]
        return of(np.stack(found, axis=1) / record.spread, axis=0)
    return record.quality[record.names.index(arm), :3] / record.spread[0]


def floors(name):
    """Of each class the distance between two halves of its real features, 1 being collapse."""
    return (generated(name).floor / generated(name).spread).mean(axis=0)


def spreads(name, way):
    """Of each class how far a thousand features of a saved generator are spread, 1 being the real ones."""
    record, wanted = generated(name), torch.arange(3).repeat(1000)
    made = record.network(way).sample(wanted, torch.Generator().manual_seed(0)).numpy()
    real = [record.real[record.labels == c].astype(np.float32) for c in range(3)]
    return np.array([made[wanted == c].var(0, ddof=1).sum() / real[c].var(0, ddof=1).sum() for c in range(3)])


@cache
def lines_moved(name):
    """Recalls of the plain head with logits moved by what is best in validation, mean over seeds."""
    found = []
    for run in load(name).runs["plain"].values():
        with np.errstate(divide="ignore"):
            logits = np.log(run.validation_probabilities.astype(float))
        steps = [(0, *by) for by in product(np.arange(-4, 5) / 2, repeat=2)]
        scores = [balanced_accuracy_score(run.validation_labels, (logits + by).argmax(axis=1)) for by in steps]
        called = (run.probabilities * np.exp(steps[int(np.argmax(scores))])).argmax(axis=1)
        found.append([(called == c)[run.labels == c].mean() for c in range(3)])
    return np.mean(found, axis=0)


def lost(way):
    """How much more balanced accuracy a way has where the head sees real features too, over the same seeds."""
    alone, both = (load(name).runs[way] for name in ("06-synthetic-phantom", MASKS))
    assert len(alone) == 3
    return float(np.mean([both[seed].balanced_accuracy() - run.balanced_accuracy() for seed, run in alone.items()]))


def in_validation(name):
    """Of each arm the mean balanced accuracy in validation."""

    def one(run):
        return balanced_accuracy_score(run.validation_labels, run.validation_probabilities.argmax(axis=1))

    return {arm: np.mean([one(run) for run in runs.values()]) for arm, runs in load(name).runs.items()}


def recall_of(name, arm, c):
    return float(np.mean([run.recall()[c] for run in load(name).runs[arm].values()]))


def left_out(part, metric):
    """By how much the mean changes without one of the four parts."""
    return lead("04-leave-one-out", f"without {part}", "all four", metric)


def largest_lesions():
    """The largest lesion_size that each notebook draws, live or in its saved runs."""
    found = {number: [1.0] for number in NOTEBOOKS}
    for number, path in NOTEBOOKS.items():
        found[number] += map(float, re.findall(r"lesion_size\W+([\d.]+)", path.read_text("utf-8")))
    for experiment in EXPERIMENTS.values():
        found[experiment.notebook].append(experiment.data.get("lesion_size", 1.0))
    return {number: max(sizes) for number, sizes in found.items()}


STEPS = ("cross-entropy", "+ pretraining", "+ attention", "+ regulation", "+ class-balanced")
MODULES = ("attention", "attention, no masks", "attention, shuffled masks")


def verdicts_on_brain(pairs):
    """What is shown between arms of the ladder on brain slices, on either metric."""
    differences = load("04-brain-tumor").differences
    return {differences(m, rival)[arm].verdict for arm, rival in pairs for m in ("rare recall", "balanced accuracy")}


def unmarked(arm):
    """Mean recall of the rare images that carry no plaster."""
    return load("04-marked-skin").values_per_seed(arm, "rare recall without mark").mean()


SAID = {
    ("07", "table-text"): {
        "ten seeds, paired": lambda: {len(load(f"07-{name}").seeds) for name in SETS_OF_07} == {10},
    },
    ("07", "guide-text"): {
        "saved comparisons of ten seeds": lambda: {len(load(f"07-{name}").seeds) for name in SETS_OF_07} == {10},
    },
    ("00", "look-text"): {
        "Lesions are drawn larger here than in the other notebooks": lambda: (
            (sizes := largest_lesions()).pop("00") > max(sizes.values())
        ),
    },
    ("00", "train-text"): {
        "A class with a tenth of the images": lambda: (
            careedu.load("phantom-skin", imbalance=10, largest=200).train.counts[[0, -1]].tolist() == [200, 20]
        ),
    },
    ("00", "take-home"): {
        "with probability 2/2³ = {} (the *p-value*)": lambda: [short(2 / 2**3)],
        "Notebook 01 uses {}": lambda: [seeds("01-phantom-skin")],
        "If all three seeds agree": lambda: "SEEDS = (0, 1, 2)" in NOTEBOOKS["00"].read_text("utf-8"),
    },
    ("01", "title"): {
        "set them side by side over {} seeds": lambda: [seeds("01-phantom-skin")],
    },
    ("01", "interval-text"): {
        "one image more is {} points of recall": lambda: [f"{100 / 23:.1f}"],
    },
    ("01", "beta-text"): {
        "the weights of such a small set *are* inverse frequency to two digits": lambda: from_inverse(0.9999) < 0.01,
        "Near .99 the effective number gives weights of its own": lambda: from_inverse(0.99) > 0.1,
    },
    ("01", "seeds-text"): {
        "So {} arms were trained with {} seeds each": lambda: [
            WORDS[len(trained("01-phantom-skin"))],
            seeds("01-phantom-skin"),
        ],
    },
    ("01", "brain-text"): {
        "meningioma thinned to {} training images": lambda: [counts("01-brain-tumor")["meningioma"]],
    },
    ("01", "brain-found-text"): {
        "{} runs of slices are few": lambda: [WORDS[groups_of("01-brain-tumor")].title()],
        "they tell as much as {} of one length would": lambda: [
            WORDS[round(load("01-brain-tumor").difference("focal", "cross-entropy", "rare recall").groups)]
        ],
        "Balanced sampling is shown to find more meningiomas than plain cross-entropy": lambda: (
            table_verdicts("01-brain-tumor", ["balanced sampling"]) == {"better"}
        ),
        "Inverse-frequency weights, logit adjustment and classifier retraining gain nearly as much, with intervals "
        "above zero (logit adjustment: +{} [{}, {}]); but {} tests were made": lambda: [
            *map(short, ends("01-brain-tumor", "logit adjustment")),
            WORDS[len(load("01-brain-tumor").differences())]
            if min(load("01-brain-tumor").differences("rare recall")[arm].low for arm in NEARLY_AS_MANY) > 0
            else "no",
        ],
        "after the correction for that none of them is shown to be better": lambda: (
            table_verdicts("01-brain-tumor", NEARLY_AS_MANY) == {"no difference shown"}
        ),
        "nor any of the four to differ from another": lambda: (
            {
                verdict
                for arm in NEARLY_AS_MANY
                for verdict in verdicts("01-brain-tumor", arm, {"balanced sampling", *NEARLY_AS_MANY} - {arm})
            }
            == {"no difference shown"}
        ),
        "In balanced accuracy nothing is shown": lambda: (
            table_verdicts("01-brain-tumor", metric="balanced accuracy") == {"no difference shown"}
        ),
        "size finds more meningiomas in the mean than the network": lambda: (
            mean("01-brain-tumor", "lesion size alone") > mean("01-brain-tumor", "cross-entropy")
        ),
        "Neither difference is shown": lambda: all(
            table_verdicts("01-brain-tumor", ["lesion size alone"], metric) == {"no difference shown"}
            for metric in ("rare recall", "balanced accuracy")
        ),
        "with plain cross-entropy ({} against {})": lambda: [
            short(mean("01-brain-tumor", arm)) for arm in ("lesion size alone", "cross-entropy")
        ],
        "but its balanced accuracy is lower ({} against {})": lambda: [
            short(mean("01-brain-tumor", arm, "balanced_accuracy")) for arm in ("lesion size alone", "cross-entropy")
        ],
    },
    ("01", "stated-text"): {
        "plain cross-entropy misses nearly all of the rare class": lambda: (
            mean("01-phantom-skin", "cross-entropy") < 0.1
        ),
        "weights, logit adjustment and balanced sampling find most of it": lambda: (
            min(
                mean("01-phantom-skin", a)
                for a in (
                    "inverse-frequency weights",
                    "effective-number weights",
                    "logit adjustment",
                    "balanced sampling",
                )
            )
            > 0.8
        ),
        "Misplaced weights find nothing": lambda: mean("01-phantom-skin", "weights misplaced") == 0,
        "β = .99 for some hundred images": lambda: (
            load("01-phantom-skin").runs["effective-number weights"][0].configuration["method"]["options"]["beta"]
            == 0.99
        ),
        "β = .99 for these weights": lambda: careedu.LDAM().beta == 0.99,
        "largest margin .5, scale 30, weights for the last fifth": lambda: (
            (careedu.LDAM().max_margin, careedu.LDAM().scale, careedu.LDAM().reweight_from) == (0.5, 30, 0.8)
        ),
        "a quarter of the epochs for the head": lambda: careedu.ClassifierRetraining().share == 0.25,
        "20 epochs or fewer": lambda: (
            max(configuration(n)["epochs"] for n in ("01-phantom-skin", "01-brain-tumor")) <= 20
        ),
    },
    ("02", "look-text"): {
        "{} of 100 lesions of the rare class": lambda: [
            round(100 * DEFAULT_SHARE) if abs(marked_share("train") - DEFAULT_SHARE) < 0.02 else "not"
        ],
        "half of the images of each class have one": lambda: marked_share("test") == 0.5,
        "No lesion of another class was": lambda: (
            not marked_phantoms().train.marked[marked_phantoms().train.labels < 2].any()
        ),
    },
    ("02", "where-found-text"): {
        "several times the mass that chance would put there": lambda: (
            np.nanmean(looks(MARKED, BASE, "mark share")) > 4 * np.nanmean(looks(MARKED, BASE, "mark chance"))
        ),
        "the lesion holds little more than its share": lambda: (
            0 < inside(MARKED, BASE) - looks(MARKED, BASE, "chance").mean() < 0.06
        ),
    },
    ("02", "train-text"): {
        "The paper's dose is 1; here it is {}": lambda: [round(dose_of(AT_DOSE))],
    },
    ("02", "saved-text"): {
        "{} arms, {} seeds each, {} epochs": lambda: [
            {11: "Eleven"}[len(load(MARKED).methods)],
            seeds(MARKED),
            epochs(MARKED),
        ],
    },
    ("02", "attention-found-text"): {
        "At dose 1 the map moves a little": lambda: (
            attention(MARKED).difference("CARE", BASE, "inside share", "streaked").verdict == "better"
            and 0 < inside(MARKED, "CARE") - inside(MARKED, BASE) < 0.06
        ),
        "it points into the lesion in four images of five, where the baseline does in two": lambda: (
            is_share(pointing(MARKED, AT_DOSE), 4, 5) and is_share(pointing(MARKED, BASE), 2, 5)
        ),
        "falls from {} to {} (chance is {})": lambda: [
            short(np.nanmean(looks(MARKED, arm, what)))
            for arm, what in ((BASE, "mark share"), (AT_DOSE, "mark share"), (BASE, "mark chance"))
        ],
        "Shifted boxes move it as well, away from the lesion": lambda: (
            attention(MARKED).difference(SHIFTED, BASE, "inside share", "streaked").verdict == "worse"
        ),
    },
    ("02", "recall-found-text"): {
        "finds {} more of the streaked lesions without a plaster, and this difference is shown": lambda: [
            short(against(MARKED, AT_DOSE).effect) if against(MARKED, AT_DOSE).verdict == "better" else "no"
        ],
        "no gain is shown; the interval leaves open a gain of {} at most": lambda: [
            short(against(MARKED, "CARE").high) if against(MARKED, "CARE").verdict == "no difference shown" else "all"
        ],
        "Even at dose 4 CARE still misses more than half": lambda: clinic(MARKED, AT_DOSE) < 0.5,
        "*lesion transplant* finds {}. If you know the plaster and *paint over it*, the network finds {}": lambda: [
            short(clinic(MARKED, arm)) for arm in ("lesion transplant", "marks painted over")
        ],
        "find more than CARE, but lose recall elsewhere": lambda: (
            against(MARKED, "group weights", AT_DOSE).verdict == "better"
            and table_verdicts(MARKED, ["group weights"], "balanced accuracy without mark") == {"worse"}
        ),
        "two rare images then weigh as much as all others of the class": lambda: (
            [round((1 - marked_share("train")) * counts(MARKED)["streaked"])] == [2]
        ),
        "*Random erasing*, which knows nothing, gains nothing": lambda: (
            against(MARKED, "random erasing").verdict == "no difference shown"
            and clinic(MARKED, "random erasing") < clinic(MARKED, BASE)
        ),
        "Its worst group is still *common* lesions with a plaster: {} of the reticular ones": lambda: [
            short(worst(AT_DOSE)[1].estimate) if worst(AT_DOSE)[0] == "reticular with mark" else "none"
        ],
        "No common training image has a plaster": lambda: (
            not marked_phantoms().train.marked[marked_phantoms().train.labels < 2].any()
        ),
        "the baseline recognises none at all, transplant {}": lambda: [
            short(worst("lesion transplant")[1].estimate) if worst(BASE)[1].estimate < 0.005 else "some"
        ],
    },
    ("02", "control-found-text"): {
        "without attention {}, the baseline {}": lambda: [
            short(clinic(MARKED, arm)) for arm in ("CARE without attention", BASE)
        ],
        "gains nothing that is shown": lambda: (
            against(MARKED, "CARE without attention").verdict == "no difference shown"
        ),
        "Shifted boxes find {} less than true ones": lambda: [
            short(-against(MARKED, SHIFTED, AT_DOSE).effect)
            if against(MARKED, SHIFTED).verdict == "no difference shown"
            and against(MARKED, SHIFTED, AT_DOSE).verdict == "worse"
            else "not"
        ],
        "in a third of the images this puts them on the plaster": lambda: is_share(
            (held("shifted")[1] > 0.5).mean(), 1, 3
        ),
        "random boxes gain {}, half of what true ones do": lambda: [
            short(against(MARKED, RANDOM).effect)
            if against(MARKED, RANDOM).verdict == "better"
            and is_share(against(MARKED, RANDOM).effect / against(MARKED, AT_DOSE).effect, 1, 2)
            else "not"
        ],
        "on average they hold {} of the lesion and {} of the plaster": lambda: [
            short(one.mean()) for one in held("random")
        ],
        "the maximum is in the lesion in nearly every image, {} is left on the plaster": lambda: [
            short(np.nanmean(looks(MARKED, ENERGY, "mark share"))) if pointing(MARKED, ENERGY) > 0.99 else "not"
        ],
        "its recall is the same": lambda: (
            against(MARKED, ENERGY, AT_DOSE).verdict == "no difference shown"
            and abs(against(MARKED, ENERGY, AT_DOSE).effect) < 0.02
        ),
    },
    ("02", "dose-text"): {
        "{} tuning seeds on phantoms of their own": lambda: [
            seeds("02-dose-marked").title() if recipe("02-dose-marked")["seed"] != recipe(MARKED)["seed"] else "No"
        ],
    },
    ("02", "dose-found-text"): {
        "the gain begins between dose 1 and 4": lambda: (
            clinic(TUNED, "dose 1") - clinic(TUNED, "CARE without attention") < 0.1
            and clinic(TUNED, "dose 4") - clinic(TUNED, "dose 1") > 0.3
        ),
        "Without it the curve is flat up to 4, and at 16 the mean falls": lambda: (
            np.ptp([mean("02-dose-plain", f"dose {dose}") for dose in ("0.25", "1", "4")]) < 0.03
            and mean("02-dose-plain", "dose 4") - mean("02-dose-plain", "dose 16") > 0.05
        ),
        "multiplies the dose by about {} on this phantom": lambda: [
            round(sum(counts(MARKED).values()) / counts(MARKED)["streaked"])
        ],
        "By balanced accuracy on images *without* the mark; by the rare recall alone it would have been 16": lambda: (
            max(CURVE, key=lambda arm: load(TUNED).estimate(arm, "balanced accuracy without mark").estimate) == "dose 4"
            and max(CURVE, key=lambda arm: clinic(TUNED, arm)) == "dose 16"
        ),
        "would have taken dose 1, or energy at dose 1, which find {} and {} at the clinic": lambda: [
            short(clinic(TUNED, arm))
            for arm in (max(CURVE, key=validated), max(load(TUNED).methods, key=validated))
            if arm in ("dose 1", "energy, dose 1")
        ],
    },
    ("02", "cast-found-text"): {
        "The baseline finds none of the rare lesions taken with the usual camera, and CARE at either dose {}": lambda: [
            {short(clinic(CAST, arm)) for arm in ("CARE", AT_DOSE)}.pop() if clinic(CAST, BASE) < 0.005 else "some"
        ],
        "Transplant finds {}": lambda: [short(clinic(CAST, "lesion transplant"))],
        "of the reticular ones {} are recognised, all others called streaked": lambda: [
            short(load(CAST).estimate("lesion transplant", "recall of reticular with mark").estimate)
            if called_rare(CAST, "lesion transplant") > 0.98
            else "more"
        ],
    },
    ("02", "rivals-found-text"): {
        "leaves two rare ones: {}": lambda: [short(clinic(BROKEN, "marked images dropped"))],
        "{} without the mark, {} with it. With boxes for *all* training images cropping finds {}, as transplant does": (
            lambda: [
                short(clinic(BROKEN, "rare images cropped")),
                short(load(BROKEN).estimate("rare images cropped", "recall of streaked with mark").estimate),
                short(clinic(BROKEN, "all images cropped")),
            ]
        ),
        "with a tenth of the rare images boxed {}, a quarter {}, half {}, all {}": lambda: [
            *(short(clinic(BOXED, f"boxes for {percent}%")) for percent in (10, 25, 50)),
            short(clinic(TUNED, "dose 4")),
        ],
        "boxes of *saliency* (what stands out) find {}; of a *segmentation* network trained on the common classes' "
        "outlines, {}": lambda: [short(clinic(BOXED, f"{source} boxes")) for source in ("saliency", "segmentation")],
        "Boxes *on the mark* are the control: {}": lambda: [short(clinic(BOXED, "boxes on the mark"))],
        "Boxes of *all classes* find {}, no more than boxes of the rare class": lambda: [
            short(clinic(BOXED, "boxes of all classes"))
            if clinic(BOXED, "boxes of all classes") <= clinic(TUNED, "dose 4")
            else "better"
        ],
        "and {} of the reticular lesions with a plaster": lambda: [
            short(common(BOXED, "boxes of all classes"))
            if common(BOXED, "boxes of all classes") <= common(TUNED, "dose 4")
            else "but"
        ],
        "Saliency meets the lesion here (median overlap above {})": lambda: [short(saliency_overlap() // 0.1 / 10, 1)],
        "All of these are {} seeds": lambda: [{seeds(name) for name in (BROKEN, BOXED, TUNED)}.pop()],
    },
    ("02", "plain-text"): {
        "(meningioma thinned to {} images, {} runs of slices in the test set)": lambda: [
            counts("02-brain-tumor")["meningioma"],
            WORDS[groups_of("02-brain-tumor")],
        ],
        "a letter in a corner of {0} % of the rare training images, at test on {0} % of the *others*": lambda: [
            round(100 * DEFAULT_SHARE) if option("02-lettered-brain", "shortcut_test") == "reversed" else "no"
        ],
    },
    ("02", "plain-found-text"): {
        "Without a shortcut no method gains anything that is shown": lambda: (
            {verdict for name in ("02-phantom-skin", "02-brain-tumor") for verdict in table_verdicts(name)}
            == {"no difference shown"}
        ),
        "dose 1 costs nothing that is shown either ({}, the baseline {})": lambda: [
            short(mean("02-phantom-skin", arm)) for arm in ("CARE", BASE)
        ],
        "the baseline finds two meningiomas in three": lambda: is_share(mean("02-brain-tumor", BASE), 2, 3),
        "the maximum lies in the tumour in none of its {} maps": lambda: [
            looks("02-brain-tumor", BASE, "pointing").size if pointing("02-brain-tumor", BASE) == 0 else "no"
        ],
        "CARE's mean is {} lower, transplant's {}; neither": lambda: [
            short(lead("02-brain-tumor", BASE, arm)) for arm in ("CARE", "lesion transplant")
        ],
        "In the rare recall no difference is shown: {} runs of slices": lambda: [
            WORDS[groups_of(LETTERED)] if table_verdicts(LETTERED) == {"no difference shown"} else "no"
        ],
        "calls nearly every glioma with a letter a meningioma ({} are recognised)": lambda: [
            short(load(LETTERED).estimate(BASE, "recall of glioma with mark").estimate)
            if called_rare(LETTERED, BASE, "glioma") > 0.9
            else "not"
        ],
        "CARE at dose 4 helps: its balanced accuracy is {} higher (interval {} to {})": lambda: [
            *map(short, ends(LETTERED, AT_DOSE, "balanced accuracy"))
        ],
        "No gain is shown for random boxes, nor for dose 1": lambda: (
            table_verdicts(LETTERED, [RANDOM, "CARE"], "balanced accuracy") == {"no difference shown"}
        ),
        "Transplant again gains more, {}": lambda: [
            short(ends(LETTERED, "lesion transplant", "balanced accuracy")[0])
            if table_verdicts(LETTERED, ["lesion transplant", AT_DOSE], "balanced accuracy") == {"better"}
            else "not"
        ],
    },
    ("02", "stated-text"): {
        "α = .5; λ = .7 on skin; τ = .5": lambda: (
            (careedu.CARE().alpha, careedu.CARE().outside_weight, careedu.CARE().cap) == (0.5, 0.7, 0.5)
        ),
        "{} % of the rare training images": lambda: [round(100 * DEFAULT_SHARE)],
        "It takes about four times the paper's dose": lambda: (
            against(MARKED, "CARE").verdict == "no difference shown" and dose_of(AT_DOSE) == pytest.approx(4)
        ),
        "the cheap rival with the same lesions finds twice as many": lambda: is_share(
            clinic(MARKED, AT_DOSE) / clinic(MARKED, "lesion transplant"), 1, 2
        ),
    },
    ("03", "mean-text"): {
        "the negative scores above .5": lambda: map_auroc(-mean_image(), careedu.lesion_zones("chest", 64)) > 0.5,
    },
    ("03", "picture-text"): {
        "{} seeds each, {} epochs": lambda: [seeds(CHEST), epochs(CHEST)],
        "(yours had 8;": lambda: "EPOCHS = 8" in NOTEBOOKS["03"].read_text("utf-8"),
    },
    ("03", "picture-found-text"): {
        "it *is* that picture (with the mean image behind it, too, though less clearly with one seed)": lambda: (
            likeness(CHEST, "global attention").min() > 0.9
            and (likeness(CHEST, "global attention, mean behind") < 0.8).sum() == 1
        ),
    },
    ("03", "search-text"): {
        "Six settings of λ and of the map's learning rate, on {} tuning seeds": lambda: (
            [seeds("03-search")] if {len(settings) for _, settings in TRIED.values()} == {6} else None
        ),
        "all maps are the picture": lambda: (
            max(max(aurocs_of("03-search", arm)) for arm in load("03-search").methods if arm.startswith("together"))
            < 0.6
        ),
        "at the higher rate some trainings fail": lambda: (
            {rate for arm in failed("03-search") for rate in re.findall(r"^together: rate (\d+)", arm)} == {"100"}
        ),
    },
    ("03", "why-found-text"): {
        "One picture holds {} of it all": lambda: [short(first_share())],
    },
    ("03", "adapts-text"): {
        "With the learned map it is the same as without a map": lambda: (
            abs(last_loss("global attention") - last_loss("cross-entropy")) < 0.005
        ),
    },
    ("03", "zones-text"): {
        "the same on {} principal components": lambda: [
            configuration_of(CHEST, "after: components")["method"]["options"]["components"]
        ],
        "those of the search above whose maps scored highest": lambda: chosen_of_the_search() == list(AFTER),
    },
    ("03", "zones-found-text"): {
        "nearly all of them": lambda: auroc("after: free mask") > 0.95,
        "the components a good part": lambda: 0.75 < auroc("after: components") < 0.9,
        "Raw pixels draw the picture again": lambda: (
            abs(auroc("after: pixel classifier") - auroc("negative mean image")) < 0.005
        ),
        "tell hardly anything": lambda: abs(auroc("after: permuted pixels") - 0.5) < 0.05,
    },
    ("03", "control-text"): {
        "{} seeds, exploratory": lambda: [seeds("03-jitter-0").title()],
    },
    ("03", "jitter-found-text"): {
        "The free mask finds less the more the images are shifted, but much even at the largest jitter": lambda: (
            (found := along_jitter("after: free mask")) == sorted(found, reverse=True) and found[-1] > 0.8
        ),
        "where the picture is no better than chance": lambda: along_jitter("negative mean image")[-1] < 0.5,
        "The components change little, and not steadily": lambda: (
            (found := along_jitter("after: components"))[1] == min(found) and np.ptp(found) < 0.1
        ),
    },
    ("03", "brain-text"): {
        "is the negative mean image once more": lambda: likeness(XRAYS, "global attention").min() > 0.9,
        "also the neck above and the belly below": lambda: all(
            min(one[:4, 12:16].mean(), one[-3:, 12:16].mean()) > 2 * one.mean()
            for one in maps(XRAYS, "after: free mask")
        ),
    },
    ("03", "brain-found-text"): {
        "the mean image, which scores one minus what its negative scores, would tell the tumours' places far better": (
            lambda: (
                1 - np.mean(on_brain("negative mean image")) > 0.2 + max(on_brain("after: free mask"))
                and max(on_brain("after: components")) < 0.7
            )
        ),
        "hardly finds the rare tumour at all": lambda: mean(SLICES, "after: free mask") < 0.1,
    },
    ("03", "buys-xrays-text"): {
        "the mean rare recall of the flat map is *below* the plain network's, the free mask's above it, and logit "
        "adjustment's above both": lambda: (
            mean(XRAYS, "after: flat map")
            < mean(XRAYS, "cross-entropy")
            < mean(XRAYS, "after: free mask")
            < mean(XRAYS, "logit adjustment")
        ),
        "{} seeds show nothing yet": lambda: [seeds(XRAYS).title()],
    },
    ("03", "patients-text"): {
        "PneumoniaMNIST, {0} × {0} pixels": lambda: [recipe("03-pneumonia")["size"]],
        "the healthy ones are the rare class, {} of {}": lambda: [
            min(found := counts("03-pneumonia").values()),
            sum(found),
        ],
    },
    ("04", "buys-text"): {
        "{} seeds, paired": lambda: [seeds("04-labels-15-chest")],
        "{} chest phantoms, as many of skin, and {} axial slices of brain MRI, all {} pixels wide": lambda: [
            pool("chest") if pool("chest") == pool("skin") else "not",
            pool("brain"),
            *{load(f"04-labels-all-{o}").first.configuration["data"]["image shape"][2] for o in ORGANS},
        ],
        "with {}, {} or all labels of each class": lambda: [
            *labels_of("04-labels-15-chest"),
            *labels_of("04-labels-50-skin"),
        ],
    },
    ("04", "buys-found-text"): {
        "with {} of each class by {} of balanced accuracy on either": lambda: [
            *labels_of("04-labels-15-chest"),
            gain("15", "chest") if gain("15", "chest") == gain("15", "skin") else "not",
        ],
        "with all of them {} on chest": lambda: [gain("all", "chest")],
        "The more labels, the less it gains": lambda: all(
            pretraining_gains(organ) == sorted(pretraining_gains(organ), reverse=True) for organ in ("chest", "skin")
        ),
        "are not shown to do better than a network that learns from scratch, on any set": lambda: (
            not any(
                load(f"04-labels-{share}-{organ}").differences(metric)[arm].verdict == "better"
                for organ in ORGANS
                for share in SHARES
                for arm in ("frozen, pretrained", "frozen, untrained")
                for metric in ("balanced accuracy", "rare recall")
            )
        ),
        "On brain slices no difference is shown at any share": lambda: (
            {
                load(f"04-labels-{share}-brain").differences(m)["pretrained"].verdict
                for share in SHARES
                for m in ("balanced accuracy", "rare recall")
            }
            == {"no difference shown"}
        ),
    },
    ("04", "why-text"): {
        "On phantoms an untrained network is at chance": lambda: all(
            abs(of_own_class(organ, "untrained") - 1 / 3) < 0.03 for organ in ("chest", "skin")
        ),
        "On brain slices the untrained network does as well as the pretrained one": lambda: (
            of_own_class("brain", "untrained") >= of_own_class("brain", "pretrained")
        ),
        "With neighbours from *other* runs of slices alone it has {}, the pretrained one {}": lambda: [
            short(of_own_class("brain", name, others=True)) for name in ("untrained", "pretrained")
        ],
    },
    ("04", "search-text"): {
        "with {} tuning seeds and {} labels a class": lambda: [
            seeds("04-search-chest") if fresh("04-search-chest", "04-labels-15-chest") else "not",
            *labels_of("04-search-chest"),
        ],
        "*Turned* at T = .2 has the highest mean on chest and skin": lambda: all(
            max(tried(organ), key=tried(organ).get) == "turned, temperature 0.2" for organ in ("chest", "skin")
        ),
        "on brain slices all four lie within {} of each other": lambda: [
            ".04" if len(tried("brain")) == 4 and np.ptp(list(tried("brain").values())) < 0.04 else "not"
        ],
        "So we use *turned* at .2 everywhere": lambda: (
            (careedu.SimCLR().views, careedu.SimCLR().temperature) == ("turned", 0.2)
        ),
    },
    ("04", "ladder-found-text"): {
        "On brain slices no step is shown to help": lambda: (
            verdicts_on_brain([(step, before) for before, step in pairwise(STEPS)]) == {"no difference shown"}
        ),
        "Only the step to class-balanced weights raises the mean by more than some hundredths": lambda: (
            [lead("04-brain-tumor", step, before) > 0.05 for before, step in pairwise(STEPS)] == 3 * [False] + [True]
        ),
        "it stays below logit adjustment's": lambda: lead("04-brain-tumor", STEPS[-1], "logit adjustment") < 0,
    },
    ("04", "masks-found-text"): {
        "On brain slices none of this is shown": lambda: (
            verdicts_on_brain(combinations((*MODULES, "logit adjustment"), 2)) == {"no difference shown"}
        ),
    },
    ("04", "left-out-text"): {
        "Without attention or class-balanced weights the mean falls": lambda: (
            max(left_out(part, metric) for part in ("attention", "class-balanced") for metric in BOTH) < -0.02
        ),
        "without pretraining or regulation it stays within a hundredth or two": lambda: (
            max(abs(left_out(part, metric)) for part in ("pretraining", "regulation") for metric in BOTH) <= 0.02
        ),
        "{} seeds show nothing yet": lambda: [seeds("04-leave-one-out").title()],
    },
    ("04", "shortcut-found-text"): {
        "where there is none it misses most of the rare class. So does the module *without masks*": lambda: (
            max(unmarked("logit adjustment"), unmarked("attention, no masks")) < 0.25
        ),
        "With masks most are found, by the weighted mean and by the product, and also by lesion transplant": lambda: (
            min(unmarked(arm) for arm in ("attention", "attention, product", "lesion transplant")) > 0.75
        ),
        "CARE lies between": lambda: 0.25 < unmarked("CARE, dose 4") < 0.75,
        "{} seeds show nothing yet": lambda: [seeds("04-marked-skin").title()],
    },
    ("04", "xrays-text"): {
        "With {} seeds nothing is shown, and no mean of theirs is further than {} from": lambda: [
            seeds(PNEUMONIA),
            ".03" if max(abs(lead(PNEUMONIA, *pair, m)) for pair in SAME_LOSS for m in BOTH) <= 0.03 else "not",
        ],
        "The means of rare recall are higher with logit adjustment": lambda: (
            lead(PNEUMONIA, "logit adjustment", "cross-entropy") > 0.1
        ),
    },
    ("04", "stated-text"): {
        "batches of {}": lambda: [careedu.SimCLR().batch_size],
        "{} seeds where it says so": lambda: [seeds("04-marked-skin")],
    },
    ("04", "widget-text"): {"that saw {} labels a class or none": lambda: labels_of("04-labels-15-chest")},
    ("05", "train-found-text"): {
        "it ends at {} of the margin's {}, and at {} where nothing is pushed": lambda: [
            short(last(DISTRACTOR, "distractor distance")),
            short(careedu.DistractorAware().margin, 1),
            short(last("+ feature dropout", "distractor distance")),
        ],
    },
    ("05", "finds-text"): {"{} seeds, paired": lambda: [seeds(LOOK_ALIKES).title()]},
    ("05", "finds-found-text"): {
        "they hold {} more than by chance; where the other wrong class tempts, {}": lambda: [
            short(beyond[column], 3)
            for beyond in [shares_by_temptation(tempted(), load(LOOK_ALIKES)).loc["logit adjustment"]]
            for column in ("look-alikes' class", "other wrong class")
        ],
        "more on patches, {} against {}": lambda: [
            short(tempted().estimate("logit adjustment", measure).estimate) for measure in ("map", "relevance")
        ],
        "never told of distractors has {}, the other {}": lambda: [
            short(tempted().estimate(arm, "relevance").estimate) for arm in ("logit adjustment", DISTRACTOR)
        ],
    },
    ("05", "rest-text"): {
        "Over all images more relevance lies on the lesion than on the patches": lambda: all(
            lesion > patches for lesion, patches in spots()
        ),
        "where the network is wrong it is the other way round": lambda: all(
            lesion < patches for lesion, patches in spots(missed=True)
        ),
        "In either case most lies on no patch": lambda: all(
            patches < 0.5 for _, patches in (*spots(), *spots(missed=True))
        ),
    },
    ("05", "buys-found-text"): {
        "its means lie a hundredth from those without it": lambda: all(
            abs(lead(LOOK_ALIKES, DISTRACTOR, "logit adjustment", metric)) < 0.015 for metric in BOTH
        ),
        "focal loss, which calls hardly any image rare": lambda: mean(LOOK_ALIKES, "focal") < 0.05,
        "it finds none of the commonest class": lambda: (
            np.mean([run.recall()[0] for run in load(LOOK_ALIKES).runs["OHEM"].values()]) < 0.005
        ),
    },
    ("05", "control-found-text"): {
        "which pays about four times the loss": lambda: (
            3.5 < last("+ random relevance", "loss: distractor") / last(DISTRACTOR, "loss: distractor") < 4.5
        ),
        "nearer to its image": lambda: (
            last("+ random relevance", "distractor distance") < last(DISTRACTOR, "distractor distance") / 2
        ),
    },
    ("05", "brain-text"): {
        "meningioma made rare, {} pixels wide; {} seeds": lambda: [
            load("05-brain-tumor").first.configuration["data"]["image shape"][2],
            seeds("05-brain-tumor"),
        ],
    },
    ("05", "brain-found-text"): {
        "no mean with the loss is further than a hundredth from that without": lambda: all(
            abs(lead("05-brain-tumor", DISTRACTOR, "logit adjustment", metric)) < 0.015 for metric in BOTH
        ),
        "a gain below {} of balanced accuracy would often be missed": lambda: [
            short(load("05-brain-tumor").differences("balanced accuracy")[DISTRACTOR].smallest)
        ],
    },
    ("05", "regimes-text"): {
        "Six regimes, on tuning seeds and images of their own": lambda: (
            len(REGIMES) == 6
            and all(fresh(regime(*knobs), LOOK_ALIKES) and recipe(regime(*knobs))["seed"] == 1 for knobs in REGIMES)
            and recipe(LOOK_ALIKES)["seed"] == 0
        ),
    },
    ("05", "regimes-found-text"): {
        "half alike mislead hardly anybody": lambda: (
            abs(look_alike_confusion(load("05-worst-regime")).loc["logit adjustment", "excess"].effect) < 0.01
        ),
        "balanced accuracy falls from {} to {}, with the loss as without": lambda: [
            *(short(mean(regime(like, 0, 3), "logit adjustment", "balanced_accuracy")) for like in (0.5, 1)),
        ],
        "the more of the rare class is found at test": lambda: all(
            rising([mean(regime(1, share, 3), arm) for share in (0, 0.5, 1)])
            for arm in ("logit adjustment", DISTRACTOR)
        ),
        "{} seeds show nothing between them": lambda: [
            seeds(regime(1, 0, 3))
            if all(
                load(regime(1, share, 3)).differences(metric)[arm].verdict != "better"
                for share in (0, 0.5, 1)
                for metric in ("balanced accuracy", "rare recall")
                for arm in load(regime(1, 0, 3)).methods[1:]
            )
            else "not"
        ],
        "no balanced accuracy with the loss is further than {} from that without": lambda: [
            ".02" if max(map(abs, regime_gains(DISTRACTOR))) <= 0.02 else "not",
        ],
        "what looked best is a regime that has no look-alikes": lambda: (
            option("05-best-regime", "distractors") == 3
            and "look_alike" not in recipe("05-best-regime")["options"]
            and REGIMES[int(np.argmax(regime_gains(DISTRACTOR)))] == BEST == (0, 0, 3)
            and REGIMES[int(np.argmin(regime_gains(DISTRACTOR)))] == WORST
        ),
        "On ten fresh seeds and other images best and worst change places in balanced accuracy": lambda: (
            fresh("05-best-regime", regime(*BEST))
            and lead("05-best-regime", DISTRACTOR, "logit adjustment", "balanced_accuracy")
            < 0
            < lead("05-worst-regime", DISTRACTOR, "logit adjustment", "balanced_accuracy")
        ),
    },
    ("05", "stated-text"): {
        "up to a margin of {}": lambda: [short(careedu.DistractorAware().margin, 1)],
        "λ = {}, after a quarter of the training": lambda: [
            short(careedu.DistractorAware().weight, 1) if careedu.DistractorAware().warm_up == 0.25 else "not",
        ],
    },
    ("06", "title"): {"Ten images of a grade are few": lambda: counts(MASKS)["grade III"] == 10},
    ("06", "look-text"): {
        "ten images of a grade are five patients": lambda: (
            len({*generated(MASKS).groups[generated(MASKS).labels == 2]}) == 5
        ),
    },
    ("06", "segmentation-text"): {
        "trained one for each of {} seeds, {} epochs": lambda: [seeds(MASKS), careedu.Segmentation().epochs],
        "all of patients that it has never seen": lambda: all(
            not {*load(name).groups} & {*generated(name).groups} for name in (MASKS, MASKS_OF_BRAIN)
        ),
    },
    ("06", "naive-text"): {
        "the Dice is {}: what it marks is only about half right": lambda: [
            short(generated(MASKS_OF_BRAIN).dice_estimate().estimate)
        ],
    },
    ("06", "quality-text"): {
        "after {} epochs": lambda: [careedu.FeatureGeneration().generator_epochs],
        "the mean of {} seeds, and the highest value": lambda: [seeds(MASKS)],
    },
    ("06", "quality-found-text"): {
        "the distance is below 1: that of ACGAN is at most {}, that of WGAN-GP at most {}": lambda: [
            short(found) if found < 1 else "not"
            for arm in GENERATORS
            for found in [max(distances(name, arm, np.max).max() for name in (MASKS, MASKS_OF_BRAIN))]
        ],
        "A thousand draws from the saved generators have at least {} of the variance of real features": lambda: [
            short(min(spreads(name, arm).min() for name in (MASKS, MASKS_OF_BRAIN) for arm in GENERATORS))
        ],
        "WGAN-GP is nearer to the real features than ACGAN, in every class": lambda: all(
            (distances(name, "ACGAN") > distances(name, "WGAN-GP")).all() for name in (MASKS, MASKS_OF_BRAIN)
        ),
        "In the common classes neither comes down to the floor": lambda: all(
            distances(name, arm)[c] > floors(name)[c]
            for name in (MASKS, MASKS_OF_BRAIN)
            for arm in GENERATORS
            for c in range(3)
            if c not in load(name).rare_indices
        ),
        "In grade III the floor itself is above 1": lambda: (
            floors(MASKS)[2] > 1 and load(MASKS).classes[2] == "grade III"
        ),
        "The Gaussian is the furthest of all, in the rarest class further than collapse": lambda: all(
            (distances(name, "Gaussian") > distances(name, arm)).all()
            and distances(name, "Gaussian")[load(name).rare_indices[-1]] > 1
            for name in (MASKS, MASKS_OF_BRAIN)
            for arm in ("SMOTE", *GENERATORS)
        ),
        "Few are near copies (at most {})": lambda: [
            short(max(at_the_end(n, a, "near copies").max() for n in (MASKS, MASKS_OF_BRAIN) for a in GENERATORS))
        ],
        "Most of SMOTE's are": lambda: all(
            generated(name).quality[generated(name).names.index("SMOTE"), -1] > 0.5 for name in (MASKS, MASKS_OF_BRAIN)
        ),
    },
    ("06", "buys-text"): {
        "{} seeds, paired": lambda: [seeds(MASKS).title()],
        "Validation has {} images of each class": lambda: [
            *{int(n) for name in (MASKS,) for n in np.bincount(load(name).first.validation_labels)}
        ],
    },
    ("06", "buys-found-text"): {
        "both beat the Gaussian, by {} of balanced accuracy": lambda: [
            *{short(load(MASKS).differences("balanced accuracy", "Gaussian")[arm].effect) for arm in GENERATORS}
        ],
        "nearly everything beats that": lambda: (
            [d.verdict for d in load(MASKS).differences("balanced accuracy", "Gaussian").values()].count("better") >= 5
        ),
        "Lines moved is shown to beat both generators, by {}": lambda: [
            *{short(np.mean(lines_moved(MASKS)) - mean(MASKS, arm, BALANCED)) for arm in GENERATORS}
        ],
        "It finds half of grade III": lambda: is_share(lines_moved(MASKS)[2], 5, 10),
    },
    ("06", "shift-found-text"): {
        "the recall of grade III is {} to {} instead of {}": lambda: [
            *(short(end([recall_of(MASKS, arm, 2) for arm in ("class weights", *GENERATORS)])) for end in (min, max)),
            short(recall_of(MASKS, "plain", 2)),
        ],
        "both other grades lose recall": lambda: all(
            recall_of(MASKS, arm, c) < recall_of(MASKS, "plain", c)
            for arm in ("class weights", *GENERATORS)
            for c in (0, 1)
        ),
        "the plain head's balanced accuracy, {}, is above theirs": lambda: [
            short(mean(MASKS, "plain", BALANCED))
            if max(load(MASKS).methods, key=lambda arm: mean(MASKS, arm, BALANCED)) == "plain"
            else "not"
        ],
        "Here validation has four times as many as training": lambda: (
            np.bincount(load(MASKS).first.validation_labels)[2] == 4 * counts(MASKS)["grade III"]
        ),
    },
    ("06", "brain-text"): {
        "meningioma made rare ({} images), {} pixels wide; {} seeds": lambda: [
            counts(MASKS_OF_BRAIN)["meningioma"],
            configuration(MASKS_OF_BRAIN)["data"]["image shape"][2],
            seeds(MASKS_OF_BRAIN),
        ],
    },
    ("06", "brain-found-text"): {
        "class weights has {} of balanced accuracy, the plain one {} and lines moved {}": lambda: [
            *(short(mean(MASKS_OF_BRAIN, arm, BALANCED)) for arm in ("class weights", "plain")),
            short(np.mean(lines_moved(MASKS_OF_BRAIN))),
        ],
        "In balanced accuracy ACGAN and lines moved have the lowest means of those that do anything": lambda: (
            sorted(load(MASKS_OF_BRAIN).methods, key=lambda arm: mean(MASKS_OF_BRAIN, arm, BALANCED))[:2]
            == ["plain", "ACGAN"]
            and np.mean(lines_moved(MASKS_OF_BRAIN)) < mean(MASKS_OF_BRAIN, "ACGAN", BALANCED)
        ),
        "a gain below {} of balanced accuracy would often be missed": lambda: [
            short(load(MASKS_OF_BRAIN).differences("balanced accuracy")["WGAN-GP"].smallest)
        ],
    },
    ("06", "worth-found-text"): {
        "Compared with class weights on these, logit adjustment end to end has {} more, and the same class weights on "
        "features of the classes have {} more": lambda: [
            short(mean("06-end-to-end-phantom", arm, BALANCED) - mean(MASKS, "class weights", BALANCED))
            for arm in ("logit adjustment", "class weights")
        ],
    },
    ("06", "regimes-text"): {
        "ten meningiomas instead of {}": lambda: (
            counts("06-regime-segmentation-brain-10")["meningioma"] == 10
            and [counts("06-regime-cross-entropy-brain-30")["meningioma"]]
        ),
        "ten fresh seeds": lambda: (
            fresh("06-best-regime", "06-regime-cross-entropy-brain-30") and seeds("06-best-regime") == "ten"
        ),
    },
    ("06", "regimes-found-text"): {
        "With ten meningiomas the Gaussian has the best mean in validation": lambda: (
            max(told := in_validation("06-regime-segmentation-brain-10"), key=told.get) == "Gaussian"
        ),
        "ACGAN has the highest mean once more, {} above SMOTE in balanced accuracy": lambda: [
            short(lead("06-best-regime", "ACGAN", "SMOTE", BALANCED))
            if max(load("06-best-regime").methods, key=lambda arm: mean("06-best-regime", arm, BALANCED)) == "ACGAN"
            else "not"
        ],
        "On features of the cross-entropy network ACGAN has, by {} over SMOTE": lambda: [
            short(told["ACGAN"] - told["SMOTE"])
            for told in [in_validation("06-regime-cross-entropy-brain-30")]
            if sorted(told, key=told.get)[-1] == "ACGAN"
        ],
    },
    ("06", "amount-found-text"): {
        "From a quarter to twice as many, balanced accuracy falls in every arm": lambda: all(
            rising([mean(f"06-amount-{amount}-phantom", way, BALANCED) for amount in ("2", "0.5", "0.25")])
            for way in load("06-amount-2-phantom").methods
        ),
        "grade IV loses recall": lambda: all(
            recall_of("06-amount-2-phantom", way, 0) < recall_of("06-amount-0.25-phantom", way, 0)
            for way in load("06-amount-2-phantom").methods
        ),
        "loses {} of balanced accuracy at most, and {} with WGAN-GP (the same three seeds)": lambda: [
            short(of([lost(way) for way in ways]))
            for of, ways in ((max, load("06-synthetic-phantom").methods), (max, ["WGAN-GP"]))
        ],
        "grade III gains {} at most": lambda: [
            short(
                max(
                    recall_of("06-amount-2-phantom", way, 2) - recall_of("06-amount-0.25-phantom", way, 2)
                    for way in load("06-amount-2-phantom").methods
                )
            )
        ],
    },
}
"""What is computed."""

PAPER, ASSERTED, MEANT = "a paper's", "the notebook's own cells assert or print it", "a definition or a question"
GIVEN = [
    (None, "title", r"\d+ minutes to read, about \d+ seconds", "nbval holds the notebook to it"),
    ("00", "train-text", "CVPR 2019", PAPER),
    (None, None, "95 % interval", MEANT),
    ("01", "interval-text", "With 23 test images", PAPER),
    ("01", "interval-text", "11 and 12 found of 23", ASSERTED),
    ("01", "prevalence-text", "at 30 % or at 1 %", ASSERTED),
    (None, None, r"\[0, 1\]", MEANT),
    ("01", "beta-text", r"With β = \.9999", ASSERTED),
    ("01", "deferred-text", "every class weighs 1,", ASSERTED),
    ("01", "verdict-text", r"p-value is at most \.05", MEANT),
    (
        "01",
        "brain-found-text",
        "at least 92 times .* with 2 groups as with 40",
        "tests/benchmarks/verdicts.py prints it",
    ),
    ("01", "widget-text", r"Move 1/\(1−β\)", MEANT),
    ("01", "stated-text", r"β from \.9 to \.9999", PAPER),
    ("01", "stated-text", "γ = 2,|τ = 1,", PAPER),
    ("01", "exercise-3-text", r"for \.9 and \.95", MEANT),
    (None, None, r"47\.83 % to 52\.17 %", PAPER),
    (None, None, "23 (test )?images", PAPER),
    ("02", "rivals-found-text", r"\(below \.1\)", "tests/real/test_brain_boxes.py"),
    ("02", "stated-text", r"47\.83 → 52\.17 on skin, 7\.41 → 31\.12", PAPER),
    ("02", "loss-text", r"is 0 for the others|the \*dose\*, 1 at the paper's α = \.5", "tests/unit/test_care.py"),
    (
        "02",
        None,
        r"[Dd]ose [14]|at 16 the|\*How was 4 chosen|[Ee]xercise [23]",
        "arms and exercises by their names",
    ),
    ("02", "control-text", "α = 0", MEANT),
    ("02", "exercise-1-text", "and 0 for an image", MEANT),
    ("02", "exercise-3-text", r"\.30|95 %|\.95 · 1 \+ \.05 · \.30 = \.965|standard error of \.1", MEANT),
    ("02", "exercise-4-text", r"p < \.05", MEANT),
    ("02", "exercise-5-text", "α = 0", MEANT),
    ("03", "idea-text", r"\(2: all pixels", "tests/unit/test_global_attention.py"),
    (None, None, r"jitter of \.02", "the default of the phantom: tests/unit/test_phantoms.py"),
    ("03", "widget-text", "Choose 16 training images", "test_widget_sentences.py"),
    ("03", "exercise-1-text", "24 × 24 grid", MEANT),
    ("03", "exercise-3-text", r"learning rate, \.001|white \(1\)|N = 4096", MEANT),
    ("04", "train-found-text", r"everywhere \(1\)|all one way \(0,", MEANT),
    ("04", "attention-text", "between 0 and 1", MEANT),
    ("04", "stated-text", "conv 1×1|conv 3×3", "tests/unit/test_deep_pneumonia.py"),
    ("04", "exercise-1-text", r"z1 = z2 = I₂ and T = 1 it is \.5514", "tests/unit/test_deep_pneumonia_exercises.py"),
    ("04", "exercise-1-text", r"row i of z1 and z2|the 2B views", MEANT),
    ("04", "exercise-3-text", r"T from \.05 to 1|nearest of 254", ASSERTED),
    ("04", "exercise-4-text", r"96 made-up images|T = \.2", "tests/unit/test_deep_pneumonia_exercises.py"),
    ("04", "exercise-5-text", r"interval above 0 and adjusted p at most \.05", MEANT),
    ("05", "idea-text", "largest of the image is 1", "tests/unit/test_distractor.py"),
    ("05", "regimes-text", r"not \(0\)|completely \(1\)|other \(0\)|always \(1\)", MEANT),
    ("05", "widget-text", "margin to 2", "test_widget_sentences.py"),
    ("05", "stated-text", "1 − cosine", "tests/unit/test_distractor.py"),
    ("05", "finds-text", "above 0", MEANT),
    ("05", "finds-found-text", "cut at 0", MEANT),
    ("05", "exercise-1-text", "0 where nothing does", MEANT),
    ("05", "exercise-3-text", r"margin of \.5|it is 0,|vectors \.5", "tests/unit/test_distractor_exercises.py"),
    ("05", "exercise-4-text", "weight 0", MEANT),
    ("06", "segmentation-text", r"2 · overlap|1 being perfect|of seed 0", MEANT),
    ("06", "quality-text", "1 means collapse|the last 50 epochs|generators of seed 0|ones being 1", ASSERTED),
    ("06", "idea-text", r"log\(1 − σ\(s\)\)", PAPER),
    ("06", "penalty-text", "slope of about 1|is not 1", MEANT),
    ("06", "shift-found-text", r"\.95 and \.05 without, \.569 and \.384 with", PAPER),
    ("06", "widget-text", "seed 0|3 in 10|from 1 to 400|from 0 to 2", "test_widget_sentences.py"),
    ("06", "stated-text", r"99\.9th|weighs \.01", "careedu/methods/adversarial.py"),
    ("06", "exercise-2-text", r"\.95 / \.05 to \.569 / \.384", PAPER),
    ("06", "exercise-4-text", "of 24 patients", "tests/unit/test_feature_generation_exercises.py"),
    ("00", "map-text", r"Map of the course\..*07 Compare everything", MEANT),
    ("07", "own-text", r"\*poly-1\*", PAPER),
    ("07", "exercise-2-text", r"a level of \.05", MEANT),
    ("07", "exercise-3-text", r"40 images of the rare class", MEANT),
    ("07", "exercise-3-text", r"8 patients: one has 12 images, each other one has 4", MEANT),
]
"""(notebook, cell, pattern, where the number is from); None is any."""


CLAIMS = [
    pytest.param(*where, says, found, id=f"{'-'.join(where)}: {says[:30]}")
    for where, told in SAID.items()
    for says, found in told.items()
]


@pytest.mark.parametrize(("notebook", "cell", "says", "found"), CLAIMS)
def test_the_text_says_what_was_found(notebook, cell, says, found):
    values = found()
    if isinstance(values, list):
        says = says.format(*values)
    assert values, f"no longer so: {says}"
    assert says in line(cells(notebook)[cell]).replace("**", ""), f"{notebook} {cell} should say: {says}"


def spans(text, pattern):
    return [match.span() for match in re.finditer(pattern, text)]


def unheld(notebook, cell, text):
    """Numbers of a cell's text that are neither computed here nor listed with where they are from."""
    text = line(re.sub(NO_TEXT, " ", text).replace("**", ""))
    held = []
    for says in SAID.get((notebook, cell), ()):
        pieces = [line(re.sub(NO_TEXT, " ", piece)) for piece in re.split(r"\{\d?\}", says.replace("**", ""))]
        held += spans(text, r"\s*\S*\s*".join(map(re.escape, pieces)))
    for where, name, pattern, _ in GIVEN:
        if where in (None, notebook) and name in (None, cell):
            held += spans(text, pattern)
    return [
        text[max(0, a - 30) : b + 20]
        for a, b in spans(text, NUMBER)
        if not any(low <= a and b <= high for low, high in held)
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_number_is_computed_or_listed(notebook):
    loose = {cell: found for cell, text in cells(notebook).items() if (found := unheld(notebook, cell, text))}
    assert not loose, loose


def test_a_number_that_nobody_holds_is_noticed():
    assert unheld("02", "new", "Its recall is .71, and it takes 1,200 images.") != []
    assert unheld("02", "new", "Its recall is high (notebook 01, section 3), and $x=3$ `y=4`.") == []
    assert unheld("02", "control-found-text", "Shifted boxes find .37 less than true ones") == []
    assert len(unheld("02", "other", "Shifted boxes find .37 less than true ones")) == 1


def test_what_is_listed_stands_there():
    for notebook, cell, pattern, _ in GIVEN:
        texts = [line(t) for n in NOTEBOOKS for c, t in cells(n).items() if notebook in (None, n) and cell in (None, c)]
        for alternative in pattern.split("|"):
            assert any(re.search(alternative, text) for text in texts), (notebook, cell, alternative)
