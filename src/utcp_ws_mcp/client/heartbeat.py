"""Heartbeat messages, as the manifest's `heartbeat` describes them. They are sent beside the pings of RFC 6455."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from ..core.connection_rules import CompiledHeartbeat
from ..core.exchange.connection_state import ConnectionState
from ..core.templates.nodes import RenderError


class HeartbeatTask:
    """Send the heartbeats of one connection, and abort it if one is not answered in time.

    It knows no connection, only what it needs of one.

    Args:
        state: The state of the connection.
        is_open: Returns whether messages can be sent.
        template_values: Returns the names that a template may use beside those of the state, with a new request id.
        send: Sends a value without waiting for the peer.
        abort: Ends the connection without a closing handshake.
        is_behind: Returns whether something of what has arrived is not processed yet: the answer may be in it.

    Attributes:
        timed_out: Whether the peer did not answer a heartbeat in time.
    """

    def __init__(
        self,
        state: ConnectionState,
        is_open: Callable[[], bool],
        template_values: Callable[[], dict[str, Any]],
        send: Callable[[Any, str], None],
        abort: Callable[[], None],
        is_behind: Callable[[], bool],
    ) -> None:
        self.timed_out = False
        self._state = state
        self._is_open = is_open
        self._template_values = template_values
        self._send = send
        self._abort = abort
        self._is_behind = is_behind
        self._acknowledged = anyio.Event()

    def acknowledge(self) -> None:
        """Note that the heartbeat which was sent last has been answered."""
        self._state.heartbeat_pending = False
        self._acknowledged.set()

    async def run(self) -> None:
        """Send heartbeats until the connection ends; one that is not answered in time aborts the connection."""
        heartbeat = self._state.rules.heartbeat
        if heartbeat is None:
            return
        # The interval is computed once: an expression reads it from the greeting, which came during the login.
        interval = self._state.heartbeat_interval()
        if interval is None:
            self._state.on_send_failed(
                "heartbeat", f"heartbeat.every: {heartbeat.every.source} is not a number above zero."
            )
            return
        while self._is_open():
            await anyio.sleep(interval)
            await self._beat(heartbeat)

    async def _beat(self, heartbeat: CompiledHeartbeat) -> None:
        # A new event, made before the message is sent: the answer to an earlier heartbeat must not count for this one.
        self._acknowledged = anyio.Event()
        values = self._template_values()
        self._state.heartbeat_id = values["request_id"]
        try:
            message = heartbeat.send.render(self._state.scope(**values).with_frozen_time())
        except RenderError as error:
            self._state.on_send_failed("heartbeat", str(error))
            return
        self._state.heartbeat_pending = heartbeat.expect is not None
        self._send(message, "heartbeat")
        if heartbeat.expect is not None:
            await self._wait_for_reply(heartbeat.timeout)

    async def _wait_for_reply(self, timeout: float) -> None:
        waits = True
        while waits:
            with anyio.move_on_after(timeout):
                await self._acknowledged.wait()
            waits = self._is_behind() and not self._acknowledged.is_set()
        if not self._acknowledged.is_set():
            self.timed_out = True
            self._abort()
