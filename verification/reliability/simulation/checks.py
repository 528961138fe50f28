"""What must hold of a simulation, whatever went wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from utcp_ws_mcp.bridge import Bridge
from utcp_ws_mcp.client.caller import MAX_RETRIES, SENT_RESULT
from utcp_ws_mcp.client.cancel import CANCEL_TIMEOUT
from utcp_ws_mcp.client.connection import Connection
from utcp_ws_mcp.client.discovery import DISCOVERY_TIMEOUT
from utcp_ws_mcp.client.pool.circuit_breaker import FAILURE_THRESHOLD, MAX_CALL_BACKOFF
from utcp_ws_mcp.client.pool.entry import State
from utcp_ws_mcp.client.pool.pool import ConnectionPool
from utcp_ws_mcp.client.websocket import CLOSE_TIMEOUT
from utcp_ws_mcp.core.backoff import INITIAL_BACKOFF, MIN_BACKOFF_FRACTION
from utcp_ws_mcp.core.exchange.result import StreamResult
from utcp_ws_mcp.errors import (
    BridgeError,
    CallTimeout,
    InvalidArguments,
    InvalidReply,
    Outcome,
    PolicyError,
    ToolError,
    UnknownTool,
)

from .ledger import CallResult, Ledger
from .manifests import MAX_ITEMS, Shape
from .network import Network
from .scenario import PlannedCall

EPSILON: Final = 0.01
"""Seconds after a deadline in which a call must have ended."""

MIN_DELAY: Final = INITIAL_BACKOFF * MIN_BACKOFF_FRACTION
"""Seconds between two attempts of discovery at least, and, after FAILURE_THRESHOLD failures in a row, of calls."""

DELIVERY_DELAY: Final = 0.3
"""Seconds after which the client knows of what the endpoint has sent; latency and jitter are less."""


def check_call(
    planned: PlannedCall, ended: CallResult, shape: Shape, ledger: Ledger, ends_at: float | None = None
) -> Iterator[str]:
    """What is wrong with one call's end."""
    executions = ledger.executed[planned.n]
    most = 1 + (MAX_RETRIES if planned.tool == "look" and not shape.discovered else 0)
    if executions > most:
        yield f"executed {executions} times"
    if ended.error is not None:
        yield from _check_error(planned, ended.error, executions, ledger)
        yield from _check_timeout(planned, ended, ledger)
    elif not ended.cancelled:
        yield from _check_value(planned, ended.value, ledger, ended.ended)
    if ended.ended > latest_end(planned, ended, shape, ends_at):
        yield f"ended {ended.ended - ended.started:.3f} s after it began"


def latest_end(planned: PlannedCall, ended: CallResult, shape: Shape, ends_at: float | None) -> float:
    """The instant by which a call must have ended."""
    seconds = shape.timeout
    if ended.cancelled and planned.cancel_after is not None:
        seconds = planned.cancel_after
    if ends_at is not None:
        seconds = min(seconds, max(0.0, ends_at - ended.started) + CLOSE_TIMEOUT)
    streams = planned.tool not in ("ask", "look", "tell")
    asked = min(DISCOVERY_TIMEOUT, shape.timeout) if shape.discovered else 0.0
    return ended.started + seconds + asked + (CANCEL_TIMEOUT if streams else 0.0) + EPSILON


def _check_error(planned: PlannedCall, error: BaseException, executions: int, ledger: Ledger) -> Iterator[str]:
    if not isinstance(error, BridgeError):
        yield f"failed with {error!r}"
        return
    never_sent = isinstance(error, PolicyError | UnknownTool | InvalidArguments)
    if executions and planned.tool != "hear" and (never_sent or getattr(error, "outcome", None) is Outcome.NOT_SENT):
        yield f"executed, although {error}"
    if planned.n in ledger.http_requests and getattr(error, "outcome", None) is Outcome.NOT_SENT:
        yield f"an HTTP request was sent, although {error}"
    if isinstance(error, ToolError) and (
        planned.n not in ledger.error_replies or error.message != f"fault {planned.n}"
    ):
        yield f"got the fault of another call: {error}"
    if isinstance(error, InvalidReply):
        yield f"got a reply that was not for it: {error}"
    yield from _check_items(planned, getattr(error, "partial", ()), ledger)


def _check_timeout(planned: PlannedCall, ended: CallResult, ledger: Ledger) -> Iterator[str]:
    """A call must not time out whose reply has arrived."""
    if not isinstance(ended.error, CallTimeout) or ended.error.code != "reply-timeout":
        return
    for execution in ledger.executions:
        seconds = None if execution.answered_at is None else ended.ended - execution.answered_at
        if execution.n == planned.n and seconds is not None and seconds > DELIVERY_DELAY:
            yield f"timed out {seconds:.3f} s after its reply was sent"


def _check_value(planned: PlannedCall, value: Any, ledger: Ledger, when: float) -> Iterator[str]:
    if planned.tool == "tell":
        if value not in (SENT_RESULT, []):
            yield f"a request that nothing answers gave {value!r}"
    elif planned.tool in ("ask", "look"):
        if not _belongs(planned, value, ledger):
            yield f"got {value!r}"
    elif isinstance(value, StreamResult):
        yield from _check_items(planned, value.items, ledger)
        yield from _check_end(planned, value, ledger, when)
    else:
        yield from _check_items(planned, value, ledger)


def _belongs(planned: PlannedCall, value: Any, ledger: Ledger) -> bool:
    if not isinstance(value, dict) or value.get("n") != planned.n:
        return False
    return "x" in value and ledger.executions[value["x"]].n == planned.n


