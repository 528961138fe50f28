"""Expose WebSocket APIs as tools: UTCP manifests in, tools out.

async with Bridge.open("manifest.json") as bridge:
    print(await bridge.call_tool("stocks.quote", {"symbol": "ACME"}))
"""

from typing import TYPE_CHECKING, Any, Final

__version__ = "0.1.0"
USER_AGENT = f"utcp-ws-mcp/{__version__}"

if TYPE_CHECKING:
    from .bridge import Bridge
    from .client.feeds.reading import FeedGap, FeedItem
    from .client.manifest_files import load_manifest
    from .core.exchange.result import StreamResult
    from .errors import (
        BridgeError,
        CallError,
        CallTimeout,
        InvalidArguments,
        InvalidManifest,
        InvalidReply,
        ManifestError,
        NetworkError,
        PolicyError,
        ToolError,
        UnknownTool,
    )

__all__ = [
    "Bridge",
    "BridgeError",
    "CallError",
    "CallTimeout",
    "FeedGap",
    "FeedItem",
    "InvalidArguments",
    "InvalidManifest",
    "InvalidReply",
    "ManifestError",
    "NetworkError",
    "PolicyError",
    "StreamResult",
    "ToolError",
    "UnknownTool",
    "__version__",
    "load_manifest",
]

_LAZY_EXPORTS: Final = {
    "Bridge": "bridge",
    "FeedGap": "client.feeds.reading",
    "FeedItem": "client.feeds.reading",
    "StreamResult": "core.exchange.result",
    "load_manifest": "client.manifest_files",
}
"""The modules of the names that `errors` does not define."""


def __getattr__(name: str) -> Any:
    """Return a name of the API, imported on first access.

    The command line imports this package before it knows which command runs; an eager import would cost every start.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LAZY_EXPORTS.get(name, 'errors')}", __name__), name)
