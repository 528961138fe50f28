"""What a connection says of its own accord: heartbeats while it is open, and goodbye before it is closed."""

from __future__ import annotations

from typing import Any

import anyio

from ..core.templates.nodes import RenderError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connection import Connection


class HeartbeatTask:
    """Heartbeats and goodbyes of a connection. `unanswered`: the peer has not answered a heartbeat in time."""

    def __init__(self, connection: Connection) -> None:
        self.timed_out = False
        self._connection = connection
        self._acknowledged = anyio.Event()
        self._disconnect_messages_sent = False

    def acknowledge(self) -> None:
        """The heartbeat that was sent last has been answered."""
        self._acknowledged.set()

    async def run(self) -> None:
        """Send heartbeats until the connection ends; one that gets no answer in time ends it."""
        connection, session = self._connection, self._connection.session
        heartbeat, interval = session.rules.heartbeat, session.heartbeat_interval()
        if heartbeat is None:
            return
        if interval is None:
            connection.on_send_failed("heartbeat", f"{heartbeat.every.source} gives no seconds")
            return
        while connection.is_open:
            await anyio.sleep(interval)
            self._acknowledged = anyio.Event()
            names = self._template_values()
            session.heartbeat_id = names["request_id"]
            try:
                connection.send_or_abort(heartbeat.send.render(session.scope(**names).with_frozen_time()), "heartbeat")
            except RenderError as unfilled:
                connection.on_send_failed("heartbeat", str(unfilled))
                continue
            if heartbeat.expect is not None:
                await self._wait_for_reply(heartbeat.timeout)

    async def _wait_for_reply(self, timeout: float) -> None:
        with anyio.move_on_after(timeout):
            await self._acknowledged.wait()
        if not self._acknowledged.is_set():
            self.timed_out = True
            self._connection.abort()

    def send_disconnect_messages(self) -> None:
        """Send the messages of `on_disconnect`, once."""
        if self._disconnect_messages_sent:
            return
        self._disconnect_messages_sent = True
        connection, session = self._connection, self._connection.session
        for index, goodbye in enumerate(session.rules.on_disconnect):
            what, scope = f"on_disconnect[{index}]", session.scope(**self._template_values())
            if not session.applies(goodbye, scope):
                continue
            try:
                connection.send_nowait(connection.encode(goodbye.send.render(scope.with_frozen_time())), what)
            except (RenderError, ValueError) as wrong:
                connection.on_send_failed(what, str(wrong))

    def _template_values(self) -> dict[str, Any]:
        exchanges = self._connection.dispatcher
        return {"request_id": exchanges.next_id(), "counter": exchanges.count}
