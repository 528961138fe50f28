"""The rules for tools: descriptions, arguments, IDs and ambiguous replies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.lint.input_schemas import arguments_outside_properties

from .test_lint import HTTP, TEXT, TOOL, URL, entry, tool, warnings_of

NOTHING = {"type": "object", "properties": {}}
ANSWERED = {"match": "message.q == args.q"}


def named(name: str, inputs: Any = TEXT, **template: Any) -> dict[str, Any]:
    return {"name": name, "description": "Ask.", "inputs": inputs, "tool_call_template": template}


def plain(name: str, inputs: Any = None) -> dict[str, Any]:
    """Return a tool with the message of the template."""
    return {"name": name, "description": "Ask.", **({} if inputs is None else {"inputs": inputs})}


def lines_of(document: Any, folder: Path, *codes: str) -> list[str]:
    found = warnings_of(document, folder, {})
    return [line.rpartition(" [")[0] for line in found if line.rpartition("[")[2].rstrip("]") in codes]


# Arguments


UNDECLARED = "so no model will provide it."
OWN = f"is used here, but not declared, {UNDECLARED}"
BY_U, BY_T = (f"is used here, but not declared by m.{name}, {UNDECLARED}" for name in "ut")
DECLARE = 'Declare it in the "inputs" of the tool.'
NO_ARGUMENTS = 'If the tool has no arguments, write "inputs": {"type": "object", "properties": {}}.'


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        (entry(tool(message="{{ args.q }}{{ args.r }}")), [
            f"tools[0].tool_call_template.message: the argument 'r' {OWN} {DECLARE}"
        ]),
        (entry(tool(message="{{ args.q }}{{ args.qq }}")), [
            f"tools[0].tool_call_template.message: the argument 'qq' {OWN} Did you mean 'q'?"
        ]),
        (entry(tool(message="{{ args.q }}", then=["{{ args.b }}", "{{ args.a }}"], reply="none")), [
            f"tools[0].tool_call_template.then: the argument {name!r} {OWN} {DECLARE}"
            for name in "ab"
        ]),
        (entry(tool(message="{{ args.q }}{{ let.x }}", let={"x": "args.r"})), [
            f"tools[0].tool_call_template.let: the argument 'r' {OWN} {DECLARE}"
        ]),
        (entry(tool(message="{{ args.q }}", before_message=[{"http": {**HTTP, "json": {"x": "{{ args.r }}"}}}])), [
            f"tools[0].tool_call_template.before_message: the argument 'r' {OWN} {DECLARE}"
        ]),
        (entry(TOOL, url=URL + "{{ args.r }}"), [
            f"url: the argument 'r' {OWN} {DECLARE}"
        ]),
        (entry(TOOL, headers={"X": "{{ args.r }}"}), [
            f"headers: the argument 'r' {OWN} {DECLARE}"
        ]),
        (entry(TOOL, query={"x": "{{ args.r }}"}), [f"query: the argument 'r' {BY_T} {DECLARE}"]),
        (entry(tool(query={"x": ["{{ args.r }}"]})), [
            f"tools[0].tool_call_template.query: the argument 'r' {OWN} {DECLARE}"
        ]),
        (entry(TOOL, plain("u", NOTHING), plain("v"), query={"x": "{{ args.q }}"}, message="x"), []),
        (entry(TOOL, tool(query={"x": "{{ args.r }}"}) | {"name": "u"}), [
            f"tools[1].tool_call_template.query: the argument 'r' {OWN} {DECLARE}"
        ]),
        (entry(TOOL, plain("u"), message="{{ args.q }}"), [
            f"message: the argument 'q' {BY_U} {DECLARE} {NO_ARGUMENTS}"
        ]),
        (entry(TOOL, plain("u", NOTHING), message="{{ args.q }}"), []),
        (entry(plain("u", NOTHING), message="{{ args.q }}"), [
            f"message: the argument 'q' {BY_U} {DECLARE}"
        ]),
        (entry(TOOL, named("u", NOTHING, message="{{ args.q }}"), message="{{ args.q }}"), [
            f"tools[1].tool_call_template.message: the argument 'q' {OWN} {DECLARE}"
        ]),
        (entry(TOOL, message="{{ args.q }}{{ args.r }}"), []),
        (entry(TOOL, message="{{ args.r }}{{ args.s }}"), [
            f"message: the argument {name!r} {BY_T} {DECLARE}" for name in "rs"
        ]),
        (entry(TOOL, message="{{ args }}"), []),
        (entry(tool(message="{{ args.q }}{{ args.r }}"), tool_overrides={"t": {"defaults": {"r": "x"}}}), []),
        (entry(TOOL, plain("u", NOTHING), message="{{ args.q }}", then=["{{ args.q }}"]), [
            f"then: the argument 'q' {BY_U} {DECLARE} {NO_ARGUMENTS}"
        ]),
    ],
    ids=str,
)  # fmt: skip
def test_an_argument_that_no_model_can_provide_is_reported_where_it_is_used(
    document: Any, lines: list[str], tmp_path: Path
) -> None:
    assert lines_of(document, tmp_path, "argument-not-declared") == lines


TWO = {"properties": {"b": {}, "a": {}}}
PUT = (
    "tools[0].inputs.properties.{0}: the argument '{0}' is declared, but never used. Put UTCP_ARG_{0}_UTCP_ARG into "
    "the message, or remove it."
)
COMPARE_IT = PUT.replace("Put UTCP_ARG_{0}_UTCP_ARG into the message", "Compare args.{0} in a predicate")


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        (entry(named("t", TWO, message="x")), [PUT.format("a"), PUT.format("b")]),
        (entry(named("t", TWO, listen=True, stream={"match": "message.x == args.a"})), [COMPARE_IT.format("b")]),
        (entry(named("t", TWO, message="{{ args }}")), []),
        (entry(named("t", TWO, message="x", before_message=[{"http": {**HTTP, "json": "{{ args.a ~ args.b }}"}}])), []),
        (entry(named("t", TWO, message="{{ args.a }}", reply={"match": "message.x == args.b"})), []),
        (entry(named("t", TWO, message="{{ args.a }}", header_fields=["b"])), []),
        (entry(named("t", TWO)), []),  # without a message, all arguments are sent
        (entry(named("t", TWO), url=URL + "{{ args.a }}"), []),
        (entry(named("t", TWO, message="x"), query={"x": "{{ args.a }}", "y": ["UTCP_ARG_b_UTCP_ARG"]}), []),
        (entry(named("t", TWO, message="x", query={"x": "{{ args.a }}"})), [PUT.format("b")]),
        (entry(named("t", TWO), message="{{ args.a }}"), [PUT.format("b")]),
    ],
    ids=str,
)  # fmt: skip
def test_an_argument_that_is_never_used_is_reported(document: Any, lines: list[str], tmp_path: Path) -> None:
    assert lines_of(document, tmp_path, "argument-not-used") == lines


LISTED = {"properties": {"n": {"type": "array"}, "m": {"type": "string"}}, "required": ["n", "m"]}
OPTIONAL = {"properties": {"n": {"type": "string"}, "m": {"type": "string", "default": "x"}}}
N_MISSING = (
    "url: the argument 'n' may be missing, and a call without it fails because of the URL. Write the parameter into a "
    'field of its own, such as "query": {"n": "{{ args.n }}"}.'
)
N_LIST = N_MISSING.replace(
    "may be missing, and a call without it fails because of the URL", "is a list, which a URL has as one JSON text"
)


@pytest.mark.parametrize(
    ("inputs", "url", "lines"),
    [
        (OPTIONAL, "?n={{ args.n }}", [N_MISSING]),
        (OPTIONAL, "?v=1&n=UTCP_ARG_n_UTCP_ARG&m={{ args.m }}", [N_MISSING]),
        (LISTED, "?n={{ args.n }}&m={{ args.m }}", [N_LIST]),
        (OPTIONAL, "{{ args.n }}?v=1", []),  # `query` is no way out for the path
        (OPTIONAL, "?n={{ args.n | default('x') }}", []),
        (OPTIONAL, "?n={{ args.n | upper }}", []),
        (OPTIONAL, "?m={{ args.m }}", []),
        (LISTED, "?n={{ args.n | join(',') }}", []),
        ({"properties": {"n": True}}, "?n={{ args.n }}&o={{ args.o }}", []),
        ({}, "?n={{ args.n }}", []),
        (OPTIONAL, "?n={{ args.n.x }}&s={{ tool }}", []),
    ],
    ids=str,
)
def test_an_argument_that_belongs_into_the_query_is_reported(
    inputs: Any, url: str, lines: list[str], tmp_path: Path
) -> None:
    assert lines_of(entry(named("t", inputs), url=URL + url), tmp_path, "argument-in-url") == lines


def test_a_url_of_a_tool_is_reported_at_the_tool_and_one_of_all_tools_once(tmp_path: Path) -> None:
    url = URL + "?n={{ args.n }}"
    document = entry(named("t", OPTIONAL, url=url), named("u", OPTIONAL, message="x"), named("v", OPTIONAL), url=url)
    assert lines_of(document, tmp_path, "argument-in-url") == [f"tools[0].tool_call_template.{N_MISSING}", N_MISSING]
    override = {"tool_overrides": {"t": {"defaults": {"n": "x"}}}}
    assert lines_of(entry(named("t", OPTIONAL), url=url, **override), tmp_path, "argument-in-url") == []


@pytest.mark.parametrize("description", ["", " ", None])
def test_a_tool_without_a_description_is_reported(description: str | None, tmp_path: Path) -> None:
    own = {"name": "u"} if description is None else {"name": "u", "description": description}
    assert lines_of(entry(TOOL, own, message="x", reply="none"), tmp_path, "description-missing") == [
        'tools[1].name: m.u has no "description". Models choose a tool by it; add one.'
    ]


def test_arguments_outside_of_properties_are_found_in_their_order() -> None:
    inputs = {"b": {}, "type": {}, "if": {}, "$x": {}, "x-y": {}, "a": {}, "text": "x", "items": {}, "xml": {}}
    assert arguments_outside_properties(inputs) == ["b", "a"]
    assert arguments_outside_properties({**inputs, "properties": {}}) == []


# Replies

ID = {"id": "{{ request_id }}", "q": "{{ args.q }}"}
BY_ID = {"match": "message.id == request_id"}
WAITS = "m.t waits for a reply with its request ID, but sends none. Put"
SENDS_NOTHING = "m.t sends nothing, so no message has its request ID. Set"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"message": "{{ args.q }}", "reply": BY_ID}, WAITS),
        ({"message": ID, "reply": BY_ID}, None),
        ({"message": {**ID, "id": "{{ next_id() }}"}, "reply": BY_ID}, None),
        ({"message": "{{ args.q }}", "then": [ID], "reply": BY_ID}, None),
        ({"message": "{{ args.q }}", "reply": {**BY_ID, "none": True}}, None),
        ({"message": "{{ args.q }}", "reply": ANSWERED}, None),
        ({"listen": True, "reply": BY_ID}, SENDS_NOTHING),
        ({"listen": True, "reply": BY_ID, "stream": ANSWERED}, None),
        ({"listen": True, "reply": BY_ID, "stream": {"item": "args.q"}}, SENDS_NOTHING),
        ({"message": "{{ args.q }}", "reply": BY_ID, "stream": ANSWERED}, WAITS),
    ],
    ids=str,
)
def test_a_reply_with_an_id_needs_a_request_with_one(template: Any, message: str | None, tmp_path: Path) -> None:
    found = lines_of(entry(tool(**template)), tmp_path, "request-id-not-sent", "listener-needs-match")
    assert [line.partition(" Put")[0].partition(" Set")[0] for line in found] == (
        [f"tools[0].name: {message.rpartition(' ')[0]}"] if message else []
    )


SAME = (
    'tools[0].name: "concurrent" lets calls share a connection, but "match" is the same for all of them. Compare a '
    "part of the message with an argument, the tool or request_id."
)


@pytest.mark.parametrize(
    ("match", "is_reported"),
    [
        ("message.a", True),
        ("message.a == args.q", False),
        ("message.a == tool", False),
        ("message.a == let.x", False),
        ("message.a == request_id", False),
        ("message.a == session.x", True),
    ],
)
def test_concurrent_calls_need_something_that_distinguishes_them(match: str, is_reported: bool, tmp_path: Path) -> None:
    document = entry(tool(message=ID, reply={"match": match, "concurrent": True}, let={"x": "uuid()"}))
    assert lines_of(document, tmp_path, "concurrent-not-distinguished") == [SAME] * is_reported
    alone = entry(tool(message=ID, reply={"match": match}, let={"x": "uuid()"}))
    assert lines_of(alone, tmp_path, "concurrent-not-distinguished") == []


RANGE = (
    "tools[0].name: a message answers a range of requests here, and only the first call that waits gets it. Set "
    '"reply": {"answers_all": true}.'
)


@pytest.mark.parametrize(
    ("match", "is_reported"),
    [
        ("message.from <= request_id and request_id <= message.to", True),
        ("request_id < message.from + message.count", True),
        ("message.acks[0] > request_id - 1", True),
        ("message.serial <= let.n", True),
        ("let.m >= message.serial", True),
        ("message.serial <= let.x", False),
        ("message.serial == request_id", False),
        ("request_id in message.ids", False),
        ("request_id > 0 and message.id in [request_id]", False),
        ("message.size > 5 and message.key == args.q", False),
    ],
)
def test_a_range_of_requests_answers_several_calls(match: str, is_reported: bool, tmp_path: Path) -> None:
    let = {"x": "uuid()", "n": "counter() - 1", "m": "next_id()"}
    reply = {"match": match, "concurrent": True}
    found = lines_of(entry(tool(message=ID, reply=reply, let=let)), tmp_path, "answers-first-only")
    assert found == [RANGE] * is_reported
    all_of_them = entry(tool(message=ID, reply={**reply, "answers_all": True}, let=let))
    assert lines_of(all_of_them, tmp_path, "answers-first-only") == []


def test_a_call_that_has_a_connection_for_itself_is_the_only_one_of_a_range(tmp_path: Path) -> None:
    alone = entry(tool(message=ID, reply={"match": "message.serial <= let.n"}, let={"n": "counter()"}))
    assert lines_of(alone, tmp_path, "answers-first-only") == []


@pytest.mark.parametrize(("match", "is_reported"), [("message.a == tool", True), ("message.a == args.q", False)])
def test_a_message_for_all_calls_needs_something_that_selects_them(
    match: str, is_reported: bool, tmp_path: Path
) -> None:
    document = entry(tool(message=ID, reply={"match": match, "answers_all": True}))
    assert bool(lines_of(document, tmp_path, "concurrent-not-distinguished")) is is_reported


ACCEPTS = "m.t accepts the first message after its request as the reply, but"
DESCRIBE = 'Describe the reply in "reply.match", or the other messages in "ignore".'
CAPTURE = {"capture": [{"match": "message.s", "set": {"s": "message.s"}}], "message": {"s": "{{ session.s }}"}}
GREETED = {"on_connect": [{"send": "x"}, {"expect": "message.hi"}]}
SAYS_FIRST = '"on_connect" shows that the endpoint sends the first message'


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (entry(**CAPTURE), '"capture" shows that other messages arrive'),
        (entry(heartbeat={"every": 5, "send": "p"}), 'the answers to "heartbeat" arrive as well'),
        (entry(heartbeat={"every": 5, "send": "p", "expect": "message.pong"}), None),
        (entry(auto_reply=[{"match": "message.a", "send": "x"}, {"match": "message.b", "send": "y", "keep": True}]),
         '"auto_reply" shows that other messages arrive'),
        (entry(auto_reply=[{"match": "message.a", "send": "x"}]), None),
        (entry(**GREETED), SAYS_FIRST),
        (entry(on_connect=[{"send": "x"}]), None),
        (entry(ignore="message.x", **GREETED), None),
        (entry(tool(message="{{ args.q }}", ignore="message.x"), **GREETED), None),
        (entry(tool(message="{{ args.q }}", reply=ANSWERED), **GREETED), None),
        (entry(tool(message="{{ args.q }}", reply="none"), **GREETED), None),
        (entry(tool(message="{{ args.q }}", stream={"max_items": 2}), **GREETED), None),
        (entry(tool(listen=True, stream=ANSWERED), **GREETED), None),
        (entry(named("s", message="{{ args.q }}", reply="none"), TOOL, **GREETED), SAYS_FIRST),
        (entry(TOOL, named("u", message="{{ args.q }}"), **GREETED), SAYS_FIRST),
        (entry(), None),
    ],
    ids=str,
)  # fmt: skip
def test_the_first_tool_that_takes_any_message_is_reported_with_the_reason(
    document: Any, reason: str | None, tmp_path: Path
) -> None:
    expected = [f"{ACCEPTS} {reason}. {DESCRIBE}"] if reason else []
    assert lines_of(document, tmp_path, "ambiguous-reply") == expected


COMPARE = 'although it sends an ID. Compare it in "reply.match", such as "message.id == request_id".'


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        (entry(tool(message=ID)), ["reply"]),
        (entry(tool(message="{{ args.q }}", then=[ID])), ["reply"]),
        (entry(tool(message=ID), request_id="counter"), ["request_id"]),
        (entry(tool(message=ID), {**tool(message=ID), "name": "u"}), ["reply"]),
        (entry({**tool(message="{{ args.q }}"), "name": "s"}, tool(message=ID)), ["reply"]),
        (entry(tool(message={"id": "request_id", "q": "{{ args.q }}"})), []),
        (entry(tool(message=ID, reply=BY_ID)), []),
        (entry(tool(message=ID, ignore="message.x")), []),
    ],
    ids=str,
)
def test_an_id_that_no_reply_is_compared_with_is_reported_once(document: Any, lines: list[str], tmp_path: Path) -> None:
    found = lines_of(document, tmp_path, "request-id-not-matched")
    assert [line.partition(":")[0] for line in found] == lines
    assert all(line.endswith(COMPARE) for line in found)


# Arguments in texts


def message_lines(folder: Path, message: Any, inputs: Any = TEXT, **fields: Any) -> list[str]:
    document = entry(named("t", inputs, message=message, reply="none", **fields))
    return lines_of(document, folder, "argument-not-escaped", "argument-in-slices")


XML = (
    "tools[0].tool_call_template.{0}: the argument '{1}' is in XML, and a call with < and & in it fails. Write "
    '{{{{ args.{1} | escape }}}}, or give the argument a "pattern" that excludes them.'
)
QUOTED = (
    "tools[0].tool_call_template.{0}: the argument '{1}' is in quotes, and a call with quotes in it fails. Write "
    '{{{{ args.{1} | to_json }}}} without the quotes, or give the argument a "pattern" that excludes them.'
)
SLICED = (
    "tools[0].tool_call_template.message: the slices send only the first {0} of {1}, and a call with more fails. Send "
    'pieces of any number: {{"$each": "{{{{ {1} | pieces(65536) }}}}", "$template": "{{{{ item }}}}"}}.'
)
PAIR = {"properties": {"a": {"type": "string"}, "q": {"type": "string"}}}


@pytest.mark.parametrize(
    ("message", "then", "inputs", "lines"),
    [
        ("<a>{{ args.q }}</a>", [], TEXT, [XML.format("message", "q")]),
        ("<a>UTCP_ARG_q_UTCP_ARG</a>", [], TEXT, [XML.format("message", "q")]),
        ("<a>{{ args.q ~ args.a }}</a>", [], PAIR, [XML.format("message", "a"), XML.format("message", "q")]),
        ("{{ args.q }}", ["x", "<a>{{ args.q }}</a>"], TEXT, [XML.format("then[1]", "q")]),
        ('say "{{ args.q }}"', [], TEXT, [QUOTED.format("message", "q")]),
        ("say {{ args.q }}", [], TEXT, []),
        ("<a>{{ args.q }}</a>", [], {"properties": {"q": {"type": "integer"}}}, []),
        ("<a>{{ args.q }}</a>", [], {"properties": {"q": {}}}, []),
        ("<a>{{ args.q }}</a>", [], {"properties": {"q": True}}, []),
        *(
            ("<a>{{ args.q }}</a>", [], {"properties": {"q": {"type": "string", **narrow}}}, [])
            for narrow in ({"enum": ["a"]}, {"const": "a"}, {"pattern": "^a$"}, {"format": "uuid"})
        ),
        ("<a>{{ args.q | escape }}</a>", [], TEXT, []),
        ("<a>" + "{{ args.q }}" * 200 + "</a>", [], TEXT, [XML.format("message", "q")]),
        ("{{ '<a>' ~ args.q ~ '</a>' }}", [], TEXT, [XML.format("message", "q")]),
        ("{{ args.q[:9] }}", ["{{ args.q[9:1800] }}"], TEXT, [SLICED.format("1,800", "args.q")]),
        ("{{ args.q[:9] }}", ["{{ args.q[9:18] }}"], {"properties": {"q": {"type": "string", "maxLength": 18}}}, []),
        (
            "{{ args.q[:9] }}", ["{{ args.q[9:18] }}"], {"properties": {"q": {"type": "string", "maxLength": 19}}},
            [SLICED.format("18", "args.q")],
        ),
        ("{{ args.q[:9] }}", ["{{ args.q[9:18] }}"], {"properties": {"q": {"type": "array", "maxItems": 18}}}, []),
        (
            "{{ args.q[:9] }}", ["{{ args.q[9:18] }}"], {"properties": {"q": {"type": "array", "maxItems": 19}}},
            [SLICED.format("18", "args.q")],
        ),
        (
            "<a>{{ args.q[:9] }}</a>", ["{{ args.q[9:18] }}"], TEXT,
            [SLICED.format("18", "args.q"), XML.format("message", "q")],
        ),
    ],
    ids=str,
)  # fmt: skip
def test_an_argument_that_usual_texts_break_is_reported(
    message: Any, then: list[Any], inputs: Any, lines: list[str], tmp_path: Path
) -> None:
    assert message_lines(tmp_path, message, inputs, **({"then": then} if then else {})) == lines


def test_an_argument_in_the_message_of_the_template_is_reported_there(tmp_path: Path) -> None:
    found = lines_of(entry(TOOL, message="<a>{{ args.q }}</a>", reply="none"), tmp_path, "argument-not-escaped")
    assert [line.partition(":")[0] for line in found] == ["message"]


# Packages

MSGPACK = {"codec": "msgpack"}
FILTERED = tool(message="{{ args.q | to_msgpack | base64 }}")


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        (entry(tool(message="{{ args.q }}", framing=MSGPACK)), ["tools[0].tool_call_template.framing.codec"]),
        (entry(framing=MSGPACK), ["framing.codec"]),
        (entry(framing={"codec": "cbor"}), []),
        (entry(framing={"codec": "mqtt"}, protocol="mqtt"), []),
        (entry(framing={"compression": {"method": "zstd", "send": True}}), ["framing.compression"]),
        (entry(tool(message="{{ args.q }}", framing={"compression": "zstd"})),
         ["tools[0].tool_call_template.framing.compression"]),
        (entry(framing={"compression": "gzip"}), []),
        (entry(proxy="socks5://p.example.com:1"), ["proxy"]),
        (entry(proxy="http://p.example.com:1"), []),
        (entry(FILTERED), [""]),
        (entry(tool(message="{{ args.q | to_cbor | base64 }}")), []),
        (entry(TOOL, TOOL | {"name": "u"}, framing=MSGPACK, proxy="socks5://p.example.com:1"),
         ["framing.codec", "proxy"]),
        ({"manual_call_templates": [entry(), {**entry(FILTERED), "name": "n"}]}, ["manual_call_templates[1]"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_package_that_is_missing_is_named_where_it_is_needed(
    document: Any, paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("msgpack", "python_socks", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    found = lines_of(document, tmp_path, "package-missing")
    assert [line.partition(": ")[0] if ": " in line else "" for line in found] == paths


# Places

OF_PRESET = "message of this preset: the argument "


@pytest.mark.parametrize(
    ("document", "start"),
    [
        (entry(plain("a"), TOOL, message="{{ args.q }}"), "message: the argument 'q'"),
        (entry(plain("a"), TOOL, request_data_format="text", request_data_template="UTCP_ARG_q_UTCP_ARG"),
         "request_data_template: the argument 'q'"),
        (entry(plain("a"), preset="phoenix", on_connect=[]), f"preset: {OF_PRESET}"),
        (entry(named("a", NOTHING, preset="graphql-transport-ws")), f"tools[0].tool_call_template.preset: {OF_PRESET}"),
        (entry(named("a", NOTHING, preset="graphql-transport-ws", message=None)), None),
        (entry(named("a", NOTHING), preset="phoenix", on_connect=[], message="{{ args.b }}"), "message: the"),
        ({"manual_call_templates": [entry(), {**entry(plain("a"), preset="graphql-transport-ws"), "name": "n"}]},
         f"manual_call_templates[1].preset: {OF_PRESET}"),
        ({"manual_call_templates": [{**entry(plain("a"), TOOL, message="{{ args.q }}"), "name": "n"}]},
         "manual_call_templates[0].message: the argument 'q'"),
    ],
    ids=str,
)  # fmt: skip
def test_a_problem_is_placed_where_its_field_is_written(document: Any, start: str | None, tmp_path: Path) -> None:
    found = lines_of(document, tmp_path, "argument-not-declared")
    assert [line for line in found if not line.startswith(start or "")] == []
    assert bool(found) is (start is not None)
