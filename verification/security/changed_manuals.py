"""S10: a discovered tool that differs from its approved definition is withheld, and no other tool is.

The endpoint returns a manual in the first run and one of many mutations of it in a second run. The measurement compares
the tools that an MCP client can list and call in both runs, and the messages that the endpoint receives. Pass criteria:
a changed tool is not listed; a warning names each new tool; every other tool is listed and works as before under the
same name, without a warning.
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
from verification.security.bridge_fixture import STEP_TIMEOUT, open_bridge
from verification.security.endpoint import echo, endpoint, manual_of
from verification.security.tampering import BASE, Mutation, mutations

ListedTools = dict[str, tuple[Any, Any]]
"""By MCP name: the listed tool, and the message that a call of it sends, or None."""


class ChangeableManual:
    """An endpoint whose manual can be replaced, and a host that uses it, each time with a new bridge."""

    def __init__(self, folder: Path) -> None:
        self.tools: Sequence[Any] = BASE
        self._folder = folder
        self._received: list[Any] = []

    def manual(self) -> dict[str, Any]:
        """Return the current manual."""
        return manual_of(*self.tools)

    async def answer(self, connection: ServerConnection, message: Any) -> None:
        """Record and echo a message."""
        self._received.append(message)
        await echo(connection, message)

    async def list_and_call(self, url: str) -> tuple[ListedTools, str]:
        """Return the tools as a host lists and calls them, and the text of the warnings."""
        observed: list[events.Event] = []
        document = {"name": "m", "url": url, "pin": "tofu", "timeout": 2}
        async with open_bridge(document, observe=observed.append, folder=self._folder) as bridge:
            await bridge.wait_discovered(STEP_TIMEOUT)
            async with Client(SdkServer(ToolService(bridge)).server) as client:
                listed = {tool.name: tool.model_dump() for tool in (await client.list_tools()).tools}
                tools = {name: (form, await self._call(client, name)) for name, form in listed.items()}
        return tools, "\n".join(event.text for event in observed if isinstance(event, events.WarningIssued))

    async def _call(self, client: Client, name: str) -> Any:
        self._received.clear()
        with suppress(MCPError):
            async with asyncio.timeout(STEP_TIMEOUT):
                await client.call_tool(name, {"n": 1})
        return self._received[0] if self._received else None


async def measure(size: Size) -> Sequence[Figure]:
    """Check every mutation, each with the pins of the same first run."""
    with TemporaryDirectory() as name:
        manuals = ChangeableManual(Path(name))
        async with endpoint(manuals.answer, manual=manuals.manual) as served:
            approved, _ = await manuals.list_and_call(served.url)
            pins = (Path(name) / "pins.json").read_bytes()
            count, failures = 0, list[str]()
            for mutation in mutations():
                (Path(name) / "pins.json").write_bytes(pins)
                manuals.tools = mutation.tools
                problems = check_mutation(mutation, approved, *await manuals.list_and_call(served.url))
                failures += [f"{mutation.name}: {problem}" for problem in problems]
                count += 1
    result = f"{len(failures)} failures in {count}" + (f", such as {failures[0]}" if failures else "")
    return [Figure("S10", "mutations of a manual", result, "0 in >= 60", not failures and count >= 60)]


def check_mutation(mutation: Mutation, approved: ListedTools, now: ListedTools, warnings: str) -> list[str]:
    """Return the violations of the second run."""
    problems = []
    for name, before in approved.items():
        tool = before[1]["tool"]
        if tool not in mutation.changed:
            problems += [] if now.get(name) == before else [f"{tool} is missing or differs"]
            withheld = f"m.{tool}: withheld" in warnings
            problems += [f"{tool} has a warning although it did not change"] if withheld else []
        elif name in now:
            problems.append(f"{tool} is listed although it changed")
    problems += [f"no warning names {tool}" for tool in mutation.new if f"m.{tool}" not in warnings]
    return problems


if __name__ == "__main__":
    run(measure)
