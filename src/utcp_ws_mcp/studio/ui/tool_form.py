"""The form of a tool on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement

from ...manifest.invisible import escape_invisible
from ..forms import Field, FieldKind, FilledForm, enter, form_fields, read_form, read_json_arguments

KEYBOARDS: Final = {FieldKind.INTEGER: "numeric", FieldKind.NUMBER: "decimal"}
"""The `inputmode` of a field on devices without a keyboard."""

NOT_GIVEN: Final = "(not given)"


class ToolForm:
    """Draws the fields for a JSON Schema, and reads them. All arguments can be written as one JSON object instead.

    Args:
        schema: The schema.
        typed: What was typed before, by field; it is kept up to date.
    """

    def __init__(self, schema: Mapping[str, Any], typed: dict[str, Any]) -> None:
        self._fields = form_fields(schema)
        self._inputs: dict[str, ValidationElement[Any]] = {}
        with ui.column().classes("w-full gap-2") as self._form:
            for field in self._fields:
                element = self._inputs[field.name] = _draw(field)
                _keep(element, field.name, typed)
            if not self._fields:
                ui.label("No arguments are needed.")
        self._json = _make_json_input("Arguments as JSON")
        self._json.set_visibility(False)
        self._switch = ui.switch("Write the arguments as JSON", on_change=self._change_form)
        self._switch.set_visibility(bool(self._fields or schema.get("additionalProperties")))

    def read(self) -> FilledForm:
        """Return the arguments; what is wrong is shown at its field."""
        if self._switch.value:
            filled = read_json_arguments(str(self._json.value or ""))
            self._json.error = filled.problems.get("")
            return filled
        filled = self._read_fields()
        for name, element in self._inputs.items():
            element.error = filled.problems.get(name)
        return filled

    def show_problem(self, text: str) -> None:
        """Show what is wrong with the arguments at the field that the error names, if it names one."""
        problem = text.partition("invalid arguments: ")[2]
        for name, element in self._inputs.items():
            if not self._switch.value and problem.startswith((f"{name}:", f"{name}.", f'"{name}" is')):
                element.error = escape_invisible(problem)
                return

    def _read_fields(self) -> FilledForm:
        return read_form(self._fields, {name: element.value for name, element in self._inputs.items()})

    def _change_form(self) -> None:
        as_json = bool(self._switch.value)
        if as_json:
            self._json.value = json.dumps(self._read_fields().arguments, ensure_ascii=False, indent=2)
        else:
            self._fill(read_json_arguments(str(self._json.value or "")).arguments)
        self._json.set_visibility(as_json)
        self._form.set_visibility(not as_json)

    def _fill(self, arguments: Mapping[str, Any]) -> None:
        for name, value in enter(self._fields, arguments).items():
            self._inputs[name].value = value


def _keep(element: ValidationElement[Any], name: str, typed: dict[str, Any]) -> None:
    """Show what was typed before, and note what is typed now: the page may be loaded again."""
    if name in typed and (not isinstance(element, ui.select) or typed[name] in element.options):
        element.value = typed[name]
    element.on_value_change(lambda event: typed.__setitem__(name, event.value))


def _draw(field: Field) -> ValidationElement[Any]:
    label = f"{field.name} (required)" if field.required else field.name
    element: ValidationElement[Any]
    match field.kind:
        case FieldKind.CHOICE:
            element = _draw_choice(field, label, [(shown, at) for at, (shown, _) in enumerate(field.choices)])
        case FieldKind.BOOLEAN:
            element = _draw_choice(field, label, [("true", True), ("false", False)])
        case FieldKind.JSON:
            element = _make_json_input(label, field.example)
        case _:
            element = ui.input(label).props("outlined dense autocomplete=off spellcheck=false").classes("w-full")
            if field.kind in KEYBOARDS:
                element.props(f"inputmode={KEYBOARDS[field.kind]}")
    if field.description:
        element.props["hint"] = field.description
    return element


def _draw_choice(field: Field, label: str, choices: Sequence[tuple[str, Any]]) -> ValidationElement[Any]:
    options = {value: shown for shown, value in choices}
    if not field.required:
        options = {None: NOT_GIVEN, **options}
    return ui.select(options, label=label).props("outlined dense").classes("w-full")


def _make_json_input(label: str, example: str = "") -> ui.textarea:
    element = ui.textarea(label, placeholder=example).props("outlined dense autogrow spellcheck=false")
    return element.classes("w-full studio-mono")
