"""The preset mopidy, against a server that follows JSON-RPC 2.0 and mixes Mopidy's events in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to
from tests.presets.servers import Broken, Session, Strict, call_all, calling, meanwhile, strict
from utcp_ws_mcp import ToolError

PLAY = {
    "name": "core.playback.play",
    "tool_call_template": {"stream": {"until": "message.event == 'track_playback_started'", "include_last": True}},
}
WATCH = {"name": "watch", "tool_call_template": {"listen": True, "stream": {"max_items": 2}}}
VOLUME = {"event": "volume_changed", "volume": 40}
STARTED = {"event": "track_playback_started", "tl_track": {"tlid": 1}}


class Music(Session):
    """A mixer and a player. `hold`: how many replies it collects and then sends in reverse."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.last_id = 0
        self.held: list[Any] = []

    async def take(self, message: Any) -> None:
        number, params = message["id"], message.get("params", {})
        if message["jsonrpc"] != "2.0" or set(message) - {"jsonrpc", "id", "method", "params"}:
            raise Broken(f"no JSON-RPC request: {message}")
        if not isinstance(number, int) or number <= self.last_id:
            raise Broken(f"the id {number} follows {self.last_id}")
        self.last_id = number
        reply = {"jsonrpc": "2.0", "id": number}
        match message["method"]:
            case "core.mixer.set_volume" if isinstance(params["volume"], int):
                self.held.append(reply | {"result": params["volume"]})
            case "core.mixer.set_volume":
                data = {"type": "ValidationError", "message": "Expected an integer"}
                self.held.append(reply | {"error": {"code": 0, "message": "Application error", "data": data}})
            case "core.playback.play":
                self.held += [VOLUME, reply | {"result": None}, {"event": "playback_state_changed"}, STARTED]
            case "core.playback.stop":
                self.held.append(reply | {"result": None})
            case method:
                self.held.append(reply | {"error": {"code": -32601, "message": f"Method not found: {method}"}})
        if len(self.held) >= self.server.settings.get("hold", 1):
            ordered = self.held[::-1] if "hold" in self.server.settings else self.held
            await self.send(VOLUME, *ordered, VOLUME)
            self.held = []


def manifest(server: Strict) -> dict[str, Any]:
    plain = [{"name": name} for name in ("core.mixer.set_volume", "core.playback.stop", "core.nothing")]
    return {"name": "m", "url": server.peer.url, "preset": "mopidy", "tools": [*plain, PLAY, WATCH]}


async def test_a_result_comes_between_events_and_may_be_null(tmp_path: Path) -> None:
    async with strict(Music) as server, bridge_to(tmp_path, manifest(server)) as bridge:
        assert await bridge.call_tool("m.core.mixer.set_volume", {"volume": 40}) == 40
        assert await bridge.call_tool("m.core.playback.stop") is None
        assert len(server.sessions) == 1


async def test_replies_in_reverse_reach_their_own_calls(tmp_path: Path) -> None:
    async with strict(Music, hold=8) as server, bridge_to(tmp_path, manifest(server)) as bridge:
        calls = [("m.core.mixer.set_volume", {"volume": number}) for number in range(8)]
        assert await call_all(bridge, calls) == list(range(8))
        assert len(server.sessions) == 1


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("core.mixer.set_volume", {"volume": "loud"}, r"^the endpoint said: Expected an integer \(0\) \[tool-error\]$"),
        ("core.nothing", {}, r"^the endpoint said: Method not found: core\.nothing \(-32601\) \[tool-error\]$"),
    ],
)
async def test_an_error_has_its_most_specific_message(
    tmp_path: Path, name: str, arguments: dict[str, Any], why: str
) -> None:
    async with strict(Music) as server, bridge_to(tmp_path, manifest(server)) as bridge:
        with pytest.raises(ToolError, match=why):
            await bridge.call_tool(f"m.{name}", arguments)


async def test_events_around_the_reply_are_collected_until_one_of_them(tmp_path: Path) -> None:
    async with strict(Music) as server, bridge_to(tmp_path, manifest(server)) as bridge:
        played = await bridge.call_tool("m.core.playback.play")
        assert played.value["end"] == "until"
        before, after = ["volume_changed", "volume_changed"], ["playback_state_changed", "track_playback_started"]
        assert [item["event"] for item in played.items] == before + after


async def test_events_are_watched_beside_calls(tmp_path: Path) -> None:
    async with strict(Music) as server, bridge_to(tmp_path, manifest(server)) as bridge:

        async def change() -> None:
            await server.until(lambda: bool(server.sessions))
            assert await bridge.call_tool("m.core.mixer.set_volume", {"volume": 1}) == 1

        async with meanwhile(change):
            watched = await bridge.call_tool("m.watch")
        assert watched.value == {"items": [VOLUME, VOLUME], "end": "max_items", "complete": False}
        async with calling(bridge, "m.watch"):
            assert await bridge.call_tool("m.core.playback.stop") is None
        assert len(server.sessions) == 1


async def test_a_lost_connection_is_replaced(tmp_path: Path) -> None:
    async with strict(Music) as server, bridge_to(tmp_path, manifest(server)) as bridge:
        for _ in range(3):
            assert await bridge.call_tool("m.core.mixer.set_volume", {"volume": 7}) == 7
            await server.cut()
        assert [session.last_id for session in server.sessions] == [1, 1, 1]
