"""The lines of the conversation with the one that is chosen: read it, see why it was classified as what, mark it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from ...errors import BridgeError
from ...recorder.messages import Mark
from ..conversation import Direction, Line
from ..judging import Judgement
from ..session import Topic
from ..shown import pretty, shown_size
from .context import PageContext
from .lines import Lines

REFRESH_SECONDS: Final = 0.2
CLASSIFY_SECONDS: Final = 1.0
"""How often the recorder says again what the messages are, while messages come."""

_MARKS_OF_SENT: Final = (Mark.REQUEST, Mark.IGNORED)
_MARKS_OF_RECEIVED: Final = (Mark.REPLY, Mark.EVENT, Mark.ERROR)


class MessageView:
    """The list and the chosen message below it.

    Args:
        context: The page.
        use: Called with the text of a sent message that is to be sent again; None: that is not offered.
    """

    def __init__(self, context: PageContext, use: Callable[[str], None] | None = None) -> None:
        self._context = context
        self._use = use
        self._chosen: Line | None = None
        self._judgement: ui.column | None = None
        self._shown: Judgement | None = None
        conversation = context.session.conversation
        with ui.row().classes("studio-row"):
            words = ui.input("Filter", placeholder="text or role").props("dense outlined clearable debounce=200")
            words.classes("studio-grow").on_value_change(self._filter)
            follow = ui.switch("Follow", value=True)
            ui.button("Clear", icon="delete_sweep", on_click=self._clear).props("flat no-caps")
            self._count = ui.label().classes("studio-muted").props("role=status")
        self.lines = Lines(conversation, "Messages", self._choose)
        follow.on_value_change(lambda event: setattr(self.lines, "follow", event.value))
        self._detail = ui.column().classes("studio-box").props("aria-live=polite")
        self._show_detail()
        ui.timer(REFRESH_SECONDS, self._refresh)
        ui.timer(CLASSIFY_SECONDS, self._classify)

    def _filter(self, event: ValueChangeEventArguments[str | None]) -> None:
        self.lines.filter(event.value or "")

    def _clear(self) -> None:
        self._context.session.conversation.clear()
        self._chosen = None
        self._show_detail()

    def _refresh(self) -> None:
        count = len(self._context.session.conversation.lines)
        self._count.text = f"{count:,} line{'s' * (count != 1)}"
        self.lines.refresh()

    async def _classify(self) -> None:
        conversation = self._context.session.conversation
        if conversation.roles_are_stale:
            await conversation.classify()
            if self._chosen is not None:
                self._show_detail()
        await self._judge()

    def _choose(self, number: int) -> None:
        self._chosen = self._context.session.conversation.line(number)
        self._show_detail()

    def _show_detail(self) -> None:
        self._detail.clear()
        self._judgement, self._shown = None, None
        line = self._chosen
        with self._detail:
            if line is None:
                ui.label("Choose a line to read it.").classes("studio-muted")
                return
            ui.label(self._title(line)).classes("studio-muted")
            for reason in line.reasons:
                ui.label(reason).classes("studio-muted")
            if line.recorded is not None:
                self._judgement = ui.column().classes("gap-0")
                ui.timer(0, self._judge, once=True)
                self._draw_marks(line)
            ui.label(pretty(line.message, line.redact)).classes("studio-pre").props("tabindex=0 role=document")
            if self._use is not None and line.direction is Direction.SENT and isinstance(line.message, str):
                ui.button("Edit and send again", on_click=partial(self._use, line.message)).props("flat no-caps")

    async def _judge(self) -> None:
        """Show what the manifest takes the chosen message for, as soon as there is a manifest for its endpoint."""
        line, place = self._chosen, self._judgement
        if line is None or place is None:
            return
        judgement = await self._context.session.judgement(line.number)
        if judgement == self._shown or place is not self._judgement:
            return
        self._shown = judgement
        place.clear()
        with place:
            for text in (f"The manifest takes it for: {judgement.role}", *judgement.reasons) if judgement else ():
                ui.label(text).classes("studio-muted break-words")

    def _title(self, line: Line) -> str:
        if line.direction is Direction.NOTE:
            return f"After {line.seconds:.3f} s"
        kind = "binary, " if isinstance(line.message, bytes) else ""
        role = f", classified as: {line.role}" if line.role else ""
        return f"{line.direction.capitalize()} after {line.seconds:.3f} s, {kind}{shown_size(line.size)}{role}"

    def _draw_marks(self, line: Line) -> None:
        marks = _MARKS_OF_SENT if line.direction is Direction.SENT else _MARKS_OF_RECEIVED
        current = self._context.session.conversation.mark_of(line)
        with ui.row().classes("studio-row").props('role=group aria-label="What the message is"'):
            ui.label("It is:")
            for mark in (*marks, None):
                label = {None: "automatic", Mark.IGNORED: "no tool"}.get(mark) or str(mark)
                pressed = "true" if mark is current else "false"
                button = ui.button(label, on_click=partial(self._mark, line, mark))
                button.props(f"no-caps dense {'unelevated' if mark is current else 'outline'} aria-pressed={pressed}")

    def _mark(self, line: Line, mark: Mark | None) -> None:
        try:
            self._context.session.conversation.mark(line.number, mark)
        except BridgeError as failed:
            self._context.report(failed)
            return
        self._show_detail()
        self._context.session.announce(Topic.CONVERSATION)
