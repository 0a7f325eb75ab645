"""What the feature explorer looks like: two planes, images next to a generated feature, losses, recall by amount."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.show import drawing
from careedu.show.deep_pneumonia.drawings import beside, class_key
from careedu.show.distractor.drawings import facts
from careedu.show.feature_generation import drawings
from careedu.show.feature_generation.explorer import DISCRIMINATOR, GENERATOR, FeatureExplorer
from careedu.show.feature_generation.records import GeneratedFeatures
from careedu.show.layered_picture import panel
from careedu.show.style import if_rare
from careedu.show.view import PairView
from careedu.show.widget import SIDES

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results

PICTURE, AMOUNTS = 160, (0.25, 0.5, 2)
SAVED = "06-phantom-brain"
LEGEND = (
    "Dots are features of training images, signs with an edge are generated; those outside the plane are drawn on its "
    "border. It has the two main directions of the real features; the nearest real feature is found among all of their "
    "numbers, so that it may look far off. Near copy: nearer to a real feature of its class than half the usual "
    "distance between these. Real or generated: that part of the two losses. Floor: the Fréchet distance of two halves "
    "of the real features. Amount: a class with fewer features than this share of the largest class is filled up to "
    "it; all amounts are of the same seeds, bars are 95 % intervals for other seeds and other patients."
)


class FeatureView(PairView):
    """View of a `FeatureExplorer`.

    Its parts: "note", "heading", "key", "planes", "pictures" ("A" and "B"), "courses", "amounts" and "legend".
    """

    def __init__(self, state: FeatureExplorer) -> None:
        super().__init__(state)
        self.state: FeatureExplorer = state
        rare = state.record_of.data["rare"]
        self.open(
            self.methods("way"),
            self.buttons("generated_of", "Class", label=partial(if_rare, rare=rare)),
            self.row(
                self.slider("generated", "Generated", lambda: (1, len(state.members))), self.choice("epoch", "Epoch")
            ),
            *(self.part(name) for name in ("note", "heading")),
            self.part("key", class_key(state.classes, rare)),
            self.part("planes"),
            self.pictures(PICTURE, tuple(state.record_of.data["image shape"][1:]), beside=True),
            self.part("courses"),
            self.choice("amount", "Amount", label=lambda value: f"{value:g}"),
            self.part("amounts"),
            self.part("legend", drawing.legend(LEGEND)),
        )

    def draw(self) -> dict[str, Any]:
        """What each part shows."""
        state, settings = self.state, self.state.settings
        found = {side: state.recalls(state.method(side)) for side in SIDES}
        names = [*(f"recall of {name}" for name in state.classes), "balanced accuracy"]
        chosen, amount = (settings["a"], settings["b"]), settings["amount"]
        amounts = state.once("amounts", *chosen, amount, of=lambda: drawings.amounts(names, found, amount))
        # In the order in which they are sent: what the browser takes longest for comes first.
        return {
            "planes": beside(*map(self._plane, SIDES)),
            "pictures": [self._panel(side) for side in SIDES],
            "courses": beside(*map(self._courses, SIDES)),
            "amounts": amounts,
            "note": self.notes([state.missing]),
            "heading": drawing.heading(
                f"{state.record_of.data['name']}: generated feature {settings['generated']} of {len(state.members)} "
                f"({settings['generated_of']}), asked to be of {state.asked}",
                f"after epoch {settings['epoch']} of the generators, seed {state.record_of.provenance['seed']}; "
                f"{len(state.labels)} real features, {int((state.labels == state.label).sum())} of this class",
            ),
        }

    def _plane(self, side: str) -> str:
        state, record, way, seen = self.state, self.state.record_of, self.state.method(side), self.state.seen[side]
        corners = state.once("corners", of=lambda: drawings.extent(state.real))
        real = state.once("real", of=lambda: drawings.pixels(state.real, corners))
        dots = state.once("dots", of=lambda: drawings.real_points(real, state.labels))

        def marked() -> tuple[str, np.ndarray]:
            places = drawings.pixels(seen.places, corners)
            return drawings.generated_points(places, record.made_labels), places

        marks, places = state.once("marks", way, state.settings["epoch"], of=marked)
        alt = (
            f"Plane of {side}, {way}: {len(state.labels)} real features as dots and {len(places)} generated ones by "
            f"class; the chosen one, asked to be of {state.asked}, is ringed and joined with {state.ids[seen.row]}."
        )
        drawn = drawings.plane([dots, marks], places[state.chosen], real[seen.row], alt)
        return f'<div style="padding:0 4px">{self.title(side)}</div>{drawn}'

    def _panel(self, side: str) -> dict[str, Any]:
        state, seen = self.state, self.state.seen[side]
        image, lesion = self.image_and_lesion(seen.row)
        name, patient = state.classes[state.labels[seen.row]], state.record_of.groups[seen.row]
        agrees = "✓ agrees" if seen.agreed[state.chosen] else "✗ another class"
        rows = [
            ("nearest real", str(state.ids[seen.row])),
            ("of patient", str(patient)),
            ("its class", f"{'✓' if seen.same else '✗'} {name}"),
            ("distance", f"{seen.distance:.1f}"),
            ("usual between real", f"{seen.usual:.1f}"),
            ("near copy", "yes" if seen.copy else "no"),
            ("near copies of class", f"{seen.copies:.0%}"),
            ("discriminator", agrees if len(state.course(state.method(side))) else "none"),
        ]
        said = "; ".join(f"{what}: {value}" for what, value in rows)
        alt = f"{side}, {state.method(side)}, asked to be of {state.asked}: {said}"
        return panel(side, self.title(side), alt, [image, lesion], "nearest training image", facts(rows))

    def _courses(self, side: str) -> str:
        state, way = self.state, self.state.method(side)
        epoch, table, floor = state.settings["epoch"], state.course(way), float(state.record_of.floor[0, state.label])
        distance = f"Fréchet distance of {state.asked}"
        if not len(table):
            now = f"{distance} {state.seen[side].frechet:.1f}, floor {floor:.1f}"
            return drawing.note(f"{side}, {way}: no generator is trained. {now}.")

        def drawn() -> str:
            about, quality = f"{side}, {way}", table[f"Fréchet distance: {state.asked}"].to_numpy()
            dashes = {"discriminator": (DISCRIMINATOR, ""), "generator": (GENERATOR, "5 3")}
            losses = {name: (table[column].to_numpy(), dash) for name, (column, dash) in dashes.items()}
            level = "floor (half as many)", floor
            of_quality = drawings.curves(distance, {"": (quality, "")}, epoch, about, level)
            return drawings.curves("Real or generated", losses, epoch, about) + of_quality

        return state.once("courses", side, way, epoch, state.label, of=drawn)


def feature_explorer(
    record: GeneratedFeatures | str | os.PathLike | None = None,
    by_amount: Mapping[float, Results] | None = None,
    images: LesionDataset | None = None,
) -> FeatureView:
    """The feature explorer, to be shown as a cell's last line.

    Parameters
    ----------
    record : GeneratedFeatures or path, optional
        The one that comes with careedu where not given.
    by_amount : mapping of float to Results, optional
        How far classes were filled up → results of the record's ways; those that come with careedu where not given.
    images : LesionDataset, optional
        Training images that hold those of the record; loaded by their recipe where not given.

    Returns
    -------
    FeatureView

    Raises
    ------
    CheckpointError
        If there is no such saved record or results, or they are damaged.
    InvalidInputError
        If results lack a way, or `images` an image.
    """
    from careedu.show.compare import Comparison

    if by_amount is None:
        by_amount = {amount: Comparison.load(f"06-amount-{amount:g}-phantom") for amount in AMOUNTS}
        by_amount[1] = Comparison.load(SAVED)
    return FeatureView(FeatureExplorer(GeneratedFeatures.opened(record, f"{SAVED}/generated"), by_amount, images))
