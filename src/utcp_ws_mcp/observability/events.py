"""Frozen records of what happened, for logs, traces and metrics.

Events hold no header values and no credentials. `manual` is the name of the call template that it happened for;
durations are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A connection was opened; `address` is its URL without the query."""

    manual: str
    address: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HttpRequestFinished:
    """A request of `before_connect` was answered with an HTTP status; `address` is its URL without the query."""

    manual: str
    method: str
    address: str
    status: int


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A connection ended; `why` is its close code and reason, or what the network said.

    `by_peer` is false where the bridge itself closed it.
    """

    manual: str
    address: str
    reason: str
    remote: bool


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A message went out; `what` says which, where it is not the request of a call: `heartbeat`, `on_connect[0]` …"""

    manual: str
    message: str | bytes
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message came in; `role` is what it was taken for (the values of `core.exchange.reply_rules.Role`)."""

    manual: str
    message: str | bytes
    role: str


@dataclass(frozen=True, slots=True)
class MatchExplained:
    """Why the message that came last was taken for what it was, a sentence for each rule; only if that is asked for."""

    manual: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageSendFailed:
    """A message of a connection that was due, and could not be made: `what` names its field."""

    manual: str
    purpose: str
    reason: str


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A request of a call went out, on the connection to `address`, which it got after waiting for `seconds`."""

    tool: str
    address: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call ended; `error` is its sentence, or None where it succeeded. `kind` is the class of the error."""

    tool: str
    seconds: float
    error: str | None
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class DiscoverySucceeded:
    """A manual was fetched from its endpoint and `tools` of it are offered."""

    manual: str
    tools: int


@dataclass(frozen=True, slots=True)
class DiscoveryFailed:
    """Discovery failed; it is tried again after about `retry_in` seconds."""

    manual: str
    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class WarningIssued:
    """Something that an operator should read once."""

    text: str


Event = (
    ConnectionOpened
    | HttpRequestFinished
    | ConnectionClosed
    | MessageSent
    | MessageReceived
    | MatchExplained
    | MessageSendFailed
    | RequestSent
    | CallFinished
    | DiscoverySucceeded
    | DiscoveryFailed
    | WarningIssued
)
Observer = Callable[[Event], None]


def noop(event: Event) -> None:
    """The observer that does nothing."""


def broadcast(observers: Sequence[Observer]) -> Observer:
    """One observer that tells them all, in order."""
    if len(observers) == 1:
        return observers[0]

    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    return observe
