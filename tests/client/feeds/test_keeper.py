"""What a keeper does when its connection cannot be opened, ends, repeats events or sends wrong ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Self

import anyio
import anyio.lowlevel
import pytest

from tests.client.feeds.quiet import compiled_feed
from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.feeds import keeper as keeper_module
from utcp_ws_mcp.client.feeds.keeper import EVENTS_IN_A_ROW, FeedKeeper, is_unreachable
from utcp_ws_mcp.client.feeds.live_feed import FeedState
from utcp_ws_mcp.core.feeds.cursor import Cursor
from utcp_ws_mcp.core.feeds.feed import FeedEvent, FeedMessage
from utcp_ws_mcp.core.feeds.positions import PositionVerdict
from utcp_ws_mcp.errors import (
    BridgeError,
    CallTimeout,
    ConnectError,
    ConnectionLost,
    ForbiddenURL,
    HandshakeRejected,
    InvalidReply,
    InvalidTemplate,
    Outcome,
    TimeoutStage,
    ToolError,
)
from utcp_ws_mcp.observability.feed_events import FeedClosed, FeedEventInvalid, FeedInterrupted, FeedOpened

UNKNOWN = "what the endpoint sent in between is unknown"
FORBIDDEN = ForbiddenURL("ws://h/: blocked.", code="address-not-allowed")
REFUSED = ConnectError("ws://h/", "connection refused.", code="connection-refused")


def lost(code: int = 1006, reason: str = "the network connection was cut.") -> ConnectionLost:
    return ConnectionLost("ws://h/", reason, Outcome.MAYBE_EXECUTED, close_code=code)


def invalid(cause: str = "item: message.x is missing from the event.") -> InvalidReply:
    return InvalidReply("m.f", cause, "", code="result-missing")


class Sink:
    """Where the keeper puts what it gets."""

    def __init__(self) -> None:
        self.name, self.arguments = "m.f", "{}"
        self.state = FeedState.OPENING
        self.published: list[tuple[str, str | None, Any]] = []
        self.gaps: list[str] = []
        self.states: list[tuple[float, FeedState, str]] = []
        self.observed: list[Any] = []
        self.observe = self.observed.append

    def publish(self, data: str, key: str | None, position: Any) -> None:
        self.published.append((data, key, position))

    def add_gap(self, reason: str) -> None:
        self.gaps.append(reason)

    def set_state(self, state: FeedState, detail: str = "") -> None:
        self.state = state
        self.states.append((round(anyio.current_time(), 6), state, detail))

    def seen(self, kind: type) -> list[Any]:
        return [event for event in self.observed if isinstance(event, kind)]


def message_of(*data: str, key: str | None = None, position: Any = None, errors: Any = ()) -> FeedMessage:
    return FeedMessage(tuple(FeedEvent(each, key) for each in data), position, errors)


class Line:
    """A subscription: its events, times to wait, and errors, in order; then it waits."""

    def __init__(self, *script: Any, opens: Any = None, ends_pause_at: float = 0.0, **fields: Any) -> None:
        self.ends_pause_at = ends_pause_at
        self.resumed, self.resume_error, self.overflowed = False, "", 0
        self.ways_given = 0
        self.__dict__.update(fields)
        self._script = list(script)
        self._opens = opens

    async def __aenter__(self) -> Self:
        if isinstance(self._opens, BridgeError):
            raise self._opens
        await anyio.sleep(self._opens or 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    def login_pause(self) -> float:
        return max(0.0, self.ends_pause_at - anyio.current_time())

    async def give_way(self) -> None:
        self.ways_given += 1
        await anyio.lowlevel.checkpoint()

    async def next_message(self) -> FeedMessage:
        while self._script:
            match self._script.pop(0):
                case float(seconds):
                    await anyio.sleep(seconds)
                case BridgeError() as error:
                    raise error
                case FeedMessage() as message:
                    return message
                case position:
                    return message_of(str(position), position=position)
        await anyio.sleep_forever()
        raise AssertionError


class Kept:
    """A keeper that runs, its sink, and the positions behind which its subscriptions resumed."""

    def __init__(self, feed: dict[str, Any], lines: list[Line]) -> None:
        self.sink = Sink()
        self.positions: list[Any] = []
        self._lines = lines
        self.keeper = FeedKeeper(compiled_feed(**feed), self.sink, self._subscribe)  # type: ignore[arg-type]

    def _subscribe(self, position: Any) -> Any:
        self.positions.append(position)
        return self._lines.pop(0) if self._lines else Line()


@asynccontextmanager
async def kept(*lines: Line, **feed: Any) -> AsyncIterator[Kept]:
    async with anyio.create_task_group() as tasks:
        running = Kept(feed, list(lines))
        tasks.start_soon(running.keeper.run)
        yield running
        tasks.cancel_scope.cancel()


class Clock(datetime):
    """The time of day, which begins at noon."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=anyio.current_time())


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module.random, "random", lambda: 1.0)
    monkeypatch.setattr(keeper_module, "datetime", Clock)


