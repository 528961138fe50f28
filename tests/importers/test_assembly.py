"""How the operations of a description become tools and feeds."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.importers.assembly import MAX_ITEMS, MAX_SECONDS, assemble
from utcp_ws_mcp.importers.model import Description, Format, ImportOptions, Operation

STREAM = {"max_items": MAX_ITEMS, "max_seconds": MAX_SECONDS}
EVENT = "message.event is defined"
OPENED: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "nothing": ([], {"listen": True, "stream": {"match": EVENT, **STREAM}}),
    "one message": ([{"send": "a"}], {"message": "a", "reply": {"match": EVENT}, "stream": STREAM}),
    "several messages": (
        [{"send": "a"}, {"send": "b"}, {"send": "c"}],
        {"message": "a", "then": ["b", "c"], "reply": {"match": EVENT}, "stream": STREAM},
    ),
    "a confirmation": (
        [{"send": "a"}, {"expect": "message.ok"}],
        {"message": "a", "reply": {"match": "message.ok"}, "stream": {"match": EVENT, **STREAM}},
    ),
}


@pytest.mark.parametrize(("steps", "template"), OPENED.values(), ids=OPENED)
def test_a_feed_as_a_stream_sends_what_opens_the_feed(steps: list[dict[str, Any]], template: dict[str, Any]) -> None:
    feed = {"name": "news", "description": "News.", "open": steps, "match": EVENT}
    description = Description("Shop", Format.ASYNCAPI, {"": {"url": "wss://a.example/"}}, [])
    options = ImportOptions(events="streams")
    (tool,) = assemble(description, [Operation("news", feed=feed)], options)["tools"]
    assert (tool["name"], tool["tool_call_template"]) == ("news", template)
