"""What MessagePack and CBOR give becomes what JSON has, and bytes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import cbor2
import pytest

from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.codecs.msgpack_cbor import load_cbor, load_msgpack, to_plain

MOMENT = datetime(2026, 11, 30, 12, 0, 1, tzinfo=timezone(timedelta(hours=2)))
PLAIN: dict[str, tuple[Any, Any]] = {
    "a time": (MOMENT, "2026-11-30T10:00:01Z"),
    "a time of no zone": (MOMENT.replace(tzinfo=None), "2026-11-30T12:00:01"),
    "a time in UTC": (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
    "a tuple": ((1, (2,)), [1, [2]]),
    "a set": (frozenset({1}), [1]),
    "an object in a list": ([{"a": (1,)}], [{"a": [1]}]),
    "something else": ({"a": date(2026, 1, 1)}, {"a": "2026-01-01"}),
    "a number as a key": ({1: None, False: b"x", 1.5: "x"}, {1: None, False: b"x", 1.5: "x"}),
    "a list as a key": ({(1, "é"): 2}, {'[1,"é"]': 2}),
    "bytes in a key": ({(b"\xff",): 2}, {'["ff"]': 2}),
    "a time as a key": ({MOMENT: 1}, {"2026-11-30T10:00:01Z": 1}),
}


@pytest.mark.parametrize(("value", "plain"), PLAIN.values(), ids=PLAIN)
def test_a_value_of_a_library_becomes_plain(value: Any, plain: Any) -> None:
    assert to_plain(value) == plain


def test_what_has_no_place_in_json_is_converted_by_its_codec() -> None:
    assert to_plain([1j, {"a": 2j}], lambda value: ["number", value.imag]) == [["number", 1], {"a": ["number", 2]}]


def test_a_value_of_too_many_levels_is_refused() -> None:
    value: Any = None
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RejectedValue, match=r"^the value is nested too deeply\.$") as refused:
        to_plain(value)
    assert refused.value.code == "invalid-frame"


def test_both_write_and_read() -> None:
    for load in (load_msgpack, load_cbor):
        pack, unpack = load()
        assert unpack(pack({"a": [b"x", None, 1.5, {2: 3}]})) == {"a": [b"x", None, 1.5, {2: 3}]}


TAGS: dict[str, tuple[Any, Any]] = {
    "undefined": (cbor2.undefined, None),
    "a simple value": (cbor2.CBORSimpleValue(5), None),
    "an unknown tag": (cbor2.CBORTag(6000, [cbor2.CBORTag(6001, {"a": cbor2.undefined})]), [{"a": None}]),
}


@pytest.mark.parametrize(("value", "plain"), TAGS.values(), ids=TAGS)
def test_what_only_cbor_has_becomes_its_content_or_null(value: Any, plain: Any) -> None:
    pack, unpack = load_cbor()
    assert unpack(pack([value])) == [plain]


CBOR_REFUSED = {
    "two values": ("0102", "the data contains more than one value."),
    "a shared value": ("d81c80", "error decoding semantic tag 28."),
    "a reference": ("81d81d00", "error decoding semantic tag 29."),
    "a regular expression": ("d8236161", "error decoding semantic tag 35."),
}


@pytest.mark.parametrize(("data", "reason"), CBOR_REFUSED.values(), ids=CBOR_REFUSED)
def test_cbor_that_is_not_taken_is_refused_with_its_reason(data: str, reason: str) -> None:
    with pytest.raises(RejectedValue) as refused:
        load_cbor()[1](bytes.fromhex(data))
    assert (str(refused.value), refused.value.code) == (reason, "invalid-frame")


@pytest.mark.parametrize("data", ["", "61", "1c"])
def test_cbor_that_is_damaged_is_refused_in_one_sentence(data: str) -> None:
    with pytest.raises(RejectedValue, match=r"\.$") as refused:
        load_cbor()[1](bytes.fromhex(data))
    assert refused.value.code == "invalid-frame"
    assert len(str(refused.value)) <= 101
