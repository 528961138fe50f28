"""The time line of a call: what happened between its start and its end, from the events of the bridge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ..observability import events
from ..records import Record

LOGIN: Final = "on_connect"
ANSWERS: Final = frozenset({"reply", "item", "end", "error", "session failed"})
"""Roles of messages that are an answer to a call (`core.exchange.reply_rules.Role`)."""


class TimedEvent(Record):
    """An event, and when it happened, in seconds of a monotonic clock."""

    at: float
    event: events.Event


class Stage(Record):
    """One part of a call.

    Attributes:
        name: `queue`, `connect`, `login`, `send`, `reply`, `stream` or `end`.
        start: Seconds from the start of the call.
        seconds: How long it lasted.
        detail: What happened, in a few words.
    """

    name: str
    start: float
    seconds: float
    detail: str


def time_line(started: float, ended: float, happened: Sequence[TimedEvent]) -> list[Stage]:
    """Return the stages of a call, one after the other, without gaps from its start to its end.

    Args:
        started: When the call began.
        ended: When it ended.
        happened: The events of its endpoint from its start to its end, in order. If other calls run there at the same
            time, their messages cannot be distinguished.
    """
    marks = list(_marks([each for each in happened if started <= each.at <= ended], started))
    stages: list[Stage] = []
    at = started
    for name, end, detail in (*marks, ("end", ended, "the result is made")):
        end = min(max(end, at), ended)  # noqa: PLW2901  # clocks of events may differ by some microseconds
        stages.append(Stage(name, at - started, end - at, detail))
        at = end
    if not marks:
        return [Stage("queue", 0.0, ended - started, "nothing was sent")]
    return stages


def _marks(happened: Sequence[TimedEvent], started: float) -> Iterator[tuple[str, float, str]]:
    """Yield the name of each stage, when it ended, and what it was."""
    sent_at = next((each.at for each in happened if isinstance(each.event, events.RequestSent)), None)
    before = [each for each in happened if sent_at is None or each.at <= sent_at]
    opened = next((each for each in reversed(before) if isinstance(each.event, events.ConnectionOpened)), None)
    if opened is not None and isinstance(opened.event, events.ConnectionOpened):
        began = max(opened.at - opened.event.seconds, started)
        yield "queue", began, "waited for a connection"
        login = next((each.at for each in before if each.at >= began and _is_login(each.event)), None)
        yield "connect", opened.at if login is None else login, f"connected to {opened.event.address}"
        if login is not None:
            yield "login", opened.at, "the messages of on_connect"
    elif sent_at is not None:
        yield "queue", _first_request(before, sent_at), "an open connection was free"
    if sent_at is not None:
        yield "send", sent_at, "the request was sent"
        yield from _answers(happened, sent_at)


def _answers(happened: Sequence[TimedEvent], sent_at: float) -> Iterator[tuple[str, float, str]]:
    """Yield the stages after the request; an answer may be read before the event that it was sent."""
    received = [
        (each.at, each.event.role)
        for each in happened
        if isinstance(each.event, events.MessageReceived) and each.event.role in ANSWERS
    ]
    answers = [(at, role) for at, role in received if at >= sent_at] or received[-1:]
    if not answers:
        return
    yield "reply", answers[0][0], f"the first answer: {answers[0][1]}"
    if len(answers) > 1:
        yield "stream", answers[-1][0], f"{len(answers) - 1} more messages"


def _first_request(before: Sequence[TimedEvent], sent_at: float) -> float:
    return next(
        (each.at for each in before if isinstance(each.event, events.MessageSent) and not each.event.purpose), sent_at
    )


def _is_login(event: events.Event) -> bool:
    match event:
        case events.MessageSent(_, _, purpose):
            return purpose.startswith(LOGIN)
        case events.MessageReceived(_, _, role):
            return role == "login"
    return False
