"""Reload manifests when their files change."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest, load_manifest
from ..errors import InvalidManifest, Problem
from ..manifest.variables import CallerValues

logger = logging.getLogger(__name__)

POLL_INTERVAL: Final = 0.5
"""Seconds between two checks. A change counts once two checks in a row see the same: editors write in steps."""

Load = Callable[[str], LoadedManifest]
"""Loads the manifest of a file."""

FileSignatures = tuple[tuple[int, int, int] | None, ...]
"""Modification time, size and inode of each file; None for a missing one."""


@asynccontextmanager
async def watch_manifests(
    bridge: Bridge,
    loaded: Sequence[LoadedManifest],
    env_files: Sequence[Path],
    callers: CallerValues | None = None,
) -> AsyncIterator[None]:
    """Reload the manifests of an open bridge whenever one of their files changes, until the block ends."""
    load = partial(load_manifest, env_files=env_files, callers=callers)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_poll, bridge, loaded, load)
        yield
        tasks.cancel_scope.cancel()


async def _poll(bridge: Bridge, loaded: Sequence[LoadedManifest], load: Load) -> None:
    current = previous = _file_signatures(loaded)
    while True:
        await anyio.sleep(POLL_INTERVAL)
        now = _file_signatures(loaded)
        stable, previous = now == previous, now
        if now != current and stable:
            loaded = _reload(bridge, loaded, load)
            current = now


def _reload(bridge: Bridge, loaded: Sequence[LoadedManifest], load: Load) -> Sequence[LoadedManifest]:
    """Read the manifests again; return them, or the old ones if one of the new ones is invalid."""
    try:
        reloaded = [load(each.manifest.source) for each in loaded]
        _check_has_entries(reloaded)
        bridge.reload(reloaded)
    except InvalidManifest as invalid:
        more = f" (and {len(invalid.problems) - 1} more)" if len(invalid.problems) > 1 else ""
        logger.warning("%s%s; the tools are not changed", invalid.problems[0].format(invalid.source), more)
        return loaded
    except Exception:  # an edit must not end the server, whatever the file contains
        logger.exception("internal error while the manifests were reloaded")
        return loaded
    for each in reloaded:
        for disabled in each.manifest.disabled:
            logger.warning("%s: %s", each.manifest.source, disabled.error())
    logger.info("the manifests were reloaded: %d tools", len(bridge.tools))
    return reloaded


def _check_has_entries(loaded: Sequence[LoadedManifest]) -> None:
    """Raise InvalidManifest if variables are missing for every call template, so that no tool would be left."""
    if not any(each.manifest.entries for each in loaded):
        for each in loaded:
            missing = [disabled.error() for disabled in each.manifest.disabled]
            problems = [Problem("", error.message, code=error.code) for error in missing]
            raise InvalidManifest(each.manifest.source, problems)


def _file_signatures(loaded: Sequence[LoadedManifest]) -> FileSignatures:
    return tuple(_stat_signature(file) for each in loaded for file in each.files)


def _stat_signature(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
