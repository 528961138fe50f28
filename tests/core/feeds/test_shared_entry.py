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


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    gap = decode_entry(b'{"o": 1, "g": 1, "t": 1, "r": "a\\ud800"}')
    assert isinstance(gap, SharedGap)
    assert gap.reason == "a\ufffd"
