"""`check --online`: connect to the endpoints of manifests, log in, listen, discover tools, and show the messages."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property

import anyio

from ..bridge import Bridge
from ..client.connection import Connection
from ..client.connector import Connector
from ..client.manifest_files import LoadedManifest
from ..core.codecs.message import decode, excerpt
from ..core.exchange.reply_rules import Concurrency, Role
from ..core.expressions.scope import Ambient, Scope
from ..core.login_demand import login_hint
from ..core.templates.nodes import RenderError
from ..core.tools.catalog import compile_discovery
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, Problem
from ..lint.host_limits import tool_notes
from ..lint.tools import accepts_any_message
from ..manifest.entries import ManifestEntry
from ..observability import events
from ..observability.redaction import Redactor
from ..observability.trace import Trace
from ..records import MutableRecord, Record, field, replace
from .check import CheckResult
from .exit_codes import ExitCode
from .terminal import echo, hide_secrets, with_name
from .tools import format_signature

PINGS = 3
"""Pings in a row, as between calls; servers that count them as a flood close the connection after two or three."""

CLOSE_TIMEOUT = 2.0
"""Seconds that a connection has to end that the endpoint is closing."""

DISCOVERY_TIMEOUT = 15.0
"""Seconds that an endpoint has to return its manual."""


class EndpointProbe(MutableRecord, dict=True):
    """The result for one endpoint; `unsolicited` are the messages that belong to no request."""

    entry: ManifestEntry
    tools: Sequence[CompiledTool]
    redact: Redactor
    unsolicited: list[str | bytes] = field(default_factory=list)
    failed: bool = False
    has_warnings: bool = False

    @cached_property
    def trace(self) -> Trace:
        """Return the trace that shows the events of this endpoint."""
        return Trace(self.redact, sys.stdout, self.redact.guard)

    def observe(self, event: events.Event) -> None:
        """Show an event, and collect unsolicited messages."""
        self.trace(event)
        if isinstance(event, events.MessageReceived) and event.role == Role.DROPPED.value:
            self.unsolicited.append(event.message)

    def fail(self, reason: str) -> None:
        """Record and show why the probe failed."""
        self.failed = True
        self.trace(events.WarningIssued(with_name(self.entry.name, reason)))


async def probe_endpoints(checked: CheckResult, strict: bool, duration: float) -> int:
    """Probe one endpoint after the other, and listen for `duration` seconds to each; return the exit code."""
    redact = hide_secrets(Redactor(each.manifest for each in checked.loaded))
    probes: list[EndpointProbe] = []
    for loaded in checked.loaded:
        for entry in loaded.manifest.entries:
            echo(f"{entry.name}:")
            probe = EndpointProbe(entry, loaded.tools[entry.name], redact)
            probes.append(probe)
            await _connect(probe, duration)
            if entry.uses_discovery and not probe.failed:
                await _discover(probe, loaded)
    has_warnings = checked.has_warnings or any(probe.has_warnings for probe in probes)
    code = replace(checked, has_warnings=has_warnings).exit_code(strict)
    return code or (ExitCode.FAILURE if any(probe.failed for probe in probes) else ExitCode.SUCCESS)


class ConnectionReport(Record):
    """What an attempt to connect and log in came to, in words."""

    text: str
    failed: bool = False


async def try_connection(entry: ManifestEntry, tools: Sequence[CompiledTool], redact: Redactor) -> ConnectionReport:
    """Connect to the endpoint of an entry, log in, and close the connection."""
    tool = _tool_to_connect_with(entry, tools)
    if tool is None:
        return ConnectionReport("not tried, because it has no tool")
    started = time.monotonic()
    try:
        connection, _ = await _open(tool, redact, events.noop)
    except RenderError as missing:
        return ConnectionReport(f"not tried, because connecting needs the arguments of a call: {missing}")
    except BridgeError as failed:
        return ConnectionReport(str(failed), failed=True)
    await connection.aclose()
    return ConnectionReport(f"connected and logged in within {(time.monotonic() - started) * 1000:.0f} ms")


def _tool_to_connect_with(entry: ManifestEntry, tools: Sequence[CompiledTool]) -> CompiledTool | None:
    return compile_discovery(entry) if entry.uses_discovery else next(iter(tools), None)


async def _open(tool: CompiledTool, redact: Redactor, observe: events.Observer) -> tuple[Connection, Scope]:
    """Open a connection as a call of the tool would.

    Raises:
        RenderError: If the URL or a header needs arguments.
        BridgeError: If the connection or the login fails.
    """
    ambient = Ambient(lambda: datetime.now(UTC), secrets.token_bytes, redact)
    arguments = dict(tool.defaults)
    scope = Scope(ambient, {"args": arguments, "tool": tool.original_name, "vars": tool.variables, "session": {}})
    request = tool.compiled_template.handshake.render(scope)
    connector = Connector(ambient, time.monotonic, None, observe, trace_rules=True, on_tokens=redact.add_tokens)
    return await connector(request, arguments), scope


async def _connect(probe: EndpointProbe, duration: float) -> None:
    """Open a connection as a call would, and listen for `duration` seconds."""
    tool = _tool_to_connect_with(probe.entry, probe.tools)
    if tool is None:
        return
    try:
        opened, scope = await _open(tool, probe.redact, probe.observe)
    except RenderError as missing:
        probe.trace(
            events.WarningIssued(f"skipped, because connecting needs arguments: {missing}; make a call instead")
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
        await _check_pings(probe, opened, ended)
        await opened.aclose()
    _check_unsolicited(probe, scope)
    if hint := login_hint(tool.template, [decode(raw) for raw in probe.unsolicited], opened.close_info.code):
        probe.trace(events.WarningIssued(f"note: {hint}"))


async def _check_pings(probe: EndpointProbe, connection: Connection, ended: anyio.Event) -> None:
    """Send the pings that come between calls without IDs; the connection itself warns if they end it."""
    if any(tool.rules.concurrency is Concurrency.EXCLUSIVE for tool in probe.tools):
        for _ in range(PINGS):
            if connection.is_open:
                await connection.barrier.wait()
        with anyio.move_on_after(0 if connection.is_open else CLOSE_TIMEOUT):
            await ended.wait()
    probe.has_warnings |= connection.barrier.refuses_pings


def _check_unsolicited(probe: EndpointProbe, scope: Scope) -> None:
    """Warn if a call would accept one of the unsolicited messages as its reply."""
    for tool in filter(accepts_any_message, probe.tools):
        for raw in probe.unsolicited:
            if not tool.rules.is_ignored(scope.with_values(message=decode(raw).value)):
                shown = excerpt(raw, 100, probe.redact)
                message = (
                    f"{tool.full_name} would accept this unsolicited message as its reply: {shown}. "
                    'Set "reply.match" to select the reply, or "ignore" to exclude such messages.'
                )
                problem = Problem("", message, code="ambiguous-reply")
                probe.trace(events.WarningIssued(f"warning: {problem}"))
                probe.has_warnings = True
                return


async def _receive(connection: Connection, ended: anyio.Event) -> None:
    await connection.receive_loop()
    ended.set()


async def _discover(probe: EndpointProbe, loaded: LoadedManifest) -> None:
    """Discover the tools of the endpoint, and list them."""
    entry = probe.entry
    only = replace(loaded, manifest=replace(loaded.manifest, entries=(entry,)))
    started = time.monotonic()
    async with Bridge([only], observe=probe.observe, trace_rules=True, redactor=probe.redact) as bridge:
        error = (await bridge.wait_discovery_errors(DISCOVERY_TIMEOUT)).get(entry.name)
        seconds = time.monotonic() - started
        tools = list(bridge.tools.values())
    if error is not None:
        probe.fail(str(error))
        return
    echo(f"{entry.name}: {len(tools)} tool{'s' * (len(tools) != 1)} in {seconds * 1000:.0f} ms")
    for tool in tools:
        echo(f"  {tool.full_name}({format_signature(tool.inputs)})")
    for note in tool_notes(tools):
        probe.trace(events.WarningIssued(f"note: {note}"))
