"""The editor for manifests: completion and documentation from the schema, and marks where something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import Request
from nicegui import app as page_app
from nicegui import ui
from nicegui.events import GenericEventArguments

from ...authoring.admission import MAX_MANIFEST_BYTES
from ...records import asdict
from ..checking import Finding, Severity
from ..completion import describe, options_at, place_at

_CLASSES: Final = {Severity.ERROR: "studio-problem-error"}


class EditorSupport(ui.element, component="static/editor_support.js"):
    """What is added to an editor in the browser: a name, the theme of the system, completion and documentation.

    With `readonly`, it can be read and selected only.
    """

    def __init__(self, editor: ui.codemirror, label: str, *, readonly: bool = False) -> None:
        super().__init__()
        self.props["editor"], self.props["label"], self.props["readonly"] = editor.id, label, readonly


def add_routes() -> None:
    """Serve what the editor asks for while one types."""

    @page_app.post("/studio/complete")
    async def complete(request: Request) -> dict[str, Any]:
        text, offset = await _read(request)
        place = place_at(text, offset)
        quoted = place.is_key and text[place.start : place.start + 1] == '"'
        options = [asdict(each) for each in options_at(place)]
        start, end = _units(text, place.start), _units(text, place.end)
        return {"start": start, "end": end, "word": start + quoted, "options": options}

    @page_app.post("/studio/describe")
    async def describe_place(request: Request) -> dict[str, Any]:
        text, offset = await _read(request)
        place = place_at(text, offset)
        return {
            "start": _units(text, place.start),
            "end": _units(text, place.end),
            "description": describe_at(text, offset),
        }


def describe_at(text: str, offset: int) -> str:
    """Return the documentation of the field at an offset; inside an object without a word, that of the object."""
    place = place_at(text, offset)
    word = text[place.start : place.end].strip('"')
    return (describe((*place.path, word)) if place.is_key else "") or describe(place.path)


async def _read(request: Request) -> tuple[str, int]:
    """Return the text, and the offset as Python counts: browsers count characters beyond U+FFFF twice."""
    body = await request.json()
    text = str(body["text"])[:MAX_MANIFEST_BYTES]
    return text, index_of(text, int(body["offset"]))


def index_of(text: str, units: int) -> int:
    """Return the index of the character at a number of UTF-16 units."""
    return units if text.isascii() else len(text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore"))


def _units(text: str, index: int) -> int:
    return index if text.isascii() else len(text[:index].encode("utf-16-le")) // 2


class ManifestEditor:
    """CodeMirror with what is added to it.

    Args:
        text: What is edited.
        changed: Called with the new text after each change.
        moved: Called with the offset of the cursor when it rests.
        save: Called for Ctrl+S.
    """

    def __init__(
        self, text: str, changed: Callable[[str], None], moved: Callable[[int], None], save: Callable[[], Any]
    ) -> None:
        self._editor = ui.codemirror(text, language="JSON", indent="  ", line_wrapping=True, keymap={"Mod-s": save})
        self._editor.classes("studio-editor").on_value_change(lambda event: changed(event.value))
        self._support = EditorSupport(self._editor, "Manifest")
        self._moved = moved
        self._support.on("cursor", self._rests)

    async def _rests(self, event: GenericEventArguments) -> None:
        if int(event.args["length"]) != _units(self._editor.value, len(self._editor.value)):
            # Something replaced the text while a change was on its way: what the person sees is right.
            self._editor.set_value(await self._support.run_method("text"))
        self._moved(index_of(self._editor.value, int(event.args["offset"])))

    def set_text(self, text: str) -> None:
        """Replace the text."""
        self._editor.set_value(text)

    def reveal(self, line: int) -> None:
        """Scroll to a line."""
        self._editor.reveal_line(line)

    def show(self, text: str, findings: Sequence[Finding]) -> None:
        """Underline findings in the text that was checked, unless it has changed since."""
        marks = list[dict[str, Any]]()
        for finding in findings:
            start, end = finding.span(text)
            if end > start and finding.severity is not Severity.NOTE:
                kind = _CLASSES.get(finding.severity, "studio-problem-warning")
                place = {"from": _units(text, start), "to": _units(text, end)}
                marks.append({**place, "kind": kind, "text": str(finding)})
        self._support.run_method("show", _units(text, len(text)), marks)
