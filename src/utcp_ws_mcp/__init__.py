"""The bridge between WebSocket APIs and AI agents: UTCP manifests in, tools out.

async with Bridge.open("manifest.json") as bridge:
    print(await bridge.call_tool("stocks.quote", {"symbol": "ACME"}))
"""

from typing import Any, Final

__version__ = "0.1.0"
USER_AGENT = f"utcp-ws-mcp/{__version__}"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .bridge import Bridge, StreamResult
    from .client.manifest_files import load_manifest
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

_LAZY_EXPORTS: Final = {"Bridge": "bridge", "StreamResult": "bridge", "load_manifest": "client.manifest_files"}
"""Where names of the API are defined; all others in `errors`."""


def __getattr__(name: str) -> Any:
    """A name of the API, imported when it is first asked for: the command line decides first what it needs."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LAZY_EXPORTS.get(name, 'errors')}", __name__), name)
