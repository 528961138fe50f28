import json
from pathlib import PurePath

import pytest

from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.reply_rules import Concurrency, Role, StreamLimits
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
