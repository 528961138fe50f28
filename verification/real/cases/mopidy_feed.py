"""The events of the music server Mopidy as a feed of newest values, open from the start."""

from __future__ import annotations

from verification.real.feed_reading import Reader
from verification.real.tools import ToolClient


async def before_the_first_read(tools: ToolClient) -> None:
    """Keep an event that came before the first read."""
    await Reader.settled(tools, "player")
    assert await tools.json("set_volume", volume=30) is True
    page = await tools.json("player_events", wait_seconds=10)
    assert page["events"][-1]["data"] == {"event": "volume_changed", "volume": 30}


async def newest_value(tools: ToolClient) -> None:
    """Keep the newest of several changes."""
    reader = await Reader.begin(tools, "player")
    for volume in (40, 50, 60):
        await tools.json("set_volume", volume=volume)
    await reader.read_until(lambda event: event.get("volume") == 60)
    latest = await tools.json("player_latest", keys=["volume_changed"])
    assert [value["data"]["volume"] for value in latest["values"]] == [60]
    assert reader.missed == 0


async def playing(tools: ToolClient) -> None:
    """Wait until a track plays."""
    reader = await Reader.begin(tools, "player")
    await tools.json("add_track", uri=f"{tools.variables['MEDIA']}/alpha.wav")
    waiting = tools.start(
        "player_events", cursor=reader.cursor, where="data.event == 'track_playback_started'", wait_seconds=20
    )
    await tools.json("play")
    await waiting.ended.wait()
    [event] = waiting.result.structured_content["events"]
    assert event["data"]["tl_track"]["track"]["name"] == "alpha.wav"