def attempts(sink: Sink) -> list[float]:
    """When the feed was opened, or an attempt to open it began."""
    return [at for at, state, _ in sink.states if state is FeedState.OPENING]


# Pauses


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (REFUSED, [0.25, 0.5, 1.0, 2.0]),
        (lost(), [0.25, 0.5, 1.0, 2.0]),
        (lost(4401), [30.0, 30.0]),
        (ToolError("m.f", "no such room", None), [0.25, 0.5]),
        (InvalidTemplate("m.f: wrong", code="value-missing"), [300.0, 300.0]),
        (FORBIDDEN, [300.0, 300.0]),
    ],
    ids=["refused", "lost", "lost with a fatal code", "an error reply", "the manifest", "the policy"],
)
@in_virtual_time
async def test_after_failures_the_feed_is_opened_again_after_pauses_that_depend_on_the_reason(
    error: BridgeError, pauses: list[float]
) -> None:
    async with kept(*(Line(opens=error) for _ in pauses)) as k:
        await anyio.sleep(1000)
        times = attempts(k.sink)
        assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx(pauses)
        assert [event.retry_in for event in k.sink.seen(FeedInterrupted)] == pauses
        assert k.sink.state is FeedState.OPEN


REJECTED = ConnectError("ws://h/", "no such token.", code="login-rejected", step="on_connect[2]")


@in_virtual_time
async def test_a_feed_waits_as_long_as_the_refused_logins_of_its_endpoint_say() -> None:
    lines = [Line(opens=REJECTED, ends_pause_at=30.0), Line(opens=REJECTED, ends_pause_at=40.0)]
    async with kept(*lines) as k:
        await anyio.sleep(2000)
        assert [event.retry_in for event in k.sink.seen(FeedInterrupted)] == [30.0, 10.0]


@pytest.mark.parametrize("error", [InvalidTemplate("m.f: wrong", code="value-missing"), FORBIDDEN])
@in_virtual_time
async def test_a_pause_of_logins_does_not_shorten_that_after_a_failure_of_the_manifest(error: BridgeError) -> None:
    async with kept(Line(opens=error, ends_pause_at=30.0)) as k:
        await anyio.sleep(2000)
        assert [event.retry_in for event in k.sink.seen(FeedInterrupted)] == [300.0]


@in_virtual_time
async def test_a_call_that_reaches_the_endpoint_ends_the_pause_unless_its_login_is_still_refused() -> None:
    refused = Line(opens=REJECTED, ends_pause_at=30.0)
    async with kept(refused) as k:
        await anyio.sleep(5)
        k.keeper.note_reachable()
        await anyio.sleep(1)
        assert len(k.positions) == 1
        refused.ends_pause_at = 0.0
        k.keeper.note_reachable()
        await anyio.wait_all_tasks_blocked()
        assert k.sink.state is FeedState.OPEN


LOGIN_CLOSED = ConnectError("ws://h/", "closed.", code="login-closed", step="on_connect[1]", close_code=4100)


@pytest.mark.parametrize("error", [lost(4100), LOGIN_CLOSED], ids=["while it was open", "during its login"])
@in_virtual_time
async def test_after_a_close_code_that_the_manifest_calls_final_the_feed_waits_longest(error: BridgeError) -> None:
    async with kept(Line(opens=error), Line(opens=error), final_close_codes=[4100]) as k:
        await anyio.sleep(1000)
        assert [event.retry_in for event in k.sink.seen(FeedInterrupted)] == [30.0, 30.0]
        assert [event.unreachable for event in k.sink.seen(FeedInterrupted)] == [False, False]


