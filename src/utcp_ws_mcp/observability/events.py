"""Events of the bridge, for logs, traces and metrics.

Events contain no header values and no credentials. `manual` is the name of the call template; durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..records import Record


class ConnectionOpened(Record):
    """A connection was opened; `address` is its URL without the query."""

    manual: str
    address: str
    seconds: float


class HttpRequestFinished(Record):
    """A request of an HTTP step was answered with an HTTP status; `address` is its URL without the query."""

    manual: str
    method: str
    address: str
    status: int


class ConnectionClosed(Record):
    """A connection ended; `reason` is its close code and reason, or the error of the network.

    `remote` is false if the bridge itself closed it.
    """

    manual: str
    address: str
    reason: str
    remote: bool


class MessageSent(Record):
    """A message was sent; `purpose` is empty for the request of a call, otherwise `heartbeat`, `on_connect[0]` …"""

    manual: str
    message: str | bytes
    purpose: str = ""


class MessageReceived(Record):
    """A message was received; `role` is how it was classified (the values of `core.exchange.reply_rules.Role`)."""

    manual: str
    message: str | bytes
    role: str


class MatchExplained(Record):
    """Why the last message got its role, one line for each rule. Only issued with `trace_rules`."""

    manual: str
    reasons: tuple[str, ...]


class MessageSendFailed(Record):
    """A message of the connection lifecycle could not be encoded; `purpose` names its field."""

    manual: str
    purpose: str
    reason: str


class PredicateFailed(Record):
    """A predicate of the connection could not be evaluated and counts as false; reported once for each field."""

    manual: str
    field: str
    reason: str


class RequestSent(Record):
    """The request of a call was sent on the connection to `address`, after waiting `seconds` for the connection."""

    tool: str
    address: str
    seconds: float


class CallFinished(Record):
    """A call ended. `error` is the message of its error, with the class and the code; all are None if it succeeded."""

    tool: str
    seconds: float
    error: str | None
    error_type: str | None = None
    error_code: str | None = None


class SubjectCalled(Record):
    """A call over HTTP with an access token ended: `subject` and `client` are of the token, `error_code` of its error.

    These lines are the audit of a server with `--issuer`; they are written whatever `--log-level` is.
    """

    subject: str
    client: str
    tool: str
    seconds: float
    error_code: str | None


class DiscoverySucceeded(Record):
    """An endpoint returned its manual, and `tools` of its tools are offered."""

    manual: str
    tools: int


class DiscoveryFailed(Record):
    """Discovery failed; it is retried after about `retry_in` seconds. `unreachable`: the endpoint is away."""

    manual: str
    reason: str
    retry_in: float
    unreachable: bool


class OutageEnded(Record):
    """What the log has warned of is over after `seconds`; `name` is the call template, or what of it had failed."""

    name: str
    seconds: float


class WarningIssued(Record):
    """A warning for the operator."""

    text: str


class SharedStoreLost(Record):
    """The store that replicas share does not do what it should; this replica goes on without it."""

    address: str
    reason: str
    code: str


class SharedStoreBack(Record):
    """The store that replicas share answers again, after `seconds`."""

    address: str
    seconds: float


class FeedEvent(Record):
    """The base of the events of feeds, which are in `feed_events`: most programs have no feeds."""


Event = (
    ConnectionOpened
    | HttpRequestFinished
    | ConnectionClosed
    | MessageSent
    | MessageReceived
    | MatchExplained
    | MessageSendFailed
    | PredicateFailed
    | RequestSent
    | CallFinished
    | SubjectCalled
    | DiscoverySucceeded
    | DiscoveryFailed
    | OutageEnded
    | WarningIssued
    | SharedStoreLost
    | SharedStoreBack
    | FeedEvent
)
Observer = Callable[[Event], None]


def noop(event: Event) -> None:
    """Ignore an event: the default observer."""


class CompositeObserver:
    """An observer that consists of others, or of a function for each type of events."""

    __slots__ = ()

    def __call__(self, event: Event) -> None:
        """Observe an event."""
        for handle in self.handlers(type(event)):
            handle(event)

    def handlers(self, kind: type) -> Sequence[Callable[[Any], None]]:
        """Return what handles events of a type. It does not change."""
        raise NotImplementedError


class SelectiveObserver(CompositeObserver):
    """An observer that ignores events of some types. They need not be made for it: each message has one."""

    __slots__ = ("_ignored", "_observe")

    def __init__(self, observe: Observer, ignored: frozenset[type]) -> None:
        self._ignored = ignored
        self._observe = observe

    def handlers(self, kind: type) -> Sequence[Observer]:
        """Return what handles events of a type."""
        return () if kind in self._ignored else handlers_of(self._observe, kind)


class TypedObserver(CompositeObserver):
    """An observer with a function for each type of events that it does not ignore."""

    __slots__ = ("_functions",)

    def __init__(self, functions: Mapping[type, Callable[[Any], None]]) -> None:
        self._functions = functions

    def handlers(self, kind: type) -> Sequence[Observer]:
        """Return what handles events of a type."""
        function = self._functions.get(kind)
        return () if function is None else (function,)


class Broadcast(CompositeObserver):
    """An observer that passes each event to several, in order.

    Args:
        observers: They get the events.
        on_error: Takes the exception that one of them raises; the rest do not get the event. None: it is raised.
    """

    __slots__ = ("_handlers", "_observers", "_on_error")

    def __init__(self, observers: Sequence[Observer], on_error: Callable[[Exception], None] | None = None) -> None:
        self._observers = observers
        self._on_error = on_error
        self._handlers: dict[type, Sequence[Observer]] = {}

    def __call__(self, event: Event) -> None:
        """Observe an event."""
        handlers = self._handlers.get(type(event))
        if handlers is None:
            handlers = self._handlers[type(event)] = self.handlers(type(event))
        try:
            for handle in handlers:
                handle(event)
        except Exception as error:
            if self._on_error is None:
                raise
            self._on_error(error)

    def handlers(self, kind: type) -> Sequence[Observer]:
        """Return what handles events of a type."""
        return [handler for each in self._observers for handler in handlers_of(each, kind)]


def handlers_of(observe: Observer, kind: type) -> Sequence[Observer]:
    """Return what an observer calls for events of a type: the observer, or the parts of it; nothing if it ignores them.

    It does not change, so that each event need not find its way through the observers.
    """
    return observe.handlers(kind) if isinstance(observe, CompositeObserver) else (observe,)


def ignores(observe: Observer, *kinds: type) -> bool:
    """Return whether an observer ignores events of all these types."""
    return not any(handlers_of(observe, kind) for kind in kinds)


def broadcast(observers: Sequence[Observer]) -> Observer:
    """Return one observer that passes each event to all observers, in order."""
    return observers[0] if len(observers) == 1 else Broadcast(observers)
