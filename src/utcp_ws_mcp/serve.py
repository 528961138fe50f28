"""Serve manifests over stdio: the bridge, its MCP face and the process, put together."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .bridge import Bridge
from .log import log_event, start_logging
from .mcp.server import Face
from .mcp.stdio import stdio_streams
from .redact import redactor_of
from .sources import Loaded


async def serve_stdio(loaded: Sequence[Loaded], log_level: str) -> int:
    """Serve until the host closes its end or sends a signal; 0 is the exit code."""
    redact = redactor_of(each.manifest for each in loaded)
    start_logging(log_level, redact)
    bridge = Bridge(loaded, observe=log_event)
    if sys.stdin.isatty():
        print("utcp-ws-mcp waits for an MCP host on stdin; try `utcp-ws-mcp tools` instead", file=sys.stderr)
    async with stdio_streams() as (reader, writer), bridge:
        face = Face(bridge, redact)
        await face.server.run(reader, writer, face.server.create_initialization_options())
    return 0
