"""Defects that the simulation must find: each changes a line of the bridge, in memory only."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final
from unittest.mock import patch

from utcp_ws_mcp.client.barrier import Barrier
from utcp_ws_mcp.client.call import Call
from utcp_ws_mcp.client.call_errors import CallErrors
from utcp_ws_mcp.client.call_http import CallRequests
from utcp_ws_mcp.client.caller import CallRunner
from utcp_ws_mcp.client.connection import Connection
from utcp_ws_mcp.client.discovery import DiscoveryTask
from utcp_ws_mcp.client.heartbeat import HeartbeatTask
from utcp_ws_mcp.client.http_steps import HttpStepRunner
from utcp_ws_mcp.client.incoming import Incoming
from utcp_ws_mcp.client.oauth import TokenCache
from utcp_ws_mcp.client.pool import planner
from utcp_ws_mcp.client.pool.circuit_breaker import CircuitBreaker
from utcp_ws_mcp.client.pool.entry import PooledConnection
from utcp_ws_mcp.client.pool.lease import RateLimiter
from utcp_ws_mcp.client.pool.pool import ConnectionPool
from utcp_ws_mcp.core.codecs.protobuf import _Reader
from utcp_ws_mcp.core.exchange.availability import Availability
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.exchange import Exchange
from utcp_ws_mcp.core.exchange.pending import PendingExchanges
from utcp_ws_mcp.core.exchange.request_ids import RequestIds
from utcp_ws_mcp.core.exchange.stream_rules import StreamRules
from utcp_ws_mcp.core.exchange.unsolicited import UnsolicitedMessages


@dataclass(frozen=True, slots=True)
class Mutant:
    """A method of the bridge, or a function of a module, in which `before` is replaced by `after`."""

    what: str
    owner: type | ModuleType
    method: str
    before: str
    after: str


MUTANTS: Final = (
    Mutant(
        "ids are taken modulo 4", RequestIds, "next_id", "self._last_id += 1", "self._last_id = (self._last_id + 1) % 4"
    ),
    Mutant("an abandoned exchange is not forgotten", Dispatcher, "discard", "self._pending.remove(exchange)", "pass"),
    Mutant(
        "after a timeout an owned connection is used again",
        Dispatcher,
        "cancel",
        "self._mark_incomplete(exchange)",
        "pass",
    ),
    Mutant("after a stream that was cut short, too", Dispatcher, "_deliver", "exchange.end in TRUNCATED", "False"),
    Mutant(
        "an unmatched message goes to another call",
        PendingExchanges,
        "find_matching",
        "[] if by_id",
        "list(self.all)[:1] if by_id",
    ),
    Mutant(
        "a message that answers several calls reaches the first only",
        PendingExchanges,
        "find_matching",
        "*_answered_with(replied_to, others), ",
        "",
    ),
    Mutant(
        "a loss reaches one call only",
        Dispatcher,
        "connection_lost",
        "in (*self._pending.all, *self._held):",
        "in list(self._pending.all)[:1]:",
    ),
    Mutant("a retired connection is used again", Availability, "end_session", "self._restrict(SESSION_ENDED)", "pass"),
    Mutant("any close ends a stream well", Exchange, "connection_lost", "close.code in NORMAL_CLOSE_CODES", "True"),
    Mutant("a close is an empty stream", Exchange, "connection_lost", "self.item_count and", ""),
    Mutant(
        "a stream ends before its end",
        Exchange,
        "_accept_item",
        "if ends and len(",
        "if self.item_count > 1 or ends and len(",
    ),
    Mutant("a request is always sent again", CallRunner, "call", "tool.idempotent and", ""),
    Mutant("what is sent again has a new deadline", CallRunner, "_attempt", "arguments, deadline", "arguments"),
    Mutant("what was lost is said not to be sent", CallRunner, "call", "raise lost_error from error", "raise"),
    Mutant("the deadline leaves the pool out", Call, "_wait_and_send", "request, self._deadline", "request, 1e9"),
    Mutant("a timeout says not sent", CallErrors, "no_reply", "self._outcome(exchange)", "Outcome.NOT_SENT"),
    Mutant(
        "a stream that the timeout cuts succeeds", StreamRules, "end_at_timeout", "None if has_end else", "False or"
    ),
    Mutant("every stream is called complete", Exchange, "is_complete", 'self.end == "until"', "True"),
    Mutant(
        "a repeated reply counts as unsolicited",
        UnsolicitedMessages,
        "note_dropped",
        "digest in self._replies",
        "False",
    ),
    Mutant("a greeting counts as unsolicited", UnsolicitedMessages, "note_dropped", "self.greeting_is_over and", ""),
    Mutant("a loss says not sent", CallErrors, "lost", "self._outcome(exchange)", "Outcome.NOT_SENT"),
    Mutant("a lost connection is an empty success", Call, "_raise_if_lost", "raise error", "return"),
    Mutant("a lease is released twice", Call, "_finish", "lease.release()", "lease.release() or lease.release()"),
    Mutant("a lease leaks when a call is cancelled", Call, "__aexit__", "self._finish()", "exc_type or self._finish()"),
    Mutant(
        "a lease leaks when it comes too late",
        ConnectionPool,
        "lease",
        "self._release(group, pooled, request.mode)",
        "pass",
    ),
    Mutant("a cancelled call stays in the queue", ConnectionPool, "_acquire", "self._cancel_waiter(waiter)", "pass"),
    Mutant(
        "an owned connection is not settled",
        PooledConnection,
        "can_start",
        "self.state is State.IDLE",
        "self.is_unused",
    ),
    Mutant(
        "settling does not wait for the pong",
        Barrier,
        "wait",
        "await self._websocket.ping()",
        "True",
    ),
    Mutant("max_in_flight is one more", PooledConnection, "can_start", "passive_in_flight <", "passive_in_flight <="),
    Mutant("max_connections is one more", planner, "_open_or_make_room", ") >= limit", ") > limit"),
    Mutant("requests_per_second is ignored", RateLimiter, "wait_turn", "1 / rate", "0"),
    Mutant("a silent peer is kept", HeartbeatTask, "_wait_for_reply", "self._abort()", "pass"),
    Mutant("a refusing endpoint is tried without pause", CircuitBreaker, "retry_after", "self._retry_at - now", "0.0"),
    Mutant(
        "discovery does not pause",
        DiscoveryTask,
        "_run_attempts",
        "move_on_after(self._retry_delay(self.error, failures))",
        "move_on_after(0.01)",
    ),
    Mutant("a rejected token is used again", TokenCache, "invalidate", "del self._tokens[auth]", "pass"),
    Mutant("an HTTP request counts as not sent", CallRequests, "_note_sent", "self.sent = True", "pass"),
    Mutant(
        "HTTP requests have no deadline",
        CallRequests,
        "_send_one",
        "self._deadline - anyio.current_time()",
        "1e9",
    ),
    Mutant(
        "the values of the first response are kept for all calls",
        HttpStepRunner,
        "run",
        "self._process(response, step, scope, _Place(request.url.address, path, codes, owner))",
        "self.__dict__.setdefault(path, "
        "self._process(response, step, scope, _Place(request.url.address, path, codes, owner)))",
    ),
    Mutant(
        "a call sends its message though its request failed",
        HttpStepRunner,
        "_process",
        "if _is_failure(step, scope, place):",
        "if _is_failure(step, scope, place) and step.captures:\n"
        "        return {name: 'none' for name, _ in step.captures}\n    if False:",
    ),
    Mutant(
        "Protobuf loses fields that are zero",
        _Reader,
        "to_value",
        "not message.HasField(field.name)",
        "not getattr(message, field.name)",
    ),
    Mutant(
        "Protobuf reads no objects inside of a message",
        _Reader,
        "_field",
        "if not field.is_repeated:",
        "if field.message_type is not None:\n        return None\n    if not field.is_repeated:",
    ),
    Mutant("a message overtakes the rest of the one before it", Incoming, "feed", "turn.is_over", "False"),
    Mutant("the rest of a message is lost", Connection, "take_rest", "return PART", "return WHOLE"),
    Mutant("a closed bridge is still used", ConnectionPool, "close", "self._state.closed = True", "pass"),
)


@contextmanager
def apply_mutant(mutant: Mutant) -> Iterator[None]:
    """The bridge with this defect.

    Raises:
        LookupError: if the line that is to be changed is no longer there.
    """
    found = inspect.getattr_static(mutant.owner, mutant.method)
    function: Any = found.fget if isinstance(found, property) else found
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
