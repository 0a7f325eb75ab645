"""A notebook in a real JupyterLab: run it, drive its widgets, look at it, and miss no error."""

from __future__ import annotations

import ast
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from control import Control
from lab import Lab
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage
from playwright.sync_api import TimeoutError as Timeout

WIDTH, HEIGHT = 1280, 900
ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "browser"  # screenshots are kept there
# Chromium paints no taller page than this.
TALLEST = 16_000
TRACEBACK = "Traceback (most recent call last)"
# Console errors that say nothing about a notebook: (what, why).
HARMLESS = (
    ("favicon", "the icon of the page"),
    ("ResizeObserver loop", "Chromium's note that a layout took two rounds"),
)
# Its own page says so without any cell: a plugin that is not there has no schema of settings.
OF_NOTEBOOK_7 = (("Cannot read properties of undefined (reading 'schema')", "Notebook 7 itself"),)


class NotebookPage:
    """A notebook that has been opened; `run_all` runs it.

    Parameters
    ----------
    lab : Lab
    browser : Browser
    notebook : Path
        Copied; the file itself is never written.
    artefacts : Path
        Folder for the screenshots.
    width : int
        Of the window, in pixels.

    Attributes
    ----------
    seconds : float
        How long the cells took to run.
    told : bool
        Whether an assertion has already failed on this page, so that the fixture need not say it again.
    """

    def __init__(self, lab: Lab, browser: Browser, notebook: Path, artefacts: Path, width: int = WIDTH) -> None:
        self.lab, self.name, self.artefacts, self.width = lab, notebook.name, artefacts, width
        self.seconds = float("nan")
        self.theme = "light"
        self.closed = self.told = False
        self._console: list[str] = []
        self._context = browser.new_context(viewport={"width": width, "height": HEIGHT}, locale="en-GB")
        self._context.add_init_script(path=Path(__file__).with_name("page.js"))
        self.page = self._context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("console", self._keep_console)
        self.page.on("pageerror", lambda error: self._keep_error(f"uncaught in the page: {error}"))
        self._path = lab.add(notebook)
        self.page.goto(lab.page_of(self._path))
        self.page.wait_for_function("window.harness?.ready()", timeout=60_000)
        self.page.evaluate("harness.listen()")

    # ---- running

    def run_all(self, timeout: float = 300.0) -> NotebookPage:
        """Run all cells, wait for the last, and assert that nothing went wrong.

        Parameters
        ----------
        timeout : float
            Seconds that it may take.
        """
        begin = time.monotonic()
        self.page.evaluate("harness.start('notebook:run-all-cells')")
        try:
            self.page.wait_for_function("harness.failed() || harness.done()", timeout=1000 * timeout)
        except Timeout as error:
            self.told = True
            raise AssertionError(f"{self.name}: not done after {timeout:g} s; {self._where()}") from error
        self.seconds = time.monotonic() - begin
        self.assert_no_errors()
        return self

    def settle(self) -> None:
        """Wait until the kernel has answered everything that the page has sent."""
        self.page.wait_for_function("harness.settled()")

    def evaluate_in_kernel(self, expression: str) -> Any:
        """Value of a Python expression in the notebook's kernel, as JSON gives it (else its repr)."""
        reply = self._ask_kernel("", f"__import__('json').dumps({expression}, default=repr)")
        result = reply["user_expressions"]["expression"]
        if result["status"] != "ok":
            raise AssertionError(f"{expression} in the kernel: {result['ename']}: {result['evalue']}")
        return json.loads(ast.literal_eval(result["data"]["text/plain"]))

    def run_in_kernel(self, code: str) -> None:
        """Run Python statements in the notebook's kernel, outside its cells."""
        self._ask_kernel(code, None)

    def sent(self) -> list[str]:
        """Types of all messages that the page has sent to the kernel so far."""
        return self.page.evaluate("harness.sent()")

    def _ask_kernel(self, code: str, expression: str | None) -> dict[str, Any]:
        reply = self.page.evaluate("([code, expression]) => harness.evaluate(code, expression)", [code, expression])
        if reply["status"] != "ok":
            raise AssertionError(f"in the kernel: {reply.get('ename')}: {reply.get('evalue')}")
        return reply

    def _where(self) -> str:
        cells = self.page.evaluate("harness.cells()")
        running = [cell for cell in cells if cell["running"]] or [cell for cell in cells if cell["count"] is None]
        if not running:
            return "all cells have run, but the kernel is still busy"
        first = running[0]
        state = "running" if first["running"] else "never ran"
        return f"cell {first['index']} ({first['id']}) {state}:\n{first['source']}"

    # ---- errors

    def errors(self) -> list[str]:
        """Everything that has gone wrong so far, in cells, callbacks, threads, widgets and the page itself.

        An exception in a callback of ipywidgets shows in no output; it is heard in the messages of the kernel. That of
        a thread goes to stderr. What a widget of ours has caught is asked of `careedu.show.widget.recorded_errors`.
        """
        self.settle()
        heard = self.page.evaluate("harness.heard()")
        found = [f"in the kernel: {error}" for error in heard["errors"]]
        if TRACEBACK in heard["stderr"]:
            found.append(f"on stderr: {heard['stderr']}")
        recorded = self.evaluate_in_kernel(
            "getattr(__import__('sys').modules.get('careedu.show.widget'), 'recorded_errors', list)()"
        )
        found += [f"recorded by a widget: {error}" for error in recorded]
        shown = self.page.locator('.jp-OutputArea [data-mime-type="application/vnd.jupyter.error"]').all_inner_texts()
        shown += [f"no view for a widget: {text}" for text in self._broken_widgets()]
        return found + [f"in an output: {text}" for text in shown] + [f"console: {text}" for text in self._console]

    def assert_no_errors(self) -> None:
        """Assert that nothing has gone wrong so far; the fixture does so once more at the end."""
        errors = self.errors()
        self.told = self.told or bool(errors)
        assert not errors, f"{self.name}: {len(errors)} errors\n" + "\n\n".join(errors)

    def _broken_widgets(self) -> list[str]:
        broken = self.page.locator(".jp-OutputArea-output").filter(has_text="Error displaying widget")
        return broken.all_inner_texts()

    def _keep_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._keep_error(f"{message.text} ({message.location.get('url', '')})")

    def _keep_error(self, told: str) -> None:
        if not any(what in told for what, _ in HARMLESS + (OF_NOTEBOOK_7 if self.lab.app == "notebook" else ())):
            self._console.append(told)

    # ---- looking

    def set_theme(self, theme: str) -> None:
        """Switch JupyterLab to its "light" or "dark" theme."""
        name = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[theme]
        self.page.evaluate("name => harness.run('apputils:change-theme', {theme: name})", name)
        # JupyterLab covers the page with a splash screen until the new style sheet is there.
        self.page.wait_for_function(
            "name => document.body.dataset.jpThemeName === name && !document.getElementById('jupyterlab-splash')",
            arg=name,
        )
        self.theme = theme

    def _show_all(self, within: float = 30.0) -> None:
        """Make the window as tall as the notebook, which still grows while a widget loads its images."""
        until = time.monotonic() + within
        while True:
            room = self.page.evaluate("harness.height() + harness.top()") + 60
            assert room <= TALLEST, f"{self.name}: {room:.0f} px high; Chromium paints no page above {TALLEST}"
            self.page.set_viewport_size({"width": self.width, "height": int(room)})
            if self.page.evaluate("harness.allInView()"):
                return
            assert time.monotonic() < until, f"{self.name}: not all of it came into view in {within:g} s"
            self.page.wait_for_timeout(100)

    def screenshot_outputs(self, label: str) -> list[Path]:
        """Photograph the whole notebook and each output, in the theme that is on.

        Parameters
        ----------
        label : str
            Folder under the artefacts.
        """
        folder = self.artefacts / label
        folder.mkdir(parents=True, exist_ok=True)
        whole = folder / f"notebook-{self.theme}.png"
        # The notebook scrolls in a panel of its own, so the window is made as tall as the notebook for a moment.
        try:
            self._show_all()
            self.page.screenshot(path=whole)
            made, photograph = [whole], Image.open(whole)
            for place in self.page.evaluate("harness.outputs()"):
                output = self.page.evaluate_handle("({cell, order}) => harness.output(cell, order)", place).as_element()
                assert output is not None
                box = output.bounding_box() if output.is_visible() else None
                if not box:
                    continue  # a progress bar that has gone when its work was done
                # Cut out of the whole: Chromium would paint a window of this height anew for each of them.
                left, top = int(box["x"]), int(box["y"])
                right, bottom = int(np.ceil(box["x"] + box["width"])), int(np.ceil(box["y"] + box["height"]))
                made.append(folder / f"output-{place['cell']:02d}-{place['id']}-{place['order']}-{self.theme}.png")
                photograph.crop((left, top, max(right, left + 1), max(bottom, top + 1))).save(made[-1])
        finally:
            self.page.set_viewport_size({"width": self.width, "height": HEIGHT})
        return made

    def screenshot(self, name: str) -> Path:
        """Photograph what is on the screen now."""
        self.artefacts.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self.artefacts / f"{name}.png")
        return self.artefacts / f"{name}.png"

    def pixels(self, selector: str) -> np.ndarray:
        """What a part of the page looks like, with all that lies over it: int (H, W, 3).

        Parameters
        ----------
        selector : str
            CSS selector; the first match.
        """
        shot = self.page.locator(selector).first.screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)

    def assert_nothing_clipped(self) -> None:
        """Assert that no output is cut off, scrolls within itself, or is wider than the notebook."""
        self._assert_none("harness.clipped()", "clipped or scrolling outputs")

    def assert_looks_right(self, label: str, code: bool = True) -> None:
        """Assert, in both themes, that nothing is clipped, code fits and pictures have words; screenshots are kept.

        Parameters
        ----------
        label : str
            Of the folder of screenshots. The light theme stays.
        code : bool
            Whether code must fit, which may be moved sideways in a narrow window.
        """
        for theme in ("dark", "light"):
            self.set_theme(theme)
            self.screenshot_outputs(label)
            self.assert_nothing_clipped()
        if code:
            self.assert_code_fits()
        self.assert_all_pictures_have_alt_text()
        self.assert_all_controls_have_names()

    def assert_code_fits(self) -> None:
        """Assert that no code cell has lines that are wider than the notebook."""
        self._assert_none("harness.codeTooWide()", "code cells that scroll sideways")

    def assert_all_pictures_have_alt_text(self) -> None:
        """Assert that each picture, in outputs and in text, says in words what it shows."""
        self._assert_none("harness.withoutAltText()", "pictures without alternative text")

    def assert_all_controls_have_names(self) -> None:
        """Assert that a screen reader has a name for each control in the outputs."""
        self._assert_none("harness.nameless()", "controls without a name")

    def _assert_none(self, script: str, what: str) -> None:
        found = self.page.evaluate(script)
        assert not found, f"{self.name}: {len(found)} {what}\n" + "\n".join(found)

    # ---- driving

    def control(self, label: str, which: int = 0) -> Control:
        """Find a control by its label; `which` tells several of one name apart."""
        return Control(self.page, label, which)

    def picture_before(self, picture: str) -> str:
        """Fingerprint of a picture's pixels now; from here on the next key press starts the clock.

        Parameters
        ----------
        picture : str
            CSS selector; the first visible match in the notebook.
        """
        return self.page.evaluate("picture => harness.arm(picture)", picture)

    def wait_until_picture_changes(self, picture: str, before: str, timeout: float = 10.0) -> float:
        """Milliseconds from the key press after `picture_before` to the first frame with other pixels.

        Parameters
        ----------
        picture : str
        before : str
            What `picture_before` gave.
        timeout : float
            Seconds to wait.
        """
        try:
            self.page.wait_for_function("harness.timer()?.milliseconds != null", timeout=1000 * timeout)
        except Timeout as error:
            timer = self.page.evaluate("harness.timer()")
            reason = "no key was heard" if timer["pressed"] is None else f"its pixels are still {before[:200]}"
            raise AssertionError(f"{picture} did not change within {timeout:g} s: {reason}") from error
        return self.page.evaluate("harness.timer().milliseconds")

    def move(self, label: str, keys: Sequence[str], picture: str, setting: str, which: int = 0) -> tuple[Any, Any]:
        """Move a control by keyboard and wait until its picture has changed; the state must have changed too.

        Parameters
        ----------
        label : str
            Of the control.
        keys : sequence of str
            From the first button or the handle on.
        picture : str
            CSS selector of the picture that must change.
        setting : str
            Expression in the kernel, of what the control sets.
        which : int
            Which control of several of this label.

        Returns
        -------
        before, after : Any
            Values of the setting.
        """
        before = self.evaluate_in_kernel(setting)
        control = self.control(label, which).focus()
        drawn = self.picture_before(picture)
        control.press(*keys)
        milliseconds = self.wait_until_picture_changes(picture, drawn)
        self.settle()
        after = self.evaluate_in_kernel(setting)
        assert after != before, f"{label}: the picture changed, the state did not"
        print(f"{label} {keys[-1]}: {before} → {after}, {milliseconds:.0f} ms")
        return before, after

    def move_in_page(self, label: str, keys: Sequence[str], picture: str) -> None:
        """Move a control that the page answers alone, without the kernel; the picture must look otherwise at once."""
        shown = self.page.locator(picture).first
        shown.scroll_into_view_if_needed()
        before = shown.screenshot()
        self.control(label).focus().press(*keys)
        assert shown.screenshot() != before, f"{label}: {picture} looks as before"

    def latency(self, control: Control, keys: Sequence[str], picture: str) -> list[float]:
        """Milliseconds from each key press to changed pixels; each key waits for the one before.

        Parameters
        ----------
        control : Control
        keys : sequence of str
            Each must change the picture.
        picture : str
            CSS selector.
        """
        control.focus()
        times = []
        for key in keys:
            before = self.picture_before(picture)
            self.page.keyboard.press(key)
            times.append(self.wait_until_picture_changes(picture, before))
            self.settle()
        return times

    # ---- ending

    def close(self) -> None:
        """Shut the kernel down and close the page, whatever state they are in; errors are no longer asked for."""
        if not self.closed:
            self.closed = True
            try:
                self.lab.shut_kernel_down(self._path)
            finally:
                self._context.close()


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which pixels look other than before, bool (H, W); a difference that nobody sees is none."""
    return np.abs(before - after).max(axis=2) > 8
