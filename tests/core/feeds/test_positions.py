"""Positions: which events of a connection are new, and where the next connection resumes, however a replay is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.feeds.positions import Positions, PositionVerdict

NEW, REPEATED, WENT_BACK = PositionVerdict.NEW, PositionVerdict.REPEATED, PositionVerdict.WENT_BACK


def note(positions: Positions, *numbers: object) -> list[PositionVerdict]:
    return [positions.note(number, f"data of {number}") for number in numbers]


def test_the_next_connection_resumes_behind_the_greatest_position() -> None:
    positions = Positions(10)
    assert positions.resume_after is None
    note(positions, 1, 3, 2)
    assert positions.resume_after == 3


def test_a_replay_that_may_be_incomplete_is_asked_for_again() -> None:
    positions = Positions(10)
    note(positions, 1)
    positions.start_life(replaying=True)
    note(positions, 9)
    assert positions.resume_after == 1, "9 may be newer than what was not replayed yet"
    note(positions, 2, 3)
    assert positions.resume_after == 3, "the replay has come to 3, which is less than 9"
    positions.start_life(replaying=True)
    assert note(positions, 4, 9) == [NEW, REPEATED]
    assert positions.resume_after == 9, "the replay has repeated 9"


def test_a_replay_that_has_ended_is_not_asked_for_again() -> None:
    positions = Positions(10)
    note(positions, 1)
    positions.start_life(replaying=True)
    note(positions, 2, 3)
    assert positions.resume_after == 1
    positions.end_replay()
    assert positions.resume_after == 3


def test_an_event_that_a_cut_replay_left_out_is_new_with_the_next_one() -> None:
    positions = Positions(10)
    note(positions, 1)
    positions.start_life(replaying=True)
    note(positions, 9)
    positions.start_life(replaying=True)
    assert note(positions, 2, 3, 9, 10) == [NEW, NEW, REPEATED, NEW]


def test_a_position_before_the_replay_that_was_not_read_went_back() -> None:
    positions = Positions(3)
    note(positions, 5, 6)
    positions.start_life()
    assert note(positions, 1, 2) == [WENT_BACK, NEW]
    assert positions.resume_after == 2


def test_a_position_before_the_replay_with_other_data_went_back() -> None:
    positions = Positions(10)
    note(positions, 1, 2, 3)
    positions.start_life(replaying=True)
    assert positions.note(1, "of a new count") is WENT_BACK
    assert positions.note(2, "of a new count") is NEW
    assert positions.resume_after == 2


@pytest.mark.parametrize("position", [3, 2])
def test_a_replay_may_begin_too_early(position: int) -> None:
    positions = Positions(10)
    note(positions, 1, 2, 3)
    positions.start_life(replaying=True)
    assert note(positions, position) == [REPEATED]
    assert positions.note(3, "with another field in a replay") is REPEATED


def test_positions_that_are_no_numbers_are_recognized_and_resumed_behind_the_last() -> None:
    positions = Positions(10)
    assert note(positions, "b", {"n": 1}, "a", True) == [NEW, NEW, NEW, NEW]
    positions.start_life(replaying=True)
    assert note(positions, "c", "a", "d") == [NEW, REPEATED, NEW]
    assert positions.resume_after == "a"
    positions.end_replay()
    assert positions.resume_after == "d"


LIVES = st.lists(st.lists(st.one_of(st.just("event"), st.just("replay")), max_size=20), min_size=1, max_size=8)
"""For each connection, what the endpoint sends: the next event, or the next one of the replay."""


@settings(max_examples=500, deadline=None)
@given(LIVES, st.integers(0, 3))
def test_every_event_is_new_once_however_replays_are_cut(lives: list[list[str]], between: int) -> None:
    positions, happened, read = Positions(1000), 0, []

    def arrive(number: int) -> None:
        [verdict] = note(positions, number)
        assert verdict is not WENT_BACK
        if verdict is NEW:
            read.append(number)

    for life, steps in enumerate(lives):
        replayed = positions.resume_after or 0
        positions.start_life(replaying=life > 0)
        for step in steps:
            if step == "event":
                happened += 1
                arrive(happened)
            elif life > 0 and replayed < happened:
                replayed += 1
                arrive(replayed)
        happened += between if read else 0
    resumed = positions.resume_after or 0
    positions.start_life(replaying=True)
    for number in range(resumed + 1, happened + 1):
        arrive(number)
    assert sorted(read) == list(range(1, happened + 1))


def test_only_as_many_positions_are_remembered_as_the_feed_has_room_for() -> None:
    positions = Positions(3)
    note(positions, "a", "b", "c")
    assert note(positions, "a", "b", "c") == [REPEATED] * 3
    assert note(positions, "d") == [NEW]
    assert note(positions, "b", "c", "d") == [REPEATED] * 3, "the oldest one was forgotten"
    assert note(positions, "a") == [NEW]


def test_a_position_that_json_has_not_is_recognized() -> None:
    positions = Positions(10)
    assert note(positions, b"\x01", b"\x02", float("inf")) == [NEW] * 3
    assert note(positions, b"\x01", float("inf")) == [REPEATED] * 2


@pytest.mark.parametrize("position", [False, True])
def test_a_truth_value_is_no_number_that_could_go_back(position: bool) -> None:
    positions = Positions(10)
    note(positions, 5)
    positions.start_life(replaying=True)
    assert note(positions, position) == [NEW]
    assert positions.resume_after == 5


def test_the_greatest_position_of_a_connection_says_nothing_about_the_next_one() -> None:
    positions = Positions(10)
    note(positions, 5)
    positions.start_life(replaying=True)
    note(positions, 9)
    positions.start_life(replaying=True)
    note(positions, 6)
    assert positions.resume_after == 5, "nothing says yet that the replay has reached 6"


def test_without_a_replay_the_next_connection_resumes_behind_the_last_event() -> None:
    positions = Positions(10)
    note(positions, 1)
    positions.start_life()
    note(positions, 9)
    assert positions.resume_after == 9


def test_an_endpoint_that_counts_from_the_beginning_on_the_same_connection_went_back() -> None:
    positions = Positions(100)
    assert [positions.note(number, f"a{number}") for number in (1, 2, 3)] == [NEW] * 3
    assert [positions.note(number, f"b{number}") for number in (1, 2, 3, 4)] == [WENT_BACK, NEW, NEW, NEW]
    assert positions.resume_after == 4
    assert [positions.note(number, f"c{number}") for number in (1, 2)] == [WENT_BACK, NEW]


def test_the_last_position_again_is_repeated_whatever_its_data_is() -> None:
    positions = Positions(100)
    positions.note(1, "a")
    assert positions.note(1, "b") is REPEATED


def test_an_earlier_position_with_the_same_data_is_repeated() -> None:
    positions = Positions(100)
    for number in (1, 2, 3):
        positions.note(number, f"a{number}")
    assert [positions.note(number, f"a{number}") for number in (1, 2, 3)] == [REPEATED] * 3


def test_a_replay_may_repeat_with_other_data_what_came_over_its_connection() -> None:
    positions = Positions(100)
    positions.note(1, "a")
    positions.start_life(replaying=True)
    assert [positions.note(number, "live") for number in (3, 4)] == [NEW] * 2
    assert [positions.note(number, "replayed") for number in (2, 3, 4)] == [NEW, REPEATED, REPEATED]
    positions.end_replay()
    assert positions.note(2, "of a new count") is WENT_BACK
