"""What an open bridge shows, finds, and waits for: its call templates, tools and connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, CallerValueMissing, DiscoveryTimeout
from ..manifest.entries import DisabledEntry, ManifestEntry
from .discovery import DiscoveryManager
from .manifest_files import LoadedManifest
from .pool.manager import PoolManager
from .pool.status import PoolStats
from .tool_repository import ToolRepository

if TYPE_CHECKING:
    from .approvals import WithheldTool


class BridgeStatus:
    """The part of `Bridge` that only reads and waits: it changes nothing, and calls no tool."""

    _repository: ToolRepository
    _discovery_manager: DiscoveryManager
    _pool_manager: PoolManager

    @property
    def entries(self) -> list[ManifestEntry]:
        """The call templates in use."""
        return self._repository.entries

    @property
    def disabled_entries(self) -> list[DisabledEntry]:
        """The call templates that are not in use, because variables are missing."""
        return self._repository.disabled_entries

    @property
    def tools(self) -> Mapping[str, CompiledTool]:
        """The tools that are known now by `manual.tool`, in the order of the manifests."""
        return self._repository.tools

    @property
    def manifests(self) -> Sequence[LoadedManifest]:
        """The loaded manifests."""
        return self._repository.manifests

    @property
    def awaiting_callers(self) -> frozenset[str]:
        """The names of the call templates that need values of a caller; this bridge does not call their tools."""
        return self._repository.awaiting_callers

    @property
    def withheld(self) -> Mapping[str, str]:
        """The reasons why tools are not offered, by `manual.tool`: they changed, or were never approved."""
        return {name: tool.reason for name, tool in self._repository.withheld.items()}

    @property
    def withheld_tools(self) -> Mapping[str, WithheldTool]:
        """The tools that are not offered, by `manual.tool`: `reason`, `definition`, and the `digest` to approve."""
        return self._repository.withheld

    @property
    def discovery_errors(self) -> dict[str, BridgeError]:
        """The last error of each discovery that has not succeeded since, by the name of the call template."""
        return self._discovery_manager.errors

    @property
    def is_ready(self) -> bool:
        """Whether the manual of each endpoint that announces one is known, or its discovery has failed once."""
        return self._discovery_manager.all_were_attempted

    def stats(self, manual: str) -> PoolStats:
        """Return the status of the connections of a manual."""
        return self._pool_manager.stats(manual)

    async def wait_discovered(self, seconds: float) -> bool:
        """Wait until the first discovery of every endpoint has ended, at most `seconds`; return whether all have."""
        return await self._discovery_manager.wait_all(seconds)

    async def wait_discovery_errors(self, seconds: float) -> dict[str, BridgeError]:
        """Wait like `wait_discovered`; return why tools are missing, by the name of the call template.

        An endpoint whose first discovery has not ended is among them.
        """
        await self.wait_discovered(seconds)
        pending = {name: DiscoveryTimeout(name, seconds) for name in self._discovery_manager.pending}
        return {**self.discovery_errors, **pending}

    async def wait_manual_discovered(self, name: str) -> None:
        """Wait until the endpoint of a call template has returned its manual; return at once without discovery.

        Raises:
            BridgeError: if discovery fails.
        """
        await self._discovery_manager.wait_discovered(name)

    async def wait_fast_discovery(self, seconds: float) -> None:
        """Wait like `wait_discovered`, but not for endpoints that take much longer than the first ones."""
        await self._discovery_manager.wait_for_fast(seconds)

    async def input_schema(self, name: str) -> Mapping[str, Any]:
        """Return the JSON Schema of the arguments of `manual.tool`.

        Raises:
            UnknownTool: if there is no such tool.
        """
        return (await self._find_tool(name)).inputs

    async def _find_tool(self, name: str) -> CompiledTool:
        """Return a tool. If it is unknown, wait for the first discovery of the endpoint that may have it."""
        if (tool := self._repository.find(name)) is None:
            await self._discovery_manager.find_tool(name, lambda: self._repository.find(name))
            tool = self._repository.find(name)
        if tool is None:
            raise self.unknown_tool(name)
        return tool

    @property
    def _callable_tools(self) -> Mapping[str, CompiledTool]:
        awaiting = self.awaiting_callers
        return {name: tool for name, tool in self.tools.items() if tool.manual not in awaiting}

    def _check_callable(self, tool: CompiledTool) -> None:
        """Raise CallerValueMissing for a tool with stand-ins for the values of a caller."""
        if tool.manual in self._repository.awaiting_callers:
            raise CallerValueMissing(tool.full_name)

    def unknown_tool(self, name: str, server_name: str | None = None) -> BridgeError:
        """Return the error for a name that no tool has: UnknownTool, or why its call template has no tools.

        `server_name` is the name of this server in the host, where tools may be offered without it; None if no host
        calls.
        """
        return self._repository.unknown_tool(name, self.discovery_errors, server_name)
