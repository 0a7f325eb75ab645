"""The screen's side of a widget: a column of ipywidgets over a state, with controls that follow it.

What the views of saved results share stands below: two methods and a picture to be chosen, the picture and its lesion.
"""

import contextlib
import html
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import ipywidgets
from ipywidgets import HBox, Layout, VBox

from careedu.show.drawing import WIDTH, capital, key_mark, note
from careedu.show.layered_picture import LayeredPicture, image_uri, layer, lesion_shape
from careedu.show.results_state import PairState, ResultsState
from careedu.show.still import still
from careedu.show.style import if_rare
from careedu.show.widget import SIDES, WidgetState

ROOT = "careedu-widget"
"""Class of a widget's outermost element in the page."""
# Two columns side by side fit into a notebook on a screen of 1280 pixels with JupyterLab's side bar open.
COLUMN, WHOLE = "404px", f"{WIDTH + 12}px"

UNKNOWN = "not known"
WAIT = 0.4
"""Seconds that a view waits for the images, so that those at hand are there at once."""


class View:
    """A column of ipywidgets over a state, with a place for errors.

    A subclass makes its controls and parts, lays them out with `open`, and says in `draw` what the parts show.

    Parameters
    ----------
    state : WidgetState

    Attributes
    ----------
    controls : dict of str to Widget
        By setting. They follow the state, whoever has changed it.
    parts : dict of str to Widget
        What is drawn, by name. "pictures" are the layered ones.
    widget : ipywidgets.Widget
        What is shown.
    """

    wide = "95px"
    """Room for the names of the controls."""

    def __init__(self, state: WidgetState) -> None:
        self.state: Any = state
        self.message = ipywidgets.HTML()
        self.controls: dict[str, Any] = {}
        self.parts: dict[str, Any] = {}
        self.widget: Any = None
        self.lock, self._following = threading.RLock(), False
        self._follow: list[Callable[[], None]] = []

    # Controls

    def slider(
        self,
        setting: str,
        title: str,
        limits: Callable[[], tuple[float, float]] | None = None,
        *,
        kind: type = ipywidgets.IntSlider,
        usable: Callable[[], bool] = lambda: True,
        shown: Callable[[Any], Any] = lambda setting: setting,
        meant: Callable[[Any], Any] = lambda value: value,
        **options: Any,
    ) -> Any:
        """A slider of a setting.

        Parameters
        ----------
        setting, title : str
        limits : callable, optional
            Gives the lowest and the highest value, now; where there is one only, nothing can be moved. Not needed where
            `options` have a fixed ``min`` and ``max``.
        kind : type
            Of ipywidgets.
        usable : callable
            Whether it can be moved now.
        shown, meant : callable
            What a setting is to the slider, and what the slider's value is as a setting.
        **options
            Of the slider.
        """
        control = kind(
            description=title,
            style={"description_width": self.wide},
            layout=Layout(width=COLUMN, max_width="100%"),
            **options,
        )

        def follow() -> None:
            low, high = limits() if limits else (control.min, control.max)
            # Never a smallest value above the largest, not even between two lines.
            control.max = max(control.max, high)
            control.min, control.max = low, high
            control.value = shown(self.state.settings[setting])
            control.disabled = low == high or not usable()

        return self._add(setting, control, follow, meant)

    def buttons(self, setting: str, title: str, *, width: str = WHOLE, **options: Any) -> Any:
        """A row of buttons for a setting that is one of the state's `choices`; options as `choice` takes them."""
        # Buttons, not a list: JupyterLab takes the arrow keys of dropdowns, lists and radio buttons for itself.
        style = {"description_width": self.wide, "button_width": "auto"}
        return self.choice(setting, title, kind=ipywidgets.ToggleButtons, style=style, width=width, **options)

    def choice(
        self,
        setting: str,
        title: str,
        *,
        kind: type = ipywidgets.SelectionSlider,
        usable: Callable[[], bool] = lambda: True,
        label: Callable[[Any], str] = str,
        unknown: str = UNKNOWN,
        width: str = COLUMN,
        **options: Any,
    ) -> Any:
        """A slider of the state's `choices`; `label` says what they are called, `unknown` what None is called."""

        def there() -> list[tuple[str, Any]]:
            # None would stand for no choice at all.
            return [(unknown, UNKNOWN) if v is None else (label(v), v) for v in self.state.choices()[setting]]

        options = {"style": {"description_width": self.wide}, **options}
        control = kind(options=there(), description=title, layout=Layout(width=width, max_width="100%"), **options)

        def follow() -> None:
            if list(control.options) != (now := there()):
                control.options = now
            value = self.state.settings[setting]
            control.value = UNKNOWN if value is None else value
            control.disabled = len(now) < 2 or not usable()

        return self._add(setting, control, follow, lambda value: None if value == UNKNOWN else value)

    def _add(self, setting: str, control: Any, follow: Callable[[], None], meant: Callable[[Any], Any]) -> Any:
        def moved(change: dict[str, Any]) -> None:
            with self.lock:
                if not self._following:
                    self.state.set(**{setting: meant(change["new"])})

        self.controls[setting] = control
        self._follow.append(follow)
        with self.following():
            follow()
        control.observe(self.guard(moved), names="value")
        return control

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """While it lasts, controls may be set to what the settings are: that moves nothing."""
        with self.lock:
            self._following = True
            try:
                yield
            finally:
                self._following = False

    # Layout

    def part(self, name: str, value: str = "") -> Any:
        """A place for what is drawn under this name, or for what stands there all along."""
        self.parts[name] = ipywidgets.HTML(value, layout=Layout(overflow="hidden", margin="2px 0"))
        return self.parts[name]

    def pictures(self, width: int, size: tuple[int, int], outlined: str = "", beside: bool = False) -> LayeredPicture:
        """The layered pictures, so wide, of images of `size` (height, width); notes stand below or beside them."""
        found = LayeredPicture(size=[width, round(width * size[0] / size[1])], outlined=outlined)
        if beside:
            found.add_class("careedu-beside")
        self.parts["pictures"] = found
        return found

    def row(self, *children: Any) -> HBox:
        """Parts beside one another, or below where there is no room."""
        return HBox(children, layout=Layout(flex_flow="row wrap", width=WHOLE, max_width="100%", overflow="hidden"))

    def open(self, *children: Any) -> None:
        """Put the parts below one another, the place for errors last, and show what the state says."""
        # Without pictures it only names the sliders.
        rest = () if "pictures" in self.parts else (self.pictures(0, (1, 1)),)
        self.widget = VBox([*children, self.message, *rest], layout=Layout(overflow="hidden"))
        self.widget.add_class(ROOT)
        self.state.listen(self.refresh)
        self.refresh()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Show the widget where the view is a cell's last line; where no kernel runs, what it shows now."""
        return self.widget._repr_mimebundle_(**options) | {"text/html": still(self.widget)}

    # What is shown

    def draw(self) -> Mapping[str, Any]:
        """What each part shows now."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Show what the state says; where background work has failed, say it."""
        with self.lock:
            with self.following():
                for follow in self._follow:
                    follow()
            # A value that is as before is not sent.
            for name, value in self.draw().items():
                self.parts[name].value = value
            task = self.state.task
            if task is not None and task.failure:
                self.show_error(task.failure)

    def guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback: its error is shown in place, recorded, and raised again."""

        def guarded(*arguments: Any) -> None:
            try:
                self.message.value = ""
                callback(*arguments)
            except Exception as error:
                self.show_error(self.state.record(error))
                raise

        return guarded

    def show_error(self, line: str) -> None:
        """Show an error in place, and let a screen reader say it."""
        self.message.value = (
            '<div role="alert" style="border-left:4px solid #D55E00;padding:4px 10px;margin:4px 0;'
            f'background:#D55E0022;color:var(--jp-content-font-color1,#222)">{html.escape(line)}</div>'
        )


class ResultsView(View):
    """View of a `ResultsState`, which loads its images when it is first shown."""

    def open(self, *children: Any) -> None:
        """Put the parts below one another, and show what the state says."""
        state: ResultsState = self.state
        # Where torch is still to be imported, images take longer than anybody would wait: then all else comes first.
        if "torch" in sys.modules and state.wants_images:
            state.start_loading().join(WAIT)
        super().open(*children)
        if state.task is None and state.wants_images:
            state.start_loading()

    def stand_in(self, what: str) -> dict[str, str]:
        """The layer that says why there is no image."""
        return layer("words", f"{what} {'not on this machine' if self.state.missing else 'on its way'}")

    @staticmethod
    def notes(lines: list[str]) -> str:
        """Sentences about what cannot be shown."""
        return "".join(note(f"{capital(line)}.", alert=True) for line in lines if line)


class PairView(ResultsView):
    """View of a `PairState`: its controls, and the layers that its pictures share."""

    state: PairState

    def methods(self, what: str = "method") -> Any:
        """Which methods, or what else, are A and B."""
        return self.row(*(self.buttons(side.lower(), f"{side}: {what}", width=COLUMN) for side in SIDES))

    def picture_class(self, width: str = WHOLE) -> Any:
        """Of which class the picture is."""
        return self.buttons("picture_of", "Class", width=width, label=partial(if_rare, rare=self.state.results.rare))

    def picture_and_epoch(self, usable: Callable[[], bool]) -> Any:
        """Which picture of its class, and after which epoch, where that is to be chosen."""
        state = self.state
        return self.row(
            self.slider("picture", "Picture", lambda: (1, max(1, len(state.members)))),
            self.slider("epoch", "Epoch", lambda: (1, state.epochs), usable=usable),
        )

    def title(self, side: str) -> str:
        """A side's sign and method, as HTML."""
        return f"{key_mark(side)} <b>{side}: {html.escape(self.state.method(side))}</b>"

    def image_and_lesion(self, row: int | None = None) -> tuple[dict[str, str], dict[str, str]]:
        """The layers below and above the map: the picture, and the outline of its lesion where that is known."""
        images, row = self.state.images, self.state.row if row is None else row
        if images is None:
            return self.stand_in("image"), layer("outline", "")
        outline = self.state.once("lesion", images is self.state.tests, row, of=lambda: self.outline(row))
        return layer("image", self.uri(row)), layer("outline", outline)

    def outline(self, row: int) -> str:
        """Outline and box of an image's lesion, where they are known, as SVG."""
        images = self.state.images
        mask = images.masks[row].numpy() if images.has_mask[row] else None
        box = images.boxes[row].tolist() if images.has_box[row] else None
        height, width = images.images.shape[2:]
        return "".join(lesion_shape(*known, width, height) for known in ((None, mask), (box, None)))

    def uri(self, row: int) -> str:
        """Address of an image as it is shown."""
        images = self.state.images
        pixels = images.images[row].permute(1, 2, 0).numpy()
        shown = pixels[:, :, 0] if pixels.shape[2] < 3 else pixels[:, :, :3]
        return self.state.once("uri", images is self.state.tests, row, of=lambda: image_uri(shown))
