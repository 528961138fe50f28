"""Fields for the values of variables. What is typed stays in memory, and is not shown again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nicegui import ui

from .context import PageContext


class VariableFields:
    """One field for each variable.

    Args:
        context: The page.
        names: Returns the variables.
    """

    def __init__(self, context: PageContext, names: Callable[[], Sequence[str]]) -> None:
        self._session = context.session
        self._names = names
        self._shown: list[str] = []

    def draw(self) -> None:
        """Draw the fields."""
        self._row = ui.row().classes("studio-row")
        self.show()

    def show(self) -> None:
        """Draw the fields again, if there are other variables than before."""
        names = list(self._names())
        if names == self._shown:
            return
        self._shown = names
        self._row.clear()
        with self._row:
            for name in names:
                self._draw_field(name)

    def _draw_field(self, name: str) -> None:
        hint = "set" if name in self._session.environ else "not set"
        field = ui.input(f"Value of {name}", password=True, placeholder=hint)
        field.props("dense outlined autocomplete=new-password").classes("studio-grow")
        field.tooltip("Stays in the memory of the studio; drafts and files contain the name only.")
        field.on_value_change(lambda event: self._session.set_variable(name, event.value or ""))
