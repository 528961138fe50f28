import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.message import (
    MAX_VALUES,
    REDACTION_WINDOW,
    Message,
    RejectedValue,
    decode,
    decode_values,
    encode,
    encode_json,
    excerpt,
    http_error_detail,
    parse_json,
    redact_beginning,
    to_json_safe,
)

FUZZ = settings(max_examples=200, deadline=None, database=None)


def nested(depth):
    value = "inmost"
    for _ in range(depth):
        value = [value]
    return value


ENCODED = {
    "text as it is": ('PING {"a": 1}', 'PING {"a": 1}'),
    "text in all letters": ("grüße 😀", "grüße 😀"),
    "an object, compact": ({"a": [1, None, True], "b": "ü"}, '{"a":[1,null,true],"b":"ü"}'),
    "an array": ([1.5, "x"], '[1.5,"x"]'),
    "a number": (7, "7"),
    "null": (None, "null"),
    "a control character": ({"a": "\x00\n"}, '{"a":"\\u0000\\n"}'),
}


@pytest.mark.parametrize(("value", "message"), ENCODED.values(), ids=ENCODED)
def test_a_value_is_written(value, message):
    assert encode(value) == message


NOT_ENCODED = {
    "not a number": {"a": float("nan")},
    "infinity": [float("-inf")],
    "bytes": {"a": b"x"},
    "a set": {"a": {1}},
    "a function": {"a": len},
    "a lone surrogate in a text": "\ud800",
    "a lone surrogate in an object": {"a": "\udfff"},
    "too deep": nested(100_000),
}


@pytest.mark.parametrize("value", NOT_ENCODED.values(), ids=NOT_ENCODED)
def test_what_is_no_json_is_never_sent(value):
    with pytest.raises(ValueError):
        encode(value)


DECODED = {
    "an object": ('{"a": 1}', {"a": 1}),
    "an array": ("[1, 2]", [1, 2]),
    "a text in quotes": ('"x"', "x"),
    "a number": ("-1.5", -1.5),
    "a word": ("true", True),
    "null": ("null", None),
    "space around it": ('\n\t {"a": 1}\n', {"a": 1}),
    "a float stays one": ("1.0", 1.0),
    "a number that JSON lacks": ('{"a": NaN, "b": -Infinity}', {"a": "NaN", "b": "-Infinity"}),
    "the last of two keys": ('{"a": 1, "a": 2}', {"a": 2}),
}


@pytest.mark.parametrize(("raw", "value"), DECODED.values(), ids=DECODED)
def test_json_is_read(raw, value):
    message = decode(raw)

    assert message.is_json
    assert message.raw == raw
    assert message.value == value
    assert type(message.value) is type(value)


STAYS = {
    "text": "PING",
    "nothing": "",
    "half an object": '{"a": 1',
    "two values": "{} {}",
    "a word that begins alike": "trueish",
    "a single quote": "'x'",
    "space": "  \n ",
    "a byte order mark alone": "\ufeff",
    "bytes": b"\x00\x01",
    "bytes that hold JSON": b'{"a": 1}',
    "too deep": "[" * 100_000,
    "too deep and closed": "[" * 100_000 + "]" * 100_000,
    "too many digits": "9" * 5000,
}


@pytest.mark.parametrize("raw", STAYS.values(), ids=STAYS)
def test_what_is_no_json_stays_as_it_came(raw):
    message = decode(raw)

    assert message == Message(raw, raw)
    assert not message.is_json


def test_json_is_read_behind_a_lot_of_white_space():
    assert decode(" " * 100 + '{"a": 1}').value == {"a": 1}


@pytest.mark.parametrize(
    "text", ["", "x", "[" * 100_000, "9" * 5000, "'a'"], ids=["nothing", "text", "deep", "digits", "quotes"]
)
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


CLEANED = {
    "plain": ({"a": [1, 1.5, None, True, "ü"]}, {"a": [1, 1.5, None, True, "ü"]}),
    "a lone surrogate": ("a\ud800b", "a\ufffdb"),
    "a lone surrogate in a key": ({"\udfff": 1}, {"\ufffd": 1}),
    "numbers that JSON lacks": ([1e999, -1e999, float("nan")], ["Infinity", "-Infinity", "NaN"]),
    "bytes": (b"\x00\xff", "00ff"),
    "a key that is no text": ({1: "x", None: "y", b"\xff": "z"}, {"1": "x", "null": "y", "ff": "z"}),
    "a tuple": ((1, 2), [1, 2]),
    "something else": ({"a": complex(1, 2)}, {"a": "(1+2j)"}),
}


@pytest.mark.parametrize(("value", "expected"), CLEANED.values(), ids=CLEANED)
def test_a_value_from_outside_is_made_writable(value, expected):
    assert to_json_safe(value) == expected


def test_a_value_that_is_nested_too_deeply_is_cut():
    assert to_json_safe([[["x"]]], depth=2) == [["… nested too deeply"]]
    assert to_json_safe([["x"]], depth=2) == [["x"]]
    assert len(encode_json(to_json_safe(nested(100_000)))) < 200


