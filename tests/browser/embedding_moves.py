"""How the embedding explorer is moved by keyboard, on made-up data and in notebook 04."""

import numpy as np

PLANE, WEIGHTS = (
    {s: f'svg[aria-label*=" of {s}, "]' for s in "AB"},
    'svg[aria-label^="Weights of the negatives under A"]',
)
PANELS = {side: f'[data-panel="{side}"]' for side in "AB"}
SHARES, SPREAD = 'svg[aria-label^="With "]', 'svg[aria-label^="Embedding spread"]'


def moves(last, attentive, at_last_share):
    """Label, keys (from the first button or handle on), picture that must change, setting that must follow, its value.

    `last` is the number of images of the rare class, `attentive` name and place of a network with attention,
    `at_last_share` the picture that changes with the last share of labels.
    """
    return [
        ("A: network", ("Tab", "Space"), PLANE["A"], "a", "pretrained"),
        ("B: network", (*("Tab",) * attentive[1], "Space"), PANELS["B"], "b", attentive[0]),
        ("Plane", ("Space",), PLANE["B"], "plane", "pca"),
        ("Image", ("ArrowRight",), PLANE["A"], "image", 2),
        ("Image", ("End",), PANELS["A"], "image", last),
        ("Class", ("Space",), PLANE["B"], "image_of", "all classes"),
        ("Temperature", ("ArrowLeft",), WEIGHTS, "temperature", 0.16),
        ("Temperature", ("End",), WEIGHTS, "temperature", 1.0),
        ("Labels a class", ("ArrowRight",), SHARES, "labels", 50),
        ("Labels a class", ("ArrowRight",), at_last_share, "labels", "all"),
    ]


def move_all(page, last, attentive, at_last_share):
    """Move every control; then tell how long the two take that are moved most."""
    for label, keys, picture, setting, value in moves(last, attentive, at_last_share):
        before, after = page.move(label, keys, picture, f"explorer.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    for label, key, picture in (("Image", "ArrowRight", PLANE["B"]), ("Temperature", "ArrowLeft", WEIGHTS)):
        times = page.latency(page.control(label), [key] * 8, picture)
        print(f"{label}: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    asked = page.sent()
    page.move_in_page("Map opacity", ("ArrowRight", "ArrowRight"), PANELS["B"])
    page.move_in_page("Outline the lesion", ("Space",), PANELS["A"])
    assert page.sent() == asked, "the page alone has answered"
