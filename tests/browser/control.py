"""One control of a widget in the page, found by the label that a user reads and driven by the keyboard."""

from __future__ import annotations

from playwright.sync_api import ElementHandle, Page


class Control:
    """A slider, dropdown, button, checkbox, text field or row of toggle buttons.

    Parameters
    ----------
    page : Page
    label : str
        The control's description, or its accessible name.
    which : int
        Which of several with the same label.
    """

    def __init__(self, page: Page, label: str, which: int = 0) -> None:
        self.label = label
        self._page = page
        found = page.evaluate_handle("label => harness.control(label)", label)
        count = found.evaluate("found => found.length")
        if not which < count:
            there = page.evaluate("harness.controls()")
            raise AssertionError(f"no control {label!r} (number {which}); there are {there}")
        self.element = _element(found.evaluate_handle("(found, which) => found[which]", which).as_element())

    @property
    def handle(self) -> ElementHandle:
        """What takes the keyboard's focus."""
        return _element(self.element.evaluate_handle("element => harness.handle(element)").as_element())

    def focus(self) -> Control:
        """Put the keyboard's focus on the control.

        Raises
        ------
        AssertionError
            If it cannot be focused: then it cannot be used by keyboard.
        """
        handle = self.handle
        handle.scroll_into_view_if_needed()
        handle.focus()
        assert handle.evaluate("handle => document.activeElement === handle"), f"{self.label!r} takes no keyboard focus"
        return self

    def press(self, *keys: str) -> Control:
        """Press keys, such as "ArrowRight", "Enter" or "Space", and wait until the kernel has done what follows.

        The focus stays where the keys themselves have put it; call `focus` first.
        """
        for key in keys:
            self._page.keyboard.press(key)
        self._page.wait_for_function("harness.settled()")
        return self

    def value(self) -> float | bool | str:
        """What the control shows: a number where it reads as one, True or False of a checkbox, else its text."""
        shown = self.element.evaluate("element => harness.value(element)")
        if not isinstance(shown, str):
            return shown
        try:
            return float(shown.replace("−", "-"))
        except ValueError:
            return shown


def _element(found: ElementHandle | None) -> ElementHandle:
    assert found is not None, "the control has nothing that the keyboard could reach"
    return found
