"""The console of a page in Chromium as a feed."""

from __future__ import annotations

from verification.real.feed_reading import Reader
from verification.real.tools import ToolClient


async def console(tools: ToolClient) -> None:
    """Keep what the page writes while no client reads."""
    reader = await Reader.begin(tools, "console")
    await tools.json("evaluate", code="console.log('one'); console.warn('two'); 3")
    events = await reader.read(2)
    assert events == [{"level": "log", "text": "one"}, {"level": "warning", "text": "two"}]


async def newest_of_each_level(tools: ToolClient) -> None:
    """Find the newest message of each level."""
    await tools.json("evaluate", code="console.log('newer'); 1")
    await Reader.settled(tools, "console")
    latest = await tools.json("console_latest", keys=["log", "warning"])
    assert {value["key"]: value["data"]["text"] for value in latest["values"]} == {"warning": "two", "log": "newer"}


async def exactly_missed(tools: ToolClient) -> None:
    """Count what was removed: 250 events into 100 places."""
    reader = await Reader.begin(tools, "console")
    await tools.json("evaluate", code="for (let n = 0; n < 250; n++) console.log(n); 1")
    await Reader.settled(tools, "console")
    assert [event["text"] for event in await reader.read(100)] == list(range(150, 250))
    assert (reader.missed, reader.gaps) == (150, [])


async def later(tools: ToolClient) -> None:
    """Wait for what the page writes later."""
    reader = await Reader.begin(tools, "console")
    await tools.json("evaluate", code="setTimeout(() => console.log('later'), 300); 1")
    assert [event["text"] for event in await reader.read(1)] == ["later"]
