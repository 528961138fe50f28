"""The states of a pooled connection."""

import pytest

from tests.client.pool.fakes import FakeConnection, FakeHandshake
from utcp_ws_mcp.client.pool.entry import LeaseMode, PooledConnection, State, Trigger, next_state

TRANSITIONS = {
    (State.CONNECTING, Trigger.OPENED): State.UNSYNCED,
    (State.CONNECTING, Trigger.REMOVED): State.CLOSED,
    (State.UNSYNCED, Trigger.LEASED): State.SHARED,
    (State.UNSYNCED, Trigger.LEASED_ALONE): State.EXCLUSIVE,
    (State.UNSYNCED, Trigger.SYNC_STARTED): State.SYNCING,
    (State.UNSYNCED, Trigger.CLOSE_STARTED): State.CLOSING,
    (State.UNSYNCED, Trigger.REMOVED): State.CLOSED,
    (State.SYNCING, Trigger.SYNCED): State.IDLE,
    (State.SYNCING, Trigger.LEASED): State.SHARED,
    (State.SYNCING, Trigger.CLOSE_STARTED): State.CLOSING,
    (State.SYNCING, Trigger.REMOVED): State.CLOSED,
    (State.IDLE, Trigger.LEASED): State.SHARED,
    (State.IDLE, Trigger.LEASED_ALONE): State.EXCLUSIVE,
    (State.IDLE, Trigger.CLOSE_STARTED): State.CLOSING,
    (State.IDLE, Trigger.REMOVED): State.CLOSED,
    (State.SHARED, Trigger.LEASED): State.SHARED,
    (State.SHARED, Trigger.RELEASED): State.UNSYNCED,
    (State.EXCLUSIVE, Trigger.RELEASED): State.UNSYNCED,
    (State.CLOSING, Trigger.REMOVED): State.CLOSED,
}


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("state", State)
def test_a_state_has_one_successor_or_the_trigger_is_a_bug(state: State, trigger: Trigger) -> None:
    if (state, trigger) in TRANSITIONS:
        assert next_state(state, trigger) is TRANSITIONS[state, trigger]
    else:
        with pytest.raises(ValueError, match="cannot be"):
            next_state(state, trigger)


def test_a_shared_connection_is_used_until_the_last_lease_ends() -> None:
    pooled = PooledConnection(FakeHandshake())  # type: ignore[arg-type]
    pooled.open(FakeConnection())  # type: ignore[arg-type]
    pooled.acquire(LeaseMode.SHARED)
    pooled.acquire(LeaseMode.PASSIVE)
    assert (pooled.state, pooled.in_flight, pooled.passive_in_flight) == (State.SHARED, 2, 1)
    pooled.release(LeaseMode.SHARED)
    assert pooled.state is State.SHARED
    pooled.release(LeaseMode.PASSIVE)
    assert (pooled.state, pooled.in_flight, pooled.passive_in_flight) == (State.UNSYNCED, 0, 0)


@pytest.mark.parametrize(
    ("connection", "ended_unused"),
    [
        ({"opened": 0, "reusable": False}, True),
        ({"opened": 0}, False),
        ({"opened": 1, "reusable": False}, False),
        ({"opened": 0, "is_open": False}, False),
    ],
    ids=str,
)
def test_a_session_that_ended_before_its_first_call_is_distinguished_from_others(
    connection: dict[str, object], ended_unused: bool
) -> None:
    pooled = PooledConnection(FakeHandshake())  # type: ignore[arg-type]
    pooled.open(FakeConnection(**connection))  # type: ignore[arg-type]
    assert pooled.ended_unused is ended_unused


def test_each_lease_is_counted() -> None:
    pooled = PooledConnection(FakeHandshake())  # type: ignore[arg-type]
    pooled.open(FakeConnection())  # type: ignore[arg-type]
    for expected in (1, 2):
        pooled.acquire(LeaseMode.SHARED)
        assert pooled.leases_started == expected
    assert repr(pooled).startswith("<PooledConnection SHARED in_flight=2 FakeConnection(")


@pytest.mark.parametrize("state", [State.UNSYNCED, State.IDLE, State.SYNCING])
def test_a_place_without_a_connection_has_not_perished(state: State) -> None:
    pooled = PooledConnection(FakeHandshake(), state=state)  # type: ignore[arg-type]
    assert not pooled.is_perished
    pooled.connection = FakeConnection(reusable=False)  # type: ignore[assignment]
    assert pooled.is_perished
