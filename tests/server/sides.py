"""The two ways to the tools of a bridge, in this process: the SDK's server alone, and a stdio session over pipes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.server.sdk_server import SdkServer
from utcp_ws_mcp.server.stdio.session import StdioSession
from utcp_ws_mcp.server.tools import ToolService


@asynccontextmanager
async def sdk_client(bridge: Bridge, mode: str, **options: Any) -> AsyncIterator[Client]:
    """An MCP client of the SDK's server."""
    async with Client(SdkServer(ToolService(bridge)).server, mode=mode, **options) as client:
        yield client


@asynccontextmanager
async def session_client(bridge: Bridge, mode: str, **options: Any) -> AsyncIterator[Client]:
    """An MCP client of a stdio session."""
    async with Client(session_over_pipes(ToolService(bridge)), mode=mode, **options) as client:
        yield client


def sdk_server(tools: ToolService) -> Any:
    """What the SDK's client connects to for the SDK's server."""
    return SdkServer(tools).server


@asynccontextmanager
async def session_over_pipes(tools: ToolService) -> AsyncIterator[Any]:
    """A transport for the SDK's client whose other end is a session."""
    to_session, from_client = os.pipe()
    to_client, from_session = os.pipe()
    session = StdioSession(tools, to_session, from_session)
    incoming, received = anyio.create_memory_object_stream[SessionMessage | Exception](1000)
    sent, outgoing = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        rest = b""
        while True:
            await anyio.wait_readable(to_client)
            *lines, rest = (rest + os.read(to_client, 1 << 16)).split(b"\n")
            for line in lines:
                try:
                    await incoming.send(SessionMessage(jsonrpc_message_adapter.validate_json(line)))
                except anyio.BrokenResourceError:  # the client has gone
                    return

    async def write() -> None:
        async for item in outgoing:
            line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            os.write(from_client, line.encode() + b"\n")

    try:
        async with anyio.create_task_group() as tasks:
            with incoming, received, sent, outgoing:
                tasks.start_soon(read)
                tasks.start_soon(write)
                tasks.start_soon(session.run)
                yield received, sent
                session.stop()
                tasks.cancel_scope.cancel()
    finally:
        for fd in (to_session, from_client, to_client, from_session):
            os.close(fd)


BOTH_SIDES = pytest.mark.parametrize("side", [sdk_server, session_over_pipes], ids=["sdk", "session"])
BOTH_ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["2026-07-28", "handshake"])
