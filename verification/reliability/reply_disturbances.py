"""Disturbed replies: late, out of order, duplicated, foreign, stale."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Literal, get_args
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

ReplyKind = Literal["plain", "late", "overtaken", "twice", "foreign", "stale"]
REPLY_KINDS: Final[tuple[ReplyKind, ...]] = get_args(ReplyKind)

DELAYS: Final = {"late": 0.3, "overtaken": 0.004}
"""Seconds of delay: "late" exceeds a short timeout, also on a busy machine; "overtaken" arrives after replies to later
requests."""


def answer_to(number: int) -> str:
    """Return the only correct answer."""
    return f"the answer to {number}"


def reply_to(request: Any) -> str:
    """Return the correct reply to a request."""
    return json.dumps({**request, "answer": answer_to(request["n"])})


class Replies:
    """Answers requests with the disturbance of their field `how`.

    The reply is "late", "overtaken" by others, sent "twice", or accompanied by a "foreign" reply with an id of no call
    or by a "stale" reply that was sent before. The additional replies are sent first, except where replies have no id:
    such a reply could not be distinguished from the correct one.
    """

    def __init__(self) -> None:
        self._last: WeakKeyDictionary[ServerConnection, str] = WeakKeyDictionary()
        self._delayed: set[asyncio.Task[None]] = set()

    async def send(self, connection: ServerConnection, request: Any) -> None:
        """Answer a request."""
        reply, kind = reply_to(request), request["how"]
        messages = [reply, *self._extra_replies(connection, request, reply)]
        if "id" in request:
            messages.reverse()
        self._last[connection] = reply
        if kind in DELAYS:
            task = asyncio.create_task(_send(connection, messages, DELAYS[kind]))
            self._delayed.add(task)
            task.add_done_callback(self._delayed.discard)
        else:
            await _send(connection, messages)

    def _extra_replies(self, connection: ServerConnection, request: Any, reply: str) -> list[str]:
        match request["how"]:
            case "twice":
                return [reply]
            case "foreign":
                ids = [str(request.get("id")), [request.get("id")], "unknown", None, True]
                return [reply_to({"id": foreign, "n": -1}) for foreign in ids if foreign != request.get("id")]
            case "stale":
                return [self._last.get(connection, reply)]
            case _:
                return []


async def _send(connection: ServerConnection, messages: Sequence[str], delay: float = 0.0) -> None:
    if delay:
        await asyncio.sleep(delay)
    with suppress(ConnectionClosed):
        for message in messages:
            await connection.send(message)
