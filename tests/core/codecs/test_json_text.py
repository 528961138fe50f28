"""The fast parser and the fast encoder give what the standard library gives."""

import functools
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.json_text import LARGE_TEXT, encode, encode_parsed, parse, parse_plain
from utcp_ws_mcp.core.codecs.message import to_json_safe

FUZZ = settings(max_examples=300, deadline=None, database=None)
STANDARD = json.JSONDecoder(parse_constant=str)
TEXTS = {
    "zero": "0",
    "minus zero": "-0",
    "minus zero as a fraction": "-0.0",
    "an integer as a fraction": "1.0",
    "an integer with an exponent": "1e5",
    "an integer of 65 bits": "18446744073709551616",
    "an integer that no float holds": "9007199254740993",
    "an integer of 4,300 digits": "9" * 4300,
    "more digits than Python converts": "9" * 4301,
    "a fraction of many digits": "0.1234567890123456789012345678901234567890",
    "a fraction of 400 digits": "1" * 400 + ".5",
    "the smallest float": "4.9e-324",
    "the largest float": "1.7976931348623157e308",
    "a float that is rounded": "1e23",
    "more than a float holds": "[1e400, -1e400]",
    "less than a float holds": "1e-400",
    "an exponent of many digits": "1e99999999999",
    "NaN": "NaN",
    "the infinities": '{"a": [Infinity, -Infinity]}',
    "a repeated member": '{"b": 1, "a": 2, "b": 3}',
    "the order of members": '{"z": 1, "a": {"y": 1, "x": 2}}',
    "an empty member": '{"": 1}',
    "a lone surrogate": r'"\ud800"',
    "a lone surrogate before a letter": r'{"a": "\ud800\u0041"}',
    "surrogates in the wrong order": r'"\udc00\ud800"',
    "a surrogate that is written": '"\ud800"',
    "a pair of surrogates": r'"\ud83d\ude00"',
    "NUL": r'"\u0000"',
    "a slash that is escaped": r'"\/"',
    "a line separator": '"\u2028\x85\x7f"',
    "white space around it": ' \t\r\n{"a": 1}\r\n',
    "150 levels": "[" * 150 + "]" * 150,
    "250 levels": "[" * 250 + "]" * 250,
    "many rows": json.dumps([{"id": n, "name": "the same", "n": [n / 7, "x"]} for n in range(3000)]),
}
WRONG = ["", " ", "{", "[1,]", '{"a": 1,}', "01", "-01", "1.", ".5", "+1", "-", "1e", "0x10", "1_000", "[1 2]", "1 2"]
WRONG += [
    "'a'",
    "{1: 2}",
    '"a',
    '"\x01"',
    '"a\tb"',
    r'"\x"',
    r'"\u12"',
    "tru",
    "nan",
    "[Inf]",
    "\ufeff1",
    "\xa01",
    "1\0",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def shown(value):
    """Return a text that differs for 1, 1.0 and true, and for another order of members."""
    return repr(value)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_is_read_as_the_standard_library_reads_it(text):
    try:
        expected = STANDARD.decode(text)
    except ValueError:
        with pytest.raises(ValueError):
            parse(text)
    else:
        assert shown(parse(text)) == shown(expected)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError):
        parse(text)


def test_a_text_of_very_many_levels_is_refused():
    with pytest.raises(RecursionError):
        parse("[" * 100_000 + "]" * 100_000)


@given(JSON, st.booleans())
@FUZZ
def test_any_json_is_read_as_the_standard_library_reads_it(value, is_ascii):
    text = json.dumps(value, ensure_ascii=is_ascii)

    assert shown(parse(text)) == shown(STANDARD.decode(text))


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,25})([.][0-9]{1,25})?([eE][-+]?[0-9]{1,3})?", fullmatch=True))
@example("2.2250738585072011e-308")
@FUZZ
def test_any_number_is_read_as_the_standard_library_reads_it(text):
    assert shown(parse(text)) == shown(STANDARD.decode(text))


@given(JSON)
@FUZZ
def test_a_value_is_written_as_the_standard_library_writes_it(value):
    try:
        expected = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        with pytest.raises(ValueError):
            encode(value)
    else:
        assert encode(value) == expected


@pytest.mark.parametrize(
    "value", [b"x", [b"x"], {1}, {"a": object()}], ids=["bytes", "bytes in a list", "a set", "an object"]
)
def test_what_is_no_json_is_not_written(value):
    with pytest.raises(TypeError):
        encode(value)


@given(JSON)
@FUZZ
def test_a_parsed_value_is_written_with_the_same_meaning(value):
    parsed = parse(json.dumps(value))
    try:
        text = encode_parsed(parsed)
    except ValueError:
        assert to_json_safe(parsed) != parsed  # a lone surrogate
    else:
        assert shown(json.loads(text)) == shown(to_json_safe(parsed))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("[1e400, -1e400]", '["Infinity","-Infinity"]'),
        ("[null, -1e400]", '[null,"-Infinity"]'),
        ("[null, 1e400, 18446744073709551616]", '[null,"Infinity",18446744073709551616]'),
        ('[null, "null", 18446744073709551616]', '[null,"null",18446744073709551616]'),
    ],
    ids=["alone", "beside null", "beside null and an integer of 65 bits", "no infinity"],
)
def test_numbers_out_of_range_are_written_as_their_names(text, written):
    assert encode_parsed(parse(text)).decode() == written


def test_a_parsed_value_of_very_many_levels_is_refused():
    with pytest.raises(ValueError):
        encode_parsed(functools.reduce(lambda inner, _: [inner], range(100_000), None))


def test_large_texts_share_short_texts():
    rows = parse(json.dumps([{"name": "the same text"}] * LARGE_TEXT))

    assert len({id(row["name"]) for row in rows}) == 1


def test_small_texts_are_not_kept_by_the_parser():
    texts = [parse('["a token that should not stay"]')[0] for _ in range(2)]

    assert texts[0] is not texts[1]


@pytest.mark.parametrize(
    "value",
    [
        'é\u2028"',
        {"a": [1, 1.5, None, True], "": {}},
        [],
        {2: 2, None: 3, True: 4, 1.5: 5},
        ("a", 1),
        1.0,
        -0.0,
        10**400,
    ],
    ids=repr,
)
def test_members_and_texts_are_written_as_by_the_standard_library(value):
    assert encode(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": float("-inf")}, {(1,): 2}], ids=repr)
def test_a_number_or_a_key_that_json_does_not_have_is_not_written(value):
    with pytest.raises((ValueError, TypeError)):
        encode(value)


def test_members_are_written_in_their_order():
    assert encode({"b": 1, "a": 2}) == '{"b":1,"a":2}'


@pytest.mark.parametrize("value", [[None], None, {"a": None}, "null", [1.5, None, 2**64]], ids=repr)
def test_a_value_with_null_is_written_as_it_is(value):
    assert json.loads(encode_parsed(value)) == value


def test_plain_json_is_parsed_without_a_decision():
    assert parse_plain(b'{"a":"\xc3\xa9"}') == parse_plain('{"a":"é"}') == {"a": "é"}
    for text in ("NaN", "[1e400, Infinity]", "{", b'"\xff"'):
        with pytest.raises(ValueError):
            parse_plain(text)
    with pytest.raises(TypeError):
        parse_plain('"\ud800"')


def test_short_texts_are_shared_from_64_kib_on():
    def shares(length):
        rows = parse(json.dumps(["the same text", "the same text"]).ljust(length))
        return rows[0] is rows[1]

    assert LARGE_TEXT == 65_536
    assert shares(LARGE_TEXT)
    assert not shares(LARGE_TEXT - 1)
