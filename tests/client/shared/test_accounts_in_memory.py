"""Accounts that allow one connection: when a replica holds one, renews it, and gives it up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.shared.memory_store import MemoryStore, make_fleet
from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.shared import accounts as accounts_module
from utcp_ws_mcp.errors import ConnectError
from utcp_ws_mcp.manifest.models.network import Limits


class Connection:
    """A connection that is open until it is ended."""

    def __init__(self) -> None:
        self.is_open = True

    def abort(self) -> None:
        self.is_open = False


def request(path: str | None = "/", login: Any = (), **limits: Any) -> Any:
    """A handshake; its limits allow one connection."""
    url = None if path is None else SimpleNamespace(path=path)
    template = SimpleNamespace(
        limits=Limits(**{"max_connections": 1, **limits}), url="ws://h/", headers={}, auth=None, query={}
    )
    rules, key = SimpleNamespace(login=()), SimpleNamespace(login_arguments=login)
    return SimpleNamespace(manual="m", address="ws://h/", url=url, template=template, connection_rules=rules, key=key)


ONE = request()


class Replica:
    """The accounts of a replica, and the connections that it opened."""

    def __init__(self, store: MemoryStore, name: str, tasks: Any) -> None:
        self.fleet = make_fleet(store, name)
        self.accounts = self.fleet._accounts
        self.accounts.tasks = tasks
        self.opened: list[Connection] = []
        self.opening: list[Any] = []

    async def open(self, handshake: Any = ONE, seconds: float = 0.0) -> Connection:
        async def connect() -> Any:
            await anyio.sleep(seconds)
            if self.opening:
                raise self.opening.pop()
            self.opened.append(Connection())
            return self.opened[-1]

        return await self.fleet.open(handshake, connect)  # type: ignore[return-value]

    def close(self) -> None:
        """End the connection that was opened last, as its peer may."""
        self.opened[-1].is_open = False
        self.fleet.note_closed()


@asynccontextmanager
async def replicas() -> AsyncIterator[tuple[MemoryStore, Replica, Replica]]:
    store = MemoryStore()
    async with anyio.create_task_group() as tasks:
        a, b = Replica(store, "a", tasks), Replica(store, "b", tasks)
        await a.fleet.members.beat()
        yield store, a, b
        tasks.cancel_scope.cancel()


def held(store: MemoryStore) -> list[str]:
    """The names of the accounts that are held."""
    return [key for key in store.values if key.endswith(":connection")]


async def is_refused(replica: Replica, handshake: Any = ONE) -> bool:
    try:
        await replica.open(handshake)
    except ConnectError as error:
        return error.code == "account-held-elsewhere"
    return False


@in_virtual_time
async def test_one_replica_holds_an_account_until_its_last_connection_has_ended() -> None:
    async with replicas() as (_, a, b):
        await a.open()
        await a.open()
        assert await is_refused(b)
        await anyio.sleep(100)  # the hold is renewed
        assert await is_refused(b)
        a.close()
        await anyio.sleep(1)
        assert await is_refused(b)
        a.opened[0].is_open = False
        a.fleet.note_closed()
        await anyio.sleep(0)
        assert not await is_refused(b)
        assert await is_refused(a)


@in_virtual_time
async def test_an_account_that_is_held_elsewhere_is_named_with_what_to_change() -> None:
    async with replicas() as (_, a, b):
        await a.open()
        with pytest.raises(ConnectError) as refused:
            await b.open()
        assert b.opened == []
    assert (
        "another replica has the only connection of this account (limits.max_connections is 1). "
        'Call again later, or raise limits.max_connections, or set limits.scope to "replica".'
    ) in str(refused.value)


@pytest.mark.parametrize("limits", [{"max_connections": 2}, {"scope": "replica"}], ids=str)
@in_virtual_time
async def test_other_limits_hold_nothing(limits: dict[str, Any]) -> None:
    async with replicas() as (store, a, b):
        assert await a.open(request(**limits)) is a.opened[0]
        await b.open(request(**limits))
        assert held(store) == []


@pytest.mark.parametrize(
    ("other", "is_same"),
    [(request(), True), (request("/other"), False), (request(login=("x",)), False), (request(None), False)],
)
@in_virtual_time
async def test_an_account_is_a_path_with_the_arguments_of_a_login(other: Any, is_same: bool) -> None:
    async with replicas() as (_, a, b):
        await a.open()
        assert await is_refused(b, other) is is_same


@in_virtual_time
async def test_a_hold_is_for_five_seconds_and_renewed_three_times_in_them() -> None:
    async with replicas() as (store, a, _):
        await a.open()
        (key,) = held(store)
        assert store.left(key) == 5000
        await anyio.sleep(1.6)
        assert store.left(key) == 3400
        await anyio.sleep(0.1)
        assert store.left(key) == pytest.approx(5000, abs=40)
        assert store.runs[accounts_module._HOLD] == 2
        await anyio.sleep(10)
        assert store.runs[accounts_module._HOLD] == 8


@in_virtual_time
async def test_an_attempt_that_fails_gives_the_account_up() -> None:
    async with replicas() as (store, a, b):
        a.opening = [OSError("refused")]
        with pytest.raises(OSError, match="refused"):
            await a.open()
        await anyio.sleep(0.01)
        assert held(store) == []
        assert not await is_refused(b)


@in_virtual_time
async def test_an_account_is_held_while_a_connection_is_being_opened() -> None:
    async with replicas() as (_, a, b), anyio.create_task_group() as tasks:
        tasks.start_soon(a.open, ONE, 30)
        await anyio.sleep(20)
        assert await is_refused(b)


@in_virtual_time
async def test_a_replica_that_lost_its_hold_ends_its_connections() -> None:
    async with replicas() as (store, a, b):
        await a.open()
        await a.open()
        store.delete(*held(store))
        assert not await is_refused(b)
        await anyio.sleep(1.6)
        assert [each.is_open for each in a.opened] == [True, True]
        await anyio.sleep(0.1)
        assert [each.is_open for each in a.opened] == [False, False]
        assert b.opened[0].is_open
        await anyio.sleep(10)
        assert await is_refused(a)


@in_virtual_time
async def test_a_replica_whose_hold_the_store_has_lost_takes_it_again_before_others_can() -> None:
    async with replicas() as (store, a, b):
        await a.open()
        await anyio.sleep(0.1)
        store.values.clear()
        assert await is_refused(b)
        assert anyio.current_time() == pytest.approx(0.1 + 5 / 3 + 0.25, abs=0.01)
        assert a.opened[0].is_open


@in_virtual_time
async def test_a_hold_is_renewed_at_once_after_a_loss() -> None:
    async with replicas() as (store, a, _):
        await a.open()
        await anyio.sleep(1.5)
        store.values.clear()
        await a.fleet.members.beat()
        await anyio.sleep(0.2)
        assert len(held(store)) == 1


@in_virtual_time
async def test_after_a_loss_an_account_without_a_holder_is_taken_when_holds_would_have_been_renewed() -> None:
    async with replicas() as (store, a, b):
        store.values.clear()
        await a.fleet.members.beat()  # it was a member before, so that it notices the loss
        await anyio.sleep(1)
        assert not await is_refused(b)
        assert anyio.current_time() == pytest.approx(5 / 3 + 0.25, abs=0.01)
        assert not await is_refused(b)
        assert anyio.current_time() == pytest.approx(5 / 3 + 0.25, abs=0.01)


@in_virtual_time
async def test_a_loss_is_forgotten_a_day_after_the_last_sign_of_life() -> None:
    async with replicas() as (store, a, _):
        lost_at = a.fleet.members.loss_key
        assert (store.values[lost_at], store.left(lost_at)) == (0, 86_400_000)
        store.values.clear()
        await anyio.sleep(1)
        await a.fleet.members.beat()
        assert (store.values[lost_at], store.left(lost_at)) == (store.now(), 86_400_000)
        await a.open()
        assert store.left(lost_at) < 86_400_000


@in_virtual_time
async def test_while_the_store_is_away_connections_are_opened_and_stay_open() -> None:
    async with replicas() as (store, a, b):
        store.away = "it hangs"
        await a.open()
        await b.open()
        await anyio.sleep(100)
        assert a.opened[0].is_open
        assert b.opened[0].is_open
        store.away = None
        await anyio.sleep(0.26)
        assert [each.opened[0].is_open for each in (a, b)].count(True) == 1


@in_virtual_time
async def test_a_renewal_that_fails_is_repeated_four_times_a_second() -> None:
    async with replicas() as (store, a, _):
        await a.open()
        tries = []
        renew = store._hold

        def note(*given: Any) -> int:
            tries.append(round(anyio.current_time(), 2))
            return renew(*given)

        store._scripts[accounts_module._HOLD] = note
        store.away = "it hangs"
        await anyio.sleep(2.4)
        store.away = None
        await anyio.sleep(2)
        assert tries == [2.42, 4.08]


@in_virtual_time
async def test_a_connection_that_ended_unnoticed_is_noticed_by_the_next_renewal() -> None:
    async with replicas() as (store, a, b):
        await a.open()
        a.opened[0].is_open = False
        await anyio.sleep(1)
        assert await is_refused(b)
        await anyio.sleep(1)
        assert held(store) == []
        runs = store.runs[accounts_module._HOLD]
        await anyio.sleep(10)
        assert store.runs[accounts_module._HOLD] == runs  # nothing renews it any more


@in_virtual_time
async def test_a_hold_that_is_dropped_and_taken_at_the_same_time_ends_up_taken() -> None:
    async with replicas() as (store, a, b), anyio.create_task_group() as tasks:
        await a.open()
        store.delay = 0.1
        a.close()
        tasks.start_soon(a.open)
        await anyio.sleep(2)
        assert await is_refused(b)
        assert a.opened[-1].is_open


@in_virtual_time
async def test_two_calls_that_open_at_the_same_time_take_one_hold() -> None:
    async with replicas() as (store, a, _), anyio.create_task_group() as tasks:
        store.delay = 0.1
        for _ in range(2):
            tasks.start_soon(a.open)
        await anyio.lowlevel.checkpoint()
        assert await a.open() is a.opened[-1]
        assert (len(a.opened), store.runs[accounts_module._HOLD]) == (3, 1)


@in_virtual_time
async def test_the_end_gives_all_accounts_up_and_finishes_what_it_interrupts() -> None:
    async with replicas() as (store, a, b):
        await a.open()
        await a.open(request("/other"))
        await b.open(request("/third"))
        async with anyio.create_task_group() as tasks:
            a.accounts.tasks = tasks
            store.delay = 0.1
            a.close()
            await anyio.sleep(0)
            tasks.cancel_scope.cancel()  # the task that drops the hold
        assert len(held(store)) == 3
        store.delay = 0.0
        await a.accounts.aclose()
        assert len(held(store)) == 1
        assert not await is_refused(b)


@in_virtual_time
async def test_an_account_that_was_given_up_is_not_given_up_again_at_the_end() -> None:
    async with replicas() as (store, a, _):
        await a.open()
        a.close()
        await anyio.sleep(1)
        await a.accounts.aclose()
        assert store.runs[accounts_module._DROP] == 1


@in_virtual_time
async def test_an_attempt_that_fails_after_the_end_fails_for_its_own_reason() -> None:
    async with replicas() as (_, a, _b), anyio.create_task_group() as tasks:
        failed: list[str] = []

        async def fail() -> None:
            a.opening = [OSError("refused")]
            try:
                await a.open(ONE, 1.0)
            except OSError as error:
                failed.append(str(error))

        tasks.start_soon(fail)
        await anyio.sleep(0.5)
        await a.accounts.aclose()
        await anyio.sleep(1)
        assert failed == ["refused"]


@in_virtual_time
async def test_the_end_needs_no_store() -> None:
    async with replicas() as (store, a, _):
        await a.open()
        store.away = "it hangs"
        await a.accounts.aclose()
