"""The V8 inspector of Node.js."""

from __future__ import annotations

import json

from verification.real.tools import ToolClient


async def evaluate(tools: ToolClient) -> None:
    """An expression has a value."""
    assert (await tools.json("evaluate", expression="total() * 5 + 2"))["value"] == 42


async def evaluate_object(tools: ToolClient) -> None:
    """A console line comes before the reply, and answers nothing."""
    result = await tools.json("evaluate", expression="console.log('looking'); inventory")
    assert result["value"] == {"apples": 3, "pears": 5}
    assert any(role == "dropped" and "looking" in text for role, text in tools.messages("<"))


async def await_promise(tools: ToolClient) -> None:
    """A promise is waited for."""
    result = await tools.json("evaluate", expression="new Promise(r => setTimeout(r, 200, 'later'))")
    assert result["value"] == "later"


async def thrown(tools: ToolClient) -> None:
    """What the script throws is the error."""
    text = await tools.error("evaluate", expression="missing.name")
    assert text.startswith("ReferenceError: missing is not defined")


async def unknown_method(tools: ToolClient) -> None:
    """So is what the protocol refuses."""
    assert await tools.error("call", method="Nothing.here") == "'Nothing.here' wasn't found (-32601)"


async def console_stream(tools: ToolClient) -> None:
    """Notifications become a stream, which ends with the third."""
    ticks = (
        "{ let n = 0; const t = setInterval(() => { console.log('tick', ++n); if (n === 3) clearInterval(t); }, 40); }"
        " 'started'"
    )
    stream = await tools.stream("watch_ticks", expression=ticks)
    assert stream.value == {"items": [1, 2, 3], "end": "max_items"}
    assert [text for _, text in stream.progress] == ["1", "2", "3"]


async def heap_snapshot(tools: ToolClient) -> None:
    """Some megabytes in many pieces, ended by the reply, are one JSON document."""
    stream = await tools.stream("heap_snapshot")
    assert stream.end == "until"
    assert len(stream.progress) >= 5
    assert json.loads(stream.value["text"]).keys() >= {"snapshot", "nodes", "edges"}


async def wrong_path(tools: ToolClient) -> None:
    """An id that does not exist is no WebSocket endpoint."""
    url = f"ws://127.0.0.1:{tools.variables['PORT']}/00000000-0000-0000-0000-000000000000"
    async with tools.restarted({"URL": url}) as elsewhere:
        assert "its answer was no WebSocket upgrade" in await elsewhere.error("evaluate", expression="1")
