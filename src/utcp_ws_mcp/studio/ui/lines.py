"""The list of the lines of a conversation, which stays fast with many thousands of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from nicegui import ui
from nicegui.events import GenericEventArguments

from ..conversation import Conversation, Line
from ..shown import preview, shown_size

MAX_BATCH: Final = 1_000
"""Lines that are sent to the browser at a time."""

Row = dict[str, Any]


class Lines(ui.element, component="static/lines.js"):
    """Shows the lines of a conversation; `refresh` sends what is new."""

    def __init__(self, conversation: Conversation, label: str, choose: Callable[[int], None]) -> None:
        super().__init__()
        self.props["label"], self.props["follow"] = label, True
        self._conversation = conversation
        self._words = ""
        self._version = self._labels_version = -1
        self._next = 0
        self._is_ready = False
        self._shown: dict[int, tuple[str, str]] = {}

        def chosen(event: GenericEventArguments) -> None:
            choose(int(event.args["number"]))

        self.on("choose", chosen)
        self.on("ready", self._start)

    @property
    def follow(self) -> bool:
        """Return whether the list shows the last line as lines are added."""
        return bool(self.props["follow"])

    @follow.setter
    def follow(self, value: bool) -> None:
        self.props["follow"] = value

    def filter(self, words: str) -> None:
        """Show only the lines that contain some words."""
        self._words = words
        if self._is_ready:
            self._start()

    def _start(self) -> None:
        self._is_ready = True
        self._next, self._version, self._labels_version, self._shown = 0, -1, -1, {}
        self.run_method("replace", [])

    def refresh(self) -> None:
        """Send the lines that are new, and those whose role has changed."""
        conversation = self._conversation
        if self._version == conversation.version or not self._is_ready:
            return
        lines = conversation.lines
        first = lines[0].number if lines else self._next
        if not lines and self._shown:
            self._start()
        new: list[Line] = []
        complete = True
        for line in conversation.matching(self._words, self._next):
            if len(new) == MAX_BATCH:
                complete = False
                break
            new.append(line)
        if new:
            self._next = new[-1].number + 1
            self.run_method("append", self._rows(new), first)
        if complete:
            self._version = conversation.version
            self._update()

    def _update(self) -> None:
        """Send the lines whose role or mark has changed."""
        conversation = self._conversation
        if self._labels_version == conversation.labels_version:
            return
        self._labels_version = conversation.labels_version
        shown = self._shown
        lines = [line for line in conversation.lines if line.number in shown]
        self._shown = {line.number: shown[line.number] for line in lines}
        changed = [line for line in lines if self._labels(line) != shown[line.number]]
        if changed:
            self.run_method("update", self._rows(changed))

    def _rows(self, lines: Iterable[Line]) -> list[Row]:
        return [self._row(line) for line in lines]

    def _labels(self, line: Line) -> tuple[str, str]:
        mark = self._conversation.mark_of(line)
        return line.role, mark.value if mark is not None else ""

    def _row(self, line: Line) -> Row:
        role, mark = self._shown[line.number] = self._labels(line)
        is_note = line.direction == "note"
        return {
            "n": line.number,
            "t": f"{line.seconds:.3f}",
            "d": line.direction.value,
            "r": role,
            "m": mark,
            "x": preview(line.message, line.redact),
            "s": "" if is_note else shown_size(line.size),
        }
