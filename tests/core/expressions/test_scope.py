from datetime import UTC, datetime, timedelta, timezone

import pytest

from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.core.expressions.paths import UNDEFINED
from utcp_ws_mcp.core.expressions.scope import (
    ANSWER_NAMES,
    BEFORE_CONNECT_NAMES,
    CALL_REPLY_NAMES,
    CALL_REQUEST_NAMES,
    CANCEL_NAMES,
    CONNECTION_NAMES,
    MESSAGE_NAMES,
    REQUEST_NAMES,
    URL_NAMES,
    Ambient,
    Scope,
)
from utcp_ws_mcp.core.expressions.vocabulary import FUNCTIONS
from utcp_ws_mcp.core.limits import MAX_RANDOM_BYTES

MOMENT = datetime(2026, 11, 20, 8, 12, 0, 123999, tzinfo=UTC)


def scope_at(moment=MOMENT, **values):
    return Scope(Ambient(lambda: moment, lambda count: bytes(range(count))), values)


TIMES = {
    "now": "2026-11-20T08:12:00.123Z",
    "now_s": 1795162320,
    "now_ms": 1795162320123,
}


@pytest.mark.parametrize(("name", "value"), TIMES.items(), ids=TIMES)
def test_the_time_is_in_utc(name, value):
    assert scope_at()[name] == value
    assert scope_at(MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))))[name] == value


def test_milliseconds_are_never_off_by_one():
    moments = [datetime(2026, 11, 20, 8, 12, 0, ms * 1000, tzinfo=UTC) for ms in range(1000)]

    assert [scope_at(moment)["now_ms"] % 1000 for moment in moments] == list(range(1000))


def test_the_time_is_read_when_it_is_asked_for():
    moments = iter([MOMENT, MOMENT + timedelta(seconds=1)])
    scope = Scope(Ambient(lambda: next(moments), bytes), {}).with_values(args={})

    assert [scope["now_s"], scope["now_s"]] == [1795162320, 1795162321]


def test_a_uuid_is_of_version_4():
    assert scope_at()["uuid"]() == "00010203-0405-4607-8809-0a0b0c0d0e0f"


def test_random_bytes_are_in_hex():
    assert scope_at()["random_hex"](3) == "000102"


def test_a_name_that_is_not_there_is_undefined():
    assert scope_at()["message"] is UNDEFINED
    assert "message" not in scope_at()


def test_more_names_do_not_change_the_scope_that_they_are_added_to():
    scope = scope_at(args={"a": 1})
    more = scope.with_values(request_id=5, args={"b": 2})

    assert (scope["args"], scope["request_id"]) == ({"a": 1}, UNDEFINED)
    assert (more["args"], more["request_id"], more["now_s"]) == ({"b": 2}, 5, 1795162320)


def test_values_win_over_what_is_computed():
    assert scope_at(now="then")["now"] == "then"


def test_a_reply_sees_what_a_request_sees_and_its_message():
    assert URL_NAMES < REQUEST_NAMES < MESSAGE_NAMES
    assert {"counter", "message", "request_id"}.isdisjoint(URL_NAMES)
    assert {"counter", "message", "request_id"}.issubset(MESSAGE_NAMES)
    assert "message" not in REQUEST_NAMES


@pytest.mark.parametrize("name", sorted(MESSAGE_NAMES - FUNCTIONS.keys()))
def test_every_name_can_be_used_in_an_expression(name):
    assert Expression(f"{name} is defined or true", MESSAGE_NAMES).evaluate(scope_at()) is True


@pytest.mark.parametrize("count", [0, 1, MAX_RANDOM_BYTES])
def test_as_many_random_bytes_are_given_as_asked_for(count):
    assert Ambient(lambda: MOMENT, bytes).random_hex(count) == "00" * count


@pytest.mark.parametrize("count", [-1, MAX_RANDOM_BYTES + 1, True, 1.0, "1", None])
def test_random_bytes_are_bounded(count):
    with pytest.raises(RejectedValue, match=r"^random_hex takes a number of bytes from 0 to 65,536\.$") as refused:
        scope_at()["random_hex"](count)
    assert refused.value.code == "expression-failed"


@pytest.mark.parametrize(("microsecond", "shown"), [(0, "000"), (999, "000"), (1000, "001"), (999_999, "999")])
def test_a_time_has_its_milliseconds(microsecond, shown):
    assert scope_at(MOMENT.replace(microsecond=microsecond))["now"] == f"2026-11-20T08:12:00.{shown}Z"


def test_the_time_can_be_frozen_at_its_first_use():
    moments = iter([MOMENT, MOMENT + timedelta(seconds=1), MOMENT + timedelta(seconds=2)])
    scope = Scope(Ambient(lambda: next(moments), bytes, str.upper), {"args": {"a": 1}})
    frozen = scope.with_frozen_time()

    assert frozen.with_values(x=1)["now_s"] == frozen["now_s"] == 1795162320
    assert frozen["now"] == "2026-11-20T08:12:00.123Z"
    assert scope["now_s"] == 1795162321
    assert (frozen["args"], frozen.ambient.redact("a"), frozen.ambient.random(1)) == ({"a": 1}, "A", b"\0")


def test_scopes_of_one_message_share_their_failures():
    scope = scope_at()
    shared = [scope.with_values(a=1), scope.with_frozen_time(), scope.with_values(a=1).with_values(b=2)]
    scope.failures["x"] = "why"

    assert all(each.failures is scope.failures for each in shared)
    assert Scope(scope.ambient, {}, {"y": "z"}).failures == {"y": "z"}


def test_the_names_of_a_field_are_those_that_it_has_a_value_for():
    common = {"args", "tool", "session", "vars", "now", "now_s", "now_ms", "uuid", "random_hex", "omit"}
    assert common == URL_NAMES
    assert REQUEST_NAMES - common == {"request_id", "next_id", "counter", "reply"}
    assert common - {"tool"} == BEFORE_CONNECT_NAMES
    assert BEFORE_CONNECT_NAMES | {"request_id", "next_id", "counter"} == CONNECTION_NAMES
    assert CONNECTION_NAMES - {"request_id"} == ANSWER_NAMES
    assert REQUEST_NAMES | {"let"} == CALL_REQUEST_NAMES
    assert CALL_REQUEST_NAMES | {"request"} == CANCEL_NAMES
    assert MESSAGE_NAMES | {"let"} == CALL_REPLY_NAMES
