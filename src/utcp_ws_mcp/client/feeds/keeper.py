"""Keep a feed open while it is wanted: subscribe, add its events, and subscribe again when the connection ends."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import anyio

from ...core.backoff import (
    EARLY_RETRY_INTERVAL,
    FATAL_RETRY_INTERVAL,
    MAX_BACKOFF,
    backoff_delay,
    is_final,
    refuses_request,
)
from ...core.feeds.cursor import Cursor
from ...core.feeds.feed import CompiledFeed, FeedEvent, FeedMessage
from ...core.feeds.positions import Positions, PositionVerdict
from ...errors import (
    BridgeError,
    CallTimeout,
    InvalidReply,
    ManifestError,
    NetworkError,
    PolicyError,
    TimeoutStage,
)
from ...observability.events import Observer
from ...observability.feed_events import FeedClosed, FeedEventInvalid, FeedInterrupted, FeedOpened
from ...records import Record
from ..wakeup import Wakeup
from .live_feed import FeedState
from .subscription import FeedSubscription

PROVEN_AFTER: Final = 10.0
"""Seconds after which a subscription counts as successful, so that the next failure is retried at once."""

REPLAY_SECONDS: Final = 10.0
"""Seconds after which an endpoint has replayed what a new connection has asked for."""

LEFT_OUT_INTERVAL: Final = 1.0
"""Seconds between two gaps for events that are left out, while no other event comes: a flood of them is one loss."""

EVENTS_IN_A_ROW: Final = 500
"""Events that are added until everything else in the process gets its turn: about 4 ms. Readers see so many events of a
message together."""

MIN_POSITIONS: Final = 10_000
"""Positions that are remembered at least, to recognize what an endpoint repeats."""


class FeedSink(Protocol):
    """Where a keeper puts what it gets: the feed itself, or what passes it on to the feeds of all replicas."""

    name: str
    arguments: str
    state: FeedState
    observe: Observer

    def publish(self, data: str, key: str | None, position: Any) -> object:
        """Add an event; `data` and `key` are JSON texts.

        The position of a message comes with the last of its events; the others have None.
        """

    def add_gap(self, reason: str) -> object:
        """Record that events may be missing."""

    def set_state(self, state: FeedState, detail: str = "") -> None:
        """Change the state."""


class _Loss(Record):
    """Since when the feed is not connected, and why."""

    since: str
    reason: str

    def describe(self, refusal: str) -> str:
        """Return the reason of a gap; `refusal` is why the endpoint does not replay, if it was asked."""
        times = f"not connected from {self.since} to {_time_of_day()} ({self.reason.rstrip('.')})"
        refused = f"; the endpoint does not replay: {refusal.rstrip('.')}" if refusal else ""
        return f"{times}{refused}; what the endpoint sent in between is unknown"


Subscribe = Callable[[Any], FeedSubscription]
"""Makes a subscription that resumes behind a position, or None."""


class FeedKeeper:
    """Runs a feed until it is cancelled.

    Args:
        feed: The feed.
        live: Where its events and its state go.
        subscribe: Makes a subscription.
        positions: What is known of the positions that were read already.
    """

    def __init__(
        self,
        feed: CompiledFeed,
        live: FeedSink,
        subscribe: Subscribe,
        positions: Positions | None = None,
    ) -> None:
        self.reconnects = 0
        self.duplicates = 0
        self.invalid = 0
        self._feed = feed
        self._live = live
        self._subscribe = subscribe
        self.positions = make_positions(feed) if positions is None else positions
        self._opened_at = 0.0
        self._loss: _Loss | None = None
        self._replayed_loss: _Loss | None = None
        self._awaits_replay = False
        self._refusal = ""
        self._login_pause: Callable[[], float] = lambda: 0.0
        self._left_out = ""
        self._next_report = 0.0
        self._pausing: Wakeup | None = None
        self._next_early_retry = 0.0

    def take_over(self, lost_at: float, reason: str) -> None:
        """Note that another keeper had the feed open until a time, in seconds since 1970."""
        self._loss = _Loss(_time_of_day(datetime.fromtimestamp(lost_at, UTC)), reason)

    def is_ahead(self, cursor: Cursor | None) -> bool:
        """Return False: all events of the feed come through this keeper, so no cursor is ahead of it."""
        return False

    async def reach(self, cursor: Cursor | None) -> bool:
        """Return True, for the same reason: nothing has to be waited for."""
        return True

    async def run(self) -> None:
        """Keep the feed open until the task is cancelled."""
        failures = 0
        last_failure = ""
        while True:
            started = anyio.current_time()
            self._live.set_state(FeedState.OPENING, last_failure)
            try:
                await self._run_once(started)
            except BridgeError as error:
                proven = anyio.current_time() - started >= PROVEN_AFTER
                failures = 1 if proven else failures + 1
                self._refusal = error.cause if not proven and self._refuses_position(error) else ""
                delay = self._delay(error, failures)
                self._note_failure(error, delay)
                last_failure = f"the last failure was: {error.cause}"
                may_end_early = self._is_unreachable(error)
            await self._pause(delay, may_end_early=may_end_early)

    def note_reachable(self) -> None:
        """Note that a connection to the endpoint was opened, by a call or another feed: the next attempt is now."""
        now = anyio.current_time()
        if self._pausing is not None and not self._login_pause() and now >= self._next_early_retry:
            self._next_early_retry = now + EARLY_RETRY_INTERVAL
            self._pausing.set()

    async def _pause(self, delay: float, *, may_end_early: bool) -> None:
        wakeup = Wakeup()
        self._pausing = wakeup if may_end_early else None
        try:
            await wakeup.wait(anyio.current_time() + delay)
        finally:
            self._pausing = None

    def _note_failure(self, error: BridgeError, delay: float) -> None:
        live = self._live
        seconds = anyio.current_time() - self._opened_at if live.state is FeedState.OPEN else 0.0
        about, manual = (live.name, live.arguments, error.cause, error.code), self._feed.manual
        live.observe(FeedInterrupted(*about, seconds, delay, manual, self._is_unreachable(error)))
        self._note_end(error.cause)
        live.set_state(FeedState.WAITING, f"{delay:.1f} s after: {error.cause}")

    def interrupted(self, reason: str) -> None:
        """Note that the keeper has been cancelled, and will run again at once."""
        self._note_end(reason)
        self._live.set_state(FeedState.OPENING)

    def stopped(self, reason: str) -> None:
        """Note that the keeper has been cancelled."""
        self._note_end(reason)
        self._live.observe(FeedClosed(self._live.name, self._live.arguments, reason))
        self._live.set_state(FeedState.CLOSED, reason)

    def _delay(self, error: BridgeError, failures: int) -> float:
        """Return the pause after a number of failures in a row."""
        if self._refusal:  # the next attempt is another one
            return backoff_delay(failures - 1, random.random)
        if isinstance(error, ManifestError | PolicyError):
            return FATAL_RETRY_INTERVAL
        if (pause := self._login_pause()) > 0:
            return pause
        if is_final(error, self._feed.final_close_codes):
            return MAX_BACKOFF
        return backoff_delay(failures - 1, random.random)

    def _refuses_position(self, error: BridgeError) -> bool:
        """Return whether an endpoint may have refused a URL because of the position in it: nothing came behind that.

        The next attempt is made without the position, so that it does not keep the feed closed. If that one is refused
        as well, the position was not the reason.
        """
        return self._awaits_replay and refuses_request(error, self._feed.final_close_codes)

    def _is_unreachable(self, error: BridgeError) -> bool:
        return is_unreachable(error, self._feed.final_close_codes)

    async def _run_once(self, started: float) -> None:
        """Subscribe, and add events until the connection ends, which raises a BridgeError."""
        position = None if self._refusal else self.positions.resume_after
        self._awaits_replay = position is not None and self._feed.resumes_in_url
        subscription = self._subscribe(position)
        self._login_pause = subscription.login_pause
        async with subscription:
            self._note_open(subscription, started)
            in_a_row = 0
            while True:
                try:
                    message = await subscription.next_message()
                except InvalidReply as error:
                    self._awaits_replay = False
                    self._note_invalid(error)
                    continue
                self._awaits_replay = False
                if message.events and self._left_out:
                    self._report_left_out()
                if self._feed.position is not None and not self._note_position(message):
                    continue
                count = len(message.events)
                if count <= EVENTS_IN_A_ROW:
                    self._publish(message.events, message.position)
                else:
                    await self._publish_in_parts(message, subscription)
                for left_out in message.errors:
                    self._note_invalid(left_out)
                in_a_row += count
                if in_a_row >= EVENTS_IN_A_ROW:
                    in_a_row = 0
                    await subscription.give_way()

    def _note_invalid(self, error: InvalidReply) -> None:
        """Leave an event out. It becomes a gap: without it, a reader would wait and not learn why."""
        self.invalid += 1
        self._live.observe(FeedEventInvalid(self._live.name, error.message, error.code))
        self._left_out = error.cause.rstrip(".")
        if anyio.current_time() >= self._next_report:
            self._report_left_out()

    def _report_left_out(self) -> None:
        """Add a gap for the events that were left out since the last one: a reader may have passed that already."""
        if self._left_out:
            self._live.add_gap(f"one or more events were left out: {self._left_out}")
            self._left_out, self._next_report = "", anyio.current_time() + LEFT_OUT_INTERVAL

    def _note_open(self, subscription: FeedSubscription, started: float) -> None:
        self._opened_at = anyio.current_time()
        reconnected, seconds = self._loss is not None, self._opened_at - started
        self._live.observe(FeedOpened(self._live.name, self._live.arguments, seconds, reconnected))
        if self._loss is not None:
            self.reconnects += 1
            if not subscription.resumed:
                self._live.add_gap(self._loss.describe(subscription.resume_error or self._refusal))
        self._replayed_loss, self._loss, self._refusal = self._loss, None, ""
        if subscription.overflowed:
            self._live.add_gap(f"{subscription.overflowed} messages that came before the feed was open exceed its size")
        self.positions.start_life(replaying=subscription.resumed)
        self._live.set_state(FeedState.OPEN)

    def _note_end(self, reason: str) -> None:
        if self._live.state is FeedState.OPEN:
            self._report_left_out()
            self._end_replay()
            refused = self._replayed_loss if self._refusal else None  # it was not replayed, as is known only now
            self._loss = refused or _Loss(_time_of_day(), reason)

    def _end_replay(self) -> None:
        if anyio.current_time() - self._opened_at >= REPLAY_SECONDS:
            self.positions.end_replay()

    def _note_position(self, message: FeedMessage) -> bool:
        """Note the position of a message; return whether its events are new."""
        self._end_replay()
        # The last event stands for the message: replicas that follow a shared feed learn the position with it.
        verdict = self.positions.note(message.position, message.events[-1].data if message.events else "")
        if verdict is PositionVerdict.REPEATED:
            self.duplicates += len(message.events)
        elif verdict is PositionVerdict.WENT_BACK:
            self._live.add_gap(f"the positions of the endpoint went back to {message.position}")
        return verdict is not PositionVerdict.REPEATED

    def _publish(self, events: Sequence[FeedEvent], position: Any) -> None:
        last = len(events) - 1
        for index, event in enumerate(events):
            self._live.publish(event.data, event.key, position if index == last else None)

    async def _publish_in_parts(self, message: FeedMessage, subscription: FeedSubscription) -> None:
        rest = message.events
        while len(rest) > EVENTS_IN_A_ROW:
            self._publish(rest[:EVENTS_IN_A_ROW], None)
            rest = rest[EVENTS_IN_A_ROW:]
            with anyio.CancelScope(shield=True):  # with its position, all of the message counts as read
                await subscription.give_way()
        self._publish(rest, message.position)


def make_positions(feed: CompiledFeed) -> Positions:
    """Return the positions of a feed that has read nothing."""
    return Positions(max(feed.definition.size, MIN_POSITIONS))


def is_unreachable(error: BridgeError, final_close_codes: Collection[int]) -> bool:
    """Return whether an error says that the endpoint is away, and not that it refuses the feed or this client."""
    if is_final(error, final_close_codes):
        return False
    return isinstance(error, NetworkError) or (isinstance(error, CallTimeout) and error.stage is TimeoutStage.CONNECT)


def _time_of_day(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).strftime("%H:%M:%S")
