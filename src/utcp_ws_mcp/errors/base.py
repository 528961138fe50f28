"""The base of all errors, and what they are made of: outcomes, stages and problems."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Final

from ..records import Record


class Outcome(Enum):
    """What is known about a request when its call fails."""

    NOT_SENT = "No request was sent."
    MAYBE_EXECUTED = "The request was sent and may have been executed; verify before retrying."
    ANSWERED = "The request was executed and answered."


class TimeoutStage(Enum):
    """What a call was waiting for when its timeout ended."""

    POOL = "pool"
    CONNECT = "connect"
    HTTP = "http"
    SEND = "send"
    REPLY = "reply"
    STREAM = "stream"
    LISTEN = "listen"


Position = tuple[int, int]
"""Line and column in a file, from 1."""


class Problem(Record):
    """One problem of a document: its JSON path (empty for the whole document) and a message that says what to write.

    `position` is the line and column in the file, if known; `code` is one of `errors.codes`.
    """

    path: str
    message: str
    position: Position | None = None
    code: str = "invalid-value"

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{place}{self.message} [{self.code}]"

    def format(self, source: str) -> str:
        """Return the problem with the name of its file, and line and column in the form that editors follow."""
        place = f"{source}:{self.position[0]}:{self.position[1]}" if self.position else source
        return f"{place}: {self}"


ENDPOINT_SAID: Final = "the endpoint said: "
"""Stands before each text of an endpoint in a message, so that it cannot imitate a sentence of the bridge."""


def quote_endpoint(text: str) -> str:
    """Return a text of an endpoint as a part of a sentence: marked, in quotes that it cannot end, on one line."""
    plain = "".join(char if char.isprintable() else " " for char in text.replace("“", '"').replace("”", '"'))
    return f"{ENDPOINT_SAID}“{plain.strip()}”"


def end_sentence(text: str) -> str:
    """Return a text with a full stop, unless it ends as a sentence already, also within a quotation."""
    return text if text.removesuffix("”").endswith((".", "!", "?", "…")) else f"{text}."


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital at its beginning and a full stop."""
    return end_sentence(text[:1].upper() + text[1:])


class RetryAfter(Record):
    """When a server asks to come back: in how many seconds, and the time of that (UTC)."""

    seconds: float
    at: datetime

    def __str__(self) -> str:
        return f"The server asks to try again in {self.seconds:g} s, at {self.at:%H:%M:%S} UTC."


class BridgeError(Exception):
    """The base of all errors that the bridge raises on purpose.

    `message` is the text without the code, `code` the stable identifier, `outcome` what is known about the request,
    `partial` the items of a stream that arrived before it, `retry_after` when the server asks to come back.
    """

    code = "internal-error"
    outcome = Outcome.NOT_SENT
    retry_after: RetryAfter | None = None
    partial: tuple[object, ...] = ()

    def __init__(self, message: str, *, code: str | None = None) -> None:
        self.message = message
        if code is not None:
            self.code = code
        super().__init__(message)

    @property
    def cause(self) -> str:
        """Return the message without what is known about the request, for a feed, whose events no request asks for."""
        return self.message.removesuffix(self.outcome.value).rstrip()

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"
