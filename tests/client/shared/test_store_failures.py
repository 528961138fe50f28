"""What a failure of the shared store means for its operator, and when it counts as one."""

from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from redis import exceptions

from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.shared import store as store_module
from utcp_ws_mcp.client.shared.address import StoreAddress
from utcp_ws_mcp.client.shared.store import Script, SharedStore, StoreAway, describe_failure, refuse_start
from utcp_ws_mcp.observability.events import SharedStoreBack, SharedStoreLost

ADDRESS = StoreAddress("h", 6379, 0, tls=False, username="u", password="p")
UNKNOWN_ISSUER = "TLS failed: unable to get local issuer certificate"
AWAY, REFUSED, FULL = "shared-store-away", "shared-store-refused", "shared-store-full"


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def in_the_context_of(error: Exception, context: Exception) -> Exception:
    error.__context__ = context
    return error


def unverified() -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "unable to get local issuer certificate"
    return error


def failed_tls(reason: str | None = None) -> ssl.SSLError:
    error = ssl.SSLError(1, "x")
    error.reason = reason
    return error


class NoText(exceptions.ConnectionError):
    def __str__(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (exceptions.AuthenticationError("WRONGPASS"), "the login is refused: WRONGPASS", REFUSED),
        (exceptions.AuthorizationError("no"), "the login is refused: no", REFUSED),
        (exceptions.NoPermissionError("x"), "the user lacks a permission: x", REFUSED),
        (exceptions.OutOfMemoryError("OOM"), "its memory is full (maxmemory)", FULL),
        (exceptions.BusyLoadingError("LOADING"), "it is loading its data", AWAY),
        (exceptions.TimeoutError("t"), "no answer within 0.25 s", AWAY),
        (TimeoutError(), "no answer within 0.25 s", AWAY),
        (exceptions.InvalidResponse("x"), "the answer is not of the Redis protocol", REFUSED),
        (ValueError("x"), "the answer is not of the Redis protocol", REFUSED),
        (exceptions.ConnectionError("Error 111."), "Error 111", AWAY),
        (OSError("cut off.."), "cut off", AWAY),
        (NoText(), "NoText", AWAY),
        (exceptions.ConnectionError("x" * 300), "x" * 200, AWAY),
        # Scripts report the errors of their commands as texts.
        (exceptions.ResponseError("OOM command not allowed"), "its memory is full (maxmemory)", FULL),
        (exceptions.ResponseError("@user_script: OOM command"), "its memory is full (maxmemory)", FULL),
        (exceptions.ResponseError("NOPERM no"), "the user lacks a permission: NOPERM no", REFUSED),
        (exceptions.ResponseError("NOAUTH Authentication required."), "a password is required", REFUSED),
        (exceptions.ResponseError("ERR unknown"), "it answered: ERR unknown", AWAY),
        (exceptions.ResponseError("x" * 36 + "OOM "), "its memory is full (maxmemory)", FULL),
        (exceptions.ResponseError("x" * 37 + "OOM "), f"it answered: {'x' * 37}OOM ", AWAY),
        (failed_tls("WRONG_VERSION_NUMBER"), "TLS failed: wrong version number", REFUSED),
        (unverified(), UNKNOWN_ISSUER, REFUSED),
        (caused_by(exceptions.ConnectionError("x"), unverified()), UNKNOWN_ISSUER, REFUSED),
        (in_the_context_of(exceptions.ConnectionError("x"), unverified()), UNKNOWN_ISSUER, REFUSED),
        (
            caused_by(exceptions.ConnectionError("x"), caused_by(OSError(), failed_tls())),
            "TLS failed: the connection ended",
            REFUSED,
        ),
        (caused_by(exceptions.ConnectionError("x"), OSError("y")), "x", AWAY),
    ],
)
def test_a_failure_is_described_in_words_of_the_operator(error: Exception, reason: str, code: str) -> None:
    away = describe_failure(error)
    assert (away.reason, away.code, str(away)) == (reason, code, reason)


def test_a_text_that_repeats_the_password_is_redacted_before_it_is_cut() -> None:
    error = exceptions.ResponseError(f"ERR unknown command 'AUTH' {'x' * 160} '{'password' * 5}'")
    reason = describe_failure(error, lambda text: text.replace("password" * 5, "***")).reason
    assert reason.endswith("x '***'")


