"""Serve manifests over HTTP, with metrics."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..bridge import Bridge
from ..client.manifest_files import Loaded
from ..observability.metrics import Meter, Prometheus
from .http.app import serve_face
from .http.config import HttpOptions, open_door
from .reload import reloading
from .run import ServeOptions, make_tools, observed
from .sdk_server import Face


async def serve_http(loaded: Sequence[Loaded], options: ServeOptions, http: HttpOptions) -> int:
    """Serve until a signal; 0 is the exit code.

    Raises:
        CannotServe: if the options cannot be granted.
    """
    kept = Prometheus()
    with open_door(http) as door, observed(loaded, options, Meter(kept.record)) as (observe, redact):
        async with (
            Bridge(loaded, observe=observe, on_token=redact.learn_token) as bridge,
            reloading(bridge, loaded, options.env_files, redact),
        ):
            face = Face(make_tools(bridge, redact, options))
            if not options.otel:
                face.server.middleware.clear()  # all that stands there makes spans, which nobody would get
            await serve_face(face, door, {"/metrics": kept.text}, _announce)
    return 0


def _announce(url: str) -> None:
    print(f"utcp-ws-mcp serves {url}", file=sys.stderr, flush=True)
