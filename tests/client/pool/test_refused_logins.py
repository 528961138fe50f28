"""The pauses after refused logins: how long they are, whose they are, and who may try first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client.pool.fakes import FakeHandshake
from utcp_ws_mcp.client.pool.circuit_breaker import MAX_TRACKED
from utcp_ws_mcp.client.pool.refused_logins import RefusedLogins
from utcp_ws_mcp.errors import ConnectError, HandshakeRejected

REFUSED = ConnectError("ws://h/", "no such token.", code="login-rejected", step="on_connect[1]")
AWAY = ConnectError("ws://h/", "connection refused.", code="connection-refused")


E: Any = FakeHandshake("a", at="e")
SAME: Any = FakeHandshake("b", at="e", feed="m.f {}")
OTHER: Any = FakeHandshake("a", at="other")


@pytest.fixture
def logins() -> RefusedLogins:
    return RefusedLogins()


def test_the_first_refusal_is_a_pause_of_thirty_seconds_and_each_further_one_of_five_minutes(
    logins: RefusedLogins,
) -> None:
    assert logins.pause(E, 0.0) == 0.0
    for at, pause in ((10.0, 30.0), (41.0, 300.0), (342.0, 300.0)):
        logins.note_failure(E, REFUSED, at - 1, at)
        assert logins.pause(E, at) == pause
        assert logins.pause(E, at + pause) == 0.0


def test_refusals_of_attempts_that_began_before_the_first_was_known_count_once(logins: RefusedLogins) -> None:
    logins.note_failure(E, REFUSED, 0.0, 1.0)
    logins.note_failure(E, REFUSED, 0.9, 2.0)
    assert logins.pause(E, 2.0) == 30.0
    logins.note_failure(E, REFUSED, 2.0, 3.0)
    assert logins.pause(E, 3.0) == 300.0


@pytest.mark.parametrize("error", [REFUSED, HandshakeRejected("ws://h/", 401)])
def test_a_feed_gets_the_last_refusal_until_the_pause_ends(logins: RefusedLogins, error: ConnectError) -> None:
    logins.take_turn(E, 0.0)
    logins.note_failure(E, error, 0.0, 1.0)
    with pytest.raises(ConnectError) as raised:
        logins.take_turn(E, 30.9)
    assert raised.value is error
    logins.take_turn(OTHER, 30.9)
    logins.take_turn(E, 31.0)


def test_the_first_that_tries_after_a_pause_lets_the_others_wait_for_its_login(logins: RefusedLogins) -> None:
    logins.note_failure(E, REFUSED, 0.0, 1.0)
    logins.take_turn(E, 31.0)
    assert logins.pause(E, 31.0) == 30.0
    with pytest.raises(ConnectError):
        logins.take_turn(E, 31.0)
    logins.note_failure(E, REFUSED, 31.0, 32.0)
    assert logins.pause(E, 32.0) == 300.0


def test_a_login_that_succeeds_ends_the_pause(logins: RefusedLogins) -> None:
    logins.note_failure(E, REFUSED, 0.0, 1.0)
    logins.note_success(E)
    assert logins.pause(E, 1.0) == 0.0
    logins.take_turn(E, 1.0)
    logins.note_failure(E, REFUSED, 2.0, 3.0)
    assert logins.pause(E, 3.0) == 30.0


def test_another_failure_ends_a_row_of_refusals(logins: RefusedLogins) -> None:
    logins.note_failure(E, AWAY, 0.0, 1.0)
    assert logins.pause(E, 1.0) == 0.0
    logins.note_failure(E, REFUSED, 1.0, 2.0)
    logins.note_failure(E, AWAY, 2.0, 3.0)
    assert logins.pause(E, 3.0) == 0.0
    logins.note_failure(E, REFUSED, 3.0, 4.0)
    assert logins.pause(E, 4.0) == 30.0


def test_the_number_of_endpoints_is_bounded(logins: RefusedLogins) -> None:
    for number in range(MAX_TRACKED + 1):
        logins.note_failure(key(number), REFUSED, 0.0, 1.0)
    assert repr(logins) == f"<RefusedLogins of {MAX_TRACKED}>"
    assert (logins.pause(key(0), 1.0), logins.pause(key(MAX_TRACKED), 1.0)) == (0.0, 30.0)


def key(number: int) -> Any:
    return FakeHandshake(str(number))


@pytest.mark.parametrize(("status", "shared"), [(401, True), (403, False)])
def test_a_status_about_the_credentials_concerns_all_connections_and_a_forbidden_one_only_its_own(
    logins: RefusedLogins, status: int, shared: bool
) -> None:
    logins.note_failure(E, HandshakeRejected("ws://h/", status), 0.0, 1.0)
    assert (logins.pause(E, 1.0), logins.pause(SAME, 1.0)) == (30.0, 30.0 if shared else 0.0)
    logins.note_failure(SAME, HandshakeRejected("ws://h/", status), 1.0, 2.0)
    assert logins.pause(SAME, 2.0) == (300.0 if shared else 30.0)
    logins.note_success(SAME)
    assert (logins.pause(SAME, 2.0), logins.pause(E, 2.0)) == (0.0, 0.0 if shared else 29.0)


def test_the_longer_of_two_pauses_counts_and_both_end_with_a_success(logins: RefusedLogins) -> None:
    logins.note_failure(E, REFUSED, 0.0, 1.0)
    logins.note_failure(E, HandshakeRejected("ws://h/", 403), 1.0, 11.0)
    assert logins.pause(E, 11.0) == 30.0
    with pytest.raises(HandshakeRejected):
        logins.take_turn(E, 40.0)
    logins.note_success(E)
    assert repr(logins) == "<RefusedLogins of 0>"
