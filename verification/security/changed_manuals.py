"""S10: a discovered tool that is no longer what was approved is withheld, and nothing else is.

A manual is told once, and in a second run one of many mutations of it. Oracle: what an MCP client is shown and can call
in the second run, and what the endpoint then receives. The name of a changed tool must be gone, or the operator told; a
new tool must be told of; every other tool must look and do as before under its own name, and nothing is told of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mcp import Client
from mcp.shared.exceptions import MCPError
from websockets.asyncio.server import ServerConnection

from utcp_ws_mcp.observability import events
from utcp_ws_mcp.server.sdk_server import SdkServer
from utcp_ws_mcp.server.tools import ToolService
from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.security.bridges import STEP_TIMEOUT, open_bridge
from verification.security.endpoint import echo, endpoint, manual_of
from verification.security.tampering import BASE, Mutation, mutations

ListedTools = dict[str, tuple[Any, Any]]
"""By MCP name: how a tool is listed, and the message that a call of it sends (None where it sends none)."""


class ChangeableManual:
    """An endpoint whose manual can be exchanged, and a host that looks at it, each time in a new run of the bridge."""

    def __init__(self, folder: Path) -> None:
        self.tools: Sequence[Any] = BASE
        self._folder = folder
        self._received: list[Any] = []

    def manual(self) -> dict[str, Any]:
        """What the endpoint tells now."""
        return manual_of(*self.tools)

    async def answer(self, connection: ServerConnection, message: Any) -> None:
        """Remember and echo a message."""
        self._received.append(message)
        await echo(connection, message)

    async def list_and_call(self, url: str) -> tuple[ListedTools, str]:
        """What a host sees and gets, and what the operator is told."""
        told: list[events.Event] = []
        document = {"name": "m", "url": url, "pin": "tofu", "timeout": 2}
        async with open_bridge(document, observe=told.append, folder=self._folder) as bridge:
            await bridge.wait_discovered(STEP_TIMEOUT)
            async with Client(SdkServer(ToolService(bridge)).server) as client:
                listed = {tool.name: tool.model_dump() for tool in (await client.list_tools()).tools}
                shown = {name: (form, await self._call(client, name)) for name, form in listed.items()}
        return shown, "\n".join(event.text for event in told if isinstance(event, events.WarningIssued))

    async def _call(self, client: Client, name: str) -> Any:
        self._received.clear()
        with suppress(MCPError):
            async with asyncio.timeout(STEP_TIMEOUT):
                await client.call_tool(name, {"n": 1})
        return self._received[0] if self._received else None


async def measure(size: Size) -> Sequence[Figure]:
    """Every mutation, each after the same first run."""
    with TemporaryDirectory() as name:
        manuals = ChangeableManual(Path(name))
        async with endpoint(manuals.answer, manual=manuals.manual) as asked:
            approved, _ = await manuals.list_and_call(asked.url)
            pins = (Path(name) / "pins.json").read_bytes()
            tried, wrong = 0, list[str]()
            for mutation in mutations():
                (Path(name) / "pins.json").write_bytes(pins)
                manuals.tools = mutation.tools
                problems = check_mutation(mutation, approved, *await manuals.list_and_call(asked.url))
                wrong += [f"{mutation.name}: {problem}" for problem in problems]
                tried += 1
    result = f"{len(wrong)} wrong in {tried}" + (f", such as {wrong[0]}" if wrong else "")
    return [Figure("S10", "mutations of a manual", result, "0 in >= 60", not wrong and tried >= 60)]


def check_mutation(mutation: Mutation, approved: ListedTools, now: ListedTools, warnings: str) -> list[str]:
    """What went wrong in the second run."""
    problems = []
    for name, before in approved.items():
        tool = before[1]["tool"]
        if tool not in mutation.changed:
            problems += [] if now.get(name) == before else [f"{tool} is no longer there as it was"]
            problems += [f"{tool} is complained of"] if f"m.{tool} is withheld" in warnings else []
        elif name in now:
            problems.append(f"{tool} is offered, though it has changed")
    problems += [f"nobody is told of {tool}" for tool in mutation.new if f"m.{tool}" not in warnings]
    return problems


if __name__ == "__main__":
    run(measure)
