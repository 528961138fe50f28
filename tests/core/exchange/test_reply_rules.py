import json
from pathlib import PurePath

import pytest

from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.reply_rules import Concurrency, Role
from utcp_ws_mcp.core.exchange.stream_rules import StreamLimits
from utcp_ws_mcp.core.expressions.analysis import find_correlation_path
from utcp_ws_mcp.core.expressions.expression import EvaluationError
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.tools.catalog import compile_entry, compile_tools
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.remote_manual import read_manual
from utcp_ws_mcp.manifest.variables import VariableResolver


def compiled(local, fields):
    tool = {"name": "t", "tool_call_template": fields}
    document = [{"name": "m", "url": "wss://a.example/", "tools": [tool] if local else []}]
    (entry,) = load_document(document, VariableResolver([{"TOKEN": "x"}]), "m.json", PurePath()).entries
    plans, problems = compile_entry(entry) if local else compile_tools(entry, read_manual({"tools": [tool]}, entry)[0])
    return plans, "".join(map(str, problems))


def rules_of(local=True, **fields):
    plans, problems = compiled(local, fields)
    assert problems == ""
    return plans[0].rules


def message_of(value):
    return decode(value if isinstance(value, str | bytes) else json.dumps(value))


def seeing(message, **values):
    return Scope(Ambient(None, None), {"request_id": 7, "args": {}, "message": message.value, **values})


def classified(rules, value):
    exchanges = Dispatcher("counter", str)
    exchanges.open(rules, Scope(Ambient(None, None), {"args": {}}))
    return exchanges.receive(message_of(value))


SHARING = {
    "without match": (None, Concurrency.EXCLUSIVE, None, None),
    "match without the id": ("message.type == 'answer'", Concurrency.EXCLUSIVE, None, None),
    "the id": ("message.id == request_id", Concurrency.MULTIPLEXED, ("id",), None),
    "the id, the other way round": ("request_id == message.id", Concurrency.MULTIPLEXED, ("id",), None),
    "the id, close together": ("message.id==request_id", Concurrency.MULTIPLEXED, ("id",), None),
    "the id deep inside": ("message.meta.ids[0] == request_id", Concurrency.MULTIPLEXED, ("meta", "ids", 0), None),
    "the id and more": ("message.id == request_id and message.ok", Concurrency.MULTIPLEXED, ("id",), "message.ok"),
    "more and the id": (
        "message.type == 'a and b' and request_id == message.id",
        Concurrency.MULTIPLEXED,
        ("id",),
        "message.type == 'a and b'",
    ),
    "the id or more": ("message.id == request_id or message.ok", Concurrency.MULTIPLEXED, None, None),
    "not the id": ("not message.id == request_id", Concurrency.MULTIPLEXED, None, None),
    "the id in brackets": ("(message.id == request_id)", Concurrency.MULTIPLEXED, None, None),
    "the id, compared otherwise": ("message.id >= request_id", Concurrency.MULTIPLEXED, None, None),
    "the id in a text": ("message.topic == 'r/' ~ request_id", Concurrency.MULTIPLEXED, None, None),
    "the id as the message itself": ("message == request_id", Concurrency.MULTIPLEXED, None, None),
    "the id and something of the call": ("args.id == request_id", Concurrency.MULTIPLEXED, None, None),
    "the id in quotes only": ("message.id == 'request_id'", Concurrency.EXCLUSIVE, None, None),
    "the id between others": (
        "message.a and message.id == request_id and message.b",
        Concurrency.MULTIPLEXED,
        ("id",),
        "message.a and message.b",
    ),
    "or in quotes": (
        "message.id == request_id and message.t == 'this or (that)'",
        Concurrency.MULTIPLEXED,
        ("id",),
        "message.t == 'this or (that)'",
    ),
}


@pytest.mark.parametrize(("match", "sharing", "path", "beside"), SHARING.values(), ids=SHARING)
def test_match_says_whether_a_connection_is_shared_and_where_the_id_stands(match, sharing, path, beside):
    rules = rules_of(reply={"match": match})

    assert (rules.concurrency, rules.correlation_path) == (sharing, path)
    assert (rules.match_beside_id and rules.match_beside_id.source) == beside


@pytest.mark.parametrize("match", ["message['x-id'] == request_id", 'request_id == message["x-id"] and message.ok'])
def test_an_id_whose_name_needs_quotes_is_found(match):
    assert rules_of(reply={"match": match}).correlation_path in (("x-id",), None)


