"""The bridge between WebSocket APIs and AI agents: UTCP manifests in, tools out.

async with Bridge.open("manifest.json") as bridge:
    print(await bridge.call_tool("stocks.quote", {"symbol": "ACME"}))
"""

from .bridge import Bridge, Streamed
from .errors import (
    BridgeError,
    CallError,
    CallTimeout,
    InvalidArguments,
    InvalidManifest,
    InvalidReply,
    ManifestError,
    NetError,
    PolicyError,
    ToolFault,
    UnknownTool,
)
from .sources import load_manifest
from .version import __version__

__all__ = [
    "Bridge",
    "BridgeError",
    "CallError",
    "CallTimeout",
    "InvalidArguments",
    "InvalidManifest",
    "InvalidReply",
    "ManifestError",
    "NetError",
    "PolicyError",
    "Streamed",
    "ToolFault",
    "UnknownTool",
    "__version__",
    "load_manifest",
]
