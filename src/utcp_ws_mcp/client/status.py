"""What an open bridge shows: its call templates, tools, connections and feeds."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.tools.tool import CompiledTool
from ..errors import BridgeError
from ..manifest.bound_variables import DisabledEntry
from ..manifest.loader import ManifestEntry
from .approvals import WithheldTool
from .discovery import DiscoveryManager
from .feeds.lazy import LazyFeeds
from .pool.entry import PoolStats
from .pool.manager import PoolManager
from .tool_repository import ToolRepository

TYPE_CHECKING = False  # not from `typing`: type checkers accept it, and nothing is imported for it
if TYPE_CHECKING:
    from .feeds.manager import FeedInstance


class BridgeStatus:
    """The part of `Bridge` that only reads."""

    _repository: ToolRepository
    _discovery_manager: DiscoveryManager
    _pool_manager: PoolManager
    _feeds: LazyFeeds

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

    def stats(self, manual: str) -> PoolStats:
        """Return the status of the connections of a manual."""
        return self._pool_manager.stats(manual)

    def feed_instances(self) -> list[FeedInstance]:
        """Return the feeds that have been opened, one for each set of arguments."""
        return self._feeds.instances()