def _check_items(planned: PlannedCall, items: Any, ledger: Ledger) -> Iterator[str]:
    """The items are those that the endpoint sent for one execution of this call, in order, from the first on."""
    for index, item in enumerate(items):
        if not _belongs(planned, item, ledger) or item.get("i") != index:
            yield f"got the item {item!r} in the place {index}"


def _check_end(planned: PlannedCall, value: StreamResult, ledger: Ledger, when: float) -> Iterator[str]:
    count = len(value.items)
    mine = [execution for execution in ledger.executions if execution.n == planned.n]
    if value.end == "until" and not any(execution.done and execution.items == count for execution in mine):
        yield f"a stream of {count} items was called complete"
    ended_well = any(execution.closed in (1000, 1001) and execution.items == count for execution in mine)
    if value.end == "closed" and not (count and ended_well):
        yield f"a connection that was lost ended a stream of {count} items"
    when = ledger.cancels.get(planned.n, when)
    close_known = any(
        execution.close_sent_at is not None and execution.close_sent_at < when - DELIVERY_DELAY for execution in mine
    )
    if value.end in ("idle_seconds", "max_seconds") and close_known and not any(execution.done for execution in mine):
        yield f"a stream whose connection was closed ended by {value.end}"
    if value.end == "max_seconds":
        yield "a stream that has an end was cut by its timeout, and is no failure"
    if value.complete is not (value.end == "until"):
        yield f"a stream that {value.end} ended is called {'complete' if value.complete else 'incomplete'}"
    if value.end == "max_items" and count != MAX_ITEMS:
        yield f"{count} items came, and {MAX_ITEMS} are the limit"
    if value.end == "idle_seconds" and planned.tool != "idle":
        yield "a stream without idle_seconds ended for them"


def _pools(bridge: Bridge) -> list[ConnectionPool]:
    return bridge._pool_manager.pools


def check_rest(bridge: Bridge) -> Iterator[str]:
    """What is still held when every call has ended."""
    for pool in _pools(bridge):
        if waiting := pool.stats().waiting:
            yield f"{waiting} calls still wait for a connection"
        for pooled in pool.connections:
            if pooled.in_flight:
                yield f"{pooled.in_flight} leases of a connection were not released"
            if pooled.connection is not None and _pending_with_a_call(pooled.connection):
                yield f"an exchange without a call is pending: {pooled.connection!r}"


def _pending_with_a_call(connection: Connection) -> bool:
    """Whether an exchange is pending, except streams whose caller left before the reply that opens them."""
    dispatcher = connection.dispatcher
    return any(not dispatcher.cancellations.is_abandoned(exchange) for exchange in dispatcher.pending())


def check_lost(bridge: Bridge) -> Iterator[str]:
    """Whether the end of a connection reached every call on it."""
    for pool in _pools(bridge):
        for pooled in pool.connections:
            connection = pooled.connection
            if connection is not None and connection.closed_with is not None and len(connection.dispatcher):
                yield f"the end of a connection did not reach all its calls: {connection!r}"


def check_silence(network: Network, shape: Shape, now: float) -> Iterator[str]:
    """Whether connections that have fallen silent were given up in time."""
    if (bound := shape.silence_limit) is None:
        return
    for link in network.links:
        since = link.silent_since
        if since is not None and link.transport is not None and now > since + bound + EPSILON:
            yield f"a connection is kept that has been silent for {now - since:.1f} s"


def check_backoff(network: Network, shape: Shape, spans: list[tuple[float, float]]) -> Iterator[str]:
    """Whether an endpoint that refuses is left alone for a while; `spans` are those in which calls ran.

    A call that came while an attempt waited makes discovery try once more at once. Who gives up while a connection is
    still being opened pauses from then on.
    """
    if shape.uses_hostname or shape.token or "hear" in shape.tools:
        return
    refused = 0
    last: float | None = None
    for attempt in network.attempts:
        if last is not None and attempt.alone:
            asked = any(began <= attempt.began and last - MAX_CALL_BACKOFF <= ended for began, ended in spans)
            least = 0.0 if asked and refused < FAILURE_THRESHOLD else MIN_DELAY
            if last <= attempt.began < last + least - EPSILON:
                yield f"after {refused} refusals, the next attempt came {attempt.began - last:.3f} s later"
        refused = refused + 1 if attempt.refused is not None and attempt.alone else 0
        last = None if attempt.refused is None else min(attempt.refused, attempt.began + shape.timeout)


def check_limits(bridge: Bridge, network: Network, shape: Shape) -> Iterator[str]:
    """Whether the client keeps to its limits now."""
    most = shape.limits["max_connections"]
    if "hear" not in shape.tools:
        count = sum(transport.counts for transport in network.transports)
        if count > most * (1 + len(bridge._pool_manager._draining)):
            yield f"{count} connections, and {most} are the most"
    for pool in _pools(bridge):
        for pooled in pool.connections:
            alone = pooled.state is State.EXCLUSIVE or shape.kind.startswith("one-shot")
            limit = 1 if alone else shape.limits["max_in_flight"]
            if pooled.in_flight - pooled.passive_in_flight > limit:
                yield f"{pooled.in_flight} calls on one connection; the limit is {limit}"


def check_rate(times: list[float], shape: Shape) -> Iterator[str]:
    """Whether requests kept to `requests_per_second`."""
    rate: int = shape.limits.get("requests_per_second", 0)
    for earlier, later in zip(times, times[rate:], strict=False) if rate else ():
        if later - earlier < 1 - EPSILON:
            yield f"{rate + 1} requests within {later - earlier:.3f} s"
            return