@in_virtual_time
async def test_after_a_close_code_that_the_manifest_does_not_list_the_feed_tries_again_soon() -> None:
    async with kept(Line(opens=lost(4401)), final_close_codes=[4100]) as k:
        await anyio.sleep(1000)
        assert [event.retry_in for event in k.sink.seen(FeedInterrupted)] == [0.25]


@pytest.mark.parametrize(("seconds", "pause"), [(9.9, 1.0), (10.0, 0.25)])
@in_virtual_time
async def test_a_subscription_that_lasted_ten_seconds_ends_a_row_of_failures(seconds: float, pause: float) -> None:
    lines = [Line(opens=REFUSED), Line(opens=REFUSED), Line(seconds, lost()), Line(opens=REFUSED)]
    async with kept(*lines) as k:
        await anyio.sleep(100)
        assert [event.retry_in for event in k.sink.seen(FeedInterrupted)] == [0.25, 0.5, pause, 2 * pause]


@in_virtual_time
async def test_an_interruption_says_how_long_the_feed_was_open_and_whether_the_endpoint_is_away() -> None:
    async with kept(Line(5.0, lost(), opens=2), Line(opens=ToolError("m.f", "no", None))) as k:
        await anyio.sleep(100)
        first, second = k.sink.seen(FeedInterrupted)
        assert first == FeedInterrupted("m.f", "{}", lost().cause, lost().code, 5.0, 0.25, "m", True)
        assert (second.seconds, second.unreachable, second.error_code) == (0.0, False, "tool-error")
        assert k.sink.seen(FeedOpened) == [FeedOpened("m.f", "{}", 2.0, False), FeedOpened("m.f", "{}", 0.0, True)]


@in_virtual_time
async def test_the_state_says_what_failed_until_the_feed_is_open() -> None:
    async with kept(Line(opens=REFUSED), Line(opens=3)) as k:
        await anyio.sleep(10)
        detail = f"0.2 s after: {REFUSED.cause}"
        assert k.sink.states == [
            (0.0, FeedState.OPENING, ""),
            (0.0, FeedState.WAITING, detail),
            (0.25, FeedState.OPENING, f"the last failure was: {REFUSED.cause}"),
            (3.25, FeedState.OPEN, ""),
        ]


# Pauses that end early


@in_virtual_time
async def test_a_connection_of_others_ends_a_pause_once_in_thirty_seconds() -> None:
    async with kept(*(Line(opens=REFUSED) for _ in range(9))) as k:
        k.keeper.note_reachable()  # before the first pause
        await anyio.sleep(0)
        for at in (20.0, 21.0, 49.9, 50.0, 50.1):
            await anyio.sleep_until(at)
            before = len(k.positions)
            k.keeper.note_reachable()
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            assert len(k.positions) - before == (at in (20.0, 50.0)), at


@pytest.mark.parametrize("error", [ToolError("m.f", "no", None), InvalidTemplate("m.f: wrong", code="value-missing")])
@in_virtual_time
async def test_a_connection_of_others_ends_no_pause_after_a_refusal(error: BridgeError) -> None:
    async with kept(*(Line(opens=error) for _ in range(9))) as k:
        await anyio.sleep(0.1)
        k.keeper.note_reachable()
        await anyio.sleep(0.1)
        assert len(k.positions) == 1


@in_virtual_time
async def test_a_connection_of_others_while_the_feed_is_open_shortens_no_later_pause() -> None:
    async with kept(Line(5.0, lost())) as k:
        await anyio.sleep(1)
        k.keeper.note_reachable()
        await anyio.sleep(9)
        assert attempts(k.sink) == [0.0, 5.25]


@in_virtual_time
async def test_a_connection_of_others_while_the_feed_is_open_counts_for_no_pause() -> None:
    async with kept(Line(opens=REFUSED), Line(5.0, lost())) as k:
        await anyio.sleep(2)
        k.keeper.note_reachable()
        await anyio.sleep_until(5.3)
        k.keeper.note_reachable()
        await anyio.sleep(9)
        assert attempts(k.sink) == [0.0, 0.25, 5.3]


