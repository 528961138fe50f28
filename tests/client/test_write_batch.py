"""Writes of one turn of the event loop are joined, in order."""

from collections.abc import Callable

from utcp_ws_mcp.client.write_batch import MAX_BATCH, WriteBatch


class Turn:
    """A turn of an event loop: what is called at its end, and what was written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.due: list[Callable[[], None]] = []
        self.batch = WriteBatch(self.written.append, self.due.append)

    def end(self) -> None:
        due, self.due[:] = list(self.due), []
        for call in due:
            call()


def test_the_first_write_is_passed_on_at_once_and_the_others_together() -> None:
    turn = Turn()
    for number in range(4):
        turn.batch.add(b"%d" % number, more=True)
    assert turn.written == [b"0"]

    turn.end()
    assert turn.written == [b"0", b"123"]


def test_a_write_that_is_alone_leaves_nothing_to_do() -> None:
    turn = Turn()
    turn.batch.add(b"a", more=False)
    turn.batch.add(b"b", more=False)

    assert turn.written == [b"a", b"b"]
    assert not turn.due


def test_a_write_behind_others_does_not_overtake_them() -> None:
    turn = Turn()
    turn.batch.add(b"a", more=True)
    turn.batch.add(b"b", more=True)
    turn.batch.add(b"c", more=False)
    turn.batch.flush()

    assert turn.written == [b"a", b"bc"]


def test_the_next_turn_begins_with_a_write_at_once() -> None:
    turn = Turn()
    turn.batch.add(b"a", more=True)
    turn.end()
    turn.batch.add(b"b", more=True)

    assert turn.written == [b"a", b"b"]


def test_many_bytes_are_written_before_the_end_of_the_turn() -> None:
    turn = Turn()
    turn.batch.add(b"a", more=True)
    turn.batch.add(b"b", more=True)
    large = b"c" * MAX_BATCH
    turn.batch.add(large, more=True)

    assert turn.written == [b"a", b"b", large]
    assert turn.written[2] is large
    turn.end()
    assert len(turn.written) == 3
