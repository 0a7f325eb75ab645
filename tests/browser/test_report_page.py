"""The report opens from disk in Chromium without network, fits wide and narrow pages, and prints whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from notebook_page import ARTEFACTS

import careedu
from careedu.experiment.attention import MARK_MEASURES, MEASURES
from careedu.experiment.attention_results import AttentionResults
from careedu.show.compare import Comparison

pytestmark = [pytest.mark.browser, pytest.mark.slow]

A4_TEXT_WIDTH = 680
"""Pixels of the 180 mm between the margins of a printed page."""
OVERFLOWING = """() => {
  const width = document.documentElement.clientWidth;
  const beyond = e => e.getBoundingClientRect().right > width + 1 || e.scrollWidth > e.clientWidth + 1;
  return [...document.querySelectorAll("main *")]
    .filter(e => !e.closest(".scroll, pre, .stack thead") && beyond(e) && getComputedStyle(e).display !== "inline")
    .map(e => e.tagName + " " + e.textContent.slice(0, 60));
}"""
CUT = """() => [...document.querySelectorAll("main table, main pre, main img, main dl, main td, main th")]
  .filter(e => {
    const box = e.getBoundingClientRect();
    return box.left < -1 || box.right > document.documentElement.clientWidth + 1 || e.scrollWidth > e.clientWidth + 1;
  }).map(e => e.tagName + " " + e.textContent.slice(0, 60))"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four methods and three classes, one of them judged better."""
    data = careedu.load("phantom-skin", size=32, imbalance=10, largest=60, val=6, test=24)
    methods = {"cross-entropy": "cross-entropy", "lesion size": "lesion-size", "thumbnails": "nearest-neighbour"}
    made = careedu.compare(data, methods, seeds=8, epochs=1, progress=False)
    first = {
        seed: replace(run, probabilities=np.eye(3)[run.labels]) for seed, run in made.runs["cross-entropy"].items()
    }
    results = Comparison({**made.runs, "always right": first}, reference="cross-entropy")
    assert results.differences("rare recall")["always right"].verdict == "better"
    return results.report(tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve methods with long names on nine classes with long names, with and without a mark."""
    data = careedu.load("phantom-skin", size=32, largest=6, val=3, test=6)
    base = careedu.compare(data, ["nearest-neighbour"], seeds=8, progress=False).first
    n = 90
    classes = [f"pigmentedkeratosis-like lesion number {c}" for c in range(9)]
    runs = {}
    for k in range(12):
        name = f"logit adjustment (classification=class-balanced, strength=0.{k})"
        runs[name] = {}
        for seed in range(10):
            chance = np.random.default_rng([seed, k]).random((n, 9)) + 0.1 * k * np.eye(9)[np.arange(n) % 9]
            configuration = {**base.configuration, "seed": seed}
            configuration["data"] = {
                **configuration["data"],
                "classes": classes,
                "rare": classes[:2],
                "train counts": [5] * 9,
            }
            runs[name][seed] = replace(
                base,
                configuration=configuration,
                probabilities=chance / chance.sum(axis=1, keepdims=True),
                labels=np.arange(n) % 9,
                groups=np.arange(n).astype(str),
                ids=np.arange(n).astype(str),
                marked=np.arange(n) // 9 % 2 == 0,
            )
    results = Comparison(runs)
    shares = dict.fromkeys((*MEASURES, *MARK_MEASURES), np.full((10, n), 0.25))
    results.attention = AttentionResults(dict.fromkeys(runs, shares), results.labels, results.groups, results.classes)
    return results.report(tmp_path_factory.mktemp("crowded") / "report.html")


@pytest.fixture
def opened(browser, request: pytest.FixtureRequest) -> Iterator:
    """Open a page from disk in a browser without network; at the end nothing may have failed or been fetched."""
    contexts, trouble = [], []

    def open_page(path: Path, width: int = 1280, scheme: str = "light", media: str = "screen"):
        context = browser.new_context(offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("requestfailed", lambda asked: trouble.append(f"failed: {asked.url[:100]}"))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(("file:", "data:")) else trouble.append(f"asked: {asked.url}"),
        )
        page.goto(path.as_uri())
        page.emulate_media(media=media, color_scheme=scheme)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def keep(page, name: str) -> None:
    """Photograph the page."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


@pytest.mark.parametrize("which", ["report", "crowded"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light")])
def test_it_opens_without_network_and_fits_the_page(opened, request, which, width, scheme):
    page = opened(request.getfixturevalue(which), width, scheme)
    keep(page, f"{which}-{width}-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(OVERFLOWING) == []
    pictures = page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth, i.alt.length])")
    assert len(pictures) == {"report": 4, "crowded": 5}[which]
    for complete, natural, alt in pictures:
        assert complete
        assert natural > 600
        assert alt > 40


@pytest.mark.parametrize("which", ["report", "crowded"])
def test_it_prints_whole(opened, request, which):
    """On A4 nothing is cut: all that the printed page shows lies between its margins."""
    page = opened(request.getfixturevalue(which), A4_TEXT_WIDTH, "light", "print")
    keep(page, f"{which}-printed")
    assert page.evaluate("document.documentElement.scrollWidth") == A4_TEXT_WIDTH
    assert page.evaluate(CUT) == []
    assert page.locator("nav").is_hidden()
    # No figure is taller than a page, so none is cut by its end.
    assert max(page.evaluate("[...document.images].map(i => i.getBoundingClientRect().height)")) < 980
    pdf = page.pdf(prefer_css_page_size=True)
    (ARTEFACTS / f"{which}.pdf").write_bytes(pdf)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) >= 2
    sizes = {tuple(round(float(x)) for x in box.split()) for box in re.findall(rb"/MediaBox\s*\[([^\]]+)\]", pdf)}
    assert all(abs(size[2] - 595) <= 1 and abs(size[3] - 842) <= 1 for size in sizes), sizes  # A4 in points


def test_dark_and_light_differ_and_both_can_be_read(opened, report):
    """Contrast of the text with what it stands on, by the formula of WCAG 2."""

    def luminance(colour: str) -> float:
        channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    grounds = []
    for scheme in ("light", "dark"):
        page = opened(report, scheme=scheme)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        grounds.append(ground)
        for selector in ("p", ".quiet", "td.better", "thead th", "a", "td small", "figcaption"):
            colour = page.locator(selector).first.evaluate("e => getComputedStyle(e).color")
            low, high = sorted([luminance(colour), luminance(ground)])
            assert (high + 0.05) / (low + 0.05) > 4.5, (scheme, selector)
    assert grounds[0] != grounds[1]


def test_tables_that_scroll_can_be_reached_by_keyboard(opened, crowded):
    page = opened(crowded, 400)
    wide = page.locator(".scroll").nth(2)
    assert wide.evaluate("e => e.scrollWidth > e.clientWidth && e.tabIndex === 0 && e.ariaLabel.length > 10")
    wide.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("e => e.scrollLeft > 0", arg=wide.element_handle())
