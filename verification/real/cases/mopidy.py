"""The music server Mopidy."""

from __future__ import annotations

import anyio

from verification.real.tools import ToolClient


async def version(tools: ToolClient) -> None:
    """Get the version of the server."""
    assert await tools.text("version") == "3.4.1"


async def browse(tools: ToolClient) -> None:
    """List a folder."""
    result = await tools.json("browse", uri=tools.variables["MEDIA"])
    assert [(item["name"], item["type"]) for item in result] == [("alpha.wav", "track"), ("beta.wav", "track")]


async def add_track(tools: ToolClient) -> None:
    """Add a track to the list."""
    result = await tools.json("add_track", uri=f"{tools.variables['MEDIA']}/alpha.wav")
    assert result[0]["track"]["name"] == "alpha.wav"
    assert result[0]["track"]["length"] == 20000


async def set_volume(tools: ToolClient) -> None:
    """Return the result `true`."""
    assert await tools.json("set_volume", volume=40) is True


async def play_and_watch(tools: ToolClient) -> None:
    """Receive events without JSON-RPC until the track has started."""
    stream = await tools.stream("play")
    assert "playback_state_changed" in [item["event"] for item in stream.items]
    assert stream.items[-1]["tl_track"]["track"]["name"] == "alpha.wav"
    assert stream.end == "until"


async def state(tools: ToolClient) -> None:
    """Do not classify events of an earlier call as the reply."""
    assert await tools.json("set_volume", volume=55) is True
    await anyio.sleep(0.5)
    assert await tools.text("state") == "playing"
    assert any(role == "dropped" and "volume_changed" in text for role, text in tools.messages("<"))


async def stop(tools: ToolClient) -> None:
    """Return the result `null`."""
    assert await tools.json("stop") is None


async def bad_argument(tools: ToolClient) -> None:
    """Return the error message for an invalid argument."""
    assert (
        await tools.error("set_volume", volume="loud")
        == "the endpoint said: ValidationError: Expected an integer, not 'loud' [tool-error]"
    )


async def unknown_method(tools: ToolClient) -> None:
    """Fail with an unknown method."""
    assert "(-32601)" in await tools.error("call", method="core.nothing")