@in_virtual_time
async def test_a_lost_store_is_reported_without_its_password() -> None:
    events: list[Any] = []
    store = SharedStore(ADDRESS, events.append, lambda text: text.replace("secret", "***"))
    store._commands = Scripted(exceptions.ResponseError("ERR no command 'secret'"))  # type: ignore[assignment]
    with pytest.raises(StoreAway, match=r"it answered: ERR no command '\*\*\*'"):
        await store.probe(ONE, [], [])
    assert [event.reason for event in events] == ["it answered: ERR no command '***'"]


def test_a_store_that_refuses_at_the_start_is_named_without_its_password() -> None:
    error = refuse_start(ADDRESS, StoreAway("the login is refused.", REFUSED))
    assert error.code == REFUSED
    assert str(error).startswith(
        "--shared redis://h:6379/0: the login is refused. Check the URL, the certificate, the user and the password."
    )


@pytest.mark.parametrize("tls", [True, False])
def test_the_connections_of_a_store_have_its_address_and_login(tls: bool) -> None:
    address = StoreAddress("h", 7, 3, tls=tls, username="u", password="p")
    store = SharedStore(address, [].append)
    for client, timeout in ((store._commands, 0.25), (store._readers, 1.25)):
        options = client.connection_pool.connection_kwargs
        names = ("host", "port", "db", "username", "password", "socket_timeout", "socket_connect_timeout", "protocol")
        assert [options[name] for name in names] == ["h", 7, 3, "u", "p", timeout, 0.25, 2]
        assert client.connection_pool.max_connections == 256
        connection = client.connection_pool.make_connection()
        assert options["retry"].get_retries() == 0
        assert isinstance(connection, store_module.redis.SSLConnection) is tls
        if tls:
            context = connection.ssl_context
            assert context is client.connection_pool.make_connection().ssl_context  # making one takes long
            assert (context.cert_reqs, context.check_hostname) == (ssl.CERT_REQUIRED, True)


# When a store counts as lost


class Scripted:
    """Stands for a client of redis-py: each operation does what is next in the list."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.registered: list[str] = []
        self.calls: list[Any] = []
        self.running = self.most = 0
        self.closed = False

    def register_script(self, source: str) -> Any:
        self.registered.append(source)
        return self._run

    async def _run(self, keys: Any, args: Any) -> Any:
        return await self._next((keys, args))

    async def xread(self, streams: Any, block: int) -> Any:
        return await self._next((streams, block))

    async def _next(self, call: Any) -> Any:
        self.calls.append(call)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            outcome = self.outcomes.pop(0) if self.outcomes else "ok"
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, float):
                await anyio.sleep(outcome)
                return "late"
            return outcome
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        self.closed = True


ONE, OTHER = Script("return 1"), Script("return 2")


class Late:
    """The clock of the store; `by` seconds are added when a wait ends, as in a process that did not run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by: list[float] = []
        self._reads = 0
        names = {name: getattr(anyio, name) for name in ("Semaphore", "fail_after")}
        monkeypatch.setattr(store_module, "anyio", SimpleNamespace(**names, current_time=self._now))

    def _now(self) -> float:
        self._reads += 1
        even = self._reads % 2 == 0
        return anyio.current_time() + (self.by.pop(0) if even and self.by else 0.0)


def scripted(*outcomes: Any) -> tuple[SharedStore, Scripted, list[Any]]:
    events: list[Any] = []
    store = SharedStore(ADDRESS, events.append)
    client = Scripted(*outcomes)
    store._commands = store._readers = client  # type: ignore[assignment]
    return store, client, events


@in_virtual_time
async def test_a_script_is_registered_once_and_gets_its_keys_and_arguments() -> None:
    store, client, events = scripted(7, 8, 9)
    assert [await store.run(ONE, ["k"], [1]), await store.run(ONE, [], []), await store.probe(OTHER, ["x"], ["y"])] == [
        7,
        8,
        9,
    ]
    assert client.registered == ["return 1", "return 2"]
    assert client.calls == [(["k"], [1]), ([], []), (["x"], ["y"])]
    assert (events, store.away) == ([], None)


@in_virtual_time
async def test_a_store_that_does_not_answer_is_lost_until_a_probe_finds_it() -> None:
    store, client, events = scripted(1.0)
    await anyio.sleep(5)
    with pytest.raises(StoreAway):
        await store.run(ONE, [], [])
    assert anyio.current_time() == 5.25
    assert store.away == "no answer within 0.25 s"
    for operation in (store.run(ONE, [], []), store.read_streams({})):
        with pytest.raises(StoreAway, match="no answer within") as refused:
            await operation
        assert refused.value.code == AWAY
    assert len(client.calls) == 1
    await anyio.sleep(3)
    assert await store.probe(ONE, [], []) == "ok"
    assert store.away is None
    assert events == [
        SharedStoreLost("redis://h:6379/0", "no answer within 0.25 s", AWAY),
        SharedStoreBack("redis://h:6379/0", 3.0),
    ]


