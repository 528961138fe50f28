"""When a request is sent again, and what the error of several attempts says, in virtual time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client import caller
from utcp_ws_mcp.client.caller import CallRunner
from utcp_ws_mcp.core.expressions.scope import Ambient
from utcp_ws_mcp.errors import (
    BridgeError,
    CallTimeout,
    ConnectError,
    ConnectionLost,
    Outcome,
    SessionLost,
    TimeoutStage,
    ToolError,
)

MAYBE, NOT_SENT = Outcome.MAYBE_EXECUTED, Outcome.NOT_SENT
REFUSED = ConnectError("ws://h/", "refused.", code="connection-refused")


def lost(outcome: Outcome = MAYBE, code: int = 1006, partial: tuple[Any, ...] = ()) -> ConnectionLost:
    return ConnectionLost("ws://h/", "the network connection was cut.", outcome, partial, code)


class Runner(CallRunner):
    """A runner whose attempts end as a test says: seconds to wait, errors, or the result."""

    def __init__(self, *script: Any) -> None:
        super().__init__(Ambient(None, None), lambda event: None)  # type: ignore[arg-type]
        self._script = list(script)
        self.attempts: list[float] = []

    async def _attempt(self, *given: Any) -> Any:
        self.attempts.append(round(anyio.current_time(), 3))
        while self._script:
            match self._script.pop(0):
                case float(seconds):
                    await anyio.sleep(seconds)
                case Exception() as error:
                    raise error
                case result:
                    return result
        return "result"


async def run(runner: Runner, *, idempotent: bool = True, listen_only: bool = False, timeout: float = 1000.0) -> Any:
    tool: Any = SimpleNamespace(
        idempotent=idempotent,
        template=SimpleNamespace(timeout=timeout, final_close_codes=(1008, 4100)),
        rules=SimpleNamespace(listen_only=listen_only),
    )
    return await runner.call(None, tool, {}, None, anyio.current_time())  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller.random, "random", lambda: 1.0)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (lost(), True),
        (lost(NOT_SENT), False),
        (lost(code=1008), False),
        (lost(code=4100), False),
        (lost(code=4401), True),
        (lost(code=1001), True),
        (lost(partial=(1,)), False),
        (SessionLost("ws://h/", "logged out", MAYBE), False),
        (REFUSED, False),
        (ToolError("m.t", "no", None), False),
        (CallTimeout("m.t", 1.0, TimeoutStage.REPLY, MAYBE), False),
    ],
    ids=lambda value: (
        f"{type(value).__name__} {getattr(value, 'close_code', '')}" if isinstance(value, Exception) else ""
    ),
)
@in_virtual_time
async def test_an_idempotent_request_is_sent_again_if_its_connection_was_lost_after_it(
    error: BridgeError, again: bool
) -> None:
    runner = Runner(error)
    if again:
        assert await run(runner) == "result"
        assert runner.attempts == [0.0, 0.0]
        return
    with pytest.raises(type(error)) as failed:
        await run(runner)
    assert failed.value is error
    assert runner.attempts == [0.0]


@in_virtual_time
async def test_a_request_that_is_not_idempotent_is_sent_once() -> None:
    runner = Runner(lost())
    with pytest.raises(ConnectionLost):
        await run(runner, idempotent=False)
    assert len(runner.attempts) == 1


@in_virtual_time
async def test_a_call_that_only_listens_goes_on_although_nothing_was_sent() -> None:
    runner = Runner(lost(NOT_SENT))
    assert await run(runner, listen_only=True) == "result"


@in_virtual_time
async def test_attempts_come_at_once_and_then_later_and_later_until_eleven() -> None:
    runner = Runner(*(lost() for _ in range(20)))
    with pytest.raises(ConnectionLost):
        await run(runner)
    pauses = [
        round(later - earlier, 3) for earlier, later in zip(runner.attempts[:-1], runner.attempts[1:], strict=True)
    ]
    assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


@in_virtual_time
async def test_after_a_lost_connection_an_endpoint_that_cannot_be_reached_is_tried_again() -> None:
    runner = Runner(lost(), REFUSED, REFUSED, "done")
    assert await run(runner) == "done"
    assert runner.attempts == [0.0, 0.0, 0.5, 1.5]


@pytest.mark.parametrize(("timeout", "attempts"), [(0.5, 2), (0.6, 3)])
@in_virtual_time
async def test_no_attempt_begins_at_or_after_the_deadline(timeout: float, attempts: int) -> None:
    runner = Runner(*(lost() for _ in range(9)))
    with pytest.raises(ConnectionLost):
        await run(runner, timeout=timeout)
    assert len(runner.attempts) == attempts


@in_virtual_time
async def test_the_time_before_the_call_counts_in_its_timeout() -> None:
    runner = Runner(lost())
    tool: Any = SimpleNamespace(
        idempotent=True, template=SimpleNamespace(timeout=5.0), rules=SimpleNamespace(listen_only=False)
    )
    await anyio.sleep(10)
    with pytest.raises(ConnectionLost):
        await runner.call(None, tool, {}, None, 5.0)  # type: ignore[arg-type]
    assert runner.attempts == [10.0]


@pytest.mark.parametrize("later", [ToolError("m.t", "no", None), CallTimeout("m.t", 1.0, TimeoutStage.REPLY, MAYBE)])
@in_virtual_time
async def test_an_attempt_that_was_sent_has_its_own_error(later: BridgeError) -> None:
    with pytest.raises(type(later)) as failed:
        await run(Runner(lost(), later))
    assert failed.value is later


@in_virtual_time
async def test_a_request_that_may_have_been_executed_is_not_said_to_be_unsent() -> None:
    first = lost()
    unsent = CallTimeout("m.t", 1.0, TimeoutStage.CONNECT, NOT_SENT)
    with pytest.raises(ConnectionLost) as failed:
        await run(Runner(first, unsent))
    assert failed.value is first
    assert failed.value.__cause__ is unsent


@in_virtual_time
async def test_another_session_is_reported_with_what_is_known_of_the_first_attempt() -> None:
    with pytest.raises(SessionLost) as failed:
        await run(Runner(lost(), SessionLost("ws://h/", "logged out", NOT_SENT)))
    assert (failed.value.outcome, failed.value.reason, failed.value.address) == (MAYBE, "logged out", "ws://h/")


@in_virtual_time
async def test_the_last_lost_connection_is_the_one_that_is_reported() -> None:
    first, second = lost(), lost()
    with pytest.raises(ConnectionLost) as failed:
        await run(Runner(first, second, CallTimeout("m.t", 1.0, TimeoutStage.CONNECT, NOT_SENT)))
    assert failed.value is second
