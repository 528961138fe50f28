"""The session that `demo` shows, with the server in this process, and the endpoint alone."""

from __future__ import annotations

import errno
import itertools
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import EmbeddedResource, TextResourceContents

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.demo import endpoint
from utcp_ws_mcp.demo import session as module
from utcp_ws_mcp.demo.endpoint import draw_square, manual
from utcp_ws_mcp.server.sdk_server import SdkServer
from utcp_ws_mcp.server.tools import ListOptions, ToolService

from ..peer import PATIENCE

Started = list[Any]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Serve in this process what a host would start, and note how it would be started; a step takes half a second."""
    commands: Started = []

    @asynccontextmanager
    async def client(command: Any) -> AsyncIterator[Client]:
        commands.append(command)
        async with Bridge.open(Path(command.args[-1]), environ={}) as bridge:
            listing = ListOptions(timeout=float(command.args[-2]))
            async with Client(SdkServer(ToolService(bridge, listing=listing)).server) as connected:
                yield connected

    clock = itertools.count(0, 0.5)
    monkeypatch.setattr(module, "Client", client)
    # Not in the module `time` itself: Hypothesis measures garbage collections with it.
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(endpoint, "COUNTDOWN_INTERVAL", 0)
    return commands


async def test_a_whole_session_is_printed_and_each_call_has_the_outcome_that_it_shows(
    started: Started, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "here")
    assert await module.run_demo(0, print) is True
    said = capsys.readouterr().out
    (command,) = started
    assert (command.command, command.args[:-1], command.env) == (
        sys.executable, ["-m", "utcp_ws_mcp", "--list-timeout", "30"], {"PYTHONPATH": "here"}
    )  # fmt: skip
    assert not Path(command.args[-1]).exists()
    url = re.search(r"1\. A WebSocket endpoint that speaks UTCP runs at (ws://127\.0\.0\.1:\d+/)\n", said)
    assert url is not None
    assert said.startswith("An agent uses WebSocket tools through MCP.\n\n1. ")
    assert f"that you write:  {json.dumps({'name': 'demo', 'url': url[1]})}\n" in said
    assert "3. An MCP client starts  python -m utcp_ws_mcp manifest.json  and is connected after 0.5 s\n\n" in said
    lines = said.splitlines()
    at = lines.index("tools/list: the 5 tools that the endpoint announced")
    assert lines[at + 1] == "  demo_add         Add two numbers."
    assert len(lines[at : lines.index("", at)]) == 6
    assert "\ntools/call: one of each kind\n" in said
    calls = lines[lines.index("tools/call: one of each kind") + 1 : lines.index("", at + 8)]
    assert calls[:6] == [
        '  demo_add {"a": 2, "b": 3}   (JSON in, JSON out)',
        '    → {"sum":5}   [500 ms]',
        '  demo_shout {"text": "hello"}   (a text protocol)',
        "    → HELLO!   [500 ms]",
        '  demo_picture {"colour": "#3366cc"}   (a binary reply becomes an image)',
        f"    → image/png, {len(draw_square('#3366cc'))} bytes   [500 ms]",
    ]
    assert calls[6:11] == ['  demo_countdown {"start": 3}   (a stream, with progress)', *(f"    … {n}" for n in "3210")]
    errors = [line for line in calls if line.startswith("    error ")]
    assert len(errors) == 2
    assert "division by zero" in errors[0]
    assert re.search(r"\nThis was MCP [\d-]+ over stdio\. To connect your own endpoint, see README\.md\.\n$", said)


async def test_an_outcome_that_is_not_the_expected_one_is_a_failure(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(module, "CALLS", module.CALLS[::-1])
    assert await module.run_demo(0, print) is False
    assert started[0].env is None


async def test_the_endpoint_alone_says_how_to_use_it_until_it_is_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    with anyio.move_on_after(PATIENCE) as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(module.serve_endpoint, 0, print)
            said = ""
            while "tools demo.json\n" not in said:
                await anyio.lowlevel.checkpoint()
                said += capsys.readouterr().out
            tasks.cancel_scope.cancel()
    assert not scope.cancelled_caught
    found = re.match(r"The demo endpoint runs at (ws://127\.0\.0\.1:\d+/) \(press Ctrl-C to stop it\)\.\n", said)
    assert found is not None
    manifest = json.dumps({"name": "demo", "url": found[1]})
    assert said.splitlines()[1:] == [
        f"Save this as demo.json: {manifest}",
        "Then run in another terminal: utcp-ws-mcp tools demo.json",
    ]


async def test_a_port_that_is_in_use_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert await module.serve_endpoint(port, print) is False
    said = capsys.readouterr().err
    assert said.startswith(f"port {port} is in use, perhaps by another demo.")
    assert "[port-in-use]" in said


async def test_another_error_of_the_network_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def refuse(port: int) -> AsyncIterator[int]:
        raise OSError(errno.EACCES, "denied")
        yield port

    monkeypatch.setattr(module, "demo_endpoint", refuse)
    with pytest.raises(OSError, match="denied"):
        await module.serve_endpoint(1, print)


def test_a_block_of_another_type_is_shown_by_its_type() -> None:
    resource = TextResourceContents(uri="x:y", text="z")
    assert module._format_block(EmbeddedResource(type="resource", resource=resource)) == "resource"


def test_a_tool_needs_the_arguments_that_have_no_default_and_no_others() -> None:
    tools = {tool["name"]: tool["inputs"] for tool in manual()["tools"]}
    assert {name: inputs["required"] for name, inputs in tools.items()} == {
        "add": ["a", "b"], "divide": ["a", "b"], "shout": ["text"], "picture": [], "countdown": ["start"]
    }  # fmt: skip
    assert {inputs["additionalProperties"] for inputs in tools.values()} == {False}
    assert {json.dumps(tool["annotations"]) for tool in manual()["tools"]} == {
        json.dumps({"readOnlyHint": True, "openWorldHint": False})
    }
