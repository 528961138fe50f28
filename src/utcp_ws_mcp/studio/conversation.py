"""A conversation as the page shows it: its lines, and the messages that a draft is made from."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, StrEnum
from typing import Any, ClassVar, Final

import anyio

from ..authoring.recording import Recording, open_recorded
from ..client.connection import Connection
from ..core.codecs.message import decode
from ..core.network_policy import URL
from ..errors import BridgeError, StudioRefused
from ..observability import events
from ..recorder.messages import Mark, RecordedMessage, message_kind
from ..recorder.roles import MessageRole, message_roles
from ..records import MutableRecord, field, replace
from .connect_form import ConnectForm
from .shown import Redact, plain, size_of

MAX_LINES: Final = 20_000
"""Lines that are kept; the oldest are dropped."""

MAX_LINE_CHARACTERS: Final = 1 << 20
"""Characters or bytes of a message that are kept for the page."""

MAX_KEPT: Final = 64 << 20
"""Characters and bytes of all lines that are kept."""

MAX_RECORDED: Final = 2_000
"""Messages that a draft is made from: the first ones."""

MAX_RECORDED_BYTES: Final = 32 << 20
CLOSE_SECONDS: Final = 2.0
_LIMITS: Final = {"max_message_bytes": 32 << 20, "connect_timeout": 15}


class State(Enum):
    """Whether there is a connection."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    OPEN = "open"


class Direction(StrEnum):
    """Where a line comes from: this side, the endpoint, or the studio itself."""

    SENT = "sent"
    RECEIVED = "received"
    NOTE = "note"


class Line(MutableRecord):
    """One line.

    Attributes:
        number: Its number, from 0.
        seconds: When it came, since the conversation began.
        direction: Where it comes from.
        message: The message, cut to MAX_LINE_CHARACTERS, or the text of a note.
        size: The size of the whole message in bytes.
        redact: Removes secrets from it.
        role: What it was classified as: by a rule of a manifest, or by the recorder.
        reasons: Why a rule of a manifest decided so.
        is_own: Whether it is a message of the last connection, not of a tool that was called.
        recorded: Its place among the messages for a draft, or None.
    """

    not_in_repr: ClassVar = ("redact",)
    number: int
    seconds: float
    direction: Direction
    message: str | bytes
    size: int
    redact: Redact
    role: str = ""
    reasons: tuple[str, ...] = ()
    is_own: bool = False
    recorded: int | None = None