ROLES = {
    "an answer": ({"result": 1}, Role.REPLY),
    "a failure": ({"error": "no"}, Role.ERROR),
    "an acknowledgement": ({"janus": "ack"}, Role.ACK),
    "a failure that looks like an acknowledgement": ({"janus": "ack", "error": "no"}, Role.ERROR),
    "a text": ("PONG", Role.REPLY),
    "bytes": (b"\x00", Role.REPLY),
}


@pytest.mark.parametrize(("value", "role"), ROLES.values(), ids=ROLES)
def test_a_message_is_classified(value, role):
    rules = rules_of(reply={"error": "message.error is defined", "ack": "message.janus == 'ack'"})

    assert classified(rules, value) is role


STREAM_ROLES = {
    "an item": ({"n": 1}, Role.ITEM),
    "the end": ({"done": True}, Role.END),
    "a failure": ({"error": "no", "done": True}, Role.ERROR),
}


@pytest.mark.parametrize(("value", "role"), STREAM_ROLES.values(), ids=STREAM_ROLES)
def test_a_message_of_a_stream_is_classified(value, role):
    rules = rules_of(reply={"error": "message.error is defined"}, stream={"until": "message.done"})

    assert classified(rules, value) is role


UTCP_ROLES = {
    "an item": ({"type": "tool_response", "result": 5}, Role.ITEM, 5),
    "another message": ({"type": "progress", "p": 1}, Role.ITEM, {"type": "progress", "p": 1}),
    "the end": ({"type": "stream_end"}, Role.END, None),
    "a failure": ({"type": "tool_error", "error": "no"}, Role.ERROR, None),
}


@pytest.mark.parametrize("local", [True, False], ids=["local", "from the network"])
@pytest.mark.parametrize(("value", "role", "item"), UTCP_ROLES.values(), ids=UTCP_ROLES)
def test_stream_alone_understands_the_framing_of_utcp(value, role, item, local):
    rules = rules_of(local=local, stream=True)
    message = message_of(value)

    assert classified(rules, value) is role
    if role is Role.ITEM:
        assert rules.extract(seeing, message) == item
    if role is Role.ERROR:
        assert rules.error_text(seeing(message)) == "no"


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True, "reply": {"match": "message.id == request_id"}},
        {"stream": {"until": "message.done"}},
        {"stream": {"item": "message.n"}},
    ],
    ids=["with reply", "with until", "with item"],
)
def test_a_stream_with_rules_of_its_own_has_no_other(fields):
    assert classified(rules_of(request_id="counter", **fields), {"type": "stream_end", "id": 1}) is Role.ITEM


def test_a_stream_that_is_off_is_none():
    rules = rules_of(stream={"on": False, "until": "message.done"})

    assert rules.stream is None
    assert classified(rules, {"done": True}) is Role.REPLY


IGNORED = {
    "one predicate": ("message.type == 'ping'", {"type": "ping"}, True),
    "the second of two": (["message.a", "message.type == 'ping'"], {"type": "ping"}, True),
    "none of two": (["message.a", "message.b"], {"type": "ping"}, False),
    "no predicate": ([], {"type": "ping"}, False),
    "one that cannot be evaluated": ("message.startswith('P')", {"type": "ping"}, False),
    "a text": ("message.startswith('P')", "PING", True),
}


@pytest.mark.parametrize(("ignore", "value", "ignored"), IGNORED.values(), ids=IGNORED)
def test_messages_that_answer_nothing_are_ignored(ignore, value, ignored):
    assert rules_of(ignore=ignore).is_ignored(seeing(message_of(value))) is ignored


TAKEN = {
    "the whole message": ({}, '{"a": 1.0}', '{"a": 1.0}'),
    "the whole message, bytes": ({}, b"\x00", b"\x00"),
    "a part": ({"reply": {"result": "message.a"}}, '{"a": {"b": 1.0}}', {"b": 1.0}),
    "null": ({"reply": {"result": "message.a"}}, '{"a": null}', None),
    "a computed value": ({"reply": {"result": "message.a ~ args.x"}}, '{"a": 1}', "1x"),
    "an item": ({"stream": {"item": "message.n"}, "reply": {"result": "message.r"}}, '{"n": 1, "r": 2}', 1),
    "an item, as the result says": ({"stream": True, "reply": {"result": "message.r"}}, '{"n": 1, "r": 2}', 2),
}


@pytest.mark.parametrize(("fields", "raw", "expected"), TAKEN.values(), ids=TAKEN)
def test_the_result_is_taken_out_of_a_message(fields, raw, expected):
    message = decode(raw)

    assert rules_of(**fields).extract(lambda each: seeing(each, args={"x": "x"}), message) == expected


