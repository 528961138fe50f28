import json
from pathlib import PurePath

import pytest

from utcp_ws_mcp.core.codecs.message import Message, decode
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.reply_rules import Role
from utcp_ws_mcp.core.exchange.result import as_text, collect_stream, extract_result, partial_stream_text
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.errors import InvalidReply, ToolError
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver


def plan_of(**fields):
    document = [{"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}]
    (entry,) = load_document(document, VariableResolver([]), "m.json", PurePath()).entries
    return compile_entry(entry)[0][0]


def result_of(raw, redact=str, **fields):
    plan, exchanges = plan_of(**fields), Dispatcher("counter", str)
    exchange = exchanges.open(plan.rules, Scope(Ambient(None, None, redact), {"args": {}}))
    exchanges.receive(decode(raw if isinstance(raw, str | bytes) else json.dumps(raw)))
    return extract_result(plan, exchange, exchange.received.popleft())


RESULT = {"reply": {"result": "message.r"}}
RESULTS = {
    "json: an object": ({"response_format": "json"}, '{"a": 1.0}', {"a": 1.0}),
    "json: a text in quotes": ({"response_format": "json"}, '"x"', "x"),
    "json: null": ({"response_format": "json"}, "null", None),
    "json: bytes that hold it": ({"response_format": "json"}, b'{"a": 1}', {"a": 1}),
    "json: bytes with a byte order mark": ({"response_format": "json"}, b'\xef\xbb\xbf{"a": 1}\0', {"a": 1}),
    "json: a part": ({"response_format": "json", **RESULT}, {"r": [1]}, [1]),
    "json: a part that is a text": ({"response_format": "json", **RESULT}, {"r": "no JSON"}, "no JSON"),
    "text: a text": ({"response_format": "text"}, "hello", "hello"),
    "text: JSON as it came": ({"response_format": "text"}, '{"a":  1}', '{"a":  1}'),
    "text: bytes in UTF-8": ({"response_format": "text"}, "ü".encode(), "ü"),
    "text: a part": ({"response_format": "text", **RESULT}, {"r": "x"}, "x"),
    "text: a part that is none": ({"response_format": "text", **RESULT}, {"r": {"a": 1}}, '{"a":1}'),
    "raw: a text": ({"response_format": "raw"}, '{"a":  1}', '{"a":  1}'),
    "raw: bytes": ({"response_format": "raw"}, b"\xff\x00", b"\xff\x00"),
    "absent: a text": ({}, '{"a":  1}', '{"a":  1}'),
    "absent: bytes": ({}, b"\xff\x00", b"\xff\x00"),
    "absent: a part": (RESULT, {"r": {"a": 1.0}}, {"a": 1.0}),
    "absent: null": (RESULT, {"r": None}, None),
}


@pytest.mark.parametrize(("fields", "raw", "result"), RESULTS.values(), ids=RESULTS)
def test_response_format_shapes_the_result(fields, raw, result):
    found = result_of(raw, **fields)

    assert found == result
    assert type(found) is type(result)


NOT_JSON = (
    'm.t: the reply is not JSON. If it is the reply, set "response_format": "text"; '
    'if not, select the reply with "reply.match".'
)
BEYOND_LIMITS = (
    "m.t: the reply is JSON that is nested too deeply, or holds a number of thousands of digits. "
    'To return it as it is, set "response_format": "text".'
)
MISSING = "m.t: reply.result: message.r is missing from the reply."
INVALID = {
    "json: a text": (
        {"response_format": "json"},
        "<html>",
        f"{NOT_JSON} The endpoint said: “<html>”. [reply-not-json]",
    ),
    "json: too many levels": (
        {"response_format": "json"},
        b"[" * 100_000 + b"]" * 100_000,
        BEYOND_LIMITS,
    ),
    "json: too many digits": (
        {"response_format": "json"},
        "9" * 5000,
        BEYOND_LIMITS,
    ),
    "json: nothing": ({"response_format": "json"}, "", f"{NOT_JSON} [reply-not-json]"),
    "json: bytes": (
        {"response_format": "json"},
        b"\xff",
        f"{NOT_JSON} The endpoint said: “1 bytes of binary data, 0xff”. [reply-not-json]",
    ),
    "json: a long text": (
        {"response_format": "json"},
        "x" * 300,
        f"{NOT_JSON} The endpoint said: “{'x' * 200}…” [reply-not-json]",
    ),
    "json: the whole message, said so": (
        {"response_format": "json", "reply": {"result": "message"}},
        "text",
        f"{NOT_JSON} The endpoint said: “text”. [reply-not-json]",
    ),
    "json: bytes that the codec cannot read": (
        {"response_format": "json", "framing": {"codec": "cbor"}},
        b"\xff",
        "m.t: the reply is not CBOR. The endpoint said: “1 bytes of binary data, 0xff”. [reply-not-json]",
    ),
    "text: bytes that are none": (
        {"response_format": "text"},
        b"\xff",
        (
            'm.t: the reply is not UTF-8 text. If it is binary data, set "response_format": "raw". '
            "The endpoint said: “1 bytes of binary data, 0xff”. [reply-not-text]"
        ),
    ),
    "a part that is not there": (RESULT, {"x": 1}, f'{MISSING} The endpoint said: “{{"x": 1}}”. [result-missing]'),
    "a part of a text": (RESULT, "text\nmore", f"{MISSING} The endpoint said: “text more”. [result-missing]"),
    "a part that cannot be computed": (
        {"reply": {"result": "message.r - 1"}},
        {"r": "x"},
        "m.t: the expression 'message.r - 1' failed",
    ),
}


@pytest.mark.parametrize(("fields", "raw", "sentence"), INVALID.values(), ids=INVALID)
def test_a_reply_that_is_not_of_the_promised_form_is_an_error_that_shows_it(fields, raw, sentence):
    with pytest.raises(InvalidReply) as invalid:
        result_of(raw, **fields)

    assert str(invalid.value).startswith(sentence)


FAULTS = {
    "a text": ("message.error.message", {"error": {"message": "no such symbol", "code": 4}}, "no such symbol"),
    "an object": ("message.error", {"error": {"code": 4}}, '{"code":4}'),
    "the whole message": (None, {"error": 1}, '{"error":1}'),
    "the whole message where the text is missing": ("message.error.message", {"error": 1}, '{"error":1}'),
    "null": ("message.error", {"error": None}, '{"error":null}'),
    "the whole message, with a code": (None, {"error": 1, "code": 5}, '{"error":1,"code":5}'),
    "empty, with true for a code": (
        "message.text",
        {"error": 1, "text": "", "code": True},
        '{"error":1,"text":"","code":true}',
    ),
    "empty, with the code of the error itself": (
        "message.text",
        {"error": {"errno": 2}, "text": "", "code": 5},
        "error code 2",
    ),
    "empty, with a code": ("message.text", {"error": 1, "text": "", "errorCode": "busy"}, "error code busy"),
    "blank, with a number as its code": (
        "message.error.message",
        {"error": {"message": " ", "code": 0}},
        "error code 0",
    ),
    "an empty object": ("message.error", {"error": {}, "code": 7}, "error code 7"),
    "an empty list": ("message.error", {"error": []}, '{"error":[]}'),
    "empty, with a code that says nothing": ("message.error", {"error": "", "code": ""}, '{"error":"","code":""}'),
    "empty, without a code": ("message.error", {"error": ""}, '{"error":""}'),
}


@pytest.mark.parametrize(("expression", "message", "text"), FAULTS.values(), ids=FAULTS)
def test_a_reported_failure_is_a_fault_with_its_message(expression, message, text):
    reply = {"error": "message.error is defined", "error_message": expression, "result": "message.result"}

    with pytest.raises(ToolError) as fault:
        result_of(message, reply=reply, response_format="json")

    assert str(fault.value) == f"the endpoint said: {text} [tool-error]"
    assert fault.value.payload == message


SAID = {
    "the text that is selected": ("message.error", {"error": "bad token s3cret"}, "bad token *"),
    "an object that is selected": ("message.error", {"error": {"token": "s3cret"}}, '{"token":"*"}'),
    "a code": ("message.text", {"text": "", "error": 1, "code": "s3cret"}, "error code *"),
    "the whole message": (None, {"error": "s3cret"}, '{"error":"*"}'),
}


@pytest.mark.parametrize(("expression", "message", "text"), SAID.values(), ids=SAID)
def test_a_secret_in_a_reported_failure_is_not_in_its_text(expression, message, text):
    reply = {"error": "message.error is defined", "error_message": expression}

    with pytest.raises(ToolError) as fault:
        result_of(message, redact=lambda said: said.replace("s3cret", "*"), reply=reply)

    assert fault.value.message == text


@pytest.mark.parametrize("raw", ["", "   "])
def test_a_failure_without_any_text_has_a_sentence(raw):
    with pytest.raises(ToolError, match="the endpoint reported an error without a text"):
        result_of(raw, reply={"error": "message.strip() == ''"})


# What a UTCP endpoint answers, for a tool of which no reply is written: what comes, in which format, and the result.
UTCP_REPLIES = {
    "its result": ({"type": "tool_response", "request_id": "1", "result": {"sum": 5}}, {}, {"sum": 5}),
    "its result is null": ({"type": "tool_response", "result": None}, {}, None),
    "its result as text": ({"type": "tool_response", "result": {"sum": 5}}, {"response_format": "text"}, '{"sum":5}'),
    "no result": ({"type": "tool_response"}, {"response_format": "json"}, {"type": "tool_response"}),
    "another message": ({"type": "answer", "result": 1}, {"response_format": "json"}, {"type": "answer", "result": 1}),
    "as it came": ('{"type":  "answer"}', {}, '{"type":  "answer"}'),
    "a reply that is written": (
        {"type": "tool_response", "result": 1, "r": 2},
        {"reply": {"result": "message.r"}},
        2,
    ),
}


@pytest.mark.parametrize(("message", "fields", "result"), UTCP_REPLIES.values(), ids=UTCP_REPLIES)
def test_a_message_of_utcp_means_what_utcp_says_where_no_reply_is_written(message, fields, result):
    assert result_of(message, **fields) == result


def test_a_tool_error_is_an_error_where_no_reply_is_written():
    with pytest.raises(ToolError, match=r"no such city \[tool-error\]"):
        result_of({"type": "tool_error", "error": "no such city"})


def test_the_end_of_a_stream_is_no_result():
    plan, exchanges = plan_of(), Dispatcher("counter", str)
    exchange = exchanges.open(plan.rules, Scope(Ambient(None, None), {"args": {}}))
    assert exchanges.receive(decode('{"type": "stream_end"}')) is Role.ACK
    assert not exchange.finished


COLLECTED = {
    "a list": ("list", [1, "x"], {"items": [1, "x"], "end": "until", "complete": True}),
    "an empty list": ("list", [], {"items": [], "end": "until", "complete": True}),
    "the last": ("last", [1, {"a": 2}], {"item": {"a": 2}, "end": "until", "complete": True}),
    "the last of three": ("last", [1, 2, 3], {"item": 3, "end": "until", "complete": True}),
    "the last of none": ("last", [], {"item": None, "end": "until", "complete": True}),
    "text": ("text", ["Hel", "lo", 1, {"a": 2}], {"text": 'Hello1{"a":2}', "end": "until", "complete": True}),
    "text of bytes, a character cut in two": (
        "text",
        [b"h\xc3", b"\xa9", "!"],
        {"text": "h\u00e9!", "end": "until", "complete": True},
    ),
    "text of none": ("text", [], {"text": "", "end": "until", "complete": True}),
    "bytes": ("bytes", [b"RIFF", b"\0", b"\xff"], {"data": b"RIFF\0\xff", "end": "until", "complete": True}),
    "bytes and text": (
        "bytes",
        [b"a", "\u00e9", {"b": 1}],
        {"data": b'a\xc3\xa9{"b":1}', "end": "until", "complete": True},
    ),
    "bytes of none": ("bytes", [], {"data": b"", "end": "until", "complete": True}),
    "lists": ("flat", [[1, 2], [], [[3]]], {"items": [1, 2, [3]], "end": "until", "complete": True}),
    "lists and others": (
        "flat",
        [[1], "x", {"a": 2}, None],
        {"items": [1, "x", {"a": 2}, None], "end": "until", "complete": True},
    ),
    "lists of none": ("flat", [], {"items": [], "end": "until", "complete": True}),
}


@pytest.mark.parametrize(("how", "items", "result"), COLLECTED.values(), ids=COLLECTED)
def test_a_stream_is_collected(how, items, result):
    assert (
        collect_stream(plan_of(stream={"until": "message.done", "collect": how}), items, "until", complete=True)
        == result
    )


def test_a_collected_list_is_a_new_one():
    items = [1]
    result = collect_stream(plan_of(stream=True), items, None, complete=False)
    items.append(2)

    assert result == {"items": [1], "end": None, "complete": False}


TEXTS = {
    "a text": ("ü", "ü"),
    "bytes": (b"abc", "3 bytes"),
    "an object": ({"a": [1, None]}, '{"a":[1,null]}'),
    "a number": (1.0, "1.0"),
    "null": (None, "null"),
    "infinity": ([float("inf")], '["Infinity"]'),
    "bytes in an object": ({"a": b"\xff"}, '{"a":"ff"}'),
}


@pytest.mark.parametrize(("value", "text"), TEXTS.values(), ids=TEXTS)
def test_every_result_has_a_text(value, text):
    assert as_text(value) == text


PARTIAL = {
    "a list": ("list", [1, "x"], 'what came before: [1,"x"]'),
    "the last": ("last", [1, 2], "what came before: [1,2]"),
    "text": ("text", ["Hel", "lo"], "what came before: Hello"),
    "text of bytes": ("text", [b"h\xc3", b"\xa9"], "what came before: h\u00e9"),
    "bytes": ("bytes", [b"abc", b"d"], "what came before: 4 bytes"),
    "nothing": ("list", [], "what came before: []"),
}


@pytest.mark.parametrize(("how", "items", "text"), PARTIAL.values(), ids=PARTIAL)
def test_what_a_stream_delivered_before_it_failed_is_shown(how, items, text):
    assert partial_stream_text(plan_of(stream={"until": "message.done", "collect": how}), items) == text


def test_items_of_a_stream_whose_tool_is_unknown_are_shown_as_a_list():
    assert partial_stream_text(None, ["a", 1]) == 'what came before: ["a",1]'
    assert partial_stream_text(plan_of(), ("a",)) == 'what came before: ["a"]'


def test_a_message_that_cannot_be_classified_is_an_error_with_the_field_and_the_fix():
    with pytest.raises(InvalidReply) as invalid:
        result_of(
            {"text": "{ s3cret"},
            redact=lambda text: text.replace("s3cret", "*"),
            reply={"ack": "message.text | from_json"},
        )
    assert invalid.value.code == "predicate-failed"
    text = str(invalid.value)
    assert text.startswith("m.t: reply.ack: the expression 'message.text | from_json' failed")
    assert "Check the kind of the value first, as in 'message is string and …'." in text
    assert '“{"text": "{ *"}”' in text


def test_what_a_codec_decoded_is_not_parsed_again():
    plan, exchanges = plan_of(response_format="json"), Dispatcher("counter", str)
    exchange = exchanges.open(plan.rules, Scope(Ambient(None, None), {"args": {}}))
    exchanges.receive(Message("text", "text", decoded=True))
    assert extract_result(plan, exchange, exchange.received.popleft()) == "text"
