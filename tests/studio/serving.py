"""A live bridge for a manifest, as the page has one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from utcp_ws_mcp.client.manifest_files import LoadedManifest, load_manifest
from utcp_ws_mcp.studio.live_bridge import LiveBridge


def load(folder: Path, document: Any, **environ: str) -> LoadedManifest:
    """Load a manifest from a file of the folder."""
    file = folder / "manifest.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return load_manifest(file, environ)


@asynccontextmanager
async def serving(folder: Path, document: Any, **environ: str) -> AsyncIterator[LiveBridge]:
    """Serve a manifest until the end of the block."""
    live = LiveBridge()
    async with anyio.create_task_group() as tasks:
        await live.serve(
            load(folder, document, **environ), "text", lambda coroutine: tasks.start_soon(lambda: coroutine)
        )
        yield live
        live.close()
    assert not live.is_open