@pytest.mark.parametrize("raw", ["{}", "text", '{"result": {}}'])
def test_a_reply_without_its_result_says_so(raw):
    message = decode(raw)

    with pytest.raises(EvaluationError, match=r"reply\.result: message\.result\.value is missing") as missing:
        rules_of(reply={"result": "message.result.value"}).extract(seeing, message)
    assert missing.value.code == "result-missing"


FAULTS = {
    "a text": ("message.error.text", "no such symbol"),
    "an object": ("message.error", {"text": "no such symbol"}),
    "nothing there": ("message.nope.at.all", None),
    "not to be evaluated": ("message.error - 1", None),
    "nothing said": (None, None),
}


@pytest.mark.parametrize(("expression", "found"), FAULTS.values(), ids=FAULTS)
def test_the_message_of_a_failure_is_found_or_not(expression, found):
    message = message_of({"error": {"text": "no such symbol"}})

    assert rules_of(reply={"error": "message.error", "error_message": expression}).error_text(seeing(message)) == found


FIELDS = {
    "match": {"reply": {"match": "{}"}},
    "error": {"reply": {"error": "{}"}},
    "error_message": {"reply": {"error_message": "{}"}},
    "result": {"reply": {"result": "{}"}},
    "ack": {"reply": {"ack": "{}"}},
    "ignore": {"ignore": ["{}"]},
    "until": {"stream": {"until": "{}"}},
    "item": {"stream": {"item": "{}"}},
}


def with_expression(fields, expression):
    return json.loads(json.dumps(fields).replace("{}", expression))


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_a_wrong_expression_is_refused_wherever_it_stands(fields):
    plans, problems = compiled(True, with_expression(fields, "mesage.id"))

    assert plans == []
    assert "Did you mean 'message'" in problems


@pytest.mark.parametrize("expression", ["message | length", "vars.TOKEN", "message.upper()"])
@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_an_expression_from_the_network_may_only_compare_wherever_it_stands(fields, expression):
    assert rules_of(**with_expression(fields, expression))
    plans, problems = compiled(False, with_expression(fields, expression))

    assert plans == []
    assert problems


COMPUTED = {"max_items": "args.n", "max_seconds": "args.s", "idle_seconds": "args.i * 2"}


def limits_of(**args):
    stream = rules_of(stream=COMPUTED).stream
    return stream.limits(Scope(Ambient(None, None), {"args": {"n": 1, "s": 1, "i": 1, **args}}))


def test_the_bounds_of_a_stream_are_computed_for_each_call():
    assert limits_of(n=3, s=0.25, i=0.5) == StreamLimits(3, 0.25, 1)
    assert limits_of(s=2) == StreamLimits(1, 2, 2)


@pytest.mark.parametrize("value", [0, -1, -0.5, True, False, "5", "", None, [1], float("nan")], ids=repr)
def test_a_bound_of_a_stream_that_is_no_number_above_zero_is_an_error(value):
    with pytest.raises(RenderError, match="stream.max_items: args.n is not a number above zero") as failed:
        limits_of(n=value)

    assert failed.value.code == "expression-failed"


def test_a_bound_of_a_stream_that_cannot_be_computed_is_an_error_that_names_it():
    with pytest.raises(RenderError, match="stream.idle_seconds: ") as failed:
        limits_of(i="x")

    assert failed.value.code == "expression-failed"


# --- how exchanges use a connection ---

BY_ID = {"match": "message.id == request_id"}
WATCH = {"listen": True, "stream": {"match": "message.a"}}
HTTP = [{"http": {"url": "https://a.example/"}}]
ASKED = [{"match": "message.ask", "send": "yes"}]
MULTIPLEXED, EXCLUSIVE = Concurrency.MULTIPLEXED, Concurrency.EXCLUSIVE

