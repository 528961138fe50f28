"""Replies that disturb: late, out of order, doubled, foreign, stale."""

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

DELAYS: Final = {"late": 0.06, "overtaken": 0.004}
"""Seconds after which these replies come: after a short timeout, and after replies to later requests."""


def answer_to(number: int) -> str:
    """The only right answer."""
    return f"the answer to {number}"


def reply_to(request: Any) -> str:
    """The right reply to a request."""
    return json.dumps({**request, "answer": answer_to(request["n"])})


class Replies:
    """Answers requests as their `how` says, and remembers what it needs for that.

    The reply comes "late", is "overtaken" by others, comes "twice", or beside it comes a "foreign" one, which belongs
    to no call, or a "stale" one, which has been sent before. Those come first, except where replies carry no id: there
    nothing could tell them apart.
    """

    def __init__(self) -> None:
        self._last: WeakKeyDictionary[ServerConnection, str] = WeakKeyDictionary()
        self._delayed: set[asyncio.Task[None]] = set()

    async def send(self, connection: ServerConnection, request: Any) -> None:
        """Answer one request."""
        reply, how = reply_to(request), request["how"]
        messages = [reply, *self._extra_replies(connection, request, reply)]
        if "id" in request:
            messages.reverse()
        self._last[connection] = reply
        if how in DELAYS:
            task = asyncio.create_task(_send(connection, messages, DELAYS[how]))
            self._delayed.add(task)
            task.add_done_callback(self._delayed.discard)
        else:
            await _send(connection, messages)

    def _extra_replies(self, connection: ServerConnection, request: Any, reply: str) -> list[str]:
        match request["how"]:
            case "twice":
                return [reply]
            case "foreign":
                ids = [str(request.get("id")), [request.get("id")], "nobody", None, True]
                return [reply_to({"id": strange, "n": -1}) for strange in ids if strange != request.get("id")]
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
