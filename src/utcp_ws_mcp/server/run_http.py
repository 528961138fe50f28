"""Serve manifests over HTTP, with metrics."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest
from ..observability.metrics import MetricsObserver, PrometheusRegistry
from .http.app import run_http_server
from .http.config import HttpOptions, bind_listener
from .reload import watch_manifests
from .run import ServeOptions, make_tool_service, open_observability
from .sdk_server import SdkServer


async def serve_http(manifests: Sequence[LoadedManifest], options: ServeOptions, http_options: HttpOptions) -> int:
    """Serve until a signal; 0 is the exit code.

    Raises:
        ServeOptionsError: if the options cannot be granted.
    """
    kept = PrometheusRegistry()
    with (
        bind_listener(http_options) as door,
        open_observability(manifests, options, MetricsObserver(kept.record)) as (observe, redact),
    ):
        async with (
            Bridge(manifests, observe=observe, on_token=redact.add_token) as bridge,
            watch_manifests(bridge, manifests, options.env_files, redact),
        ):
            face = SdkServer(make_tool_service(bridge, redact, options))
            if not options.otel:
                face.server.middleware.clear()  # all that stands there makes spans, which nobody would get
            await run_http_server(face, door, {"/metrics": kept.render}, _print_url)
    return 0


def _print_url(url: str) -> None:
    print(f"utcp-ws-mcp serves {url}", file=sys.stderr, flush=True)