TIMED_OUT = {stage: CallTimeout("m.f", 1.0, stage, Outcome.NOT_SENT) for stage in TimeoutStage}


@pytest.mark.parametrize(
    ("error", "unreachable"),
    [
        (REFUSED, True),
        (lost(1006), True),
        (lost(1008), False),
        (ToolError("m.f", "no", None), False),
        (InvalidTemplate("m.f: wrong", code="value-missing"), False),
        *((error, stage is TimeoutStage.CONNECT) for stage, error in TIMED_OUT.items()),
    ],
)
def test_an_endpoint_is_away_if_it_cannot_be_connected_to_or_was_lost(error: BridgeError, unreachable: bool) -> None:
    assert is_unreachable(error, (1008,)) is unreachable


# Gaps


@in_virtual_time
async def test_a_new_connection_is_a_gap_with_its_times_and_the_reason() -> None:
    async with kept(Line(61.0, lost()), Line(opens=REFUSED), Line()) as k:
        await anyio.sleep(100)
        # The first failure is the reason: the later ones only kept the feed closed.
        assert k.sink.gaps == [f"not connected from 12:01:01 to 12:01:01 ({lost().cause.rstrip('.')}); {UNKNOWN}"]
        assert k.keeper.reconnects == 1


@in_virtual_time
async def test_a_first_connection_is_no_gap_and_one_that_resumed_is_none_either() -> None:
    async with kept(Line(opens=REFUSED), Line(1.0, lost()), Line(resumed=True)) as k:
        await anyio.sleep(100)
        assert (k.sink.gaps, k.keeper.reconnects) == ([], 1)


@in_virtual_time
async def test_a_replay_that_is_refused_is_named_in_the_gap() -> None:
    async with kept(Line(1.0, lost()), Line(resume_error="too old.")) as k:
        await anyio.sleep(100)
        assert "); the endpoint does not replay: too old; what the endpoint sent" in k.sink.gaps[0]


@in_virtual_time
async def test_messages_that_exceed_the_size_before_the_feed_was_open_are_a_gap() -> None:
    async with kept(Line(overflowed=3)) as k:
        await anyio.sleep(1)
        assert k.sink.gaps == ["3 messages that came before the feed was open exceed its size"]


@in_virtual_time
async def test_a_keeper_that_takes_over_names_when_the_feed_was_open_last() -> None:
    async with anyio.create_task_group() as tasks:
        running = Kept({}, [Line()])
        running.keeper.take_over(datetime(2026, 1, 1, 11, 59, 7, tzinfo=UTC).timestamp(), "the other one ended.")
        tasks.start_soon(running.keeper.run)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert running.sink.gaps == [f"not connected from 11:59:07 to 12:00:00 (the other one ended); {UNKNOWN}"]
    assert running.sink.seen(FeedOpened)[0].reconnected


# Events that are left out


@in_virtual_time
async def test_a_flood_of_events_that_are_left_out_is_one_gap_for_each_second() -> None:
    async with kept(Line(invalid("a."), 0.4, invalid("b."), 0.5, invalid("c."), 0.1, invalid("d."), 1.0, 7)) as k:
        await anyio.sleep(1.5)
        left_out = "one or more events were left out: "
        assert k.sink.gaps == [f"{left_out}m.f: a", f"{left_out}m.f: d"]
        await anyio.sleep(100)
        assert len(k.sink.gaps) == 2
        assert (k.keeper.invalid, len(k.sink.published)) == (4, 1)
        assert k.sink.seen(FeedEventInvalid)[0] == FeedEventInvalid("m.f", "m.f: a.", "result-missing")


@pytest.mark.parametrize("then", [7, lost()], ids=["the next event", "the end of the connection"])
@in_virtual_time
async def test_an_event_that_was_left_out_is_a_gap_before(then: Any) -> None:
    async with kept(Line(invalid("a."), 0.5, invalid("b."), 0.1, then)) as k:
        await anyio.sleep(10)
        assert k.sink.gaps[:2] == [f"one or more events were left out: m.f: {reason}" for reason in "ab"]


