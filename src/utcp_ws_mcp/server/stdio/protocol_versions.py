"""The revisions of MCP and the constants of the protocol that are used without the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

HANDSHAKE: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Revisions whose sessions begin with `initialize`."""

MODERN: Final = ("2026-07-28",)
"""Revisions in which each request names its revision in `_meta`."""

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO_KEY: Final = "io.modelcontextprotocol/serverInfo"
VERSION_WITHOUT_AUDIO: Final = "2024-11-05"
"""The revision without blocks of audio: its clients reject a result that has one."""

BATCH_VERSION: Final = "2025-03-26"
"""The revision in which a line may be a JSON-RPC batch; the next one has removed them."""

INTERNAL_ERROR: Final = -32603
INVALID_PARAMS: Final = -32602
METHOD_NOT_FOUND: Final = -32601
INVALID_REQUEST: Final = -32600
PARSE_ERROR: Final = -32700


def has_envelope(params: Mapping[str, Any]) -> bool:
    """Return whether a request names a revision, known or not."""
    meta = params.get("_meta")
    return isinstance(meta, dict) and VERSION_KEY in meta


def is_modern(params: Mapping[str, Any]) -> bool:
    """Return whether a request has the well-formed envelope of a modern revision."""
    meta = params.get("_meta")
    if not isinstance(meta, dict) or not isinstance(meta.get(CAPABILITIES_KEY), dict):
        return False
    return meta.get(VERSION_KEY) in MODERN
