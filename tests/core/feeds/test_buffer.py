"""The ring buffer of a feed: what readers get, what they have missed, and the bounds."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.feeds.buffer import EVENT_OVERHEAD, MAX_GAPS, BufferLimits, Event, EventBuffer, Gap
from utcp_ws_mcp.core.feeds.cursor import Cursor, InvalidCursor
from utcp_ws_mcp.records import replace

LARGE = 1 << 20


def make_buffer(size: int = 1000, max_bytes: int = LARGE, max_age: float = 1e9, *, latest: bool = False) -> EventBuffer:
    return EventBuffer("abcd", BufferLimits(size, max_bytes, max_age), latest=latest)


def data(page) -> list[str]:
    return [event.data for event in page.events]


def test_events_before_the_first_read_are_there() -> None:
    buffer = make_buffer()
    for number in range(5):
        buffer.append(str(number), at=number)
    page = buffer.read(None, 50, LARGE)
    assert data(page) == ["0", "1", "2", "3", "4"]
    assert (page.missed, page.has_more, str(page.cursor)) == (0, False, "abcd-5.0")


def test_two_readers_get_all_events() -> None:
    buffer = make_buffer()
    first, second = buffer.end, buffer.end
    buffer.append("1", at=0)
    buffer.append("2", at=0)
    assert data(buffer.read(first, 50, LARGE)) == data(buffer.read(second, 50, LARGE)) == ["1", "2"]


def test_the_number_of_missed_events_is_exact() -> None:
    buffer = make_buffer(size=100)
    start = buffer.end
    for number in range(250):
        buffer.append(str(number), at=number)
    page = buffer.read(start, 1000, LARGE)
    assert (page.missed, len(page.events), page.events[0].offset) == (150, 100, 151)
    assert buffer.read(page.cursor, 1000, LARGE).missed == 0


def test_pages_follow_one_another_without_loss() -> None:
    buffer = make_buffer()
    cursor = buffer.end
    for number in range(10):
        buffer.append(str(number), at=number)
    read = []
    for expected in (True, True, True, False):
        page = buffer.read(cursor, 3, LARGE)
        assert page.has_more is expected
        read += data(page)
        cursor = page.cursor
    assert read == [str(number) for number in range(10)]


def test_a_page_has_at_least_one_event_however_large() -> None:
    buffer = make_buffer()
    start = buffer.end
    buffer.append("x" * 1000, at=0)
    buffer.append("y", at=0)
    page = buffer.read(start, 50, 10)
    assert data(page) == ["x" * 1000]
    assert page.has_more
    assert data(buffer.read(page.cursor, 50, 10)) == ["y"]


def test_a_gap_is_reported_once_and_makes_missed_unknown() -> None:
    buffer = make_buffer()
    buffer.append("1", at=0)
    cursor = buffer.end
    buffer.add_gap("connection lost", at=1)
    buffer.append("2", at=2)
    page = buffer.read(cursor, 50, LARGE)
    assert [(gap.after, gap.reason) for gap in page.gaps] == [(1, "connection lost")]
    assert page.missed is None
    following = buffer.read(page.cursor, 50, LARGE)
    assert (following.gaps, following.missed) == ((), 0)


def test_a_reader_without_a_cursor_sees_the_gaps_behind_its_first_event() -> None:
    buffer = make_buffer()
    assert (buffer.read(None, 50, LARGE).gaps, buffer.read(None, 50, LARGE).missed) == ((), 0)
    for number in range(1, 4):
        buffer.add_gap(f"lost before {number}", at=number)
        buffer.append(str(number), at=number)
    page = buffer.read(None, 2, LARGE)
    assert (data(page), [gap.reason for gap in page.gaps], page.missed) == (["2", "3"], ["lost before 3"], None)
    assert buffer.read(page.cursor, 50, LARGE).gaps == ()
    buffer.add_gap("lost now", at=4)
    assert [gap.reason for gap in buffer.read(None, 1, LARGE).gaps] == ["lost now"]
    buffer.limits = replace(buffer.limits, max_age=0)
    buffer.expire(5)
    page = buffer.read(None, 50, LARGE)
    assert (data(page), [gap.reason for gap in page.gaps]) == ([], ["lost now"])


def test_a_gap_behind_a_full_page_is_reported_with_the_next_page() -> None:
    buffer = make_buffer()
    start = buffer.end
    buffer.append("1", at=0)
    buffer.add_gap("connection lost", at=1)
    buffer.append("2", at=2)
    page = buffer.read(start, 1, LARGE)
    assert (data(page), page.gaps, page.missed) == (["1"], (), 0)
    page = buffer.read(page.cursor, 1, LARGE)
    assert (data(page), len(page.gaps), page.missed) == (["2"], 1, None)


def test_missed_is_unknown_for_a_reader_whose_gaps_are_forgotten() -> None:
    buffer = make_buffer()
    start = buffer.end
    for number in range(MAX_GAPS + 1):
        buffer.add_gap("connection lost", at=number)
    page = buffer.read(start, 50, LARGE)
    assert (len(page.gaps), page.missed) == (MAX_GAPS, None)


def test_a_cursor_of_another_epoch_reads_from_the_oldest_event() -> None:
    buffer = make_buffer()
    buffer.append("1", at=0)
    page = buffer.read(Cursor("wxyz", 77, 3), 50, LARGE)
    assert (data(page), page.missed) == (["1"], None)


@pytest.mark.parametrize("cursor", [Cursor("abcd", 2, 0), Cursor("abcd", 1, 1)])
def test_a_cursor_of_the_future_is_refused(cursor: Cursor) -> None:
    buffer = make_buffer()
    buffer.append("1", at=0)
    with pytest.raises(InvalidCursor, match="was not returned by this feed"):
        buffer.read(cursor, 50, LARGE)


@pytest.mark.parametrize(
    "text", ["", "abcd", "abcd-1", "abcd-1.2.3", "ABCD-1.0", "abcd--1.0", "abcd-1.0\n", "abcd-١.0", "x" * 10_000_000]
)
def test_what_is_no_cursor_is_refused_in_a_short_message(text: str) -> None:
    with pytest.raises(InvalidCursor, match="leave it out") as refused:
        Cursor.parse(text)
    assert len(str(refused.value)) < 300


@settings(deadline=None)
@given(st.text("abcxyz0189", min_size=4, max_size=16), st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1))
def test_a_cursor_is_read_from_its_text(epoch: str, offset: int, gap: int) -> None:
    cursor = Cursor(epoch, offset, gap)
    assert Cursor.parse(str(cursor)) == cursor


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    with suppress(InvalidCursor):
        assert str(Cursor.parse(text)).startswith(text.partition("-")[0])


def test_events_older_than_the_maximum_age_are_removed() -> None:
    buffer = make_buffer(max_age=10)
    start = buffer.end
    buffer.append("1", at=0)
    buffer.append("2", at=8)
    buffer.expire(11)
    page = buffer.read(start, 50, LARGE)
    assert (data(page), page.missed) == (["2"], 1)


def test_latest_keeps_the_newest_event_of_each_key() -> None:
    buffer = make_buffer(latest=True)
    start = buffer.end
    for number, key in enumerate("aabab"):
        buffer.append(str(number), at=number, key=f'"{key}"')
    page = buffer.read(start, 50, LARGE)
    assert (data(page), page.missed) == (["3", "4"], 0)
    assert {key: event.data for key, event in buffer.latest().items()} == {'"a"': "3", '"b"': "4"}


def test_latest_counts_only_evicted_keys_as_missed() -> None:
    buffer = make_buffer(size=2, latest=True)
    start = buffer.end
    for key in "abcc":
        buffer.append("1", at=0, key=key)
    assert buffer.read(start, 50, LARGE).missed == 1


def test_the_newest_event_of_each_key_of_a_log_is_found() -> None:
    buffer = make_buffer()
    for number, key in enumerate("aab"):
        buffer.append(str(number), at=number, key=key)
    assert {key: event.data for key, event in buffer.latest().items()} == {"a": "1", "b": "2"}


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.text(max_size=20), st.sampled_from([None, "a", "b", "c"])),
        st.tuples(st.just("gap")),
        st.tuples(st.just("read"), st.integers(1, 5)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(OPERATIONS, st.integers(1, 6), st.integers(1, 1000))
def test_a_reader_gets_every_event_once_or_knows_how_many_it_missed(operations, size: int, max_bytes: int) -> None:
    buffer = make_buffer(size, max_bytes)
    cursor, expected, appended = buffer.end, 1, 0
    for operation, *arguments in operations:
        if operation == "append":
            buffer.append(arguments[0], appended, arguments[1])
            appended += 1
        elif operation == "gap":
            buffer.add_gap("lost", appended)
        else:
            page = buffer.read(cursor, arguments[0], LARGE)
            offsets = [event.offset for event in page.events]
            if page.missed is not None:
                assert offsets == list(range(expected + page.missed, expected + page.missed + len(offsets)))
            assert offsets == sorted({*offsets})
            expected = page.cursor.offset + 1
            cursor = page.cursor
        assert len(buffer) <= size
        assert buffer.bytes == sum(event.size for event in buffer.read(None, 10_000, LARGE).events)
        assert buffer.bytes <= max(max_bytes, 0) or len(buffer) == 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=40), st.integers(1, 4))
def test_a_reader_of_latest_values_has_the_newest_of_each_kept_key(steps, size: int) -> None:
    buffer = make_buffer(size, latest=True)
    cursor, seen, newest = buffer.end, {}, {}
    for number, (key, reads) in enumerate(steps):
        buffer.append(str(number), number, key)
        newest[key] = str(number)
        if reads:
            page = buffer.read(cursor, 100, LARGE)
            cursor = page.cursor
            seen |= {event.key: event.data for event in page.events}
            kept = {key: event.data for key, event in buffer.latest().items()}
            assert kept.items() <= newest.items()
            assert kept.items() <= seen.items()
    assert len(buffer) <= size


def test_an_event_larger_than_the_buffer_is_evicted_and_counted() -> None:
    buffer = make_buffer(max_bytes=EVENT_OVERHEAD)
    start = buffer.end
    buffer.append("x", at=0)
    assert (len(buffer), buffer.read(start, 5, LARGE).missed) == (0, 1)


LATEST_STEPS = st.lists(
    st.one_of(st.tuples(st.just("append"), st.sampled_from("abcde")), st.tuples(st.just("read"), st.integers(1, 3))),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(LATEST_STEPS, st.integers(1, 4))
def test_missed_of_latest_values_is_the_number_of_evicted_events_behind_the_cursor(steps, size: int) -> None:
    buffer, cursor = make_buffer(size, latest=True), Cursor("abcd", 0, 0)
    kept: dict[str, int] = {}
    evicted: list[int] = []
    for number, (step, argument) in enumerate(steps):
        if step == "append":
            kept.pop(argument, None)
            kept[argument] = buffer.append(str(number), number, argument).offset
            while len(kept) > size:
                evicted.append(kept.pop(min(kept, key=kept.__getitem__)))
        else:
            page = buffer.read(cursor, argument, LARGE)
            assert page.missed == sum(offset > cursor.offset for offset in evicted)
            expected = sorted(offset for offset in kept.values() if offset > cursor.offset)
            assert [event.offset for event in page.events] == expected[:argument]
            assert page.has_more == (len(expected) > argument)
            cursor = page.cursor
    assert buffer.evicted == len(evicted)


AGES = st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=40)


@settings(max_examples=200, deadline=None)
@given(AGES, st.floats(0.5, 10))
def test_no_event_is_kept_longer_than_its_maximum_age_and_every_one_is_counted(steps, max_age: float) -> None:
    buffer, now, read, missed = make_buffer(max_age=max_age), 0.0, 0, 0
    cursor = buffer.end
    for passed, reads in steps:
        now += passed
        buffer.append("1", now)
        if reads:
            buffer.expire(now)
            page = buffer.read(cursor, 1000, LARGE)
            assert all(event.at >= now - max_age for event in page.events)
            read, missed, cursor = read + len(page.events), missed + (page.missed or 0), page.cursor
    page = buffer.read(cursor, 1000, LARGE)
    assert read + missed + len(page.events) + (page.missed or 0) == len(steps)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["event", "gap", "read one", "read all"]), max_size=200))
def test_each_gap_is_reported_once_between_the_events_around_it_or_missed_is_unknown(steps) -> None:
    buffer, cursor = make_buffer(), make_buffer().end
    happened: list[str] = []
    read: list[str] = []
    for step in [*steps, "read all"]:
        if step == "event":
            happened.append(f"event {buffer.append('1', 0).offset}")
        elif step == "gap":
            happened.append(f"gap {buffer.add_gap('lost', 0).number}")
        else:
            page = buffer.read(cursor, 1 if step == "read one" else 1000, LARGE)
            marks = [(event.offset, 0, f"event {event.offset}") for event in page.events]
            marks += [(gap.after, gap.number, f"gap {gap.number}") for gap in page.gaps]
            read += [text for *_, text in sorted(marks)]
            assert (page.missed is None) == bool(page.gaps)
            cursor = page.cursor
    forgotten = happened.count("gap") - MAX_GAPS
    assert read == happened or forgotten > 0


def test_a_buffer_that_goes_on_behind_others_counts_what_it_has_not_got() -> None:
    buffer = make_buffer()
    buffer.append("1", at=0)
    buffer.restart("efgh", 5, 2)
    buffer.append("6", at=0)
    page = buffer.read(Cursor("efgh", 3, 2), 50, LARGE)
    assert (data(page), page.missed, page.gaps, str(page.cursor)) == (["6"], 2, (), "efgh-6.2")
    assert buffer.read(Cursor("efgh", 3, 1), 50, LARGE).missed is None
    assert buffer.read(Cursor("abcd", 1, 0), 50, LARGE).missed is None


def test_a_buffer_of_newest_events_does_not_guess_what_was_before_it() -> None:
    buffer = make_buffer(latest=True)
    buffer.restart("efgh", 5, 0)
    buffer.append("6", at=0, key='"a"')
    assert buffer.read(Cursor("efgh", 3, 0), 50, LARGE).missed is None
    assert buffer.read(Cursor("efgh", 5, 0), 50, LARGE).missed == 0


# --- bounds, exactly ---

SIZE = 1 + EVENT_OVERHEAD
"""Bytes that an event with a digit as its data counts for."""


def filled(count: int, **limits: Any) -> EventBuffer:
    buffer = make_buffer(**limits)
    for number in range(count):
        buffer.append(str(number), at=number)
    return buffer


def test_a_new_buffer_is_empty() -> None:
    buffer = make_buffer()
    assert (len(buffer), buffer.bytes, buffer.evicted, buffer.end) == (0, 0, 0, Cursor("abcd", 0, 0))
    page = buffer.read(None, 5, LARGE)
    assert (page.events, page.gaps, page.missed, page.has_more) == ((), (), 0, False)


def test_a_buffer_shows_its_state() -> None:
    assert repr(filled(3, size=2)) == f"<EventBuffer abcd 1..3 kept=2 bytes={2 * SIZE}>"


def test_an_event_counts_for_its_data_in_utf8_its_key_and_its_fields() -> None:
    buffer = make_buffer()
    assert EVENT_OVERHEAD == 128
    assert buffer.append('"ü"', at=2.5) == Event(1, 2.5, '"ü"', None, 132)
    assert buffer.append("1", at=3, key='"ab"') == Event(2, 3, "1", '"ab"', 133)
    assert buffer.bytes == 265


def test_a_gap_has_a_number_and_is_behind_the_last_event() -> None:
    buffer = filled(2)
    assert [buffer.add_gap(reason, at=at) for reason, at in (("lost", 2.5), ("again", 3.5))] == [
        Gap(1, 2, 2.5, "lost"),
        Gap(2, 2, 3.5, "again"),
    ]
    assert buffer.read(Cursor("abcd", 1, 0), 5, LARGE).cursor == buffer.end == Cursor("abcd", 2, 2)


BOUNDS: dict[str, tuple[dict[str, Any], int]] = {
    "as many events as allowed": ({"size": 3}, 3),
    "one event too many": ({"size": 2}, 2),
    "as many bytes as allowed": ({"max_bytes": 3 * SIZE}, 3),
    "one byte too many": ({"max_bytes": 3 * SIZE - 1}, 2),
    "as old as allowed": ({"max_age": 2}, 3),
    "older than allowed": ({"max_age": 1.5}, 2),
}


@pytest.mark.parametrize(("limits", "kept"), BOUNDS.values(), ids=BOUNDS)
def test_events_are_removed_beyond_a_bound_not_at_it(limits: dict[str, Any], kept: int) -> None:
    buffer = filled(3, **limits)
    assert (len(buffer), buffer.evicted, buffer.bytes) == (kept, 3 - kept, kept * SIZE)
    assert data(buffer.read(None, 5, LARGE)) == ["0", "1", "2"][-kept:]


PAGES: dict[str, tuple[int, int, int]] = {
    "as many events as there are": (3, LARGE, 3),
    "fewer events": (2, LARGE, 2),
    "as many bytes as there are": (9, 3 * SIZE, 3),
    "one byte less": (9, 3 * SIZE - 1, 2),
    "bytes for one": (9, SIZE, 1),
    "bytes for none": (9, 1, 1),
}


@pytest.mark.parametrize(("max_events", "max_bytes", "count"), PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("latest", [False, True])
def test_a_page_has_at_most_the_events_and_bytes_that_were_asked_for(
    max_events: int, max_bytes: int, count: int, latest: bool
) -> None:
    buffer = filled(3, latest=latest)
    newest = buffer.read(None, max_events, max_bytes)
    assert (data(newest), newest.has_more, newest.cursor) == (["0", "1", "2"][-count:], False, buffer.end)
    page = buffer.read(Cursor("abcd", 0, 0), max_events, max_bytes)
    assert (data(page), page.has_more, page.cursor.offset) == (["0", "1", "2"][:count], count < 3, count)


def test_a_page_of_another_epoch_has_all_gaps_and_a_cursor_of_this_one() -> None:
    buffer = filled(1)
    assert buffer.read(Cursor("wxyz", 7, 7), 5, LARGE).cursor == Cursor("abcd", 1, 0)
    gap = buffer.add_gap("lost", at=1)
    page = buffer.read(Cursor("wxyz", 7, 7), 5, LARGE)
    assert (page.gaps, page.cursor) == ((gap,), Cursor("abcd", 1, 1))


def test_a_buffer_that_starts_again_counts_no_bytes_of_what_it_forgot() -> None:
    buffer = make_buffer(latest=True)
    buffer.append("1", at=0, key="a")
    buffer.add_gap("lost", at=0)
    buffer.restart("efgh", 7, 3)
    assert (len(buffer), buffer.bytes, buffer.end, buffer.latest()) == (0, 0, Cursor("efgh", 7, 3), {})
    assert buffer.append("2", at=0, key="a").offset == 8
    assert (buffer.bytes, buffer.read(None, 5, LARGE).gaps) == (SIZE + 1, ())


# --- keys ---


def test_a_log_keeps_the_earlier_events_of_a_key() -> None:
    buffer = make_buffer()
    for number in range(3):
        buffer.append(str(number), at=number, key="a")
    assert (data(buffer.read(None, 5, LARGE)), len(buffer)) == (["0", "1", "2"], 3)


def test_the_newest_events_are_in_the_order_of_their_arrival() -> None:
    for latest in (False, True):
        buffer = make_buffer(latest=latest)
        for number, key in enumerate(["a", "b", None, "a"]):
            buffer.append(str(number), at=number, key=key)
        assert [(key, event.data) for key, event in buffer.latest().items()] == [("b", "1"), ("a", "3")]


def test_a_key_is_forgotten_with_its_newest_event_only() -> None:
    buffer = make_buffer(size=2)
    for number, key in enumerate("aab"):
        buffer.append(str(number), at=number, key=key)
    assert list(buffer.latest()) == ["a", "b"]
    buffer.append("3", at=3)
    assert list(buffer.latest()) == ["b"]
    buffer.append("4", at=4, key="a")
    assert list(buffer.latest()) == ["a"]


@pytest.mark.parametrize(("offset", "expected"), [(0, ["1", "3"]), (2, ["3"]), (3, ["3"]), (4, [])])
def test_a_reader_of_latest_values_gets_those_behind_its_cursor(offset: int, expected: list[str]) -> None:
    buffer = make_buffer(latest=True)
    for number, key in enumerate("abca"):
        buffer.append(str(number), at=number, key=key)
    buffer.append("4", at=4, key="c")
    found = [each for each in data(buffer.read(Cursor("abcd", offset, 0), 5, LARGE)) if each != "4"]
    assert found == expected


# --- what is remembered of what was lost ---


@pytest.mark.parametrize(("gap", "missed"), [(3, None), (4, 0), (5, 0)])
def test_what_is_missed_is_unknown_to_a_reader_whose_gap_may_be_forgotten(gap: int, missed: int | None) -> None:
    buffer = filled(2)
    for number in range(MAX_GAPS + 4):
        buffer.add_gap("lost", at=number)
    page = buffer.read(Cursor("abcd", 0, gap), 1, LARGE)
    assert (data(page), page.gaps, page.missed) == (["0"], (), missed), "the gaps are behind the page"


def test_a_buffer_remembers_sixty_four_gaps() -> None:
    buffer = make_buffer()
    for number in range(70):
        buffer.add_gap("lost", at=number)
    assert [gap.number for gap in buffer.read(Cursor("abcd", 0, 0), 5, LARGE).gaps] == list(range(7, 71))


@pytest.mark.parametrize(
    ("evicted", "offset", "missed"),
    [(10_000, 0, 10_000), (10_001, 0, None), (10_001, 1, 10_000), (10_001, 2, 9_999), (10_001, 10_002, 0)],
)
def test_of_latest_values_ten_thousand_lost_events_are_remembered(evicted: int, offset: int, missed: Any) -> None:
    buffer = make_buffer(size=1, latest=True)
    for number in range(evicted + 1):
        buffer.append("1", at=0, key=str(number))
    assert buffer.read(Cursor("abcd", offset, 0), 1, LARGE).missed == missed
