"""Handshakes, connections and calls of a pool without a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import anyio

from utcp_ws_mcp.client.pool.entry import LeaseMode, LeaseRequest, PooledConnection, State, Waiter
from utcp_ws_mcp.client.pool.state import PoolState


@dataclass(frozen=True)
class FakeHandshake:
    """A handshake that equals those of the same name."""

    name: str = "key"
    max_connections: int = 4
    max_in_flight: int = 2
    keep_alive: bool = True
    on_disconnect: tuple[str, ...] = ()
    at: str = ""
    rate: float | None = None
    identity: str | None = None
    feed: str = ""

    @property
    def endpoint(self) -> str:
        return self.at or self.name

    @property
    def key(self) -> FakeHandshake:
        return self

    @property
    def address(self) -> str:
        return f"wss://{self.name}/"

    @property
    def template(self) -> Any:
        limits = SimpleNamespace(
            max_connections=self.max_connections, max_in_flight=self.max_in_flight, requests_per_second=self.rate
        )
        login = {"before_connect": (), "on_connect": ("a login",), "before_message": (), "auth": None}
        return SimpleNamespace(limits=limits, keep_alive=self.keep_alive, **login)

    @property
    def connection_rules(self) -> Any:
        return SimpleNamespace(on_disconnect=self.on_disconnect, session_identity=self.identity)


@dataclass(eq=False)
class FakeConnection:
    """An open connection; the barrier and `receive_loop` end when the test says so."""

    is_open: bool = True
    reusable: bool = True
    incomplete: int = 0
    opened: int = 1
    unusable_reason: str = ""
    vacated: bool = False
    received_count: int = 1
    address: str = "wss://fake/"
    synced: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    closed: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    previous: list[Any] = field(default_factory=list)
    fails_early: bool = False
    was_used: list[bool] = field(default_factory=list)
    explains_close: None = None
    closing_words: str = ""

    @property
    def messages(self) -> FakeConnection:
        return self

    @property
    def is_available(self) -> bool:
        return self.is_open and self.reusable

    def failed_early(self, *, used: bool) -> bool:
        self.was_used.append(used)
        return self.fails_early

    def note_previous(self, previous: Any) -> None:
        self.previous.append(previous)

    @property
    def dispatcher(self) -> FakeConnection:
        return self

    @property
    def availability(self) -> FakeConnection:
        return self

    @property
    def heartbeat(self) -> Any:
        return SimpleNamespace(run=anyio.lowlevel.checkpoint)

    @property
    def barrier(self) -> Any:
        return SimpleNamespace(wait=self._sync)

    async def _sync(self) -> bool:
        await self.synced.wait()
        return self.is_available

    async def receive_loop(self) -> None:
        await self.ended.wait()

    async def aclose(self, code: int, reason: str, local_reason: str = "") -> None:
        self.closed.append(local_reason)
        self.codes.append(code)
        self.end()

    def abort(self) -> None:
        self.closed.append("aborted")
        self.end()

    def end(self) -> None:
        self.is_open = False
        self.ended.set()


def request(mode: LeaseMode = LeaseMode.SHARED, handshake: Any = None) -> LeaseRequest:
    return LeaseRequest(handshake or FakeHandshake(), mode, {})


def enqueue(pool: PoolState, mode: LeaseMode, handshake: Any = None) -> Waiter:
    waiter = Waiter(request(mode, handshake), lambda: None)
    pool.enqueue(waiter)
    return waiter


def add_connection(
    pool: PoolState,
    handshake: Any,
    state: State,
    *,
    in_flight: int = 0,
    passive: int = 0,
    **connection: Any,
) -> PooledConnection:
    """Put a connection into a pool that already has a group for its key, or get one."""
    waiter = enqueue(pool, LeaseMode.SHARED, handshake)
    pooled = pool.add(waiter)
    pool.dequeue(waiter)
    pooled.state, pooled.in_flight, pooled.passive_in_flight = state, in_flight, passive
    if state is not State.CONNECTING:
        pooled.connection = FakeConnection(**connection)  # type: ignore[assignment]
    return pooled
