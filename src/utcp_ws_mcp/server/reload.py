"""Take changes of manifests over while they are served."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest, load_manifest
from ..errors import InvalidManifest, MissingVariable, Problem
from ..observability.redaction import Redactor

logger = logging.getLogger(__name__)

POLL_INTERVAL: Final = 0.5
"""Seconds between two looks at the files; what has changed must then stay as it is for as long."""

FileSignatures = tuple[tuple[int, int, int] | None, ...]
"""Of each file, what shows that it has changed; None where it is not there."""


@asynccontextmanager
async def watch_manifests(
    bridge: Bridge, loaded: Sequence[LoadedManifest], env_files: Sequence[Path], redact: Redactor
) -> AsyncIterator[None]:
    """Reload the manifests of an open bridge whenever one of their files has changed."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_poll, bridge, loaded, env_files, redact)
        yield
        tasks.cancel_scope.cancel()


async def _poll(bridge: Bridge, loaded: Sequence[LoadedManifest], env_files: Sequence[Path], redact: Redactor) -> None:
    taken = before = _file_signatures(loaded)
    while True:
        await anyio.sleep(POLL_INTERVAL)
        now = _file_signatures(loaded)
        settled, before = now == before, now
        if now != taken and settled:
            loaded = _reload(bridge, loaded, env_files, redact)
            taken = now


def _reload(
    bridge: Bridge, loaded: Sequence[LoadedManifest], env_files: Sequence[Path], redact: Redactor
) -> Sequence[LoadedManifest]:
    """The manifests that hold now: those that were read anew, or the old ones if anything is wrong with the new."""
    try:
        again = [load_manifest(each.manifest.source, env_files=env_files) for each in loaded]
        _check_has_entries(again)
        redact.add_secrets(each.manifest for each in again)
        bridge.reload(again)
    except InvalidManifest as invalid:
        more = f" (and {len(invalid.problems) - 1} more)" if len(invalid.problems) > 1 else ""
        logger.warning("%s%s; the manifest stays as it was", invalid.problems[0].format(invalid.source), more)
        return loaded
    except Exception:  # whatever an edit holds, it must not end the server
        logger.exception("a defect of utcp-ws-mcp while the manifests were read again")
        return loaded
    for each in again:
        for disabled in each.manifest.disabled:
            logger.warning("%s: %s", each.manifest.source, MissingVariable(disabled.missing, disabled.name))
    logger.info("the manifests were read again: %d tools", len(bridge.tools))
    return again


def _check_has_entries(loaded: Sequence[LoadedManifest]) -> None:
    """Raise where nothing would be left to serve: variables are missing for all of it."""
    if not any(each.manifest.entries for each in loaded):
        for each in loaded:
            sentences = [str(MissingVariable(disabled.missing, disabled.name)) for disabled in each.manifest.disabled]
            raise InvalidManifest(each.manifest.source, [Problem("", sentence) for sentence in sentences])


def _file_signatures(loaded: Sequence[LoadedManifest]) -> FileSignatures:
    return tuple(_stat_signature(file) for each in loaded for file in each.files)


def _stat_signature(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
