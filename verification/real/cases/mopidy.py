"""The music server Mopidy."""

from __future__ import annotations

import anyio

from verification.real.tools import ToolClient


async def version(tools: ToolClient) -> None:
    """The server's version."""
    assert await tools.text("version") == "3.4.1"


async def browse(tools: ToolClient) -> None:
    """A folder."""
    result = await tools.json("browse", uri=tools.variables["MEDIA"])
    assert [(item["name"], item["type"]) for item in result] == [("alpha.wav", "track"), ("beta.wav", "track")]


async def add_track(tools: ToolClient) -> None:
    """A track is added to the list."""
    result = await tools.json("add_track", uri=f"{tools.variables['MEDIA']}/alpha.wav")
    assert result[0]["track"]["name"] == "alpha.wav"
    assert result[0]["track"]["length"] == 20000


async def set_volume(tools: ToolClient) -> None:
    """A result may be true."""
    assert await tools.json("set_volume", volume=40) is True


async def play_and_watch(tools: ToolClient) -> None:
    """Events that are no JSON-RPC, until the track has started."""
    stream = await tools.stream("play")
    assert "playback_state_changed" in [item["event"] for item in stream.items]
    assert stream.items[-1]["tl_track"]["track"]["name"] == "alpha.wav"
    assert stream.end == "until"


async def state(tools: ToolClient) -> None:
    """Events of an earlier call answer nothing."""
    assert await tools.json("set_volume", volume=55) is True
    await anyio.sleep(0.5)
    assert await tools.text("state") == "playing"
    assert any(role == "dropped" and "volume_changed" in text for role, text in tools.messages("<"))


async def stop(tools: ToolClient) -> None:
    """A result of null is a result."""
    assert await tools.json("stop") is None


async def bad_argument(tools: ToolClient) -> None:
    """What the server says of a wrong argument."""
    assert await tools.error("set_volume", volume="loud") == "ValidationError: Expected an integer, not 'loud'"


async def unknown_method(tools: ToolClient) -> None:
    """A method that does not exist."""
    assert "(-32601)" in await tools.error("call", method="core.nothing")
