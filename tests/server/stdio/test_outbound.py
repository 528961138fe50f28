"""What is written to the host: single lines, batches, and the bound of a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import anyio
import pytest

from tests.peer import PATIENCE
from utcp_ws_mcp.server.stdio.outbound import Batch, StdioOutbound
from utcp_ws_mcp.server.stdio.writer import Writer

NO_LIMIT = 1 << 30


class Lines:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.more: list[bool] = []

    def write(self, *parts: bytes, more: bool = True) -> None:
        self.lines.append(b"".join(parts))
        self.more.append(more)

    async def drain(self) -> None:
        self.lines.append(b"drained")


def outbound_of(limit: int = NO_LIMIT) -> tuple[StdioOutbound, Lines]:
    writer = Lines()
    return StdioOutbound(cast("Writer", writer), limit), writer


@pytest.mark.parametrize(
    ("sizes", "limit", "lines"),
    [
        ([], 100, []),
        ([5], 100, ["[5]"]),
        ([5, 6], 100, ["[5,6]"]),
        # two brackets, the comma, and the line break
        ([5, 6], 5 + 6 + 4, ["[5,6]"]),
        ([5, 6], 5 + 6 + 3, ["[5]", "[6]"]),
        ([5, 6, 7], 5 + 6 + 7 + 5, ["[5,6,7]"]),
        ([5, 6, 7], 5 + 6 + 7 + 4, ["[5,6]", "[7]"]),
        ([5, 6, 7, 4], 5 + 6 + 4, ["[5,6]", "[7,4]"]),
        ([5], 5 + 3, ["[5]"]),
        ([5], 5 + 2, ["5"]),
        ([5, 9, 5, 5], 13, ["[5]", "[9]", "[5]", "[5]"]),
        ([5, 9, 5, 2], 11, ["[5]", "9", "[5,2]"]),
        ([9, 5], 11, ["9", "[5]"]),
        ([5, 9], 11, ["[5]", "9"]),
    ],
)
def test_the_responses_to_a_batch_come_in_as_few_arrays_as_the_bound_of_a_line_allows(
    sizes: list[int], limit: int, lines: list[str]
) -> None:
    responses = [str(size).encode().ljust(size, b".") for size in sizes]
    found = list(Batch(set(), responses).arrays(limit))
    assert [line.replace(b".", b"").decode() for line in found] == [f"{line}\n" for line in lines]
    assert all(len(line) <= limit for line in found)


def read(lines: Sequence[bytes]) -> list[Any]:
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("order", [(1, "two", 3), (3, 1, "two")])
async def test_a_batch_is_written_once_its_last_request_is_answered(order: tuple[int | str, ...]) -> None:
    outbound, writer = outbound_of()
    for request_id in order:
        outbound.request_started(request_id)
    outbound.start_batch([1, "two", 3], ['{"error":"\ud800"}'])
    for request_id in order:
        assert writer.lines == []
        outbound.respond(request_id, ("{", f'"id":{json.dumps(request_id)}', "}"))
    assert read(writer.lines) == [[{"error": "?"}, *({"id": request_id} for request_id in order)]]
    outbound.respond(1, ('{"id":1}',))
    assert writer.lines[1:] == [b'{"id":1}\n']  # the id belongs to no batch any more


async def test_a_batch_without_requests_is_answered_at_once_and_one_without_anything_not_at_all() -> None:
    outbound, writer = outbound_of()
    outbound.start_batch([], [])
    assert writer.lines == []
    outbound.start_batch([], ["1", "2"])
    assert writer.lines == [b"[1,2]\n"]


async def test_a_batch_does_not_wait_for_a_request_that_was_cancelled() -> None:
    outbound, writer = outbound_of()
    outbound.start_batch([1, 2], [])
    outbound.respond(1, ("1",))
    outbound.request_finished(5)
    assert writer.lines == []
    outbound.request_finished(2)
    assert writer.lines == [b"[1]\n"]
    outbound.respond(2, ("2",))
    assert writer.lines[1:] == [b"2\n"]


async def test_a_line_says_whether_other_answers_may_follow() -> None:
    outbound, writer = outbound_of()
    for request_id in (1, 2, 3):
        outbound.request_started(request_id)
    outbound.request_finished(3)
    for request_id in (1, 2):
        outbound.respond(request_id, ("{}",))
    outbound.send("{}")
    assert writer.more == [True, False, True]


NOTICE = '{"method":"é"}'


@pytest.mark.parametrize(("limit", "lines"), [(16, [NOTICE]), (15, [])])
async def test_a_notification_is_sent_if_it_has_at_most_the_bytes_of_a_line(
    limit: int, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    outbound, writer = outbound_of(limit)
    outbound.send(NOTICE)
    assert [line.decode() for line in writer.lines] == [f"{line}\n" for line in lines]
    expected = [] if lines else ["a notification of 16 bytes is longer than --max-line-bytes; it is not sent"]
    assert caplog.messages == expected


ANSWER = f'{{"id":7,"text":"{"é" * 500}"}}'
SIZE = len(ANSWER.encode()) + 1


async def test_an_answer_may_have_all_the_bytes_of_a_line() -> None:
    outbound, writer = outbound_of(SIZE)
    outbound.respond(7, (ANSWER,))
    assert writer.lines == [ANSWER.encode() + b"\n"]


async def test_a_longer_answer_is_an_error_with_both_sizes(caplog: pytest.LogCaptureFixture) -> None:
    outbound, writer = outbound_of(SIZE - 1)
    outbound.respond(7, (ANSWER,))
    (answer,) = read(writer.lines)
    text = (
        "the answer has 1,019 bytes, more than a message to the host may have (1,018). "
        "Ask for less, or raise `serve --max-line-bytes` if the host reads longer lines."
    )
    assert answer == {"jsonrpc": "2.0", "id": 7, "error": {"code": -32603, "message": text}}
    assert writer.lines[0].endswith(b"\n")
    assert caplog.messages == [f"an answer was replaced by an error: {text}"]


@pytest.mark.parametrize(("more", "keeps_id"), [(0, True), (1, False)])
async def test_the_error_has_no_id_if_the_line_would_be_too_long_with_it(more: int, keeps_id: bool) -> None:
    probe, probed = outbound_of(400)
    probe.respond("", ("x" * 1000,))
    room = 400 - len(probed.lines[0])
    outbound, writer = outbound_of(400)
    request_id = "i" * (room + more)
    outbound.respond(request_id, ("x" * 1000,))
    (answer,) = read(writer.lines)
    assert answer["id"] == (request_id if keeps_id else None)
    assert len(writer.lines[0]) <= 400


async def test_an_answer_of_a_batch_that_is_too_long_is_an_error_in_its_array() -> None:
    outbound, writer = outbound_of(600)
    outbound.start_batch([1, 2], [])
    outbound.respond(1, ("x" * 601,))
    outbound.respond(2, ('{"id":2}',))
    ((first, second),) = read(writer.lines)
    assert (first["id"], first["error"]["code"], second) == (1, -32603, {"id": 2})


async def test_credentials_are_removed_from_answers_and_notifications() -> None:
    writer = Lines()
    outbound = StdioOutbound(cast("Writer", writer), NO_LIMIT, lambda text: text.replace("secret", "***"))
    outbound.respond(1, ('{"a":"secret"}',))
    outbound.send('{"a":"secret"}')
    assert read(writer.lines) == [{"a": "***"}] * 2


async def test_to_drain_is_left_to_the_writer() -> None:
    outbound, writer = outbound_of()
    await outbound.drain()
    assert writer.lines == [b"drained"]


async def test_the_wait_ends_when_the_last_request_is_answered_or_cancelled() -> None:
    outbound, _ = outbound_of()
    outbound.request_started(1)
    outbound.request_started(2)
    finished: list[str] = []

    async def wait() -> None:
        await outbound.wait_idle(PATIENCE * 10)
        finished.append("waited")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            for finish in (lambda: outbound.request_finished(1), lambda: outbound.respond(2, ("2",))):
                await anyio.wait_all_tasks_blocked()
                assert finished == []
                finish()
    assert finished == ["waited"]
    await outbound.wait_idle(PATIENCE * 10)  # nothing is open


async def test_the_wait_is_over_after_its_time_although_a_request_is_open() -> None:
    outbound, _ = outbound_of()
    outbound.request_started(1)
    outbound.request_finished(1)
    outbound.request_started(2)
    with anyio.fail_after(PATIENCE):
        await outbound.wait_idle(0)


async def test_the_wait_for_an_open_request_is_not_ended_by_an_earlier_one() -> None:
    outbound, _ = outbound_of()
    outbound.request_started(1)
    outbound.request_finished(1)
    outbound.request_started(2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outbound.wait_idle, PATIENCE * 10)
        await anyio.wait_all_tasks_blocked()
        outbound.request_finished(2)