# Positions

POSITIONED = {"position": "message.x", "resume": [{"send": {"after": "{{ position }}"}}]}


@in_virtual_time
async def test_events_with_positions_that_were_read_are_dropped_and_later_ones_are_added() -> None:
    async with kept(Line(1, 2, 2, 3, lost()), Line(2, 3, 4, resumed=True), **POSITIONED) as k:
        await anyio.sleep(10)
        assert [position for _, _, position in k.sink.published] == [1, 2, 3, 4]
        assert (k.keeper.duplicates, k.positions, k.sink.gaps) == (3, [None, 3], [])


@in_virtual_time
async def test_positions_that_go_back_are_a_gap_and_new_events() -> None:
    async with kept(Line(5, lost()), Line(1), **POSITIONED) as k:
        await anyio.sleep(10)
        assert "the positions of the endpoint went back to 1" in k.sink.gaps
        assert [position for _, _, position in k.sink.published] == [5, 1]


@in_virtual_time
async def test_without_positions_repeated_events_are_added() -> None:
    async with kept(Line(*[message_of("1", key='"k"')] * 2)) as k:
        await anyio.sleep(10)
        assert (k.sink.published, k.keeper.duplicates) == ([("1", '"k"', None)] * 2, 0)


@pytest.mark.parametrize(("seconds", "resumed_behind"), [(9.9, 1), (10.0, 5)])
@in_virtual_time
async def test_a_replay_has_ended_after_ten_seconds(seconds: float, resumed_behind: int) -> None:
    """Within them, the next connection asks again for what came after the last event that was surely replayed."""
    second = Line(1, 4, seconds, 5, 0.05, lost(), resumed=True)
    async with kept(Line(1, lost()), second, **POSITIONED) as k:
        await anyio.sleep(100)
        assert k.positions == [None, 1, resumed_behind]


@pytest.mark.parametrize(("seconds", "resumed_behind"), [(9.9, 1), (10.0, 4)])
@in_virtual_time
async def test_a_replay_has_ended_if_the_connection_lasts_ten_seconds_without_an_event(
    seconds: float, resumed_behind: int
) -> None:
    async with kept(Line(1, lost()), Line(1, 4, seconds, lost(), resumed=True), **POSITIONED) as k:
        await anyio.sleep(100)
        assert k.positions == [None, 1, resumed_behind]


@pytest.mark.parametrize(("seconds", "resumed_behind"), [(9.9, 1), (10.0, 5)])
@in_virtual_time
async def test_another_keeper_of_the_same_positions_knows_that_a_replay_has_ended(
    seconds: float, resumed_behind: int
) -> None:
    async with kept(Line(1, lost()), Line(1, 4, seconds, 5, resumed=True), **POSITIONED) as k:
        await anyio.sleep(50)
    assert k.keeper.positions.resume_after == resumed_behind


@in_virtual_time
async def test_as_many_positions_are_remembered_as_events_are_kept_and_ten_thousand_at_least() -> None:
    for size, count in ((1, 10_000), (10_050, 10_050)):
        known = keeper_module.make_positions(compiled_feed(size=size, **POSITIONED))
        for position in range(count):
            known.note(str(position), "x")
        assert known.note("0", "x") is PositionVerdict.REPEATED
        known.note(str(count), "x")
        assert known.note("0", "x") is PositionVerdict.NEW


# Cancellation


@in_virtual_time
async def test_a_keeper_that_is_stopped_while_the_feed_is_open_says_so_and_later_names_the_gap() -> None:
    async with kept(Line()) as k:
        await anyio.sleep(7)
        k.keeper.stopped("it is no longer read")
        assert k.sink.states[-1] == (7.0, FeedState.CLOSED, "it is no longer read")
        assert k.sink.seen(FeedClosed) == [FeedClosed("m.f", "{}", "it is no longer read")]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(k.keeper.run)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert k.sink.gaps == [f"not connected from 12:00:07 to 12:00:07 (it is no longer read); {UNKNOWN}"]


