"""The communication protocol "websocket" of a `UtcpClient`: a bridge whose call templates the client registers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from utcp.data.call_template import CallTemplate
from utcp.data.register_manual_response import RegisterManualResult
from utcp.interfaces.communication_protocol import CommunicationProtocol
from utcp.utcp_client import UtcpClient

from ...bridge import Bridge
from ...client.manifest_files import LoadedManifest
from ...core.exchange.result import StreamResult
from ...errors import InvalidManifest
from ...manifest.models.base import Json
from ...observability.events import Event, WarningIssued
from .entries import load_manual, load_standalone_tool
from .manual import build_manual
from .template import WEBSOCKET, WebSocketCallTemplateSerializer

logger = logging.getLogger(__name__)


class WebSocketProtocol(CommunicationProtocol):  # type: ignore[misc]  # utcp ships no types
    """Discovers and calls the WebSocket tools of one client.

    The bridge starts with the first registration and ends with `close`. It runs in its own task, because a task group
    must be left by the task that entered it, and the client calls the methods from any task.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, LoadedManifest] = {}
        self._manual_documents: dict[str, Mapping[str, Json]] = {}
        self._standalone_tools: dict[str, CallTemplate] = {}
        self._task: asyncio.Task[None] | None = None
        self._bridge: asyncio.Future[Bridge]
        self._closing = asyncio.Event()

    async def register_manual(self, caller: UtcpClient, manual_call_template: CallTemplate) -> RegisterManualResult:
        """Request the manual of an endpoint, or use the tools that the call template lists.

        Raises:
            ValueError: If the call template is invalid, with every problem of it.
            BridgeError: If the endpoint announced no tools; a failure of the network is a ConnectionError as well.
        """
        name = manual_call_template.name
        try:
            bridge = await self._add_manual(caller, manual_call_template)
            await bridge.wait_manual_discovered(name)
        except InvalidManifest as invalid:
            raise ValueError(str(invalid)) from invalid
        except BaseException:  # also when cancelled: a manual that failed must not stay registered
            self._remove_manual(name)
            raise
        document = self._manual_documents.get(name) or WebSocketCallTemplateSerializer().to_dict(manual_call_template)
        tools = [tool for tool in bridge.tools.values() if tool.manual == name]
        manual = build_manual(manual_call_template, document, tools)
        return RegisterManualResult(manual_call_template=manual_call_template, manual=manual, success=True)

    async def deregister_manual(self, caller: UtcpClient, manual_call_template: CallTemplate) -> None:
        """Remove a manual. Running calls finish before its connections are closed."""
        self._remove_manual(manual_call_template.name)

    async def call_tool(
        self, caller: UtcpClient, tool_name: str, tool_args: dict[str, Any], tool_call_template: CallTemplate
    ) -> Any:
        """Call `manual.tool` and return its result; that of a stream is one JSON value, as `collect` defines it.

        Raises:
            BridgeError: If the call fails: an error reply, invalid arguments, a timeout, no connection, …
        """
        bridge, name = await self._resolve_tool(caller, tool_name, tool_call_template)
        result = await bridge.call_tool(name, tool_args)
        return result.value if isinstance(result, StreamResult) else result

    async def call_tool_streaming(
        self, caller: UtcpClient, tool_name: str, tool_args: dict[str, Any], tool_call_template: CallTemplate
    ) -> AsyncGenerator[Any]:
        """Call `manual.tool` and yield each item when it arrives.

        A tool without rules for its replies has UTCP's stream framing; one with rules and without a stream yields its
        one result.

        Raises:
            BridgeError: As `call_tool` does.
        """
        bridge, name = await self._resolve_tool(caller, tool_name, tool_call_template)
        async with aclosing(bridge.call_tool_streaming(name, tool_args, utcp_framing=True)) as items:
            async for item in items:
                yield item

    async def close(self) -> None:
        """Close all connections with code 1001. Running calls fail; their errors have the outcome of the request."""
        task, self._task = self._task, None
        if task is not None:
            self._closing.set()
            await task

    async def _start(self) -> Bridge:
        if self._task is None:
            self._closing = asyncio.Event()
            self._bridge = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(), name="utcp-ws-mcp")
        return await asyncio.shield(self._bridge)

    async def _run(self) -> None:
        async with Bridge([*self._loaded.values()], observe=_log_warning) as bridge:
            bridge.on_manual_discovered.append(self._manual_documents.__setitem__)
            self._bridge.set_result(bridge)
            await self._closing.wait()

    async def _add_manual(self, caller: UtcpClient, template: CallTemplate) -> Bridge:
        """Add the call template of a manual to the bridge."""
        loaded = load_manual(caller, template)
        bridge = await self._start()
        self._loaded[template.name] = loaded
        bridge.reload([*self._loaded.values()])
        return bridge

    def _remove_manual(self, name: str) -> None:
        self._manual_documents.pop(name, None)
        if self._loaded.pop(name, None) is not None and self._task is not None:
            self._bridge.result().reload([*self._loaded.values()])

    async def _resolve_tool(self, caller: UtcpClient, tool_name: str, template: CallTemplate) -> tuple[Bridge, str]:
        """Return the bridge and the name of the tool in it; load a manual that only the client's repository knows."""
        manual = tool_name.partition(".")[0]
        if manual not in self._loaded:
            owner = await caller.config.tool_repository.get_manual_call_template(manual)
            if owner is None or owner.call_template_type != WEBSOCKET:
                return await self._load_standalone_tool(caller, tool_name, template)
            await (await self._add_manual(caller, owner)).wait_manual_discovered(manual)
        bridge = await self._start()
        # The client adds no second `manual.` to a tool whose own name begins with it.
        doubled = f"{manual}.{tool_name}"
        return bridge, doubled if doubled in bridge.tools else tool_name

    async def _load_standalone_tool(
        self, caller: UtcpClient, tool_name: str, template: CallTemplate
    ) -> tuple[Bridge, str]:
        """Load a tool whose manual is of another type, such as a text or an OpenAPI description, as its own entry."""
        tool = tool_name.partition(".")[2]
        if self._standalone_tools.get(tool_name) != template:
            self._loaded[tool_name] = load_standalone_tool(caller, tool_name, tool, template)
            self._standalone_tools[tool_name] = template
            (await self._start()).reload([*self._loaded.values()])
        return await self._start(), f"{tool_name}.{tool}"


def _log_warning(event: Event) -> None:
    if isinstance(event, WarningIssued):
        logger.warning(event.text)