EXCERPTS = {
    "short": ("hello", "hello"),
    "between empty lines": ("\n\thello\r\n", "hello"),
    "of many lines": ("a\nb\tc\x00d", "a b c\\u0000d"),
    "with an order mark and a surrogate": ("a\u202eb\ud800c", "a\\u202eb\\ud800c"),
    "with a byte order mark": ("\ufeff{", "\\ufeff{"),
    "ending with NUL": ("{}x\0", "{}x\\u0000"),
    "long": ("x" * 300, "x" * 200 + "…"),
    "exactly as long": ("x" * 200, "x" * 200),
    "bytes": (b"\x01\x02", "2 bytes of binary data, 0x0102"),
    "many bytes": (bytes(30), "30 bytes of binary data, 0x" + "00" * 24 + "…"),
    "bytes that are text": ("Größe: 3\r\n".encode(), "12 bytes of binary data, as text: Größe: 3"),
    "many bytes that are text": (b"x" * 300, "300 bytes of binary data, as text: " + "x" * 200 + "…"),
    "bytes that are blank": (b"\r\n", "2 bytes of binary data, 0x0d0a"),
    "no bytes": (b"", "0 bytes of binary data, 0x"),
}


@pytest.mark.parametrize(("raw", "shown"), EXCERPTS.values(), ids=EXCERPTS)
def test_the_beginning_of_a_message_is_shown_on_one_line(raw, shown):
    assert excerpt(raw) == shown


texts = st.text(st.characters(), max_size=12) | st.text(alphabet='\ud800\udfff"\\\n', max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | st.integers(), inner, max_size=4),
    max_leaves=12,
)
jsonish = st.text(alphabet='[]{}":, \n\t\\u019eE+-.truefalsnNaIfity\ud800', max_size=40)


@FUZZ
@given(st.text(st.characters()) | st.binary() | jsonish | values.map(lambda value: json.dumps(to_json_safe(value))))
def test_any_message_is_decoded_and_its_value_can_be_written_again(raw):
    message = decode(raw)

    assert message.raw is raw
    assert encode(to_json_safe(message.value)) is not None
    assert excerpt(raw).isprintable()


@FUZZ
@given(values)
def test_any_value_can_be_written_once_it_is_clean(value):
    cleaned = to_json_safe(value)

    assert parse_json(encode(encode_json(cleaned))) == cleaned


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@FUZZ
@given(st.dictionaries(st.text(), json_values) | st.lists(json_values))
def test_what_is_written_is_read_as_it_was(value):
    assert decode(encode(value)).value == value
    assert to_json_safe(value) == value


@pytest.mark.parametrize(
    ("status", "body", "shown"),
    [
        (
            400,
            b"invalid subprotocol;\nexpected one of a, b\n",
            "; the endpoint said: “invalid subprotocol; expected one of a, b”",
        ),
        (401, b'{\n  "error": "no such key"\n}\n', '; the endpoint said: “{ "error": "no such key" }”'),
        (500, b"x" * 300, f"; the endpoint said: “{'x' * 200}…”"),
        (400, b"<!doctype html><title>Bad Request</title>", ""),
        (400, b"\xff\xfe", ""),
        (400, b" \n", ""),
        (200, b'{"key": "k"}', ""),
    ],
)
def test_a_failure_over_http_is_reported_in_its_own_words_unless_it_is_a_page(
    status: int, body: bytes, shown: str
) -> None:
    assert http_error_detail(status, body) == shown


AROUND = ["\0", "\ufeff", "\x1e", "\r\n", " \0\0"]


@pytest.mark.parametrize("before", ["", *AROUND])
@pytest.mark.parametrize("after", ["", *AROUND])
def test_what_cannot_be_seen_around_json_does_not_hide_it(before, after):
    raw = f'{before}{{"id":1}}{after}'

    assert decode(raw) == Message(raw, {"id": 1})
    assert [message.value for message in decode_values(raw)] == [{"id": 1}]


@pytest.mark.parametrize("between", ["", *AROUND])
def test_json_objects_and_arrays_in_a_row_are_messages_of_their_own(between):
    messages = decode_values(between.join(['{"id":1}', "[2]", '{"a":"}{"}']) + between)

    assert [(message.raw, message.value) for message in messages] == [
        ('{"id":1}', {"id": 1}),
        ("[2]", [2]),
        ('{"a":"}{"}', {"a": "}{"}),
    ]


WHOLE = ["1 2", "{}x", "x{}", '{"a":1}"b"', '{"a":1}{', "{}{} and text", "[1][", "nullnull", "", "\0"]


@pytest.mark.parametrize("raw", WHOLE)
def test_text_that_only_begins_like_json_stays_one_message(raw):
    assert [message.value for message in decode_values(raw)] == [raw]


def test_values_in_a_row_are_bounded():
    assert len(decode_values("{}" * MAX_VALUES)) == MAX_VALUES
    assert len(decode_values("{}" * (MAX_VALUES + 1))) == 1


@FUZZ
@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=3)), min_size=1, max_size=5), st.data())
def test_no_object_in_a_row_is_lost(objects, data):
    raw = "".join(json.dumps(each) + data.draw(st.sampled_from(["", *AROUND])) for each in objects)

    assert [message.value for message in decode_values(raw)] == objects


