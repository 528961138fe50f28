"""What `serve` does to the process: the descriptors of stdin and stdout, and signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, bridge_to, entry, jsonrpc, peer
from tests.server.stdio.pipes import INITIALIZE, StandardPipes, kept_signal_handlers, standard_descriptors
from utcp_ws_mcp.server.stdio.fast_path import FastPath
from utcp_ws_mcp.server.stdio.transport import claim_descriptors, handle_signals, serve_tools
from utcp_ws_mcp.server.tools import ToolService

OPENING = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": INITIALIZE}


def open_descriptors() -> set[int]:
    found = set()
    for number in range(256):
        with suppress(OSError):
            os.fstat(number)
            found.add(number)
    return found


def test_the_descriptors_of_stdin_and_stdout_belong_to_the_protocol() -> None:
    pipes = StandardPipes()
    os.write(pipes.to_stdin, b"from the host")
    with standard_descriptors(pipes.stdin, pipes.stdout, pipes.stderr):
        before = open_descriptors()
        claimed = claim_descriptors()
        opened = open_descriptors() - before
        of_others = os.read(0, 100)
        os.write(1, b"noise")
    assert of_others == b""
    assert opened == {*claimed}
    os.write(claimed[1], b"to the host")
    assert os.read(claimed[0], 100) == b"from the host"
    assert os.read(pipes.from_stdout, 100) == b"to the host"
    assert os.read(pipes.from_stderr, 100) == b"noise"
    for fd in claimed:
        os.close(fd)
    pipes.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_stops_and_the_second_one_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    seen: list[object] = []
    arrived = anyio.Event()

    def exited(code: int) -> None:
        seen.append(code)
        arrived.set()

    def stopped() -> None:
        seen.append("stop")
        arrived.set()

    monkeypatch.setattr(os, "_exit", exited)
    with kept_signal_handlers(), anyio.fail_after(PATIENCE):
        handle_signals(stopped)
        os.kill(os.getpid(), number)
        await arrived.wait()
        assert seen == ["stop"]
        arrived = anyio.Event()
        os.kill(os.getpid(), number)
        await arrived.wait()
    assert seen[1] == 0


async def test_where_the_loop_takes_no_signals_a_handler_of_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = anyio.Event()

    def unsupported(number: int, handle: Callable[[], None]) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", unsupported)
    with kept_signal_handlers(), anyio.fail_after(PATIENCE):
        handle_signals(stopped.set)
        os.kill(os.getpid(), signal.SIGTERM)
        await stopped.wait()


@pytest.mark.parametrize("how", ["eof", "signal"])
@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "sdk"])
async def test_the_tools_are_served_on_stdin_and_stdout_until_the_host_ends_it(
    tmp_path: Path, how: str, fast_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_by_fast_path: list[str] = []
    handle = FastPath.try_handle

    def noted(self: FastPath, message: dict[str, Any]) -> bool:
        seen_by_fast_path.append(message["method"])
        return handle(self, message)

    monkeypatch.setattr(FastPath, "try_handle", noted)
    pipes = StandardPipes()
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", preset="jsonrpc2")) as bridge:
        with standard_descriptors(pipes.stdin, pipes.stdout, pipes.stderr), kept_signal_handlers():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(serve_tools, ToolService(bridge), fast_path=fast_path))
                os.write(pipes.to_stdin, json.dumps(OPENING).encode() + b"\n")
                with anyio.fail_after(PATIENCE):
                    await anyio.wait_readable(pipes.from_stdout)
                    answer = os.read(pipes.from_stdout, 1 << 16)
                if how == "eof":
                    os.close(pipes.to_stdin)
                else:
                    os.kill(os.getpid(), signal.SIGTERM)
    assert json.loads(answer)["result"]["protocolVersion"] == "2025-11-25"
    assert seen_by_fast_path == (["initialize"] if fast_path else [])
    pipes.close(*([pipes.to_stdin] if how == "eof" else []))
