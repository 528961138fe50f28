"""How the operations of a description become tools and feeds."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.importers.assembly import MAX_ITEMS, MAX_SECONDS, assemble
from utcp_ws_mcp.importers.model import Description, Event, Format, ImportOptions, Operation

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


def assembled(*operations: Operation, title: str = "Shop", endpoints: Any = None, **options: Any) -> Any:
    listed = endpoints or {"": {"url": "wss://a.example/"}}
    return assemble(Description(title, Format.ASYNCAPI, listed, []), operations, ImportOptions(**options))


def tool(name: str, endpoint: str = "", **fields: Any) -> Operation:
    return Operation(name, tool={"name": name, **fields}, endpoint=endpoint)


def event(value: Any, feed: str = "news", subject: str = "message.type", **fields: Any) -> Operation:
    return Operation(str(value), event=Event(feed, subject, value, {"description": "News.", **fields}))


# Endpoints


def test_a_manifest_has_the_fields_of_its_endpoint_before_its_feeds_and_tools() -> None:
    feed = Operation("f", feed={"name": "f", "description": "F.", "match": EVENT})
    assert [*assembled(tool("a"), feed).items()] == [
        ("name", "shop"),
        ("url", "wss://a.example/"),
        ("feeds", [{"name": "f", "description": "F.", "match": EVENT}]),
        ("tools", [{"name": "a"}]),
    ]
    assert "feeds" not in assembled(tool("a"))
    assert "tools" not in assembled(feed)


ENDPOINTS = {"v1/Rooms/9": {"url": "wss://a/1"}, "live": {"url": "wss://a/2"}, "2": {"url": "wss://a/3"}}


def test_an_endpoint_without_a_chosen_operation_is_left_out() -> None:
    assert assembled(tool("a", "live"), endpoints=ENDPOINTS) == {
        "name": "shop", "url": "wss://a/2", "tools": [{"name": "a"}]
    }  # fmt: skip


def test_each_of_several_endpoints_has_its_operations_and_the_name_of_its_path() -> None:
    operations = [tool("a", "v1/Rooms/9"), tool("b", "live"), tool("c", "2"), tool("d", "live")]
    listed = assembled(*operations, title="Big Shop", endpoints=ENDPOINTS)["manual_call_templates"]
    assert [(each["name"], each["url"], [one["name"] for one in each["tools"]]) for each in listed] == [
        ("big_rooms", "wss://a/1", ["a"]),
        ("big_live", "wss://a/2", ["b", "d"]),
        ("big", "wss://a/3", ["c"]),
    ]


def test_endpoints_of_one_name_have_numbers() -> None:
    endpoints = {"x/live": {"url": "wss://a/1"}, "y/live": {"url": "wss://a/2"}}
    listed = assembled(tool("a", "x/live"), tool("b", "y/live"), endpoints=endpoints)["manual_call_templates"]
    assert [each["name"] for each in listed] == ["shop_live", "shop_live_2"]


# Defaults


def spoken(schema: Any, required: Any = ()) -> Any:
    inputs = {"type": "object", "properties": {"x": schema}, "required": [*required]}
    return assembled(tool("a", inputs=inputs))["tools"][0]["inputs"]["properties"]["x"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer"}, {"type": "integer"}),
        ({"default": None}, {}),
        ({"default": 0, "title": "T"}, {"title": "T", "description": "Default: 0."}),
        ({"default": "é", "description": "It. "}, {"description": 'It. Default: "é".'}),
        ({"default": False, "description": "It"}, {"description": "It. Default: false."}),
        ({"default": 1, "description": "It?"}, {"description": "It? Default: 1."}),
        ({"default": 1, "description": "It!"}, {"description": "It! Default: 1."}),
        ({"default": "x" * 58}, {"description": f'Default: "{"x" * 58}".'}),
        ({"default": "x" * 59, "description": "It"}, {"description": "It"}),
        (True, True),
    ],
    ids=str,
)
def test_the_default_of_an_optional_argument_is_said_in_words(schema: Any, expected: Any) -> None:
    assert spoken(schema) == expected


def test_the_default_of_a_required_argument_stays() -> None:
    assert spoken({"default": 1}, ["x"]) == {"default": 1}


@pytest.mark.parametrize("inputs", [None, [], {"type": "object"}, {"properties": []}])
def test_inputs_without_properties_stay_as_they_are(inputs: Any) -> None:
    assert assembled(tool("a", inputs=inputs))["tools"] == [{"name": "a", "inputs": inputs}]


def test_the_defaults_of_feeds_are_said_too() -> None:
    inputs = {"properties": {"x": {"default": 1}}}
    (feed,) = assembled(Operation("f", feed={"name": "f", "inputs": inputs}))["feeds"]
    assert feed["inputs"]["properties"] == {"x": {"description": "Default: 1."}}


# Events


@pytest.mark.parametrize(
    ("events", "match"),
    [
        ([event("a")], "message.type == 'a'"),
        ([event("a"), event("b"), event("a")], "message.type in ['a', 'b']"),
        ([event(1), event(2)], "message.type in [1, 2]"),
        ([event("a"), event(None)], "message.type"),
        ([event("a"), event("b", subject="message.op")], "message.type == 'a' or message.op == 'b'"),
        ([event(None, subject="message is defined")], "message is defined"),
    ],
)
def test_a_feed_has_the_events_of_its_name(events: list[Operation], match: str) -> None:
    (feed,) = assembled(*events)["feeds"]
    assert (feed["name"], feed["match"]) == ("news", match)


def test_events_of_several_feeds_are_several_feeds_behind_those_of_their_own() -> None:
    own = Operation("own", feed={"name": "own"})
    found = assembled(event("a", open=[1], item="x"), event("b", "other"), own, event("c"))["feeds"]
    assert found == [
        {"name": "own"},
        {
            "name": "news",
            "description": "News. Events: a, c.",
            "open": [1],
            "item": "x",
            "match": "message.type in ['a', 'c']",
        },
        {"name": "other", "description": "News. Events: b.", "match": "message.type == 'b'"},
    ]
    assert assembled(event("a", open=[1]), event("b"), events="none")["feeds"]  # options were applied before


def test_the_names_of_events_are_listed_once_and_only_if_they_have_one() -> None:
    (feed,) = assembled(event("a"), event(None), event("a", subject="message.op"))["feeds"]
    assert feed["description"] == "News. Events: a."
    (unnamed,) = assembled(event(None))["feeds"]
    assert unnamed["description"] == "News."


def test_the_names_of_events_fill_a_description_up_to_460_characters() -> None:
    def listed(length: int) -> str:
        (feed,) = assembled(event("a" * 200), event("b" * length), event("c" * 300))["feeds"]
        return str(feed["description"])

    # 5 of the lead, 200 and 2 of the first name, and the second one
    assert listed(253) == f"News. Events: {'a' * 200}, {'b' * 253} and 1 more."
    assert listed(254) == f"News. Events: {'a' * 200} and 2 more."


# Streams


def test_a_feed_as_a_stream_is_a_whole_tool() -> None:
    inputs = {"type": "object", "properties": {"x": {"type": "string"}}}
    feed = {
        "name": "news",
        "description": "News.",
        "inputs": inputs,
        "open": [{"send": "a"}, {"expect": "message.first"}, {"expect": "message.ok"}],
        "match": EVENT,
        "item": "message.x",
        "close": "b",
    }
    assert assembled(Operation("news", feed=feed), events="streams") == {
        "name": "shop",
        "url": "wss://a.example/",
        "tools": [
            {
                "name": "news",
                "description": "News. Returns those of the next 20 seconds, at most 20.",
                "inputs": inputs,
                "annotations": {"readOnlyHint": True},
                "tool_call_template": {
                    "message": "a",
                    "reply": {"match": "message.ok"},
                    "stream": {
                        "match": EVENT,
                        "max_items": 20,
                        "max_seconds": 20,
                        "item": "message.x",
                        "cancel": "b",
                    },
                },
            }
        ],
    }


def test_streams_have_free_names_and_no_arguments_if_their_feed_has_none() -> None:
    feed = {"name": "news", "description": "News.", "match": EVENT}
    feeds = [Operation("news", feed=feed), Operation("news", feed=feed)]
    tools = assembled(tool("news"), *feeds, events="streams")["tools"]
    assert [each["name"] for each in tools] == ["news", "news_2", "news_3"]
    assert tools[1]["inputs"] == {"type": "object", "properties": {}, "additionalProperties": False}
