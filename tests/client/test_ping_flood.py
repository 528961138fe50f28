"""A server that takes the pings between calls for a flood, or answers none: the log and the check name the field."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

from tests.peer import bridge_to, echo, entry, peer
from utcp_ws_mcp.cli.main import main
from utcp_ws_mcp.errors import ConnectionLost
from utcp_ws_mcp.observability.events import Event, WarningIssued

FIX = 'set "limits": {"ping_interval": 0} in the call template'


class Impatient(ServerConnection):
    """A connection that is closed with a policy code at the second ping."""

    pings = 0

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings += 1
            if self.pings > 1:
                self.closing = asyncio.get_running_loop().create_task(self.close(1008, "Ping/pong flood"))
        super().process_event(event)


class Mute(ServerConnection):
    """A connection that answers no ping, as QLC+ does."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        send = self.protocol.send_frame

        def send_unless_pong(frame: Frame) -> None:
            if frame.opcode is not Opcode.PONG:
                send(frame)

        self.protocol.send_frame = send_unless_pong  # type: ignore[method-assign]


def warnings(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, WarningIssued)]


async def test_a_server_that_does_not_accept_pings_is_reported_once_with_the_field_to_write(tmp_path: Path) -> None:
    events: list[Event] = []
    async with peer(echo, create_connection=Impatient) as seen:
        async with bridge_to(tmp_path, entry(seen, "t"), events=events) as bridge:
            for _ in range(4):
                await bridge.call_tool("m.t")
            await seen.until(lambda: len(seen.closed) > 0)
            await bridge.call_tool("m.t")
    (warning,) = warnings(events)
    assert "closed by the server with code 1008; the endpoint said: “Ping/pong flood”." in warning
    assert FIX in warning


async def test_without_pings_the_connection_lasts(tmp_path: Path) -> None:
    events: list[Event] = []
    async with peer(echo, create_connection=Impatient) as seen:
        template = entry(seen, "t", limits={"ping_interval": 0})
        async with bridge_to(tmp_path, template, events=events) as bridge:
            for _ in range(4):
                await bridge.call_tool("m.t")
        assert len(seen.upgrades) == 1
    assert warnings(events) == []


async def test_a_policy_code_with_another_reason_during_a_call_says_nothing_of_pings(tmp_path: Path) -> None:
    async def refuse(seen: Any, connection: Any, message: Any) -> None:
        await connection.close(1008, "not allowed")

    events: list[Event] = []
    async with peer(refuse) as seen, bridge_to(tmp_path, entry(seen, "t"), events=events) as bridge:
        with pytest.raises(ConnectionLost, match="not allowed"):
            await bridge.call_tool("m.t")
    assert warnings(events) == []


async def test_a_check_online_finds_it(tmp_path: Path) -> None:
    async with peer(echo, create_connection=Impatient) as seen:
        file = tmp_path / "m.json"
        file.write_text(json.dumps(entry(seen, {"name": "t", "description": "d"})))
        options = ["check", "--online", "--strict", "--duration", "0.1", str(file)]
        checked = await asyncio.to_thread(CliRunner().invoke, main, options)
    assert FIX in checked.output
    assert checked.exit_code != 0


async def test_a_server_that_answers_no_pings_is_reported_once_with_the_field_to_write(tmp_path: Path) -> None:
    events: list[Event] = []
    async with peer(echo, create_connection=Mute) as seen:
        async with bridge_to(tmp_path, entry(seen, "t"), events=events) as bridge:
            for _ in range(3):
                await bridge.call_tool("m.t")
    (warning,) = warnings(events)
    assert "the server answers no pings, so that each call waits for one and opens a connection." in warning
    assert FIX in warning


async def test_a_check_online_finds_that_no_ping_is_answered(tmp_path: Path) -> None:
    async with peer(echo, create_connection=Mute) as seen:
        file = tmp_path / "m.json"
        file.write_text(json.dumps(entry(seen, {"name": "t", "description": "d"})))
        options = ["check", "--online", "--strict", "--duration", "0.1", str(file)]
        checked = await asyncio.to_thread(CliRunner().invoke, main, options)
    assert "the server answers no pings" in checked.output
    assert checked.exit_code != 0
