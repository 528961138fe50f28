"""What a connection says of its own accord: heartbeats while it is open, and goodbye before it is closed."""

from __future__ import annotations

from typing import Any

import anyio

from ..core.templates.nodes import Unfilled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connection import Connection


class Upkeep:
    """Heartbeats and goodbyes of a connection. `unanswered`: the peer has not answered a heartbeat in time."""

    def __init__(self, connection: Connection) -> None:
        self.unanswered = False
        self._connection = connection
        self._answered = anyio.Event()
        self._said_goodbye = False

    def note_answer(self) -> None:
        """The heartbeat that was sent last has been answered."""
        self._answered.set()

    async def beat(self) -> None:
        """Send heartbeats until the connection ends; one that gets no answer in time ends it."""
        connection, session = self._connection, self._connection.session
        heartbeat, interval = session.conduct.heartbeat, session.interval()
        if heartbeat is None:
            return
        if interval is None:
            connection.unsent("heartbeat", f"{heartbeat.every.source} gives no seconds")
            return
        while connection.is_open:
            await anyio.sleep(interval)
            self._answered = anyio.Event()
            names = self._names()
            session.beat_id = names["request_id"]
            try:
                connection.post(heartbeat.send.render(session.scope(**names).at_once()), "heartbeat")
            except Unfilled as unfilled:
                connection.unsent("heartbeat", str(unfilled))
                continue
            if heartbeat.expect is not None:
                await self._expect_answer(heartbeat.timeout)

    async def _expect_answer(self, timeout: float) -> None:
        with anyio.move_on_after(timeout):
            await self._answered.wait()
        if not self._answered.is_set():
            self.unanswered = True
            self._connection.abort()

    def say_goodbye(self) -> None:
        """Send the messages of `on_disconnect`, once."""
        if self._said_goodbye:
            return
        self._said_goodbye = True
        connection, session = self._connection, self._connection.session
        for index, goodbye in enumerate(session.conduct.goodbyes):
            what, scope = f"on_disconnect[{index}]", session.scope(**self._names())
            if not session.wants(goodbye, scope):
                continue
            try:
                connection.write(connection.encode(goodbye.send.render(scope.at_once())), what)
            except (Unfilled, ValueError) as wrong:
                connection.unsent(what, str(wrong))

    def _names(self) -> dict[str, Any]:
        exchanges = self._connection.exchanges
        return {"request_id": exchanges.next_id(), "counter": exchanges.count}
