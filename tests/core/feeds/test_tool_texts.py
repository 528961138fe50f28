"""What models read about the tools of a feed."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.tools.argument_schema import SchemaValidator

from .test_compiler import tools_of

SAID: dict[str, Any] = {"name": "said", "match": "true", "key": "message.k"}
PRICED = {"inputs": {"properties": {"symbol": {"type": "string"}}, "required": ["symbol"], "description": "Which."}}


def inputs_of(kind: str, **fields: Any) -> dict[str, Any]:
    (found,) = (tool for tool in tools_of({**SAID, **fields}) if tool.name == f"said_{kind}")
    return dict(found.inputs)


VALID: dict[str, tuple[Any, bool]] = {
    "nothing": ({}, True),
    "a cursor": ({"cursor": "abcd-1.0"}, True),
    "a cursor that is no text": ({"cursor": 1}, False),
    "no wait": ({"wait_seconds": 0}, True),
    "a wait of a fraction": ({"wait_seconds": 0.5}, True),
    "a wait of less than zero": ({"wait_seconds": -0.5}, False),
    "the longest wait": ({"wait_seconds": 50}, True),
    "a longer wait": ({"wait_seconds": 50.5}, False),
    "one event": ({"max_events": 1}, True),
    "no event": ({"max_events": 0}, False),
    "a fraction of events": ({"max_events": 1.5}, False),
    "as many events as possible": ({"max_events": 1000}, True),
    "more events": ({"max_events": 1001}, False),
    "a condition": ({"where": "data.a"}, True),
    "a condition that is no text": ({"where": True}, False),
    "another argument": ({"other": 1}, False),
}


@pytest.mark.parametrize(("arguments", "valid"), VALID.values(), ids=VALID)
def test_the_arguments_of_a_read_have_bounds(arguments: Any, valid: bool) -> None:
    assert SchemaValidator(inputs_of("events")).accepts(arguments) is valid


def test_a_read_returns_fifty_events_unless_it_says_how_many() -> None:
    assert inputs_of("events")["properties"]["max_events"]["default"] == 50


@pytest.mark.parametrize(("longest", "usual"), [(50, "25"), (25, "25"), (12.5, "12.5"), (0, "0")])
def test_the_longest_wait_and_the_usual_one_are_those_of_the_feed(longest: float, usual: str) -> None:
    wait = inputs_of("events", max_wait_seconds=longest)["properties"]["wait_seconds"]
    assert (wait["type"], wait["minimum"], wait["maximum"]) == ("number", 0, longest)
    assert wait["description"] == f"How long to wait if there is no event: by default 0 without a cursor, else {usual}."


def test_every_argument_of_a_read_is_described() -> None:
    described = {
        name: schema["description"]
        for name, schema in inputs_of("events")["properties"].items()
        if "default" not in schema
    }
    assert described.keys() == {"cursor", "wait_seconds", "where"}
    assert described["cursor"] == "The cursor of the last result; without it, the newest events."
    assert described["where"].startswith("Only events for which this is true, such as data.id == 7")


@pytest.mark.parametrize(("arguments", "valid"), [({}, True), ({"keys": ["a", 1]}, True), ({"keys": "a"}, False)])
def test_the_newest_events_of_some_keys_can_be_read(arguments: Any, valid: bool) -> None:
    assert SchemaValidator(inputs_of("latest")).accepts(arguments) is valid
    assert inputs_of("latest")["properties"] == {
        "keys": {"type": "array", "items": {}, "description": "Only these keys; without it, all."}
    }


@pytest.mark.parametrize("kind", ["events", "latest"])
def test_the_arguments_of_the_feed_come_first_and_no_others_are_allowed(kind: str) -> None:
    inputs = inputs_of(kind, **PRICED)
    assert (inputs["type"], inputs["required"], inputs["description"]) == ("object", ["symbol"], "Which.")
    assert next(iter(inputs["properties"])) == "symbol"
    assert inputs["properties"]["symbol"] == {"type": "string"}
    assert inputs["additionalProperties"] is False


EVENT = {"offset": 1, "at": "2026-11-20T08:12:00.123Z", "data": None}
RESULT = {
    "events": [EVENT],
    "cursor": "abcd-1.0",
    "missed": None,
    "gaps": [{"after": 0, "reason": "not connected"}],
    "has_more": False,
    "timed_out": False,
    "state": "open",
}
WRONG: list[Any] = [
    *({name: value for name, value in RESULT.items() if name != left_out} for left_out in RESULT),
    {**RESULT, "events": {}},
    {**RESULT, "events": [{"offset": 1, "at": ""}]},
    {**RESULT, "events": [{**EVENT, "offset": "1"}]},
    {**RESULT, "events": [{**EVENT, "at": 1}]},
    {**RESULT, "cursor": 1},
    {**RESULT, "missed": "1"},
    {**RESULT, "gaps": [{"after": 0}]},
    {**RESULT, "gaps": [{"reason": ""}]},
    {**RESULT, "gaps": [{"after": "0", "reason": ""}]},
    {**RESULT, "has_more": 0},
    {**RESULT, "timed_out": None},
    {**RESULT, "state": 1},
    {**RESULT, "hint": None},
]


def test_the_result_of_a_read_has_the_form_that_its_tool_says() -> None:
    events, _ = tools_of(SAID)
    validator = SchemaValidator(events.outputs)
    assert validator.accepts(RESULT)
    assert validator.accepts({**RESULT, "hint": "where was false for 1 event."})
    assert validator.accepts({**RESULT, "missed": 3, "events": [{**EVENT, "data": {"a": 1}}], "gaps": []})
    assert [each for each in WRONG if validator.accepts(each)] == []


def test_the_members_of_the_result_that_say_how_to_go_on_are_described() -> None:
    events, _ = tools_of(SAID)
    described = {name: schema["description"] for name, schema in events.outputs["properties"].items()}
    assert described.keys() == {*RESULT, "hint"}
    assert described["missed"] == "How many events were removed before they were read; null if it is not known."


def test_the_result_of_the_newest_events_has_the_form_that_its_tool_says() -> None:
    _, latest = tools_of(SAID)
    validator, value = SchemaValidator(latest.outputs), {"key": "A", "data": 1, "age_seconds": 0.5}
    assert validator.accepts({"values": [value], "state": "open"})
    wrong = [{"values": [value]}, {"state": "open"}, {"values": {}, "state": "open"}, {"values": [], "state": 1}]
    wrong += [{"values": [{**value, "age_seconds": "1"}], "state": "open"}, {"values": [{"key": 1}], "state": "open"}]
    assert [each for each in wrong if validator.accepts(each)] == []


@pytest.mark.parametrize(
    ("description", "start"),
    [
        ("", "Events of the feed said of m. Read the newest event"),
        (" \n ", "Events of the feed said of m. Read the newest event"),
        ("What is said", "What is said. Read the newest event"),
        (" What is said! ", "What is said! Read the newest event"),
    ],
)
def test_a_description_begins_with_that_of_the_feed_and_says_how_to_go_on(description: str, start: str) -> None:
    events, latest = tools_of({**SAID, "description": description})
    assert events.description.startswith(start)
    assert "call again with the cursor of the result: none is returned twice" in events.description
    assert events.description.endswith("do not keep polling.")
    assert latest.description == f"{start} of each key, with its age in seconds."
