"""The turns and the members of a fleet, and its tokens, in virtual time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from tests.client.shared.memory_store import MemoryStore, make_fleet
from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.oauth import IssuedToken
from utcp_ws_mcp.client.shared import fleet as fleet_module
from utcp_ws_mcp.client.shared import members
from utcp_ws_mcp.client.shared import tokens as tokens_module
from utcp_ws_mcp.client.shared.address import StoreAddress
from utcp_ws_mcp.client.shared.fleet import Fleet, open_fleet
from utcp_ws_mcp.client.shared.rates import take_turn
from utcp_ws_mcp.client.shared.sealing import Sealer, check_key
from utcp_ws_mcp.client.shared.store import StoreAway
from utcp_ws_mcp.errors import ServeOptionsError, TokenRequestError
from utcp_ws_mcp.manifest.models.auth import OAuth2Auth
from utcp_ws_mcp.manifest.models.network import Limits

ADDRESS = StoreAddress("h", 6379, 0, tls=False, username=None, password=None)
KEY = "k" * 32


def fleet(store: MemoryStore, name: str = "a") -> Fleet:
    return make_fleet(store, name, KEY)


# Members


@in_virtual_time
async def test_a_replica_counts_for_five_seconds_after_its_last_sign_of_life() -> None:
    store = MemoryStore()
    a, b = fleet(store), fleet(store, "b")
    assert a.replicas == 2  # as long as the store has not answered
    await a.members.beat()
    assert a.replicas == 1
    await b.members.beat()
    await anyio.sleep(4.999)
    await a.members.beat()
    assert a.replicas == 2
    await anyio.sleep(0.001)
    await a.members.beat()
    assert a.replicas == 1


@in_virtual_time
async def test_a_fleet_without_members_has_this_one() -> None:
    store = MemoryStore()
    store._scripts[members._BEAT] = lambda *given: 0
    a = fleet(store)
    await a.members.beat()
    assert a.replicas == 1


@in_virtual_time
async def test_signs_of_life_come_every_second_also_after_one_that_failed() -> None:
    store = MemoryStore()
    a = fleet(store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(a.members.keep_alive)
        await anyio.sleep(3.5)
        assert store.runs[members._BEAT] == 3
        store.away = "it hangs"
        await anyio.sleep(5)
        store.away = None
        await anyio.sleep(2)
        assert store.runs[members._BEAT] == 5
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_the_state_of_a_fleet_says_whether_its_store_is_used() -> None:
    store = MemoryStore()
    a = fleet(store)
    assert a.describe() == {"fleet": "f", "replicas": 2, "store": "in use"}
    store.away = "it hangs"
    assert a.describe()["store"] == "away: it hangs"
    assert make_fleet(store).tokens is None
    assert a.key("x", "y:z") == "utcp-ws:{f}:x:y%3Az"


def test_what_belongs_to_a_caller_has_names_and_texts_that_only_the_fleet_can_make() -> None:
    a, b = fleet(MemoryStore()), fleet(MemoryStore(), "b")
    one, same, other = a.for_caller("s3cret", "x"), b.for_caller("s3cret", "x"), a.for_caller("s3cretx")
    assert one is not None
    assert same is not None
    assert other is not None
    assert one.key("k") == same.key("k")
    assert len({each.key("k") for each in (a, one, other)}) == 3
    assert one.key("k") != one.key("l")
    assert one.key("k").startswith("utcp-ws:{f}:caller:")
    assert "s3cret" not in one.key("k")

    sealed = one.seal("text", "place")
    assert isinstance(sealed, bytes)
    assert b"text" not in sealed
    assert same.unseal(sealed, "place") == b"text"
    with pytest.raises(ValueError, match="not encrypted"):
        same.unseal(sealed, "elsewhere")
    assert (a.seal("text", "place"), a.unseal(b"text", "place")) == ("text", b"text")


def test_without_a_key_nothing_is_shared_for_a_caller() -> None:
    assert make_fleet(MemoryStore()).for_caller("x") is None


def account() -> Any:
    limits = Limits(max_connections=1)
    template = SimpleNamespace(limits=limits, url="ws://h/", headers={}, auth=None, query={})
    rules, key = SimpleNamespace(login=()), SimpleNamespace(login_arguments=())
    return SimpleNamespace(manual="m", address="", url=None, template=template, connection_rules=rules, key=key)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> list[MemoryStore]:
    """The stores of the fleets that are opened."""
    made: list[MemoryStore] = []

    def make(address: StoreAddress, *hooks: Any) -> MemoryStore:
        return made.pop() if made else MemoryStore()

    monkeypatch.setattr(fleet_module, "SharedStore", make)
    return made


@in_virtual_time
async def test_a_replica_joins_and_leaves_its_fleet(store: list[MemoryStore]) -> None:
    shared = MemoryStore()
    store.append(shared)
    async with open_fleet("f", "a", ADDRESS, [].append) as a:
        assert a.replicas == 1
        await anyio.sleep(2.5)
        assert shared.runs[members._BEAT] == 3
        assert list(shared.values[a.key("replicas")]) == ["a"]
        handshake, opened = account(), SimpleNamespace(is_open=True)

        async def connect() -> Any:
            return opened

        assert await a.open(handshake, connect) is opened
        await anyio.sleep(20)
        assert any(key.endswith(":connection") for key in shared.values)
    assert shared.values[a.key("replicas")] == {}
    assert not any(key.endswith(":connection") for key in shared.values)
    assert shared.closed


@in_virtual_time
async def test_a_replica_that_ends_waits_half_a_second_at_most_for_its_store(store: list[MemoryStore]) -> None:
    shared = MemoryStore()
    store.append(shared)
    async with open_fleet("f", "a", ADDRESS, [].append):
        shared.delay = 60.0
        began = anyio.current_time()
    assert anyio.current_time() - began == 0.5


@pytest.mark.parametrize(("code", "starts"), [("shared-store-refused", False), ("shared-store-away", True)])
@in_virtual_time
async def test_a_store_that_refuses_ends_the_start_and_one_that_is_away_does_not(
    store: list[MemoryStore], code: str, starts: bool
) -> None:
    class Unusable(MemoryStore):
        async def probe(self, *given: Any) -> Any:
            raise StoreAway("no.", code)

    shared = Unusable()
    store.append(shared)
    if starts:
        async with open_fleet("f", "a", ADDRESS, [].append) as a:
            assert a.replicas == 2
        return
    with pytest.raises(ServeOptionsError) as refused:
        async with open_fleet("f", "a", ADDRESS, [].append):
            pass
    assert (refused.value.code, shared.closed) == (code, True)
    assert "--shared redis://h:6379/0: no. Check" in str(refused.value)


@in_virtual_time
async def test_a_replica_leaves_also_if_the_store_is_away() -> None:
    shared = MemoryStore()
    shared.away = "it hangs"
    await fleet(shared).members.leave()


# Turns


def limited(rate: float = 10.0, **limits: Any) -> Any:
    template = SimpleNamespace(
        limits=Limits(requests_per_second=rate, **limits), url="ws://h/", headers={}, auth=None, query={}
    )
    return SimpleNamespace(manual="m", template=template, connection_rules=SimpleNamespace(login=()))


@in_virtual_time
async def test_turns_are_numbers_of_seconds_that_keep_their_distance() -> None:
    store: Any = MemoryStore()
    assert [await take_turn(store, "k", 0.5, 9) for _ in range(3)] == [0.0, 0.5, 1.0]
    await anyio.sleep(2)
    assert await take_turn(store, "k", 0.5, 9, earliest=0.25) == 0.25
    assert await take_turn(store, "k", 0.5, float("inf")) == 0.75
    assert await take_turn(store, "k", 0.5, 0.5) == 1.25  # too late: it is not taken
    assert await take_turn(store, "k", 0.5, 2e9) == 1.25


async def times_of(limiter: Any, count: int, handshake: Any = None) -> list[float]:
    times = []
    async with anyio.create_task_group() as tasks:

        async def take() -> None:
            await limiter.wait_turn(handshake or limited())
            times.append(round(anyio.current_time(), 3))

        for _ in range(count):
            tasks.start_soon(take)
    return times


@in_virtual_time
async def test_requests_of_two_replicas_share_one_rate() -> None:
    store = MemoryStore()
    a, b = fleet(store).rate_limiter(), fleet(store, "b").rate_limiter()
    results: list[float] = []
    async with anyio.create_task_group() as tasks:

        async def take(limiter: Any) -> None:
            results.extend(await times_of(limiter, 3))

        tasks.start_soon(take, a)
        tasks.start_soon(take, b)
    assert sorted(results) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


@in_virtual_time
async def test_a_rate_of_each_replica_needs_no_store() -> None:
    store = MemoryStore()
    assert await times_of(fleet(store).rate_limiter(), 3, limited(scope="replica")) == [0.0, 0.1, 0.2]
    assert store.values == {}


@in_virtual_time
async def test_without_the_store_a_replica_takes_its_part_of_the_rate() -> None:
    store = MemoryStore()
    store.away = "it hangs"
    a = fleet(store)
    a.members.count = 3
    assert await times_of(a.rate_limiter(), 3) == [0.0, 0.3, 0.6]


@in_virtual_time
async def test_turns_without_the_store_come_behind_those_that_it_gave() -> None:
    store = MemoryStore()
    a = fleet(store)
    a.members.count = 1
    limiter = a.rate_limiter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(times_of, limiter, 5)
        await anyio.sleep(0.01)
        store.away = "it hangs"
        assert await times_of(limiter, 2) == [0.5, 0.6]
        store.away = None
        assert await times_of(limiter, 2) == [0.7, 0.8]


@in_virtual_time
async def test_a_turn_that_would_come_after_the_deadline_of_its_call_is_not_taken() -> None:
    store = MemoryStore()
    a = fleet(store)
    a.members.count = 1
    limiter = a.rate_limiter()
    assert await times_of(limiter, 1) == [0.0]
    with anyio.move_on_after(0.05) as scope:
        await limiter.wait_turn(limited())
    assert scope.cancelled_caught
    assert await times_of(limiter, 1) == [0.1]
    with anyio.move_on_after(0.05):
        await limiter.wait_turn(limited())
    store.away = "it hangs"
    assert await times_of(limiter, 1) == [0.2]  # not 0.3: what was not taken delays no other


@in_virtual_time
async def test_a_turn_that_comes_exactly_at_the_deadline_is_taken() -> None:
    store = MemoryStore()
    a = fleet(store)
    a.members.count = 1
    limiter = a.rate_limiter()
    assert await times_of(limiter, 1) == [0.0]
    with anyio.move_on_after(0.1):
        await limiter.wait_turn(limited())
    store.away = "it hangs"
    assert await times_of(limiter, 1) == [0.2]


@in_virtual_time
async def test_each_manual_has_a_rate_of_its_own() -> None:
    limiter, other = fleet(MemoryStore()).rate_limiter(), limited()
    other.manual = "other"
    assert await times_of(limiter, 1) == [0.0]
    assert await times_of(limiter, 1, other) == [0.0]
    assert await times_of(limiter, 1) == [0.1]


# Tokens

AUTH = OAuth2Auth(
    auth_type="oauth2", token_url="https://i.example/t", client_id="id", client_secret=SecretStr("s3cret!")
)


class Issuer:
    """A token endpoint: each request takes some seconds, and returns the next token."""

    def __init__(self, seconds: float = 0.0, lifetime: float = 60.0, error: Exception | None = None) -> None:
        self.requests: list[float] = []
        self.seconds, self.lifetime, self.error = seconds, lifetime, error

    async def __call__(self) -> IssuedToken:
        self.requests.append(round(anyio.current_time(), 3))
        number = len(self.requests)
        await anyio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return IssuedToken(f"t{number}", self.lifetime)


async def get(member: Fleet, issuer: Issuer, rejected: str | None = None, timeout: float = 10.0) -> tuple[str, float]:
    assert member.tokens is not None
    issued = await member.tokens.get(AUTH, rejected, timeout, issuer)
    return issued.token, round(issued.seconds, 3)


@in_virtual_time
async def test_one_replica_asks_for_a_token_and_the_others_look_for_it_twenty_times_a_second() -> None:
    store, issuer = MemoryStore(), Issuer(seconds=0.12)
    results: list[tuple[str, float]] = []
    times: list[float] = []
    async with anyio.create_task_group() as tasks:

        async def ask(name: str) -> None:
            results.append(await get(fleet(store, name), issuer))
            times.append(round(anyio.current_time(), 3))

        for name in "abc":
            tasks.start_soon(ask, name)
    assert issuer.requests == [0.0]
    assert results == [("t1", 60.0), ("t1", 59.97), ("t1", 59.97)]
    assert times == [0.12, 0.15, 0.15]
    assert store.runs[tokens_module._LOOK] == 3 * 1 + 2 * 3


@pytest.mark.parametrize(("timeout", "waited"), [(10.0, 3.0), (6.0, 3.0), (4.0, 2.0)])
@in_virtual_time
async def test_a_replica_waits_for_half_of_the_timeout_and_three_seconds_at_most(timeout: float, waited: float) -> None:
    store, slow, fast = MemoryStore(), Issuer(seconds=100), Issuer()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, fleet(store), slow, None, 100.0)
        await anyio.sleep(0)
        await anyio.sleep(0)
        assert (await get(fleet(store, "b"), fast, None, timeout))[0] == "t1"
        assert fast.requests[0] == pytest.approx(waited, abs=0.06)
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_the_right_to_ask_ends_with_the_timeout_of_who_has_it() -> None:
    store, slow, fast = MemoryStore(), Issuer(seconds=100), Issuer()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, fleet(store), slow, None, 1.5)
        await anyio.sleep(0.01)
        (lock,) = store.values
        assert store.left(lock) == 1490
        await get(fleet(store, "b"), fast, None, 10.0)
        assert fast.requests[0] == pytest.approx(1.5, abs=0.06)
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_a_token_is_used_as_long_as_it_lasts_in_the_store() -> None:
    store, issuer = MemoryStore(), Issuer(lifetime=60.0)
    await get(fleet(store), issuer)
    await anyio.sleep(59.9)
    assert await get(fleet(store, "b"), issuer) == ("t1", 0.1)
    await anyio.sleep(0.1)
    assert (await get(fleet(store, "b"), issuer))[0] == "t2"


@in_virtual_time
async def test_a_token_is_not_used_longer_than_its_issuer_said() -> None:
    store, issuer = MemoryStore(), Issuer()
    a = fleet(store)
    await get(a, issuer)
    (place,) = store.values
    store.set(place, store.values[place], 900_000)
    assert (await get(a, issuer)) == ("t1", 60.0)


@pytest.mark.parametrize(("lifetime", "is_shared"), [(0.99, False), (1.0, True)])
@in_virtual_time
async def test_a_token_that_lasts_less_than_a_second_is_not_shared(lifetime: float, is_shared: bool) -> None:
    store, issuer = MemoryStore(), Issuer(lifetime=lifetime)
    await get(fleet(store), issuer)
    assert len(store.values) == is_shared
    assert (await get(fleet(store, "b"), issuer))[0] == ("t1" if is_shared else "t2")


@in_virtual_time
async def test_a_rejected_token_is_replaced_and_the_new_one_is_used() -> None:
    store, issuer = MemoryStore(), Issuer()
    await get(fleet(store), issuer)
    assert (await get(fleet(store, "b"), issuer, "t1"))[0] == "t2"
    assert (await get(fleet(store), issuer, "t1"))[0] == "t2"
    assert len(issuer.requests) == 2


def sealed(text: str, place: str, key: str = KEY) -> bytes:
    return Sealer(key, "tokens").seal(text, place)


@pytest.mark.parametrize(
    "stored",
    [
        lambda place: b"x",
        lambda place: b"y" * 100,
        lambda place: sealed('["t", 9.0]', "elsewhere"),
        lambda place: sealed('["t", 9.0]', place, "j" * 32),
        lambda place: sealed('["not a header", 9.0]', place),
        lambda place: sealed("[", place),
        lambda place: sealed('["t", 0.0]', place),
    ],
    ids=["short", "other", "of another place", "of another key", "no token", "no JSON", "without time"],
)
@in_virtual_time
async def test_what_is_no_token_of_this_place_is_replaced(stored: Any) -> None:
    store, issuer = MemoryStore(), Issuer()
    a = fleet(store)
    await get(a, issuer)
    (place,) = store.values
    store.set(place, stored(place), 60_000)
    assert (await get(a, issuer))[0] == "t2"
    assert (await get(a, issuer))[0] == "t2"


@in_virtual_time
async def test_a_token_without_an_end_in_the_store_is_replaced() -> None:
    store, issuer = MemoryStore(), Issuer()
    a = fleet(store)
    await get(a, issuer)
    (place,) = store.values
    del store._ends[place]
    assert (await get(a, issuer))[0] == "t2"


@in_virtual_time
async def test_requests_for_other_credentials_do_not_wait_for_each_other() -> None:
    store, slow, fast = MemoryStore(), Issuer(seconds=100), Issuer()
    other = AUTH.model_copy(update={"client_id": "other"})
    b = fleet(store, "b")
    assert b.tokens is not None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, fleet(store), slow)
        await anyio.sleep(0.01)
        await b.tokens.get(other, None, 10.0, fast)
        assert fast.requests == [0.01]
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_a_request_that_fails_lets_the_next_replica_ask_at_once() -> None:
    store, failing, issuer = MemoryStore(), Issuer(error=TokenRequestError("i", "HTTP 500")), Issuer()
    with pytest.raises(TokenRequestError):
        await get(fleet(store), failing)
    assert store.values == {}
    assert await get(fleet(store, "b"), issuer) == ("t1", 60.0)
    assert anyio.current_time() == 0.0


@in_virtual_time
async def test_a_request_that_is_cancelled_lets_the_next_replica_ask_at_once() -> None:
    store = MemoryStore()
    with anyio.move_on_after(1):
        await get(fleet(store), Issuer(seconds=100))
    assert store.values == {}


@in_virtual_time
async def test_without_the_store_each_replica_asks_and_an_answer_is_not_lost_with_it() -> None:
    store, issuer = MemoryStore(), Issuer(seconds=1)
    store.away = "it hangs"
    assert (await get(fleet(store), issuer))[0] == "t1"
    store.away = None

    async def lose() -> IssuedToken:
        store.away = "it hangs"
        return IssuedToken("last", 60.0)

    assert (await get(fleet(store), lose))[0] == "last"  # type: ignore[arg-type]


@in_virtual_time
async def test_an_answer_waits_three_quarters_of_a_second_at_most_for_a_store_that_hangs() -> None:
    store = MemoryStore()

    async def hang() -> IssuedToken:
        store.delay = 60.0
        return IssuedToken("t", 60.0)

    assert (await get(fleet(store), hang))[0] == "t"  # type: ignore[arg-type]
    assert anyio.current_time() == 0.75


@pytest.mark.parametrize(
    "other",
    [
        {"token_url": "https://i.example/u"},
        {"client_id": "other"},
        {"client_secret": SecretStr("other")},
        {"scope": "a"},
        {"audience": "a"},
        {"auth_method": "basic"},
    ],
    ids=lambda other: next(iter(other)),
)
@in_virtual_time
async def test_other_credentials_have_another_token(other: dict[str, Any]) -> None:
    store, issuer = MemoryStore(), Issuer()
    a = fleet(store)
    assert a.tokens is not None
    await get(a, issuer)
    assert (await a.tokens.get(AUTH.model_copy(update=other), None, 10.0, issuer)).token == "t2"


@in_virtual_time
async def test_replicas_with_another_key_have_another_token() -> None:
    store, issuer = MemoryStore(), Issuer()
    await get(fleet(store), issuer)
    assert (await get(make_fleet(store, "b", "j" * 32), issuer))[0] == "t2"


@pytest.mark.parametrize("length", [31, 32])
def test_a_key_has_at_least_32_characters(length: int) -> None:
    key = "x" * length
    if length == 32:
        assert check_key(key, "--shared-key-file") == key
        return
    with pytest.raises(ServeOptionsError) as refused:
        check_key(key, "--shared-key-file")
    assert refused.value.code == "invalid-shared-key"
    assert "--shared-key-file: a key has at least 32 characters." in str(refused.value)
    assert key not in str(refused.value)
