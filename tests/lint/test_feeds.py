"""The rules for feeds, at their bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .test_lint import EVENTS, URL, entry, tool, warnings_of

ROOM = {"inputs": {"properties": {"room": {}}}}
ASKED = "message.n == args.room"
SHARED = tool(message={"id": "{{ request_id }}", "q": "{{ args.q }}"}, reply={"match": "message.id == request_id"})


def feeds(*listed: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "m", "url": URL, "feeds": list(listed), **fields}


def feed(**fields: Any) -> dict[str, Any]:
    return {**EVENTS, **fields}


def places_of(document: Any, folder: Path) -> list[tuple[str, str]]:
    """Return the place and the code of each problem."""
    lines = warnings_of(document, folder, {})
    return [(line.partition(":")[0], line.rpartition("[")[2].rstrip("]")) for line in lines]


FEED_CASES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "a description of blanks": (
        feeds(feed(), feed(name="g", description=" ")), [("feeds[1].name", "description-missing")]
    ),
    "a feed that is excluded": (
        feeds(feed(), feed(name="g", description=""), exclude_tools=["g*"]), []
    ),
    "a linger of one second": (feeds(feed(linger=1.0)), []),
    "a linger below one second": (feeds(feed(linger=0.99)), [("feeds[0].linger", "feed-not-kept")]),
    "no linger of a feed that stays open": (
        feeds(feed(linger=0, start="start")), [("feeds[0].linger", "field-without-effect")]
    ),
    "a feed that stays open": (feeds(feed(start="start")), []),
    "instances of a feed with arguments": (feeds(feed(max_instances=9, match=ASKED, **ROOM)), []),
    "instances of a feed with no properties": (
        feeds(feed(max_instances=9, inputs={"properties": {}})), [("feeds[0].max_instances", "field-without-effect")]
    ),
    "an argument in the query of the feed": (feeds(feed(query={"room": "{{ args.room }}"}, **ROOM)), []),
    "a feed with a connection of its own that takes any message": (
        feeds(feed(match="true", query={"a": 1}), feed(name="g")), []
    ),
    "any message of a feed beside one with a connection of its own": (
        feeds(feed(match="true"), feed(name="g", query={"a": 1})), []
    ),
    "any message of two feeds that share": (
        feeds(feed(match="true"), feed(name="g"), feed(name="h", query={"a": 1})),
        [("feeds[0].match", "feed-match-too-broad")],
    ),
    "a feed with a connection of its own that takes replies": (
        entry(SHARED, feeds=[feed(match="message.id is defined", query={"a": 1})]), []
    ),
    "a feed with a connection of its own that never unsubscribes": (
        feeds(feed(open=[{"send": "on"}], query={"a": 1})), []
    ),
    "as many connections as feeds need": (
        feeds(feed(query={"a": 1}), feed(name="g", query={"a": 2}), limits={"max_connections": 2}), []
    ),
    "more connections than feeds may have": (
        feeds(feed(), feed(name="g", query={"a": 1}), limits={"max_connections": 1}),
        [("feeds[1].query", "feed-occupies-connection")],
    ),
    "no connection for calls beside feeds": (
        entry(SHARED, feeds=[feed(query={"a": 1})], limits={"max_connections": 1}),
        [("feeds[0].query", "feed-occupies-connection")],
    ),
    "a list of events": (feeds(feed(flat=True, item="message.rows")), []),
    "messages that are lists of events": (feeds(feed(flat=True), framing={"codec": "msgpack"}), []),
    "texts that are taken apart": (
        feeds(feed(flat=True), framing={"codec": "text"}), [("feeds[0].flat", "field-without-effect")]
    ),
    "texts of which a list is made": (
        feeds(feed(flat=True, item="message.split(',')"), framing={"codec": "text"}), []
    ),
    "texts that are not taken apart": (feeds(feed(flat=False), framing={"codec": "text"}), []),
    "lists that are taken apart twice": (
        feeds(feed(flat=True), framing={"batch": True}), [("feeds[0].flat", "field-without-effect")]
    ),
    "lists behind a text, and lists in them": (feeds(feed(flat=True), framing={"batch": "a"}), []),
    "lists in the messages of a list": (feeds(feed(flat=True, item="message.n"), framing={"batch": True}), []),
    "a message that unsubscribes": (feeds(feed(open=[{"send": "on"}], close="off")), []),
    "a refusal that is expected, too": (
        feeds(feed(open=[{"expect": "message.a in [1, 2]", "fail": "message.a == 2"}])), []
    ),
    "a refusal with the same value and another field": (
        feeds(feed(open=[{"expect": "message.a == 1", "fail": "message.a == 1 and message.b == 2"}])), []
    ),
    "a refusal that no field excludes": (
        feeds(feed(open=[{"expect": "message.a == 1", "fail": "message.b == 1"}])), []
    ),
    "a refusal with a value of another type": (
        feeds(feed(open=[{"expect": "message.a == 1", "fail": "message.a == true"}])), []
    ),
    "a refusal that is compared with an argument": (
        feeds(feed(open=[{"expect": "message.a == args.room", "fail": "message.a == 'x'"}], **ROOM)), []
    ),
    "a refusal that is never expected": (
        feeds(feed(open=[{"expect": "message"}, {"expect": "message.a == 1 and message", "fail": "2 == message.a"}])),
        [("feeds[0].open[1].fail", "feed-fail-never-true")],
    ),
    "a refused replay that is never expected": (
        feeds(feed(position="message.n", resume=[{"expect": "message.a == 'b'", "fail": "message.a == 'c'"}])),
        [("feeds[0].resume[0].fail", "feed-fail-never-true")],
    ),
    "an error that each event is": (
        feeds(feed(open=[{"expect": "message.hi"}]), reply={"error": "not message.ok"}),
        [("reply.error", "feed-error-too-broad")],
    ),
    "an error that each event is on a connection of its own": (
        feeds(feed(query={"a": "1"}), reply={"error": "not message.ok"}),
        [("reply.error", "feed-error-too-broad")],
    ),
    "an error that each event is by what it compares": (
        feeds(feed(match="message.e == 'md'", open=[{"expect": "message.hi"}]), reply={"error": "message.e != 'ok'"}),
        [("reply.error", "feed-error-too-broad")],
    ),
    "an error that no event is by what it compares": (
        feeds(
            feed(match="message.d.e == 'md' and message.d.n", open=[{"expect": "message.hi"}]),
            reply={"error": "message.d.e != 'md' and not message.ok"},
        ),
        [],
    ),
    "an error whose field is tested": (
        feeds(feed(open=[{"expect": "message.hi"}]), reply={"error": "message.ok is defined and not message.ok"}), []
    ),
    "an error of a call": (feeds(feed(open=[{"expect": "message.hi"}]), reply={"error": "message.n != args.n"}), []),
    "an error beside a feed without steps": (feeds(feed(), reply={"error": "not message.ok"}), []),
    "a feed that only waits": (feeds(feed(open=[{"expect": "message.hi"}])), []),
    "a second feed that never unsubscribes": (
        feeds(feed(), feed(name="g", open=[{"expect": "message.hi"}, {"send": "on"}])),
        [("feeds[1].open", "feed-not-closed")],
    ),
    "a feed that nothing unsubscribes": (feeds(feed(open=[{"send": "on {{ args.room }}"}], close=None, **ROOM)), []),
    "an argument that only closes": (feeds(feed(close="{{ args.room }}", **ROOM)), []),
    "an argument in the URL": (feeds(feed(**ROOM), url=URL + "{{ args.room }}"), []),
    "an argument in the query": (feeds(feed(**ROOM), query={"room": "{{ args.room }}"}), []),
    "an argument in the query of a request of the login": (
        feeds(feed(**ROOM), before_connect=[{"http": {"url": "https://a.b/", "query": {"r": "{{ args.room }}"}}}]), []
    ),
    "an argument in the query that only a feed declares": (
        entry(feeds=[feed(**ROOM)], query={"room": "{{ args.room }}"}), []
    ),
    "an argument in a header": (feeds(feed(**ROOM), headers={"X-Room": "{{ args.room }}"}), []),
    "an argument of a request of the login": (
        feeds(feed(**ROOM), before_connect=[{"http": {"url": "https://a.b/", "json": ["{{ args.room }}"]}}]), []
    ),
    "an argument in header_fields": (feeds(feed(**ROOM), header_fields=["room"]), []),
    "all arguments at once": (feeds(feed(open=[{"send": "{{ args }}"}], close="x", **ROOM)), []),
    "an argument that nothing uses": (
        feeds(feed(**ROOM)), [("feeds[0].inputs.properties.room", "argument-not-used")]
    ),
    "an argument that no feed declares": (feeds(feed(match=ASKED)), [("feeds[0]", "argument-not-declared")]),
    "two arguments that no feed declares": (
        feeds(feed(match="message.n == args.b or message.n == args.a")), [("feeds[0]", "argument-not-declared")] * 2
    ),
    "a value of a session that may be missing": (feeds(feed(match="message.n == (session.x | default(1))")), []),
    "a value of a session that is captured": (
        feeds(
            feed(match="message.n == session.x"),
            on_connect=[{"expect": "message.hi", "capture": {"x": "message.x"}}],
        ),
        [],
    ),
    "a value of a session that closes": (
        feeds(feed(close="{{ session.x }}")), [("feeds[0]", "session-value-not-captured")]
    ),
    "one feed that takes everything": (feeds(feed(match="true")), []),
    "a feed that takes what others have": (
        feeds(feed(match="true"), feed(name="g")), [("feeds[0].match", "feed-match-too-broad")]
    ),
    "a feed that takes everything beside pings that nothing answers": (
        feeds(feed(match="true"), heartbeat={"every": 9, "send": "a"}), []
    ),
    "feeds that compare what only a subscription knows": (
        feeds(
            feed(match="message.n == reply.id", open=[{"send": "a"}], close="b"),
            feed(name="g", match="message.n == vars.X", start="start"),
            variables={"X": "1"},
        ),
        [],
    ),
    "a feed that compares an ID that is another one": (feeds(feed(match="message.id != request_id"), feed(name="g")), [
        ("feeds[0].match", "feed-match-too-broad")
    ]),
    "a feed that compares the name of a tool": (feeds(feed(match="tool == 'f'"), feed(name="g")), [
        ("feeds[0].match", "feed-match-too-broad")
    ]),
    "feed_defaults beside a feed": (feeds({"name": "f", "match": "true"}, feed_defaults={"description": "F."}), []),
    "a step that sends and confirms all": (
        feeds(feed(open=[{"send": "x", "answers_all": True}], close="y")),
        [("feeds[0].open[0].answers_all", "field-without-effect")],
    ),
    "a step that compares the ID and confirms all": (
        feeds(feed(open=[{"expect": "message.id == request_id", "answers_all": True}], close="y")),
        [("feeds[0].open[0].answers_all", "field-without-effect")],
    ),
    "a step that is the same for all and confirms all": (
        feeds(feed(open=[{"expect": "message.ok", "answers_all": True}], close="y")),
        [("feeds[0].open[0].answers_all", "concurrent-not-distinguished")],
    ),
    "a step that confirms all that have the name": (
        feeds(feed(open=[{"expect": "tool in message.names", "answers_all": True}], close="y")), []
    ),
    "feed_defaults of nothing": (entry(feed_defaults={}), []),
    "feed_defaults without feeds": (
        entry(feed_defaults={"size": 9}), [("feed_defaults", "field-without-effect")]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "expected"), FEED_CASES.values(), ids=FEED_CASES)
def test_a_feed_has_these_problems_and_no_others(
    document: dict[str, Any], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert places_of(document, tmp_path) == expected


def with_calls(*tools: dict[str, Any], maximum: int = 1, **fields: Any) -> dict[str, Any]:
    listed = [{**each, "name": f"t{index}"} for index, each in enumerate(tools)]
    return entry(
        *listed, limits={"max_connections": maximum}, feeds=[feed(), feed(name="g", match="message.g")], **fields
    )


ALONE = tool(message="{{ args.q }}")
OWN = tool(message="{{ args.q }}", limits={"max_connections": 2})


@pytest.mark.parametrize(
    ("document", "tools"),
    [
        (with_calls(SHARED), []),
        (with_calls(SHARED, ALONE, ALONE), ["t1"]),
        (with_calls(ALONE, maximum=2), []),
        (with_calls(OWN, ALONE), ["t1"]),
        (with_calls(OWN), []),
        (with_calls(tool(message="{{ args.q }}", limits={"max_connections": 1}), maximum=2), []),
        (with_calls(SHARED, tool(**SHARED["tool_call_template"], keep_alive=False)), ["t1"]),
    ],
)  # fmt: skip
def test_the_first_tool_that_needs_the_only_connection_of_a_feed_is_named(
    document: Any, tools: list[str], tmp_path: Path
) -> None:
    found = [line for line in warnings_of(document, tmp_path, {}) if line.endswith("[feed-occupies-connection]")]
    assert [line.partition(" needs")[0] for line in found] == [f"feeds[0].name: m.{name}" for name in tools]


def reply_at(expression: str) -> dict[str, Any]:
    ids: Any = {"id": "{{ request_id }}", "q": "{{ args.q }}"}
    return tool(message=ids, reply={"match": f"{expression} == request_id"})


@pytest.mark.parametrize(
    ("tools", "match", "named"),
    [
        ([reply_at("message.id")], "message.id is defined", ["t0"]),
        ([reply_at("message.id")], "message.id == 1", ["t0"]),
        ([reply_at("message.id")], "message.id == 2", []),
        ([reply_at("message.a.b")], "message.a.b is defined", ["t0"]),
        ([reply_at("message.a.b")], "message.b is defined", []),
        ([reply_at("message[2].id")], "message[2].id is defined and message[1] is none", ["t0"]),
        ([reply_at("message.a"), reply_at("message.b")], "message.b is defined", ["t1"]),
        ([reply_at("message.a"), reply_at("message.b")], "message is defined", ["t0"]),
        ([tool(message="{{ args.q }}")], "message.id is defined", []),
    ],
)
def test_the_first_tool_whose_replies_would_be_events_is_named(
    tools: list[dict[str, Any]], match: str, named: list[str], tmp_path: Path
) -> None:
    listed = [{**each, "name": f"t{index}"} for index, each in enumerate(tools)]
    lines = warnings_of(entry(*listed, feeds=[feed(match=match)]), tmp_path, {})
    found = [line for line in lines if line.endswith("[feed-takes-replies]")]
    assert [line.partition("replies to m.")[2].partition(",")[0] for line in found] == named