@in_virtual_time
async def test_a_keeper_that_is_interrupted_before_the_feed_was_open_leaves_no_gap() -> None:
    async with kept(Line(opens=3)) as k:
        await anyio.sleep(1)
        k.keeper.interrupted("it is no longer read")
        assert k.sink.states[-1] == (1.0, FeedState.OPENING, "")
        await anyio.sleep(10)
        assert (k.sink.gaps, k.sink.seen(FeedClosed), k.keeper.reconnects) == ([], [], 0)


@in_virtual_time
async def test_a_keeper_that_is_interrupted_while_the_feed_is_open_leaves_a_gap() -> None:
    async with kept(Line()) as k:
        await anyio.sleep(7)
    k.keeper.interrupted("it is no longer read")
    assert k.sink.states[-1] == (7.0, FeedState.OPENING, "")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(k.keeper.run)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert "from 12:00:07 to 12:00:07 (it is no longer read);" in k.sink.gaps[0]


@in_virtual_time
async def test_no_cursor_is_ahead_of_a_keeper_that_sees_all_events() -> None:
    running = Kept({}, [])
    assert running.keeper.is_ahead(Cursor("abcd", 9, 9)) is False
    assert await running.keeper.reach(Cursor("abcd", 9, 9)) is True


# Messages of several events


LONG = message_of(*map(str, range(2 * EVENTS_IN_A_ROW + 1)), position=7)
ALL = [
    (data, None, 7 if data == str(2 * EVENTS_IN_A_ROW) else None) for data in map(str, range(2 * EVENTS_IN_A_ROW + 1))
]


@in_virtual_time
async def test_the_events_of_a_long_message_are_added_in_parts() -> None:
    seen: list[int] = []
    line = Line(LONG, message_of("next", position=8))
    async with kept(line, **POSITIONED) as k:
        give_way = line.give_way

        async def note() -> None:
            seen.append(len(k.sink.published))
            await give_way()

        line.give_way = note  # type: ignore[method-assign]
        await anyio.sleep(1)
    assert seen == [EVENTS_IN_A_ROW, 2 * EVENTS_IN_A_ROW, 2 * EVENTS_IN_A_ROW + 1]
    assert k.sink.published == [*ALL, ("next", None, 8)]


@in_virtual_time
async def test_all_of_a_long_message_is_added_if_the_feed_is_closed_in_the_middle() -> None:
    line = Line(LONG, message_of("next", position=8))
    async with anyio.create_task_group() as tasks:
        running = Kept(POSITIONED, [line])
        give_way = line.give_way

        async def close() -> None:
            tasks.cancel_scope.cancel()
            await give_way()

        line.give_way = close  # type: ignore[method-assign]
        await running.keeper.run()
    assert running.sink.published[: len(ALL)] == ALL


@in_virtual_time
async def test_the_events_of_a_message_are_added_in_order_and_its_position_comes_with_the_last() -> None:
    async with kept(Line(message_of("1", "1", "2", position=7)), **POSITIONED) as k:
        await anyio.sleep(10)
        assert k.sink.published == [("1", None, None), ("1", None, None), ("2", None, 7)]
        assert (k.sink.gaps, k.keeper.duplicates) == ([], 0)


@in_virtual_time
async def test_a_repeated_message_adds_none_of_its_events_again() -> None:
    twice = message_of("1", "2", position=7)
    async with kept(Line(twice, lost()), Line(twice, message_of("3", position=8), resumed=True), **POSITIONED) as k:
        await anyio.sleep(10)
        assert [data for data, _, _ in k.sink.published] == ["1", "2", "3"]
        assert (k.positions, k.keeper.duplicates) == ([None, 7], 2)


@in_virtual_time
async def test_a_message_without_events_moves_the_position_and_adds_nothing() -> None:
    async with kept(Line(message_of("1", position=7), message_of(position=8), lost()), **POSITIONED) as k:
        await anyio.sleep(10)
        assert ([data for data, _, _ in k.sink.published], k.positions) == (["1"], [None, 8])


@in_virtual_time
async def test_events_of_a_message_that_are_left_out_are_a_gap_behind_the_others() -> None:
    errors = (invalid("no key"), invalid("no key"))
    async with kept(Line(message_of("1", position=7, errors=errors), lost()), **POSITIONED) as k:
        await anyio.sleep(10)
        assert k.sink.published == [("1", None, 7)]
        assert "one or more events were left out" in k.sink.gaps[0]
        assert (k.keeper.invalid, k.positions) == (2, [None, 7])


