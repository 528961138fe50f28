"""Serve the manifest of the session as it is typed, for the panels that call tools and watch endpoints."""

from __future__ import annotations

from typing import Final

from nicegui import background_tasks

from ...errors import InvalidManifest
from .context import PageContext

NOTHING_YET: Final = "The manifest is empty. Draft it from a conversation, or write it, first."


async def serve_typed(context: PageContext) -> str:
    """Serve the manifest as it is typed now, unless it is served already.

    Returns:
        Why it cannot be served; empty if it is.
    """
    session = context.session
    if session.manifest.is_new:
        return NOTHING_YET
    version = (session.manifest.text, tuple(sorted(session.typed_variables.items())))
    if session.live.served == version:
        return ""
    try:
        loaded = session.load()
    except InvalidManifest as invalid:
        more = f" (and {len(invalid.problems) - 1} more)" if len(invalid.problems) > 1 else ""
        return f"{invalid.problems[0].format(session.manifest.name)}{more}"
    await session.live.serve(loaded, version, background_tasks.create)
    return ""
