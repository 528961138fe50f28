"""The pauses after refused logins: how long they are, whose they are, and who may try first."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.client.pool.circuit_breaker import MAX_TRACKED
from utcp_ws_mcp.client.pool.refused_logins import RefusedLogins
from utcp_ws_mcp.errors import ConnectError, HandshakeRejected

REFUSED = ConnectError("ws://h/", "no such token.", code="login-rejected", step="on_connect[1]")
AWAY = ConnectError("ws://h/", "connection refused.", code="connection-refused")


@pytest.fixture
def logins() -> RefusedLogins:
    return RefusedLogins()


def test_the_first_refusal_is_a_pause_of_thirty_seconds_and_each_further_one_of_five_minutes(
    logins: RefusedLogins,
) -> None:
    assert logins.pause("e", 0.0) == 0.0
    for at, pause in ((10.0, 30.0), (41.0, 300.0), (342.0, 300.0)):
        logins.note_failure("e", REFUSED, at - 1, at)
        assert logins.pause("e", at) == pause
        assert logins.pause("e", at + pause) == 0.0


def test_refusals_of_attempts_that_began_before_the_first_was_known_count_once(logins: RefusedLogins) -> None:
    logins.note_failure("e", REFUSED, 0.0, 1.0)
    logins.note_failure("e", REFUSED, 0.9, 2.0)
    assert logins.pause("e", 2.0) == 30.0
    logins.note_failure("e", REFUSED, 2.0, 3.0)
    assert logins.pause("e", 3.0) == 300.0


@pytest.mark.parametrize("error", [REFUSED, HandshakeRejected("ws://h/", 401)])
def test_a_feed_gets_the_last_refusal_until_the_pause_ends(logins: RefusedLogins, error: ConnectError) -> None:
    logins.take_turn("e", 0.0)
    logins.note_failure("e", error, 0.0, 1.0)
    with pytest.raises(ConnectError) as raised:
        logins.take_turn("e", 30.9)
    assert raised.value is error
    logins.take_turn("other", 30.9)
    logins.take_turn("e", 31.0)


def test_the_first_that_tries_after_a_pause_lets_the_others_wait_for_its_login(logins: RefusedLogins) -> None:
    logins.note_failure("e", REFUSED, 0.0, 1.0)
    logins.take_turn("e", 31.0)
    assert logins.pause("e", 31.0) == 30.0
    with pytest.raises(ConnectError):
        logins.take_turn("e", 31.0)
    logins.note_failure("e", REFUSED, 31.0, 32.0)
    assert logins.pause("e", 32.0) == 300.0


def test_a_login_that_succeeds_ends_the_pause(logins: RefusedLogins) -> None:
    logins.note_failure("e", REFUSED, 0.0, 1.0)
    logins.note_success("e")
    assert logins.pause("e", 1.0) == 0.0
    logins.take_turn("e", 1.0)
    logins.note_failure("e", REFUSED, 2.0, 3.0)
    assert logins.pause("e", 3.0) == 30.0


def test_another_failure_ends_a_row_of_refusals(logins: RefusedLogins) -> None:
    logins.note_failure("e", AWAY, 0.0, 1.0)
    assert logins.pause("e", 1.0) == 0.0
    logins.note_failure("e", REFUSED, 1.0, 2.0)
    logins.note_failure("e", AWAY, 2.0, 3.0)
    assert logins.pause("e", 3.0) == 0.0
    logins.note_failure("e", REFUSED, 3.0, 4.0)
    assert logins.pause("e", 4.0) == 30.0


def test_the_number_of_endpoints_is_bounded(logins: RefusedLogins) -> None:
    for number in range(MAX_TRACKED + 1):
        logins.note_failure(number, REFUSED, 0.0, 1.0)
    assert repr(logins) == f"<RefusedLogins {MAX_TRACKED} endpoints>"
    assert (logins.pause(0, 1.0), logins.pause(MAX_TRACKED, 1.0)) == (0.0, 30.0)
