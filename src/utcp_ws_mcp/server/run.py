"""Serve manifests over stdio or HTTP: the bridge, observability, reloading and the transport, put together."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest
from ..client.manual_cache import ManualCache
from ..files import reason_of
from ..manifest.variables import NO_CALLERS
from ..observability.events import Observer, broadcast
from ..observability.logging import announce, configure_logging, log_observer
from ..observability.redaction import Redactor, SinkRedactor
from ..records import Record
from .reload import watch_manifests
from .result import DEFAULT_OPTIONS, MessageOptions
from .stdio.transport import serve_tools
from .tools import DEFAULT_LIST_OPTIONS, ListOptions, ToolService

if TYPE_CHECKING:
    from ..observability.metrics import GaugeSource, Measurement
    from .callers import CallerBridges
    from .http.config import HttpOptions


class ServeOptions(Record):
    """The options of `serve` that do not depend on the transport."""

    log_level: str = "warning"
    json_logs: bool = False
    otel: bool = False
    meta_tools: bool = False
    fast_path: bool = True
    env_files: tuple[Path, ...] = ()
    messages: MessageOptions = DEFAULT_OPTIONS
    listing: ListOptions = DEFAULT_LIST_OPTIONS


async def serve_stdio(manifests: Sequence[LoadedManifest], options: ServeOptions) -> int:
    """Serve until the host closes stdin or sends a signal; return 0, or 1 if stdout cannot be written."""
    gauges = _make_gauge_source() if options.otel else None
    redact = Redactor(each.manifest for each in manifests)
    with open_observability(redact, options, gauges) as observe:
        if sys.stdin.isatty():
            print("utcp-ws-mcp waits for an MCP host on stdin; try `utcp-ws-mcp tools` instead", file=sys.stderr)
        async with (
            Bridge(manifests, observe=observe, manual_cache=ManualCache(), redactor=redact) as bridge,
            watch_manifests(bridge, manifests, options.env_files),
        ):
            if gauges is not None:
                gauges.read = partial(read_gauges, bridge)
            # Only the SDK makes the spans of requests, so it answers them all if they are exported.
            fast_path = options.fast_path and not options.otel
            failure = await serve_tools(make_tool_service(bridge, options), fast_path=fast_path)
        if failure is None:
            return 0
        text = f"the answers cannot be written to stdout: {reason_of(failure)}. Let stdout be a pipe."
        announce(text, logging.ERROR)
        return 1


async def serve_http(manifests: Sequence[LoadedManifest], options: ServeOptions, http_options: HttpOptions) -> int:
    """Serve until a signal; return 0.

    Raises:
        ServeOptionsError: if the options are invalid, or the address cannot be used.
    """
    # The MCP SDK, starlette and uvicorn: their import takes longer than a whole start on stdio.
    from ..observability.metrics import MetricsObserver, PrometheusRegistry
    from .auth.options import make_resource_server, warn_of_unused_scopes
    from .callers import open_callers
    from .fleet import join_fleet
    from .http.app import metrics_routes, run_http_server
    from .http.config import bind_listener
    from .sdk_server import SdkServer

    gauges = _make_gauge_source()
    registry = PrometheusRegistry(gauges)
    redact = Redactor(each.manifest for each in manifests)
    sinks = SinkRedactor(redact)
    variables = http_options.caller_variables
    with (
        bind_listener(http_options) as listener,
        open_observability(sinks, options, gauges, MetricsObserver(registry.record)) as observe,
    ):
        async with (
            join_fleet(http_options.shared, observe, redact) as fleet,
            Bridge(manifests, observe=observe, manual_cache=ManualCache(), redactor=redact, fleet=fleet) as bridge,
            open_callers(bridge, variables, sinks, observe) as callers,
            watch_manifests(bridge, manifests, options.env_files, variables.stand_ins if variables else NO_CALLERS),
        ):
            gauges.read = partial(read_gauges, bridge, callers)
            resource_server = make_resource_server(listener.oauth, observe, fleet) if listener.oauth else None
            if listener.oauth is not None and bridge.is_ready:  # others may come with the manuals of endpoints
                warn_of_unused_scopes(listener.oauth.scopes, bridge.tools.values())
            sdk_server = SdkServer(make_tool_service(bridge, options, callers), is_stateless=listener.stateless)
            if not options.otel:
                sdk_server.server.middleware.clear()  # it only makes spans, and nothing exports them
            routes = metrics_routes(registry)
            # Only the SDK makes the spans of requests, so it answers them all if they are exported.
            fast_path = options.fast_path and not options.otel
            await run_http_server(sdk_server, listener, routes, _announce_url, resource_server, fast_path=fast_path)
    return 0


@contextmanager
def open_observability(
    redact: Redactor | SinkRedactor, options: ServeOptions, gauges: GaugeSource | None, *observers: Observer
) -> Iterator[Observer]:
    """Configure the log and, if requested, OpenTelemetry; yield one observer for all."""
    guard_names = redact.guard_names if isinstance(redact, SinkRedactor) else redact.guard
    configure_logging(options.log_level, redact.guard, as_json=options.json_logs, audit_guard=guard_names)
    log = log_observer(redact)
    if gauges is not None:
        gauges.guard = guard_names
    if gauges is None or not options.otel:
        yield broadcast((log, *observers))
        return
    from ..observability.opentelemetry import telemetry

    with telemetry(redact.guard, gauges, guard_names) as observe:
        yield broadcast((log, observe, *observers))


def _make_gauge_source() -> GaugeSource:
    from ..observability.metrics import GaugeSource  # a usual session on stdio has no metrics

    return GaugeSource()


def read_gauges(bridge: Bridge, callers: CallerBridges | None = None) -> Iterator[Measurement]:
    """Yield the gauges of the pools and of the feeds of all manuals; those of all callers are added up."""
    from ..observability.metrics import feed_measurements, fleet_measurements, pool_measurements

    if (fleet := bridge.fleet) is not None:
        yield from fleet_measurements(fleet.name, fleet.replicas, up=fleet.store.away is None)
    bridges = [bridge, *(callers.bridges() if callers is not None else ())]
    for entry in bridge.entries:
        stats = [each.stats(entry.name) for each in bridges]
        counts = (sum(each.connections for each in stats), sum(each.used for each in stats))
        yield from pool_measurements(entry.name, *counts, sum(each.waiting for each in stats))
    yield from feed_measurements(
        (each.live.name, each.live.state.value, each.reading, each.live.buffer.bytes)
        for one in bridges
        for each in one.feed_instances()
    )


def make_tool_service(bridge: Bridge, options: ServeOptions, callers: CallerBridges | None = None) -> ToolService:
    """Return the service of the tools, or of the three tools that search, describe and call them."""
    if not options.meta_tools:
        return ToolService(bridge, options.messages, options.listing, callers)
    from .tool_search import MetaTools

    return MetaTools(bridge, options.messages, options.listing, callers)


def _announce_url(url: str) -> None:
    announce(f"utcp-ws-mcp serves {url}", logging.INFO)
