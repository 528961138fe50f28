"""The V8 inspector of Node.js."""

from __future__ import annotations

import json

from verification.real.tools import ToolClient


async def evaluate(tools: ToolClient) -> None:
    """Evaluate an expression."""
    assert (await tools.json("evaluate", expression="total() * 5 + 2"))["value"] == 42


async def evaluate_object(tools: ToolClient) -> None:
    """Do not classify a console event before the reply as the reply."""
    result = await tools.json("evaluate", expression="console.log('looking'); inventory")
    assert result["value"] == {"apples": 3, "pears": 5}
    assert any(role == "dropped" and "looking" in text for role, text in tools.messages("<"))


async def await_promise(tools: ToolClient) -> None:
    """Wait for a promise."""
    result = await tools.json("evaluate", expression="new Promise(r => setTimeout(r, 200, 'later'))")
    assert result["value"] == "later"


async def thrown(tools: ToolClient) -> None:
    """Return an exception of the script as the error."""
    text = await tools.error("evaluate", expression="missing.name")
    assert text.startswith("the endpoint said: ReferenceError: missing is not defined")


async def unknown_method(tools: ToolClient) -> None:
    """Return an error of the protocol as the error."""
    assert (
        await tools.error("call", method="Nothing.here")
        == "the endpoint said: 'Nothing.here' wasn't found (-32601) [tool-error]"
    )


async def console_stream(tools: ToolClient) -> None:
    """Stream notifications and end after the third."""
    ticks = (
        "{ let n = 0; const t = setInterval(() => { console.log('tick', ++n); if (n === 3) clearInterval(t); }, 40); }"
        " 'started'"
    )
    stream = await tools.stream("watch_ticks", expression=ticks)
    assert stream.value == {"items": [1, 2, 3], "end": "max_items", "complete": False}
    assert [text for _, text in stream.progress] == ["1", "2", "3"]


async def heap_snapshot(tools: ToolClient) -> None:
    """Join many chunks, which the reply ends, to a JSON document of several megabytes."""
    stream = await tools.stream("heap_snapshot")
    assert stream.end == "until"
    assert len(stream.progress) >= 5
    assert json.loads(stream.value["text"]).keys() >= {"snapshot", "nodes", "edges"}


async def wrong_path(tools: ToolClient) -> None:
    """Fail with an unknown id, which is no WebSocket endpoint."""
    url = f"ws://127.0.0.1:{tools.variables['PORT']}/00000000-0000-0000-0000-000000000000"
    async with tools.restarted({"URL": url}) as elsewhere:
        assert "the answer was not a WebSocket upgrade" in await elsewhere.error("evaluate", expression="1")
