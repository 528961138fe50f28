"""uvicorn with the signals of this program."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import uvicorn

from utcp_ws_mcp.server.http.graceful import GracefulServer

NUMBERS = (signal.SIGINT, signal.SIGTERM)


def server_of(stopped: list[str]) -> GracefulServer:
    return GracefulServer(uvicorn.Config("unused", log_config=None), lambda: stopped.append("responses"))


@pytest.mark.parametrize("number", NUMBERS)
def test_the_first_signal_stops_gracefully_and_the_second_at_once(number: signal.Signals) -> None:
    server = server_of([])
    before = [signal.getsignal(each) for each in NUMBERS]
    with server.capture_signals():
        assert (server.should_exit, server.force_exit) == (False, False)
        signal.raise_signal(number)
        assert (server.should_exit, server.force_exit) == (True, False)
        signal.raise_signal(number)
        assert (server.should_exit, server.force_exit) == (True, True)
    assert [signal.getsignal(each) for each in NUMBERS] == before


def test_the_handlers_are_restored_after_an_error() -> None:
    before = [signal.getsignal(each) for each in NUMBERS]
    with pytest.raises(ZeroDivisionError), server_of([]).capture_signals():
        raise ZeroDivisionError
    assert [signal.getsignal(each) for each in NUMBERS] == before


async def test_responses_without_an_end_are_ended_before_uvicorn_waits_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped: list[str] = []

    async def shutdown(self: uvicorn.Server, sockets: Any = None) -> None:
        stopped.append(f"uvicorn {sockets}")

    monkeypatch.setattr(uvicorn.Server, "shutdown", shutdown)
    await server_of(stopped).shutdown(["socket"])
    assert stopped == ["responses", "uvicorn ['socket']"]