@in_virtual_time
async def test_messages_of_which_nothing_is_left_are_one_gap_a_second() -> None:
    nothing = message_of(errors=(invalid("no key"),))
    async with kept(Line(nothing, nothing, nothing, message_of(), lost())) as k:
        await anyio.sleep(0.001)
        assert len([gap for gap in k.sink.gaps if "left out" in gap]) == 2, "the first one, and the rest at the end"


# Positions in the URL

IN_URL = {"query": {"after": "{{ position }}"}, "position": "message.seq"}
GONE = HandshakeRejected("ws://h/", 410)


@pytest.mark.parametrize(
    "refusal",
    [Line(opens=GONE), Line(lost(1008), resumed=True), Line(ToolError("m.f", "no such cursor", None), resumed=True)],
)
@in_virtual_time
async def test_after_a_refused_position_the_next_attempt_is_made_soon_and_without_it(refusal: Line) -> None:
    async with kept(Line(1, 20.0, lost()), refusal, Line(2, 20.0, lost()), **IN_URL) as k:
        await anyio.sleep(100)
        assert k.positions == [None, 1, None, 2]
        assert [event.retry_in for event in k.sink.seen(FeedInterrupted)] == [0.25, 0.5, 0.25]
        (gap, *_) = k.sink.gaps
        assert gap.startswith("not connected from 12:00:20 to 12:00:2")
        assert "; the endpoint does not replay: " in gap


@in_virtual_time
async def test_a_feed_that_is_refused_without_its_position_as_well_keeps_it() -> None:
    refused = [Line(opens=GONE) for _ in range(3)]
    async with kept(Line(1, 20.0, lost()), *refused, Line(2, resumed=True), **IN_URL) as k:
        await anyio.sleep(100)
        assert k.positions == [None, 1, None, 1, None]


@pytest.mark.parametrize(
    "error", [REFUSED, lost(), HandshakeRejected("ws://h/", 401), HandshakeRejected("ws://h/", 503)]
)
@in_virtual_time
async def test_a_failure_that_is_not_about_the_position_keeps_it(error: BridgeError) -> None:
    async with kept(Line(1, 20.0, lost()), Line(opens=error), **IN_URL) as k:
        await anyio.sleep(100)
        assert k.positions == [None, 1, 1]


@in_virtual_time
async def test_a_connection_that_lasted_ten_seconds_has_accepted_the_position() -> None:
    async with kept(Line(1, 20.0, lost()), Line(10.0, lost(1008), resumed=True), **IN_URL) as k:
        await anyio.sleep(100)
        assert k.positions == [None, 1, 1]


@in_virtual_time
async def test_a_feed_that_is_closed_after_a_refused_position_goes_on_behind_the_last_event_later() -> None:
    async with kept(Line(1, 20.0, lost()), Line(opens=GONE), Line(2), **IN_URL) as k:
        await anyio.sleep(100)
        k.keeper.stopped("it is no longer read")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(k.keeper.run)
            await anyio.sleep(1)
            tasks.cancel_scope.cancel()
        assert k.positions == [None, 1, None, 2]
        assert "not connected from 12:01:40 to 12:01:40 (it is no longer read)" in k.sink.gaps[-1]


@pytest.mark.parametrize("event", [2, invalid()])
@in_virtual_time
async def test_a_refusal_behind_a_replayed_message_is_not_about_the_position(event: Any) -> None:
    async with kept(Line(1, 20.0, lost()), Line(event, lost(1008), resumed=True), **IN_URL) as k:
        await anyio.sleep(100)
        assert None not in k.positions[1:]
        assert not any("does not replay" in gap for gap in k.sink.gaps)


@in_virtual_time
async def test_a_refusal_of_steps_that_ask_for_a_replay_keeps_the_position() -> None:
    steps = {"resume": [{"send": {"after": "{{ position }}"}}], "position": "message.seq"}
    async with kept(Line(1, 20.0, lost()), Line(opens=ToolError("m.f", "no", None)), **steps) as k:
        await anyio.sleep(100)
        assert k.positions == [None, 1, 1]
