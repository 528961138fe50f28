"""Call a tool from the page: the result as hosts see it, the time line, and the trace."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio

from ..manifest.invisible import escape_invisible
from ..observability import events
from ..observability.trace import Trace
from ..records import MutableRecord, Record, field
from ..server.result import Result
from .live_bridge import LiveBridge
from .timeline import Stage, TimedEvent, time_line

MAX_TRACE_CHARACTERS: Final = 100_000
"""Characters of the beginning of a trace that are kept, and as many of its end."""

MAX_SHOWN_RESULT: Final = 200_000
"""Characters of a block of a result that are shown."""

MAX_TIMED_EVENTS: Final = 5_000
"""Events of a call that are kept for its time line; of more, the last one is kept."""

MAX_ITEMS: Final = 100
"""Items of a running stream that are shown, the newest."""

SHOWN_PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Media types that are shown as pictures."""

_TIMED: Final = (events.ConnectionOpened, events.RequestSent, events.MessageSent, events.MessageReceived)


class ShownBlock(Record):
    """A content block of a result: its type and text, and for a picture the `data:` URL."""

    kind: str
    text: str
    picture: str = ""


class CallReport(Record):
    """What a call was.

    Attributes:
        blocks: The content, as a host gets it.
        structured: The structured content as JSON; empty without one.
        is_error: Whether the call failed.
        facts: What is known about a failure: its code and whether the request was executed.
        cancelled: Whether the person ended it.
        seconds: How long it took.
        stages: The time line.
        trace: The conversation with the rules that decided.
    """

    blocks: tuple[ShownBlock, ...]
    structured: str
    is_error: bool
    facts: tuple[str, ...]
    cancelled: bool
    seconds: float
    stages: tuple[Stage, ...]
    trace: str


class RunningCall(MutableRecord):
    """A call that can be cancelled. `items` are the newest items of its stream, `count` is how many there were."""

    live: LiveBridge
    items: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_ITEMS))
    count: int = 0
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _timed: list[TimedEvent] = field(default_factory=list)

    async def run(self, name: str, arguments: Mapping[str, Any], on_item: Callable[[], None]) -> CallReport:
        """Call a tool, and return what happened. A failure is a report as well.

        Args:
            name: `manual.tool`, or the name that hosts see.
            arguments: The arguments.
            on_item: Called after each item of a stream.
        """
        redactor, text = self.live.redactor, TraceText()
        ends = [self.live.observe(self._note), self.live.observe(Trace(redactor, text, redactor.guard))]
        started = time.monotonic()
        result: Result | None = None
        try:
            with self._scope:
                result = await self._call(name, arguments, on_item)
        finally:
            for end in ends:
                end()
        ended = time.monotonic()
        stages = tuple(time_line(started, ended, self._timed))
        return _report(result, ended - started, stages, text.text())

    def cancel(self) -> None:
        """End the call: the messages that cancel it are sent, as when a host cancels."""
        self._scope.cancel()

    async def _call(self, name: str, arguments: Mapping[str, Any], on_item: Callable[[], None]) -> Result:
        async def report(number: float, message: str) -> None:
            self.count = int(number)
            self.items.append(escape_invisible(message))
            on_item()

        tool = await self.live.service.find(name)
        if tool is None:
            message = self.live.service.unknown_tool_message(name)
            return Result([{"type": "text", "text": message}], is_error=True)
        return await self.live.service.call(tool, dict(arguments), report)

    def _note(self, event: events.Event) -> None:
        if isinstance(event, _TIMED):
            timed = TimedEvent(time.monotonic(), event)
            if len(self._timed) < MAX_TIMED_EVENTS:
                self._timed.append(timed)
            else:
                self._timed[-1] = timed


class TraceText(io.StringIO):
    """The beginning and the end of a trace; what is between is left out, with a line that says so."""

    def __init__(self) -> None:
        super().__init__()
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._head_size = self._tail_size = 0
        self._left_out = False

    def write(self, text: str, /) -> int:
        """Keep a text."""
        if self._head_size < MAX_TRACE_CHARACTERS:
            self._head.append(text)
            self._head_size += len(text)
            return len(text)
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size > MAX_TRACE_CHARACTERS and len(self._tail) > 1:
            self._tail_size -= len(self._tail.popleft())
            self._left_out = True
        return len(text)

    def text(self) -> str:
        """Return what was kept."""
        between = "\n… (the trace is long; lines between its beginning and its end are left out)\n"
        return "".join([*self._head, between if self._left_out else "", *self._tail])


def _report(result: Result | None, seconds: float, stages: tuple[Stage, ...], trace: str) -> CallReport:
    if result is None:
        return CallReport((), "", False, (), True, seconds, stages, trace)
    facts = [f"code: {result.code}"] if result.code else []
    facts += [f"request: {result.outcome.name.lower().replace('_', ' ')}"] if result.outcome is not None else []
    blocks = tuple(_shown_block(block) for block in result.content)
    structured = _cut(result.structured or "")
    return CallReport(blocks, structured, result.is_error, tuple(facts), False, seconds, stages, trace)


def _shown_block(block: Mapping[str, Any]) -> ShownBlock:
    if block["type"] == "text":
        return ShownBlock("text", _cut(str(block["text"])))
    resource = block.get("resource", block)
    data, media = str(resource.get("data") or resource.get("blob") or ""), str(resource.get("mimeType", ""))
    picture = f"data:{media};base64,{data}" if media in SHOWN_PICTURES else ""
    size = len(data) * 3 // 4 - data[-2:].count("=")  # of what base64 means
    return ShownBlock(block["type"], f"{media}, {size:,} bytes", picture)


def _cut(text: str) -> str:
    more = f"\n… (cut: {len(text):,} characters)" if len(text) > MAX_SHOWN_RESULT else ""
    return escape_invisible(text[:MAX_SHOWN_RESULT]) + more
