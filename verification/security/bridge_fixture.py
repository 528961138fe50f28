"""Open a bridge for a document, isolated from this machine: no environment variables, no saved pins."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from utcp_ws_mcp import Bridge, InvalidManifest
from utcp_ws_mcp.client.dial import Resolver
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.observability.redaction import Redactor

JSONObject = dict[str, Any]
STEP_TIMEOUT = 20.0
"""Seconds after which a step of a measurement fails."""


@asynccontextmanager
async def open_bridge(
    document: Any,
    *,
    environ: Mapping[str, str] | None = None,
    resolver: Resolver | None = None,
    observe: events.Observer = events.noop,
    folder: Path | None = None,
    redactor: Redactor | None = None,
) -> AsyncIterator[Bridge]:
    """Open a bridge until the block ends. `folder` holds the manifest, its files and the pins; default: a new folder.

    Raises:
        InvalidManifest: if the document is invalid.
    """
    with TemporaryDirectory() as new:
        folder = Path(new) if folder is None else folder
        file = folder / "manifest.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        loaded = load_manifest(file, environ or {})
        pins = PinStore(folder / "pins.json")
        async with Bridge([loaded], observe=observe, resolver=resolver, pin_store=pins, redactor=redactor) as bridge:
            yield bridge


def loadable_tools(tools: Iterable[JSONObject], environ: Mapping[str, str] | None = None) -> list[JSONObject]:
    """Return the tools that a manifest accepts; the loader rejects the others before any connection.

    Each tool has a `tool_call_template` with a URL.
    """
    remaining = list(tools)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.json"
        while remaining:
            file.write_text(json.dumps({"tools": remaining}), encoding="utf-8")
            try:
                load_manifest(file, environ or {})
            except InvalidManifest as invalid:
                rejected = {_index(problem.path) for problem in invalid.problems}
                remaining = [tool for index, tool in enumerate(remaining) if index not in rejected]
            else:
                break
    return remaining


def _index(path: str) -> int:
    found = re.match(r"tools\[(\d+)\]", path)
    assert found is not None, path
    return int(found[1])
