"""An agent for tests: the SDK's client of `author` in this process, with grants and a person who answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client

from tests.peer import Peer
from utcp_ws_mcp.authoring.folder import ManifestFolder
from utcp_ws_mcp.authoring.grants import Grants, HostPattern, VariableGrant
from utcp_ws_mcp.authoring.server import AuthorServer, AuthorTools
from utcp_ws_mcp.authoring.workspace import Workspace

BOTH_ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["2026-07-28", "handshake"])


@dataclass
class Agent:
    """A client, and what the person was asked."""

    client: Client
    workspace: Workspace
    questions: list[str] = field(default_factory=list)

    async def call(self, tool: str, /, **arguments: Any) -> str:
        """The text of a result that is no error."""
        result = await self.client.call_tool(tool, arguments)
        text = "\n".join(block.text for block in result.content)
        assert not result.is_error, text
        return text

    async def fail(self, tool: str, /, **arguments: Any) -> str:
        """The text of a result that is an error."""
        result = await self.client.call_tool(tool, arguments)
        text = "\n".join(block.text for block in result.content)
        assert result.is_error, text
        return text

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self.client.list_tools()).tools]


def host_of(seen: Peer) -> str:
    return f"localhost:{seen.port}"


@asynccontextmanager
async def agent(
    folder: Path,
    *hosts: str,
    mode: str = "auto",
    variables: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
    answer: Callable[[str], bool | None] | None = None,
    **options: Any,
) -> AsyncIterator[Agent]:
    """An agent of a server over a folder; `answer` is the person, who is asked where it is given."""
    grants = Grants(
        [HostPattern.parse(each) for each in hosts],
        [VariableGrant.parse(each) for each in variables],
        environ or {},
    )
    workspace = Workspace(ManifestFolder.open(folder), grants)
    asked: list[str] = []

    async def elicit(_: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        allowed = answer(params.message) if answer is not None else None
        if allowed is None:
            return types.ElicitResult(action="decline")
        return types.ElicitResult(action="accept", content={"allow": allowed})

    if answer is not None:
        options["elicitation_callback"] = elicit
    async with workspace.open_bridge() as bridge:
        server = AuthorServer(AuthorTools(workspace, bridge)).server
        async with Client(server, mode=mode, **options) as client:
            yield Agent(client, workspace, asked)
