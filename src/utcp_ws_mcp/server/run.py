"""Serve manifests over stdio: the bridge, its MCP face and the process, put together."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest
from ..observability.events import Observer, broadcast
from ..observability.logging import configure_logging, log_event
from ..observability.redaction import Redactor
from .reload import watch_manifests
from .stdio.transport import serve_tools
from .tools import ToolService


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve, whatever the transport."""

    log_level: str = "warning"
    json_logs: bool = False
    otel: bool = False
    meta_tools: bool = False
    env_files: tuple[Path, ...] = ()


async def serve_stdio(manifests: Sequence[LoadedManifest], options: ServeOptions) -> int:
    """Serve until the host closes its end or sends a signal; 0 is the exit code."""
    with open_observability(manifests, options) as (observe, redact):
        if sys.stdin.isatty():
            print("utcp-ws-mcp waits for an MCP host on stdin; try `utcp-ws-mcp tools` instead", file=sys.stderr)
        async with (
            Bridge(manifests, observe=observe, on_token=redact.add_token) as bridge,
            watch_manifests(bridge, manifests, options.env_files, redact),
        ):
            await serve_tools(make_tool_service(bridge, redact, options), force_sdk=options.otel)
    return 0


@contextmanager
def open_observability(
    manifests: Sequence[LoadedManifest], options: ServeOptions, *observers: Observer
) -> Iterator[tuple[Observer, Redactor]]:
    """What tells the log, the telemetry that was wished for, and more; and the function that takes secrets out."""
    redact = Redactor(each.manifest for each in manifests)
    configure_logging(options.log_level, redact, as_json=options.json_logs)
    if not options.otel:
        yield broadcast((log_event, *observers)), redact
        return
    from ..observability.opentelemetry import telemetry

    with telemetry(redact) as observe:
        yield broadcast((log_event, observe, *observers)), redact


def make_tool_service(bridge: Bridge, redact: Redactor, options: ServeOptions) -> ToolService:
    """The tools of the bridge, or those that search, describe and call them."""
    if not options.meta_tools:
        return ToolService(bridge, redact, redact.redact_result)
    from .tool_search import MetaTools

    return MetaTools(bridge, redact, redact.redact_result)
