"""A bridge for a document, with nothing of this machine in it: no environment, no pins, no other resolver."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from utcp_ws_mcp import Bridge, InvalidManifest
from utcp_ws_mcp.client.dial import Resolver, system_resolver
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.observability import events

JSONObject = dict[str, Any]
STEP_TIMEOUT = 20.0
"""Seconds after which a step of a measurement has failed."""


@asynccontextmanager
async def open_bridge(
    document: Any,
    *,
    environ: Mapping[str, str] | None = None,
    resolver: Resolver = system_resolver,
    observe: events.Observer = events.noop,
    folder: Path | None = None,
) -> AsyncIterator[Bridge]:
    """An open bridge. `folder` holds the manifest, files that it names, and the pins; else it is a new one.

    Raises:
        InvalidManifest: if the document cannot be used.
    """
    with TemporaryDirectory() as new:
        folder = Path(new) if folder is None else folder
        file = folder / "manifest.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        loaded = load_manifest(file, environ or {})
        pins = PinStore(folder / "pins.json")
        async with Bridge([loaded], observe=observe, resolver=resolver, pin_store=pins) as bridge:
            yield bridge


def loadable_tools(tools: Iterable[JSONObject], environ: Mapping[str, str] | None = None) -> list[JSONObject]:
    """Those tools that a manifest may list; the others are refused before anything is opened.

    Each has a `tool_call_template` with a URL.
    """
    left = list(tools)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.json"
        while left:
            file.write_text(json.dumps({"tools": left}), encoding="utf-8")
            try:
                load_manifest(file, environ or {})
            except InvalidManifest as invalid:
                wrong = {_index(problem.path) for problem in invalid.problems}
                left = [tool for index, tool in enumerate(left) if index not in wrong]
            else:
                break
    return left


def _index(path: str) -> int:
    found = re.match(r"tools\[(\d+)\]", path)
    assert found is not None, path
    return int(found[1])