class Conversation(MutableRecord):
    """The lines of all connections of a session, and the recording of the last one.

    Attributes:
        lines: The lines.
        state: Whether there is a connection.
        recording: The messages that a draft is made from.
        endpoint: The fields of the call template of the connection.
        url: Its URL, once it was opened.
        problem: Why the last connection could not be opened, or broke; empty if nothing went wrong.
        roles_are_stale: Whether messages were added or marked since the recorder said what they are.
        version: Grows with every change.
        labels_version: Grows with every change of a role or a mark.
    """

    not_in_repr: ClassVar = ("lines", "endpoint", "_typed")
    lines: deque[Line] = field(default_factory=deque)
    state: State = State.CLOSED
    recording: Recording = field(default_factory=lambda: Recording({}))
    endpoint: dict[str, Any] = field(default_factory=dict)
    url: URL | None = None
    problem: str = ""
    roles_are_stale: bool = False
    version: int = 0
    labels_version: int = 0
    _next: int = 0
    _kept: int = 0
    _started: float = field(default_factory=time.monotonic)
    _connection: Connection | None = None
    _scope: anyio.CancelScope | None = None
    _typed: str | None = None

    async def run(self, form: ConnectForm, environ: Mapping[str, str]) -> None:
        """Connect, and receive until the connection ends. What does not work becomes a line."""
        if self.state is not State.CLOSED:
            return
        self._begin(environ)
        try:
            self.endpoint = form.endpoint()
            with anyio.CancelScope() as self._scope:
                opened = await open_recorded(self.endpoint, self.recording, limits=_LIMITS)
                self._connection, self.url = opened
                self.state = State.OPEN
                self.version += 1
                await self._connection.receive_loop()
        except BridgeError as failed:
            self.problem = self.recording.guard(str(failed))
            self._note(self.problem)
        finally:
            if self._connection is not None and self._connection.is_open:
                self._connection.abort()
            self._connection, self._scope, self.state = None, None, State.CLOSED
            self.version += 1

    def _begin(self, environ: Mapping[str, str]) -> None:
        for line in self.lines:
            line.is_own, line.recorded = False, None
        self.recording = Recording(environ, self._observe_own, max_messages=MAX_RECORDED, max_bytes=MAX_RECORDED_BYTES)
        self.state, self.problem = State.CONNECTING, ""
        self.version += 1

    def load(
        self, endpoint: dict[str, Any], url: URL, messages: Sequence[RecordedMessage], names: Sequence[str]
    ) -> None:
        """Show messages that were recorded elsewhere, and make them those of the draft.

        Args:
            endpoint: The fields of the call template.
            url: The parsed URL.
            messages: The messages.
            names: The variables in them, which have no values here.
        """
        self._begin({})
        self.endpoint, self.url = endpoint, url
        self.recording.messages += messages[:MAX_RECORDED]
        self.recording.used_variables |= {name: secrets.token_hex() for name in names}
        for index, message in enumerate(self.recording.messages):
            value = message.value
            text = value if isinstance(value, str | bytes) else json.dumps(value, ensure_ascii=False)
            self._add(Direction.SENT if message.sent else Direction.RECEIVED, text, str)
            self.lines[-1].is_own, self.lines[-1].recorded = True, index
        self.state, self.roles_are_stale = State.CLOSED, True

    async def close(self) -> None:
        """End the connection, or stop connecting."""
        if self._connection is not None:
            with anyio.move_on_after(CLOSE_SECONDS):
                await self._connection.aclose()
        if self._scope is not None:
            self._scope.cancel()

    async def send(self, message: str | bytes) -> None:
        """Send a message; variables in a text get their values, and the line keeps their names.

        Raises:
            StudioRefused: if there is no connection.
            MissingVariable: if a variable is not set. Nothing is sent then.
        """
        connection = self._connection
        if connection is None or not connection.is_open:
            raise StudioRefused("there is no connection. Connect first; the message is still there.")
        if isinstance(message, bytes):
            await self.recording.send_binary(connection, message)
            return
        self.recording.require_variables(message)
        self._typed = message
        await self.recording.send_text(connection, message)

    def observer(self, redact: Redact) -> events.Observer:
        """Return an observer that shows the events of a call of a tool among the lines, with the rules that decided.

        Args:
            redact: Removes the secrets of the manifest from texts.
        """
        return lambda event: self._observe(event, redact, request="request")

    def _observe_own(self, event: events.Event) -> None:
        self._observe(event, self.recording.redact)
        if isinstance(event, events.MessageSent | events.MessageReceived):
            self.lines[-1].is_own = self.roles_are_stale = True
            if not self.recording.full.is_set():
                self.lines[-1].recorded = len(self.recording.messages) - 1

    def _observe(self, event: events.Event, redact: Redact, request: str = "") -> None:
        """Add the lines of an event; `request` is the role of what is sent for a call."""
        match event:
            case events.MessageSent(_, message, purpose):
                typed, self._typed = self._typed, None
                self._add(Direction.SENT, typed if typed is not None else message, redact, purpose or request)
            case events.MessageReceived(_, message, role):
                self._add(Direction.RECEIVED, message, redact, role)
            case events.MatchExplained(_, reasons):
                if self.lines:
                    self.lines[-1].reasons += reasons
            case _:
                for text in _notes(event):
                    self._add(Direction.NOTE, text, redact)

    def _note(self, text: str) -> None:
        self._add(Direction.NOTE, text, str)

    def _add(self, direction: Direction, message: str | bytes, redact: Redact, role: str = "") -> None:
        seconds = time.monotonic() - self._started
        kept = message[:MAX_LINE_CHARACTERS]
        self.lines.append(Line(self._next, seconds, direction, kept, size_of(message), redact, role))
        self._next, self._kept, self.version = self._next + 1, self._kept + len(kept), self.version + 1
        while len(self.lines) > MAX_LINES or self._kept > MAX_KEPT:
            self._kept -= len(self.lines.popleft().message)

    def clear(self) -> None:
        """Forget all lines, and the messages for a draft as long as nothing is connected."""
        self.lines.clear()
        self._kept = 0
        if self.state is State.CLOSED:
            self.recording = Recording({})
        self.version += 1

    def line(self, number: int) -> Line | None:
        """Return a line, unless it is dropped."""
        first = self.lines[0].number if self.lines else 0
        index = number - first
        return self.lines[index] if 0 <= index < len(self.lines) else None

    def matching(self, words: str, since: int = 0) -> Iterator[Line]:
        """Yield the lines from a number on that contain some words, without regard to case; all for no words."""
        wanted = words.casefold().strip()
        first = self.lines[0].number if self.lines else 0
        for index in range(max(0, since - first), len(self.lines)):
            line = self.lines[index]
            if not wanted or wanted in line.role or wanted in plain(line.message).casefold():
                yield line

    def own_messages(self) -> list[tuple[int, bool, str | bytes]]:
        """Return the messages that a draft is made from: the number of each line, whether it was sent, and its text."""
        own = [line for line in self.lines if line.recorded is not None]
        return [(line.number, line.direction is Direction.SENT, line.message) for line in own]

    def mark(self, number: int, mark: Mark | None) -> None:
        """Say what a message is; None: the recorder finds out.

        Raises:
            StudioRefused: if the line is no message that a draft is made from.
        """
        line = self.line(number)
        if line is None or line.recorded is None:
            raise StudioRefused("this line is not part of the draft: only messages of the last connection are.")
        messages = self.recording.messages
        messages[line.recorded] = replace(messages[line.recorded], mark=mark)
        self.roles_are_stale = True
        self.version, self.labels_version = self.version + 1, self.labels_version + 1

    def mark_of(self, line: Line) -> Mark | None:
        """Return how a line is marked."""
        return self.recording.messages[line.recorded].mark if line.recorded is not None else None

    async def classify(self) -> None:
        """Let the recorder say what each message of the last connection is classified as."""
        recording = self.recording
        messages, variables = tuple(recording.messages), tuple(recording.used_variables)
        self.roles_are_stale = False
        endpoint = {"url": "", **self.endpoint}
        try:
            roles = await anyio.to_thread.run_sync(message_roles, endpoint, messages, variables)
        except RecursionError:  # a message that is nested very deeply
            return
        if recording is self.recording:
            self._label(messages, roles)
            self.version, self.labels_version = self.version + 1, self.labels_version + 1

    def _label(self, messages: Sequence[RecordedMessage], roles: Sequence[MessageRole]) -> None:
        """Write the roles into the lines; a message that was not recorded gets that of most others of its kind."""
        by_kind: dict[Any, Counter[str]] = {}
        for message, role in zip(messages, roles, strict=True):
            by_kind.setdefault((message.sent, message_kind(message.value)), Counter())[role] += 1
        for line in self.lines:
            if line.recorded is not None and line.recorded < len(roles):
                line.role = roles[line.recorded].value
            elif line.is_own and not line.role:
                kind = message_kind(decode(line.message).value)
                found = by_kind.get((line.direction is Direction.SENT, kind)) if kind else None
                line.role = found.most_common(1)[0][0] if found else ""


def _notes(event: events.Event) -> Iterator[str]:
    match event:
        case events.ConnectionOpened(_, address, seconds):
            yield f"connected to {address} in {seconds * 1000:.0f} ms"
        case events.ConnectionClosed(_, _, reason):
            yield f"the connection ended: {reason}"
        case events.HttpRequestFinished(_, method, address, status):
            yield f"{method} {address}: HTTP {status}"
        case events.MessageSendFailed(_, purpose, reason):
            yield f"{purpose} was not sent: {reason}"
        case events.DiscoveryFailed(_, text) | events.WarningIssued(text):
            yield text
