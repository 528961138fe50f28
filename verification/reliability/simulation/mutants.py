"""Defects that the simulation must find: each changes a line of the bridge, in memory only."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from utcp_ws_mcp.client.call import Call
from utcp_ws_mcp.client.caller import CallRunner
from utcp_ws_mcp.client.connection import Connection
from utcp_ws_mcp.client.discovery import DiscoveryTask
from utcp_ws_mcp.client.heartbeat import HeartbeatTask
from utcp_ws_mcp.client.oauth import TokenCache
from utcp_ws_mcp.client.pool.entry import PooledConnection
from utcp_ws_mcp.client.pool.manager import PoolHandle
from utcp_ws_mcp.client.pool.pool import ConnectionPool
from utcp_ws_mcp.core.backoff import CircuitBreaker
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Mutant:
    """A method of the bridge in which `before` is replaced by `after`."""

    what: str
    owner: type
    method: str
    before: str
    after: str


MUTANTS: Final = (
    Mutant("ids are taken modulo 4", Dispatcher, "next_id", "self._sent += 1", "self._sent = (self._sent + 1) % 4"),
    Mutant("an abandoned exchange is not forgotten", Dispatcher, "abandon", "self._forget(exchange)", "pass"),
    Mutant(
        "after a timeout an owned connection is used again",
        Dispatcher,
        "abandon",
        "exchange.finished = True",
        "return self.withdraw(exchange)",
    ),
    Mutant("after a stream that was cut short, too", Dispatcher, "_deliver", "exchange.end in CUT_SHORT", "False"),
    Mutant(
        "what nobody waits for goes to another call", Dispatcher, "_find", "asked[:1]", "(asked or self._others)[:1]"
    ),
    Mutant("a loss is told to one call only", Dispatcher, "lose", "list(self.pending())", "list(self.pending())[:1]"),
    Mutant("a retired connection is used again", Dispatcher, "retire", "self.trusted = False", "pass"),
    Mutant("any close ends a stream well", Exchange, "lose", "close.code in CLEAN_CLOSE", "True"),
    Mutant("a close is an empty stream", Exchange, "lose", "self.items and", ""),
    Mutant("a stream ends before its end", Exchange, "_take_item", "if ended:", "if ended or self.items > 1:"),
    Mutant("a request is always sent again", CallRunner, "call", "plan.idempotent and", ""),
    Mutant("what is sent again has a new deadline", CallRunner, "_attempt", "arguments, deadline", "arguments"),
    Mutant("what was lost is said not to be sent", CallRunner, "call", "raise loss from failed", "raise"),
    Mutant("the deadline leaves the pool out", Call, "_start_later", "self._deadline - anyio.current_time()", "None"),
    Mutant("a timeout says not sent", Call, "_wait", "MAYBE_EXECUTED", "NOT_SENT"),
    Mutant("a loss says not sent", Call, "_check_lost", "MAYBE_EXECUTED", "NOT_SENT"),
    Mutant("a lost connection is an empty success", Call, "_check_lost", "if lost is None", "if lost is not None"),
    Mutant("a lease is released twice", Call, "_finish", "lease.release()", "lease.release() or lease.release()"),
    Mutant("a lease leaks when a call is cancelled", Call, "__aexit__", "self._finish()", "kind or self._finish()"),
    Mutant("a lease leaks when it comes too late", ConnectionPool, "_withdraw", "self.release(", "repr("),
    Mutant("a cancelled call stays in the queue", ConnectionPool, "acquire", "self._withdraw(waiter)", "pass"),
    Mutant("an owned connection is not settled", ConnectionPool, "_ready_slot", "or slot.settled", "or True"),
    Mutant(
        "settling does not wait for the pong",
        Connection,
        "settle",
        "await (await self._websocket.ping())",
        "await self._websocket.ping()",
    ),
    Mutant("max_in_flight is one more", PooledConnection, "has_room", "listeners <", "listeners <="),
    Mutant("max_connections is one more", ConnectionPool, "_make_room", "len(same) >= most", "len(same) > most"),
    Mutant("requests_per_second is ignored", PoolHandle, "lease", "1 / rate", "0"),
    Mutant("a silent peer is kept", HeartbeatTask, "_expect_answer", "self._connection.abort()", "pass"),
    Mutant("a refusing endpoint is tried without pause", CircuitBreaker, "wait", "self._not_before - now", "0.0"),
    Mutant("discovery does not pause", DiscoveryTask, "_pause", "delay(max(failures, 1), random.random)", "0.01"),
    Mutant("a rejected token is used again", TokenCache, "reject", "del self._held[auth]", "pass"),
    Mutant("a closed bridge is still used", ConnectionPool, "close", "self._closed = True", "pass"),
)


@contextmanager
def apply_mutant(mutant: Mutant) -> Iterator[None]:
    """The bridge with this defect.

    Raises:
        LookupError: if the line that is to be changed is no longer there.
    """
    found = inspect.getattr_static(mutant.owner, mutant.method)
    function: Callable[..., Any] = found.fget if isinstance(found, property) else found
    source = textwrap.dedent(inspect.getsource(function))
    if mutant.before not in source:
        raise LookupError(f"{mutant.owner.__name__}.{mutant.method} no longer holds {mutant.before!r}")
    namespace: dict[str, Any] = {}
    code = compile(
        "from __future__ import annotations\n" + source.replace(mutant.before, mutant.after), mutant.method, "exec"
    )
    exec(code, function.__globals__, namespace)
    with patch.object(mutant.owner, mutant.method, namespace[mutant.method]):
        yield
