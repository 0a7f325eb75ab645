"""What the comparison explorer looks like: methods above, metrics and verdicts, then the images they differ on."""

from functools import partial
from typing import Any

from careedu.show import drawing
from careedu.show.comparison import drawings
from careedu.show.comparison.explorer import ComparisonExplorer
from careedu.show.layered_picture import map_layer, panel
from careedu.show.results_state import ALL, RECORDED
from careedu.show.view import COLUMN, PairView
from careedu.show.widget import SIDES

DRAWING, LEFT = 400, 110
PICTURE, THUMBNAIL = 220, 92


class ComparisonView(PairView):
    """View of a `ComparisonExplorer`.

    Its parts: "outdated", "overview", "seeds", "heading", "strip", "course", "pictures" ("A" and "B"), "confusion A"
    and "confusion B".
    """

    def __init__(self, state: ComparisonExplorer) -> None:
        super().__init__(state)
        self.state: ComparisonExplorer = state
        self.size = tuple(state.results.first.configuration["data"]["image shape"][1:])
        self.open(
            self.part("outdated"),
            self.methods(),
            self.buttons("metric", "Metric", label=state.metrics.get),
            *map(self.part, ("overview", "seeds")),
            self.buttons("group", "Pictures"),
            self.picture_class(),
            self.picture_and_epoch(lambda: any(one.course is not None for one in state.seen.values())),
            *map(self.part, ("heading", "strip")),
            self.buttons("seed", "Seed"),
            self.part("course"),
            self.pictures(PICTURE, self.size, "the lesion", beside=True),
            self.row(*(self.part(f"confusion {side}") for side in SIDES)),
        )
        for side in SIDES:
            self.parts[f"confusion {side}"].layout.width = COLUMN

    def draw(self) -> dict[str, Any]:
        """What each part shows."""
        state, settings, results = self.state, self.state.settings, self.state.results
        seeds, names = len(results.seeds), [state.method(side) for side in SIDES]
        chosen = next(row for row in state.compared if row.metric == settings["metric"])
        confusion = partial(drawings.confusion, names=results.classes, seeds=seeds, width=DRAWING, left=LEFT)
        older = f"these runs are older than the code: {'; '.join(state.outdated)}"
        return {
            "outdated": self.notes([older] if state.outdated else []),
            "overview": drawings.overview(state.compared, settings["metric"], names, seeds),
            "seeds": drawings.seed_strip(chosen, state.seed_differences, state.adjusted_over, results.reference),
            "heading": self._heading(),
            "strip": self._strip(),
            "course": self._course(),
            "pictures": [self._panel(side) for side in state.seen],
            **{f"confusion {side}": confusion(side, matrix=matrix) for side, matrix in state.confusions.items()},
        }

    def _heading(self) -> str:
        state, settings = self.state, self.state.settings
        listing = ", ".join(f"{group} {n}" for group, n in state.group_sizes.items())
        count = len(state.members)
        where = f"picture {settings['picture']} of {count}" if count else "no such picture"
        return drawing.heading(
            f"Test images of {settings['picture_of']}: {settings['group']}, {where}",
            f"{listing}. Right: in more than half of the {len(state.results.seeds)} seeds; those that A and B differ "
            "in most come first.",
        )

    def _strip(self) -> str:
        state = self.state
        if state.missing:
            return self.notes([state.missing])
        if state.images is None:
            return drawing.note("The images are being loaded or drawn …")
        if not len(state.members):
            also = "" if state.settings["picture_of"] == ALL else ", class"
            return drawing.note(f"No test image is in this group; choose another group{also} or method.")
        shown = "".join(map(self._thumbnail, state.page))
        return f'<div style="display:flex;flex-wrap:wrap;gap:9px;padding:4px;min-height:126px">{shown}</div>'

    def _thumbnail(self, row: int) -> str:
        state, results = self.state, self.state.results
        right = [int(state.seeds_right(state.method(side))[row]) for side in SIDES]
        told = ", ".join(f"{side} {seeds}" for side, seeds in zip(SIDES, right, strict=True))
        alt = f"Test image {results.first.ids[row]}, seeds right of {len(results.seeds)}: {told}"
        return drawings.thumbnail(self.uri(row), alt, right, row == state.row, THUMBNAIL)

    def _course(self) -> str:
        state = self.state
        if state.row is None:
            return ""
        courses = {side: one.course[:, state.label] for side, one in state.seen.items() if one.course is not None}
        if not courses:
            kept = state.recorded_seeds
            where = "" if state.seed in kept or not kept else f", seed {kept[0]}"
            said = f'of some images (see "{RECORDED}"{where})' if kept else "of no image"
            return drawing.note(f"The end of the training is shown: epoch by epoch, maps were kept {said}.")
        words, level = ("probability of", state.true_class), 1 / len(state.results.classes)
        return drawing.course(courses, state.settings["epoch"], state.epochs, words, level)

    def _panel(self, side: str) -> dict[str, Any]:
        state, classes, seen = self.state, self.state.results.classes, self.state.seen[side]
        image, lesion = self.image_and_lesion()
        predicted, seeds = classes[int(seen.probabilities.argmax())], len(state.results.seeds)
        about = f"{side}, {state.method(side)}: image {state.picture_id}, seed {state.seed}"
        each = ", ".join(f"{c} {p:.2f}" for c, p in zip(classes, seen.probabilities, strict=True))
        listing = f"{about}: probabilities {each}"
        alt = f"{about}: true class {state.true_class}, predicted {predicted} with {seen.probabilities.max():.2f}"
        verdict = "right" if predicted == state.true_class else "wrong"
        right = int(state.seeds_right(state.method(side))[state.row])
        return panel(
            side,
            f"{self.title(side)}, right in {right} of {seeds} seeds",
            f"{alt}; {seen.about}",
            [image, map_layer(seen.map, self.size), lesion],
            f"Seed {state.seed}, {seen.about}: {predicted}, {verdict}",
            drawings.probability_rows(classes, seen.probabilities, state.label, drawing.HUES[side], listing),
        )
