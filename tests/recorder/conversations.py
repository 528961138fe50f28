"""Recorded conversations, written as lines."""

from __future__ import annotations

import json
from typing import Any

from utcp_ws_mcp.recorder.correlation import RecordedExchange
from utcp_ws_mcp.recorder.messages import Mark, RecordedMessage

MARKS = {"R": Mark.REPLY, "E": Mark.EVENT, "X": Mark.ERROR, "I": Mark.IGNORED, "Q": Mark.REQUEST}


def conversation(*lines: str) -> list[RecordedMessage]:
    """The messages of lines such as `> {…}` (sent) and `<E {…}` (received, marked as an event)."""
    messages = []
    for line in lines:
        sign, _, text = line.partition(" ")
        value = json.loads(text) if text[:1] in ("{", "[") else text
        messages.append(RecordedMessage(sign[0] == ">", value, MARKS[sign[1]] if sign[1:] else None))
    return messages


def received(*values: Any) -> list[RecordedMessage]:
    """Received messages with these values."""
    return [RecordedMessage(False, value) for value in values]


def exchange(request: Any, *replies: Any, events: tuple[Any, ...] = (), **fields: Any) -> RecordedExchange:
    """A request with its replies, and the events that arrived after it."""
    return RecordedExchange(RecordedMessage(True, request), received(*replies), received(*events), **fields)
