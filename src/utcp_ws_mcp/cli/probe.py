"""Visit the endpoints of manifests: connect, log in, listen for a moment, ask for tools; show what came back."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import anyio
import click

from ..bridge import Bridge
from ..client.connection import Connection
from ..client.connector import Connector
from ..client.dial import system_resolver
from ..client.manifest_files import LoadedManifest
from ..core.codecs.message import decode, excerpt
from ..core.exchange.reply_rules import Role
from ..core.expressions.scope import Ambient, Scope
from ..core.templates.nodes import RenderError
from ..core.tools.catalog import compile_discovery
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError
from ..lint.tools import accepts_any_message
from ..manifest.loader import ManifestEntry
from ..observability import events
from ..observability.logging import Trace
from ..observability.redaction import Redactor
from .check import CheckResult
from .tools import format_signature

DISCOVERY_TIMEOUT = 15.0
"""Seconds that an endpoint has for its manual."""


@dataclass(slots=True)
class EndpointProbe:
    """What was seen of one endpoint; `unasked` are messages that nobody had asked for."""

    entry: ManifestEntry
    plans: Sequence[CompiledTool]
    trace: Trace
    unsolicited: list[str | bytes] = field(default_factory=list)
    failed: bool = False
    has_warnings: bool = False

    def observe(self, event: events.Event) -> None:
        """Show an event, and keep what came unasked."""
        self.trace(event)
        if isinstance(event, events.MessageReceived) and event.role == Role.DROPPED.value:
            self.unsolicited.append(event.message)

    def fail(self, reason: str) -> None:
        """Say why the visit went wrong."""
        self.failed = True
        self.trace(events.WarningIssued(f"{self.entry.name}: {reason}"))


async def probe_endpoints(checked: CheckResult, strict: bool, duration: float) -> int:
    """Visit each endpoint in turn, listening so many seconds for what it says unasked; the exit code."""
    redact = Redactor(each.manifest for each in checked.loaded)
    visits: list[EndpointProbe] = []
    for loaded in checked.loaded:
        for entry in loaded.manifest.entries:
            click.echo(f"{entry.name}:")
            visit = EndpointProbe(entry, loaded.tools[entry.name], Trace(redact, sys.stdout))
            visits.append(visit)
            await _connect(visit, duration)
            if entry.uses_discovery and not visit.failed:
                await _discover(visit, loaded)
    wrong = checked.has_errors or any(visit.failed for visit in visits)
    doubtful = checked.has_warnings or any(visit.has_warnings for visit in visits)
    return replace(checked, has_errors=wrong, has_warnings=doubtful).exit_code(strict)


async def _connect(probe: EndpointProbe, duration: float) -> None:
    """Open a connection as a call would, and listen on it."""
    ambient = Ambient(lambda: datetime.now(UTC), secrets.token_bytes)
    plan = compile_discovery(probe.entry) if probe.entry.uses_discovery else next(iter(probe.plans), None)
    if plan is None:
        return
    arguments = dict(plan.defaults)
    scope = Scope(ambient, {"args": arguments, "tool": plan.original_name, "vars": plan.variables, "session": {}})
    try:
        upgrade = plan.compiled_template.handshake.render(scope)
        opened = await Connector(ambient, time.monotonic, system_resolver, probe.observe, trace_rules=True)(
            upgrade, arguments
        )
    except RenderError as unfilled:
        probe.trace(
            events.WarningIssued(f"not visited, because connecting needs arguments: {unfilled}; make a call instead")
        )
        return
    except BridgeError as failed:
        probe.fail(str(failed))
        return
    async with anyio.create_task_group() as running:
        with anyio.move_on_after(duration):
            ended = anyio.Event()
            running.start_soon(_receive, opened, ended)
            await ended.wait()
        await opened.aclose()
    _check_unsolicited(probe, scope)


def _check_unsolicited(probe: EndpointProbe, scope: Scope) -> None:
    """Warn where a call would take what came unasked for its reply."""
    for plan in filter(accepts_any_message, probe.plans):
        for raw in probe.unsolicited:
            if not plan.rules.is_ignored(scope.with_values(message=decode(raw).value)):
                told = f"{plan.full_name} would take this for its reply, and nobody had asked: {excerpt(raw, 100)}"
                way = 'say which message answers ("reply.match"), or which never does ("ignore")'
                probe.trace(events.WarningIssued(f"warning: {told}; {way}"))
                probe.has_warnings = True
                return


async def _receive(connection: Connection, ended: anyio.Event) -> None:
    await connection.receive_loop()
    ended.set()


async def _discover(probe: EndpointProbe, loaded: LoadedManifest) -> None:
    """Ask the endpoint for its tools, and list them."""
    entry = probe.entry
    only = replace(loaded, manifest=replace(loaded.manifest, entries=(entry,)))
    started = time.monotonic()
    async with Bridge([only], observe=probe.observe, trace_rules=True) as bridge:
        await bridge.wait_discovered(DISCOVERY_TIMEOUT)
        seconds = time.monotonic() - started
        plans, failure = list(bridge.tools.values()), bridge.discovery_errors.get(entry.name)
    if failure is not None:
        probe.fail(str(failure))
        return
    click.echo(f"{entry.name}: {len(plans)} tool{'s' * (len(plans) != 1)} in {seconds * 1000:.0f} ms")
    for plan in plans:
        click.echo(f"  {plan.full_name}({format_signature(plan.inputs)})")
