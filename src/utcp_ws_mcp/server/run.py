"""Serve manifests over stdio: the bridge, its MCP face and the process, put together."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..bridge import Bridge
from ..client.manifest_files import Loaded
from ..observability.events import Observer, tell
from ..observability.logging import log_event, start_logging
from ..observability.redaction import Redactor
from .reload import reloading
from .stdio.transport import serve_tools
from .tools import Tools


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve, whatever the transport."""

    log_level: str = "warning"
    json_logs: bool = False
    otel: bool = False
    meta_tools: bool = False
    env_files: tuple[Path, ...] = ()


async def serve_stdio(loaded: Sequence[Loaded], options: ServeOptions) -> int:
    """Serve until the host closes its end or sends a signal; 0 is the exit code."""
    with observed(loaded, options) as (observe, redact):
        if sys.stdin.isatty():
            print("utcp-ws-mcp waits for an MCP host on stdin; try `utcp-ws-mcp tools` instead", file=sys.stderr)
        async with (
            Bridge(loaded, observe=observe, on_token=redact.learn_token) as bridge,
            reloading(bridge, loaded, options.env_files, redact),
        ):
            await serve_tools(make_tools(bridge, redact, options), traced=options.otel)
    return 0


@contextmanager
def observed(loaded: Sequence[Loaded], options: ServeOptions, *more: Observer) -> Iterator[tuple[Observer, Redactor]]:
    """What tells the log, the telemetry that was wished for, and more; and the function that takes secrets out."""
    redact = Redactor(each.manifest for each in loaded)
    start_logging(options.log_level, redact, as_json=options.json_logs)
    if not options.otel:
        yield tell((log_event, *more)), redact
        return
    from ..observability.opentelemetry import telemetry

    with telemetry(redact) as observe:
        yield tell((log_event, observe, *more)), redact


def make_tools(bridge: Bridge, redact: Redactor, options: ServeOptions) -> Tools:
    """The tools of the bridge, or those that search, describe and call them."""
    if not options.meta_tools:
        return Tools(bridge, redact, redact.in_result)
    from .tool_search import MetaTools

    return MetaTools(bridge, redact, redact.in_result)