@in_virtual_time
async def test_another_kind_of_failure_is_reported_and_the_same_kind_is_not() -> None:
    failures = [OSError("a"), OSError("b"), exceptions.OutOfMemoryError("OOM"), OSError("c")]
    store, _, events = scripted(*failures)
    shown = []
    for _ in failures:
        with pytest.raises(StoreAway):
            await store.probe(ONE, [], [])
        shown.append(store.away)
        await anyio.sleep(1)
    assert shown == ["a", "b", "its memory is full (maxmemory)", "c"]
    assert [(event.reason, event.code) for event in events] == [("a", AWAY), (shown[2], FULL), ("c", AWAY)]
    await store.probe(ONE, [], [])
    assert events[-1] == SharedStoreBack("redis://h:6379/0", 1.0)


@pytest.mark.parametrize(
    ("late_by", "attempts"),
    [([0.0], 1), ([0.04], 1), ([0.06, 0.04], 2), ([0.06, 0.06, 0.06], 3)],
)
@pytest.mark.parametrize("own", [True, False])
@in_virtual_time
async def test_a_script_is_repeated_if_this_process_noticed_the_timeout_late(
    monkeypatch: pytest.MonkeyPatch, late_by: list[float], attempts: int, own: bool
) -> None:
    late = Late(monkeypatch)
    late.by = [*late_by]
    store, client, _ = scripted(*[1.0 if own else exceptions.TimeoutError()] * 4)
    if not own:
        late.by = [0.25 + by for by in late_by]
    with pytest.raises(StoreAway):
        await store.run(ONE, [], [])
    assert len(client.calls) == attempts


@in_virtual_time
async def test_eight_scripts_run_at_once_and_the_others_wait() -> None:
    store, client, _ = scripted(*[0.1] * 20)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(store.run, ONE, [], [])
    assert (client.most, len(client.calls)) == (8, 20)


@in_virtual_time
async def test_scripts_that_waited_for_others_are_not_run_when_the_store_was_lost() -> None:
    store, client, _ = scripted(*[OSError("gone")] * 20)
    failed = []

    async def run() -> None:
        try:
            await store.run(ONE, [], [])
        except StoreAway as away:
            failed.append(away.reason)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(run)
    assert (failed, len(client.calls)) == (["gone"] * 20, 1)


@in_virtual_time
async def test_streams_are_read_behind_their_positions_for_a_second() -> None:
    store, client, _ = scripted([(b"s", [(b"5-1", {b"e": b"x"})]), (b"t", [])])
    assert await store.read_streams({"s": "5-0", "t": "0-0"}) == {"s": [("5-1", {b"e": b"x"})], "t": []}
    assert client.calls == [({"s": "5-0", "t": "0-0"}, 1000)]


@pytest.mark.parametrize("outcome", [OSError("gone"), exceptions.ConnectionError("gone"), [(1, 2, 3)]], ids=str)
@in_virtual_time
async def test_a_read_that_fails_loses_the_store(outcome: Any) -> None:
    store, _, events = scripted(outcome)
    with pytest.raises(StoreAway):
        await store.read_streams({})
    assert len(events) == 1
    assert store.away is not None


@in_virtual_time
async def test_a_read_that_is_not_answered_loses_the_store_after_its_wait_and_the_timeout() -> None:
    store, _, _ = scripted(9.0)
    with pytest.raises(StoreAway, match="no answer within"):
        await store.read_streams({})
    assert anyio.current_time() == 1.25


@pytest.mark.parametrize(("late_by", "lost"), [(0.04, True), (0.05, False)])
@in_virtual_time
async def test_a_read_whose_end_this_process_noticed_late_returns_nothing(
    monkeypatch: pytest.MonkeyPatch, late_by: float, lost: bool
) -> None:
    late = Late(monkeypatch)
    late.by = [late_by + 1e-9]
    store, _, events = scripted(9.0)
    if lost:
        with pytest.raises(StoreAway):
            await store.read_streams({})
    else:
        assert await store.read_streams({}) == {}
    assert bool(events) is lost


@in_virtual_time
async def test_the_end_closes_all_connections() -> None:
    store, commands, _ = scripted()
    readers = Scripted()
    store._readers = readers  # type: ignore[assignment]
    await store.aclose()
    assert commands.closed
    assert readers.closed
