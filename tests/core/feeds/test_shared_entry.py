import json

import pytest

from utcp_ws_mcp.core.feeds.shared_entry import (
    SharedEvent,
    SharedGap,
    SharedState,
    decode_entry,
    decode_state,
    encode_entry,
    encode_state,
)
from utcp_ws_mcp.core.limits import MAX_MESSAGE_DEPTH

ENTRIES = [
    SharedEvent(1, 0, 1.5, '{"a": 1}', None, None),
    SharedEvent(2, 3, 1.5, "1", '"A"', {"p": 1}),
    SharedEvent(3, 3, 2, None, None, 7),
    SharedGap(3, 4, 2.5, "not connected"),
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_read_as_it_was_written(entry):
    assert decode_entry(encode_entry(entry).encode()) == entry


def test_a_state_is_read_as_it_was_written():
    state = SharedState("waiting", "2 s", "1700", 3, 1)
    assert decode_state(encode_state(state).encode()) == state


STATE = {"s": "open", "d": "", "e": "1700", "o": 3, "g": 1}


@pytest.mark.parametrize(
    "change",
    [
        *({name: None} for name in STATE),
        {"s": 1},
        {"d": 1},
        {"e": 1700},
        {"e": "17x"},
        {"e": ""},
        {"e": "-1"},
        {"o": -1},
        {"g": True},
        {"o": 1 << 53},
    ],
)
def test_a_state_that_others_wrote_wrong_is_refused(change):
    assert decode_state(json.dumps(STATE).encode()) == SharedState("open", "", "1700", 3, 1)
    with pytest.raises(ValueError):
        decode_state(json.dumps({**STATE, **change}).encode())


BASE = {"o": 1, "g": 0, "t": 0.5, "d": "1", "k": None, "p": None}


@pytest.mark.parametrize(
    "change",
    [
        *({"o": value} for value in (None, "1", True, -1, 1 << 53, 1.5)),
        *({"g": value} for value in (None, -1)),
        *({"t": value} for value in (None, "1", -1, 1e12, float("nan"), True)),
        *({"d": value} for value in (1, "{", "[" * 200 + "]" * 200, "NaN", "[-Infinity]")),
        {"k": "{"},
        {"p": float("inf")},
        {"p": json.loads("[" * 80 + "]" * 80)},
    ],
)
def test_an_entry_that_others_wrote_wrong_is_refused(change):
    with pytest.raises(ValueError):
        decode_entry(json.dumps({**BASE, **change}).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b'{"s": 1, "d": "", "e": "1", "o": 0, "g": 0}'])
def test_what_is_no_entry_and_no_state_is_refused(raw):
    with pytest.raises(ValueError):
        decode_entry(raw)
    with pytest.raises(ValueError):
        decode_state(raw)


@pytest.mark.parametrize(
    "change",
    [{"o": 0, "t": 0}, {"o": (1 << 53) - 1, "g": (1 << 53) - 1}, {"t": 99_999_999_999}, {"k": '"A"'}, {"p": 0}],
)
def test_an_entry_at_its_bounds_is_read(change):
    fields = {**BASE, **change}
    assert decode_entry(json.dumps(fields).encode()) == SharedEvent(*(fields[name] for name in "ogtdkp"))


@pytest.mark.parametrize("time", [1e11, 1.5e11])
def test_a_time_after_the_year_5138_is_refused(time):
    with pytest.raises(ValueError, match="the time is wrong"):
        decode_entry(json.dumps({**BASE, "t": time}).encode())


def nested(depth):
    return "[" * depth + "1" + "]" * depth


def test_the_data_of_an_event_may_be_nested_twice_as_deeply_as_a_message():
    data = nested(2 * MAX_MESSAGE_DEPTH)
    entry = decode_entry(json.dumps({**BASE, "d": data}).encode())
    assert isinstance(entry, SharedEvent)
    assert entry.data == data
    with pytest.raises(ValueError, match="nested too deeply"):
        decode_entry(json.dumps({**BASE, "d": nested(2 * MAX_MESSAGE_DEPTH + 1)}).encode())


BRACKETS = ["[" * 100, "]" * 100, "{" * 65, ":-[" + " ()[]{}" * 40, '"[' * 70]


@pytest.mark.parametrize("text", BRACKETS, ids=range(len(BRACKETS)))
def test_brackets_in_a_text_are_no_nesting(text):
    for entry in (
        SharedEvent(1, 0, 1.5, json.dumps({"text": text}), json.dumps(text), text),
        SharedGap(1, 1, 1.5, text),
    ):
        assert decode_entry(encode_entry(entry).encode()) == entry
    state = SharedState("waiting", text, "1", 0, 0)
    assert decode_state(encode_state(state).encode()) == state


@pytest.mark.parametrize("name", ["d", "p"])
def test_what_is_nested_beyond_all_bounds_is_refused(name):
    entry = json.dumps({**BASE, name: "NESTED"}).replace(
        '"NESTED"', json.dumps(nested(100_000)) if name == "d" else nested(100_000)
    )
    with pytest.raises(ValueError):
        decode_entry(entry.encode())


def test_a_position_may_be_nested_as_deeply_as_the_entry_allows():
    position = json.loads(nested(MAX_MESSAGE_DEPTH - 1))
    entry = decode_entry(json.dumps({**BASE, "p": position}).encode())
    assert isinstance(entry, SharedEvent)
    assert entry.position == position
    with pytest.raises(ValueError, match="nested too deeply"):
        decode_entry(json.dumps({**BASE, "p": [position]}).encode())


def test_a_reason_and_a_detail_are_cut_after_2000_characters():
    gap, state = SharedGap(1, 1, 1.5, "x" * 2001), SharedState("waiting", "y" * 2001, "1", 0, 0)
    written, read = (
        json.loads(encode_entry(gap)),
        decode_entry(json.dumps({"o": 1, "g": 1, "t": 1.5, "r": "x" * 2001}).encode()),
    )
    assert written["r"] == "x" * 2000
    assert isinstance(read, SharedGap)
    assert read.reason == "x" * 2000
    assert json.loads(encode_state(state))["d"] == "y" * 2000
    assert decode_state(json.dumps({**STATE, "d": "y" * 2001}).encode()).detail == "y" * 2000
    assert decode_state(json.dumps({**STATE, "d": "y" * 2000}).encode()).detail == "y" * 2000


def test_a_position_that_json_has_not_is_written_as_a_text():
    assert decode_entry(encode_entry(SharedEvent(1, 0, 1, "1", None, b"\xff")).encode()) == SharedEvent(
        1, 0, 1, "1", None, "ff"
    )


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    gap = decode_entry(b'{"o": 1, "g": 1, "t": 1, "r": "a\\ud800"}')
    assert isinstance(gap, SharedGap)
    assert gap.reason == "a\ufffd"