# name: fields, then: concurrency, whether late replies are recognized, whether nothing is ever sent, whether the first
# message is the reply, whether nothing proves that it is, whether a reply opens the stream
USES = {
    "nothing": ({}, EXCLUSIVE, False, False, True, True, False),
    "ignore": ({"ignore": "message.a"}, EXCLUSIVE, False, False, True, False, False),
    "a match": ({"reply": {"match": "message.a"}}, EXCLUSIVE, False, False, False, False, False),
    "a match that distinguishes calls": (
        {"reply": {"match": "message.a == args.a", "concurrent": True}},
        MULTIPLEXED,
        *(False, False, False, False, False),
    ),
    "an id": ({"reply": BY_ID}, MULTIPLEXED, True, False, False, False, False),
    "no reply": ({"reply": {"none": True}}, MULTIPLEXED, True, False, False, False, False),
    "a stream": ({"stream": {"until": "message.a"}}, EXCLUSIVE, False, False, True, True, False),
    "a stream that watches": (WATCH, MULTIPLEXED, True, True, False, False, False),
    "a stream that watches and answers": (
        {**WATCH, "auto_reply": ASKED},
        MULTIPLEXED,
        *(True, False, False, False, False),
    ),
    "a stream that watches after a request over HTTP": (
        {**WATCH, "before_message": HTTP},
        MULTIPLEXED,
        *(True, False, False, False, False),
    ),
    "a stream that watches and is cancelled": (
        {"listen": True, "keep_alive": False, "stream": {"match": "message.a", "cancel": "x"}},
        MULTIPLEXED,
        *(True, False, False, False, False),
    ),
    "only listening": ({"listen": True, "stream": {"until": "message.a"}}, EXCLUSIVE, False, True, False, False, False),
    "a subscription": (
        {"reply": BY_ID, "stream": {"match": "message.a"}},
        MULTIPLEXED,
        True,
        False,
        False,
        False,
        True,
    ),
    "a subscription without an id": (
        {"reply": {"match": "message.ok"}, "stream": {"match": "message.a"}},
        EXCLUSIVE,
        *(False, False, False, False, True),
    ),
    "a subscription without a reply": (
        {"stream": {"match": "message.a"}},
        EXCLUSIVE,
        False,
        False,
        False,
        False,
        False,
    ),
}


@pytest.mark.parametrize(
    ("fields", "concurrency", "recognized", "silent", "first", "unproven", "subscribes"), USES.values(), ids=USES
)
def test_the_rules_say_how_exchanges_use_a_connection(
    fields, concurrency, recognized, silent, first, unproven, subscribes
):
    rules = rules_of(**fields)
    assert rules.concurrency is concurrency
    assert (rules.late_replies_are_recognized, rules.never_sends) == (recognized, silent)
    assert (rules.takes_first_message, rules.is_unproven_reply, rules.has_subscribe_reply) == (
        first,
        unproven,
        subscribes,
    )


def test_a_subscription_is_found_by_the_id_of_its_reply():
    assert rules_of(reply=BY_ID, stream={"match": "message.a"}).correlation_path == ("id",)
    assert rules_of(**WATCH).correlation_path is None


def test_requests_over_http_are_known_to_the_rules():
    assert (rules_of(before_message=HTTP).sends_http, rules_of().sends_http) == (True, False)


# --- the path of an id ---

ID_PATHS = {
    "message.id == request_id": (("id",), ""),
    "  message.id==request_id ": (("id",), ""),
    "message.a.b[0].c == request_id": (("a", "b", 0, "c"), ""),
    "request_id == message.id and message.ok": (("id",), "message.ok"),
    "message.ok and message.kind == 'x' and message.id == request_id": (("id",), "message.ok and message.kind == 'x'"),
    "message.id == request_id and message.jd == request_id": (("id",), "message.jd == request_id"),
    "message.id != request_id": (None, ""),
    "message.id == request_id | int": (None, ""),
    "message == request_id": (None, ""),
    "args.id == request_id": (None, ""),
    "message.id == request_ids": (None, ""),
    "message.id == request_id if message.a else true": (None, ""),
    "message.id == request_id or message.a": (None, ""),
    "(message.id == request_id) and message.a": (None, ""),
    "message.t == ' or ' and message.id == request_id": (("id",), "message.t == ' or '"),
    "message.t == 'a and b == c' and message.id == request_id": (("id",), "message.t == 'a and b == c'"),
    "message.order == 1 and message.id == request_id": (("id",), "message.order == 1"),
    "message.id == request_id\nand message.a": (("id",), "message.a"),
    "message.a": (None, ""),
}


@pytest.mark.parametrize(("match", "found"), ID_PATHS.items())
def test_the_path_of_the_id_and_what_else_is_demanded_are_found_in_a_conjunction(match, found):
    assert find_correlation_path(match) == found


# --- the fields of predicates ---


