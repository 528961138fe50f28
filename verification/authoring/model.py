"""The scripted model: it calls the tools of `author` as a plan says, and counts what a model would read and write."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

CHARACTERS_PER_TOKEN: Final = 4
"""An estimate: no tokenizer of a model is installed."""


@dataclass(slots=True)
class ScriptedModel:
    """A model whose every word is fixed.

    Attributes:
        client: The MCP client of its host.
        values: What stands for `$URL` and others in its plan.
        calls: The calls of tools so far.
        read: Characters that it has read: documentation, definitions of tools, results.
        written: Characters that it has written: names and arguments of calls.
    """

    client: Client
    values: Mapping[str, str]
    calls: int = 0
    read: int = 0
    written: int = 0
    failures: list[str] = field(default_factory=list)

    async def begin(self, documentation: str) -> None:
        """Read the documentation, the instructions of the server and the definitions of its tools."""
        listed = await self.client.list_tools()
        definitions = (tool.model_dump_json(by_alias=True, exclude_unset=True) for tool in listed.tools)
        self.read += len(documentation) + len(self.client.instructions or "") + sum(map(len, definitions))

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Call a tool and return the text of its result."""
        filled = fill(arguments, self.values)
        self.calls += 1
        self.written += len(tool) + len(json.dumps(filled))
        try:
            result = await self.client.call_tool(tool, filled)
        except MCPError as failed:  # such as a tool that is not there
            self.failures.append(f"{tool}: {failed}")
            return ""
        text = "\n".join(getattr(block, "text", "") for block in result.content)
        self.read += len(text)
        if result.is_error:
            self.failures.append(f"{tool}: {text}")
        return text

    @property
    def tokens_read(self) -> int:
        """Return the tokens that it has read, about."""
        return self.read // CHARACTERS_PER_TOKEN

    @property
    def tokens_written(self) -> int:
        """Return the tokens that it has written, about."""
        return self.written // CHARACTERS_PER_TOKEN


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """Return a part of a plan with the values of `$NAME` in its texts."""
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(f"${name}$", text)
        return value
    if isinstance(value, Mapping):
        return {key: fill(item, values) for key, item in value.items()}
    return [fill(item, values) for item in value] if isinstance(value, list) else value


@asynccontextmanager
async def scripted_model(
    folder: Path, options: Sequence[str], values: Mapping[str, str], environ: Mapping[str, str]
) -> AsyncIterator[ScriptedModel]:
    """A model in a host that starts `author` with these options, without elicitation."""
    command = ["-m", "utcp_ws_mcp", "author", str(folder), *options]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=dict(environ))
    async with Client(stdio_client(parameters)) as client:
        yield ScriptedModel(client, values)
