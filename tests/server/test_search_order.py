"""The order of tools that were found, and what the three tools for searching answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp.server.run import ServeOptions, make_tool_service
from utcp_ws_mcp.server.tool_search import DEFAULT_LIMIT, MAX_LIMIT, MAX_SUMMARY_LENGTH, META_TOOLS, search

TAGS = "io.github.utcp-ws-mcp/tags"


def tool(name: str, title: str = "", description: str = "", *tags: Any) -> dict[str, Any]:
    return {"name": name, "title": title, "description": description, "_meta": {TAGS: tags} if tags else {}}


BY_NAME, BY_TITLE = tool("price_a"), tool("b", "Price")
BY_TAG, BY_TEXT = tool("c", "", "", "price", 5), tool("d", "", "The PRICE of it.")
OTHER = tool("e", "Other", "Nothing", "tag")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("price", [BY_TITLE, BY_NAME, BY_TAG, BY_TEXT]),
        ("PRICE!", [BY_TITLE, BY_NAME, BY_TAG, BY_TEXT]),
        ("of it", [BY_TEXT]),
        ("price nothing", [BY_TITLE, BY_NAME, BY_TAG, OTHER, BY_TEXT]),
        ("5", [BY_TAG]),
        ("zzz", []),
        ("", [OTHER, BY_TEXT, BY_TAG, BY_TITLE, BY_NAME]),
        (" ?! ", [OTHER, BY_TEXT, BY_TAG, BY_TITLE, BY_NAME]),
    ],
)
def test_a_match_in_the_name_counts_most_then_in_the_tags(query: str, found: list[Any]) -> None:
    assert search([OTHER, BY_TEXT, BY_TAG, BY_TITLE, BY_NAME], query) == found


def test_places_are_added_up() -> None:
    everywhere = tool("x", "", "price", "price")
    assert search([BY_TEXT, BY_TAG, everywhere, BY_NAME], "price") == [BY_NAME, everywhere, BY_TAG, BY_TEXT]
    both = tool("y", "", "the news", "price")
    assert search([BY_TAG, both], "news price") == [both, BY_TAG]


TOOLS = [
    {"name": f"t{number:03}", "description": f"{'x' * (MAX_SUMMARY_LENGTH + number)}\nmore"} for number in range(120)
]


async def called(folder: Path, name: str, arguments: Any) -> Any:
    async def report(number: float, message: str) -> None: ...

    async with peer(jsonrpc) as seen, bridge_to(folder, entry(seen, *TOOLS, preset="jsonrpc2")) as bridge:
        service = make_tool_service(bridge, ServeOptions(meta_tools=True))
        found: Any = await service.find(name)
        assert found == service.find_known(name) == name
        result = await service.call(found, arguments, report)
    text = result.content[0]["text"]
    return text if result.is_error else json.loads(text)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [(None, DEFAULT_LIMIT), ({"limit": 1}, 1), ({"limit": MAX_LIMIT}, MAX_LIMIT), ({"query": "t00"}, 10)],
)
async def test_so_many_tools_are_shown_and_how_many_there_are(tmp_path: Path, arguments: Any, count: int) -> None:
    found = await called(tmp_path, "search_tools", arguments)
    assert len(found["tools"]) == count
    assert found["found"] == (10 if arguments and "query" in arguments else len(TOOLS))
    first, *others = [each["description"] for each in found["tools"]]
    assert first == "x" * MAX_SUMMARY_LENGTH
    assert {*others} <= {"x" * MAX_SUMMARY_LENGTH + "…"}


LIMITS = 'search_tools takes "query", a string, and "limit", a number from 1 to 100'
DESCRIBE = 'describe_tool takes "name", a string'
CALL = 'call_tool takes "name", a string, and "arguments", an object'


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("search_tools", {"limit": 0}, LIMITS),
        ("search_tools", {"limit": MAX_LIMIT + 1}, LIMITS),
        ("search_tools", {"limit": "1"}, LIMITS),
        ("search_tools", {"query": None}, LIMITS),
        ("describe_tool", None, DESCRIBE),
        ("describe_tool", {"name": 5}, DESCRIBE),
        ("call_tool", {}, CALL),
        ("call_tool", {"name": 5}, CALL),
        ("call_tool", {"name": "m_t001", "arguments": [1]}, CALL),
        ("call_tool", {"name": "zzz"}, "there is no tool 'zzz'. List the tools to see their names. [unknown-tool]"),
    ],
)
async def test_wrong_arguments_are_answered_with_what_is_taken(
    tmp_path: Path, name: str, arguments: Any, text: str
) -> None:
    assert await called(tmp_path, name, arguments) == text


@pytest.mark.parametrize("name", ["m_t001", "m.t001"])
async def test_a_tool_is_described_and_called_by_both_of_its_names(tmp_path: Path, name: str) -> None:
    assert (await called(tmp_path, "describe_tool", {"name": name}))["name"] == "m_t001"
    assert await called(tmp_path, "call_tool", {"name": name, "arguments": {"n": 1}}) == {"n": 1}
    assert await called(tmp_path, "call_tool", {"name": name}) == {}


async def test_only_the_three_tools_are_known_by_themselves(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, *TOOLS[:1], preset="jsonrpc2")) as bridge:
        service = make_tool_service(bridge, ServeOptions(meta_tools=True))
        assert await service.find("m_t000") is None
        assert service.input_schema("m_t000") is None
        assert service.input_schema("call_tool") == META_TOOLS["call_tool"]["inputSchema"]
        listing = await service.list_tools()
        for modern in (True, False):
            page = listing.page(None, modern=modern)
            assert page is not None
            assert (json.loads(page[0]), page[1]) == ([*META_TOOLS.values()], None)


def test_the_three_tools_say_what_they_do_and_that_two_only_read() -> None:
    assert {name: tool.get("annotations") for name, tool in META_TOOLS.items()} == {
        "search_tools": {"readOnlyHint": True},
        "describe_tool": {"readOnlyHint": True},
        "call_tool": None,
    }
    limit = META_TOOLS["search_tools"]["inputSchema"]["properties"]["limit"]
    assert limit == {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