def test_a_predicate_is_named_by_its_field():
    rules = rules_of(
        reply={"match": "message.a", "error": "message.b", "ack": "message.c"},
        ignore=["message.d", "message.e"],
        auto_reply=[{"match": "message.f", "send": "x"}, {"match": "message.g", "send": "x"}],
        stream={"match": "message.h", "until": ["message.i", "message.j"]},
    )
    assert [rules.field_of(f"message.{name}") for name in "abcdefghijk"] == [
        *("reply.match", "reply.error", "reply.ack", "ignore[0]", "ignore[1]"),
        *("auto_reply[0].match", "auto_reply[1].match", "stream.match", "stream.until[0]", "stream.until[1]"),
        "a predicate of the connection",
    ]
    assert rules_of().field_of("message.a") == "a predicate of the connection"


# --- results ---


def test_a_value_that_is_called_message_elsewhere_is_no_part_of_the_message():
    message = message_of({"message": 1})
    rules = rules_of(reply={"result": "session.message"})
    assert rules.extract(lambda each: seeing(each, session={"message": 2}), message) == 2
    assert rules_of(reply={"result": "message.message"}).extract(seeing, message) == 1


def test_an_item_that_is_missing_names_its_field_and_the_fix():
    with pytest.raises(EvaluationError) as missing:
        rules_of(stream={"match": "message.a", "item": "message.n"}).extract(seeing, message_of({"a": 1}))
    assert str(missing.value) == (
        'stream.item: message.n is missing from the reply. Let "reply.ack" hold for messages that are no items.'
    )
    with pytest.raises(EvaluationError) as missing:
        rules_of(stream={"until": "message.a"}, reply={"result": "message.n"}).extract(seeing, message_of({"a": 1}))
    assert str(missing.value) == "reply.result: message.n is missing from the reply."


RESULT_EXPRESSIONS = {
    "the result": ({"reply": {"result": "message.r"}}, "message.r"),
    "none": ({"reply": {"match": "message.a"}}, None),
    "the item": ({"reply": {"result": "message.r"}, "stream": {"item": "message.i"}}, "message.i"),
    "the result of a stream": ({"reply": {"result": "message.r"}, "stream": {"until": "message.a"}}, "message.r"),
    "a stream that watches": ({"reply": {"result": "message.r"}, "stream": {"match": "message.a"}}, None),
}


@pytest.mark.parametrize(("fields", "source"), RESULT_EXPRESSIONS.values(), ids=RESULT_EXPRESSIONS)
def test_the_items_of_a_stream_that_watches_are_no_replies(fields, source):
    expression = rules_of(**fields).result_expression
    assert (expression and expression.source) == source


def test_the_bounds_of_a_stream_are_those_of_the_manifest_unless_they_are_computed():
    stream = rules_of(stream={"until": "message.a", "max_items": 5, "max_seconds": 2.5}).stream
    assert (stream.computed_bounds, stream.limits(Scope(Ambient(None, None), {}))) == ({}, StreamLimits(5, 2.5, None))
    stream = rules_of(stream={"until": "message.a", "max_items": "args.n"}).stream
    assert list(stream.computed_bounds) == ["max_items"]
    limits = stream.limits(Scope(Ambient(None, None), {"args": {"n": 2.9}}))
    assert (limits, type(limits.max_items)) == (StreamLimits(2, None, None), int)


# --- where problems and trust are ---


def test_a_wrong_automatic_reply_of_a_tool_is_reported_at_its_place():
    plans, problems = compiled(True, {"auto_reply": [ASKED[0], {"match": "mesage.a", "send": "x"}]})
    assert plans == []
    assert "auto_reply[1]" in problems
    plans, problems = compiled(True, {"auto_reply": [{"match": "message.a", "send": "{{ nope }}"}]})
    assert "auto_reply[0]" in problems


def test_an_automatic_reply_sees_its_message_and_variables_of_the_manifest_only_where_the_manifest_wrote_it():
    reply = [{"match": "message.a == vars.TOKEN", "send": "{{ message.a }}"}]
    assert compiled(True, {"auto_reply": reply})[1] == ""
    assert compiled(False, {"auto_reply": reply})[0] == []
    assert compiled(False, {"auto_reply": [{"match": "message.a == 1", "send": "{{ message.a }}"}]})[1] == ""


def test_without_rules_a_reply_means_what_utcp_says_and_with_a_stream_or_listening_nothing_is_added():
    assert rules_of().result_is_optional
    assert rules_of().error is not None
    for fields in ({"reply": {"match": "message.a"}}, {"listen": True, "stream": {"match": "message.a"}}):
        rules = rules_of(**fields)
        assert (rules.result_is_optional, rules.error, rules.ack, rules.result) == (False, None, None, None)
