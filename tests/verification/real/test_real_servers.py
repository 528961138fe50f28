"""Node's debugger and aria2 work through their manifests with real MCP clients in both eras."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from tests.verification.real.servers import SECRET, aria2, inspect, node_inspector
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.observability.events import MessageReceived

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
TEST_TIMEOUT = 60


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    with node_inspector(tmp_path_factory.mktemp("node")) as started:
        yield started


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with aria2(tmp_path_factory.mktemp("aria2")) as manifest:
        yield manifest


@asynccontextmanager
async def open_client(manifest: Path, era: str, env: dict[str, str]) -> AsyncIterator[Client]:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "utcp_ws_mcp", str(manifest)], env={**os.environ, **env}
    )
    with anyio.fail_after(TEST_TIMEOUT):
        async with Client(command, mode="auto" if era == "modern" else "legacy") as client:
            yield client


@ERAS
async def test_the_python_client_evaluates_in_node(node: tuple[Path, dict[str, str]], era: str) -> None:
    manifest, env = node
    async with open_client(manifest, era, env) as client:
        assert "node_evaluate" in {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool("node_evaluate", {"expression": "1+1"})
        thrown = await client.call_tool("node_evaluate", {"expression": "missing.name"})
    assert result.structured_content is not None
    assert result.structured_content["value"] == 2
    assert thrown.is_error
    assert "ReferenceError: missing is not defined" in thrown.content[0].text


@ERAS
async def test_32_concurrent_calls_receive_their_own_replies(node: tuple[Path, dict[str, str]], era: str) -> None:
    manifest, env = node
    values: dict[int, Any] = {}
    async with open_client(manifest, era, env) as client:

        async def evaluate(number: int) -> None:
            code = f"await new Promise(done => setTimeout(() => done({number} * 7), {(number * 13) % 50}))"
            result = await client.call_tool("node_evaluate", {"expression": code})
            values[number] = result.structured_content["value"]  # type: ignore[index]

        async with anyio.create_task_group() as calls:
            for number in range(32):
                calls.start_soon(evaluate, number)
    assert values == {number: number * 7 for number in range(32)}


async def test_debugger_events_between_replies_are_dropped(
    node: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, env = node
    roles: list[str] = []

    def observe(event: Any) -> None:
        if isinstance(event, MessageReceived):
            roles.append(event.role)

    document = json.loads(manifest.read_text())
    enable = {
        "name": "enable",
        "tool_call_template": {"message": {"id": "{{ request_id }}", "method": "Runtime.enable"}},
    }
    document["tools"].append(enable)
    noisy = manifest.with_name("noisy.json")
    noisy.write_text(json.dumps(document))
    async with Bridge.open(noisy, environ=env, observe=observe) as bridge:
        await bridge.call_tool("node.enable")
        for number in range(50):
            result = await bridge.call_tool("node.evaluate", {"expression": f"console.log('between'), {number}"})
            assert result["value"] == number
    assert roles.count("reply") == 51
    assert roles.count("dropped") >= 50


@ERAS
def test_the_inspector_evaluates_in_node(node: tuple[Path, dict[str, str]], era: str) -> None:
    manifest, env = node
    listed = inspect(manifest, "tools/list", era=era, env=env)
    assert "node_evaluate" in {tool["name"] for tool in listed["tools"]}
    options = ["--tool-name", "node_evaluate", "--tool-args-json", json.dumps({"expression": "1+1"})]
    called = inspect(manifest, "tools/call", *options, era=era, env=env)
    assert called["structuredContent"]["value"] == 2


@ERAS
@pytest.mark.parametrize("secret", [SECRET, "wrong"])
async def test_aria2_accepts_the_correct_secret_and_rejects_a_wrong_one(downloads: Path, era: str, secret: str) -> None:
    async with open_client(downloads, era, {"ARIA2_SECRET": secret}) as client:
        result = await client.call_tool("aria2_version", {})
    assert result.is_error == (secret == "wrong")
    if result.is_error:
        assert result.content[0].text == "the endpoint said: Unauthorized (1) [tool-error]"
    else:
        assert result.structured_content is not None
        assert "BitTorrent" in result.structured_content["enabledFeatures"]


@ERAS
def test_the_inspector_gets_the_version_of_aria2(downloads: Path, era: str) -> None:
    env = {"ARIA2_SECRET": SECRET}
    assert "aria2_version" in {tool["name"] for tool in inspect(downloads, "tools/list", era=era, env=env)["tools"]}
    called = inspect(downloads, "tools/call", "--tool-name", "aria2_version", era=era, env=env)
    assert called["structuredContent"]["version"].startswith("1.")