def test_bytes_inside_a_decoded_message_are_marked_for_people() -> None:
    message = Message(b"", {"data": b"\x00\xff", "more": [{"a": b""}]}, decoded=True)
    assert message.for_display == '{"data":"<2 bytes: 0x00ff>","more":[{"a":"<0 bytes: 0x>"}]}'


def test_a_message_shows_its_payload_and_its_size():
    plain, decoded = Message("é", "é"), Message(b"\xff\xff", {"a": 1}, decoded=True)

    assert (plain.payload, plain.for_display, plain.size, plain.is_json) == ("é", "é", 2, False)
    assert (decoded.payload, decoded.for_display, decoded.size, decoded.is_json) == ({"a": 1}, '{"a":1}', 2, True)
    assert Message("abc", 1).size == 3
    assert Message("\ud800", 1).size == 1
    assert Message(b"\xc3\xa9", 1).size == 2


def test_a_message_keeps_everything_when_it_gets_the_values_of_its_connection():
    message = Message("raw", {"a": 1}, decoded=True)

    assert message.session is None
    assert message.with_session({"b": 2}) == Message("raw", {"a": 1}, decoded=True, session={"b": 2})


REASONS = {
    "bytes": (
        {"a": b"x"},
        "JSON cannot contain binary data. Encode it with a filter such as base64.",
        "binary-in-text",
    ),
    "NaN": (
        [float("nan")],
        "a value cannot be written as JSON: it contains a number that JSON does not have, or is nested too deeply.",
        "not-json",
    ),
    "levels": (
        nested(100_000),
        "a value cannot be written as JSON: it contains a number that JSON does not have, or is nested too deeply.",
        "not-json",
    ),
}


@pytest.mark.parametrize(("value", "message", "code"), REASONS.values(), ids=REASONS)
def test_what_cannot_be_written_is_refused_with_its_reason(value, message, code):
    with pytest.raises(RejectedValue) as refused:
        encode_json(value)
    assert (str(refused.value), refused.value.code) == (message, code)


def test_a_very_long_integer_is_shown_in_hexadecimal():
    assert to_json_safe((1 << 8192) - 1) == (1 << 8192) - 1
    assert to_json_safe(1 << 8192) == hex(1 << 8192)
    assert to_json_safe([{"a": -(1 << 8192)}]) == [{"a": hex(-(1 << 8192))}]


def test_each_level_counts_where_a_value_is_cut():
    cut = "… nested too deeply"

    assert to_json_safe({"a": {"b": {"c": 1}}}, depth=2) == {"a": {"b": cut}}
    assert to_json_safe({"a": {"b": 1}}, depth=2) == {"a": {"b": 1}}
    assert to_json_safe(((1,),), depth=1) == [cut]
    assert to_json_safe(({},), depth=1) == [cut]
    assert to_json_safe("x", depth=0) == "x"
    assert to_json_safe([b"a", {"b": b"c"}], show_bytes=len) == [1, {"b": 1}]


def test_a_message_may_have_64_levels():
    assert to_json_safe(nested(64)) == nested(64)
    assert "nested too deeply" in encode_json(to_json_safe(nested(65)))


def test_deep_json_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000 + "]" * 100_000)


BINARY = {
    "24 bytes": (b"\xff" * 24, "24 bytes of binary data, 0x" + "ff" * 24),
    "25 bytes": (b"\xff" * 25, "25 bytes of binary data, 0x" + "ff" * 24 + "…"),
    "a control character": (b"a\x01", "2 bytes of binary data, 0x6101"),
    "another limit": (b"abcdef", "6 bytes of binary data, as text: abc…"),
}


@pytest.mark.parametrize(("raw", "shown"), BINARY.values(), ids=BINARY)
def test_bytes_are_shown_as_text_or_as_some_digits(raw, shown):
    assert excerpt(raw, 3 if raw == b"abcdef" else 200) == shown


def test_a_secret_is_removed_before_a_message_is_cut():
    def redact(text):
        return text.replace("secret", "***")

    assert excerpt("a secret", 4, redact) == "a **…"
    assert excerpt(b"a secret", 5, redact) == "8 bytes of binary data, as text: a ***"
    assert excerpt(b"\xff\xfe", 9, lambda text: text.replace("fffe", "***")) == "2 bytes of binary data, 0x***"


def test_only_the_beginning_of_a_long_text_is_redacted_and_its_end_is_dropped():
    given = []

    def redact(text):
        given.append(len(text))
        return text

    whole = 100 + REDACTION_WINDOW
    assert redact_beginning("x" * whole, 100, redact) == "x" * whole
    assert len(redact_beginning("x" * (whole + 1), 100, redact)) == 100 + REDACTION_WINDOW // 2
    assert given == [whole, whole]


def test_the_reason_of_a_failure_over_http_is_redacted():
    assert http_error_detail(400, b"no key", lambda text: text.replace("key", "***")) == "; the endpoint said: “no ***”"
    assert http_error_detail(399, b"no key") == ""
