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
from ..client.connector import Opener
from ..client.dial import system_resolver
from ..client.manifest_files import Loaded
from ..core.codecs.message import decode, excerpt
from ..core.exchange.reply_rules import Role
from ..core.expressions.scope import Ambient, Scope
from ..core.templates.nodes import Unfilled
from ..core.tools.catalog import discovery_plan
from ..core.tools.tool import Plan
from ..errors import BridgeError
from ..lint.tools import takes_what_comes
from ..manifest.loader import Entry
from ..observability import events
from ..observability.logging import Trace
from ..observability.redaction import Redactor
from .check import Checked
from .tools import signature

DISCOVERY_WAIT = 15.0
"""Seconds that an endpoint has for its manual."""


@dataclass(slots=True)
class Visit:
    """What was seen of one endpoint; `unasked` are messages that nobody had asked for."""

    entry: Entry
    plans: Sequence[Plan]
    show: Trace
    unasked: list[str | bytes] = field(default_factory=list)
    failed: bool = False
    doubtful: bool = False

    def observe(self, event: events.Event) -> None:
        """Show an event, and keep what came unasked."""
        self.show(event)
        if isinstance(event, events.Received) and event.role == Role.DROPPED.value:
            self.unasked.append(event.message)

    def fail(self, why: str) -> None:
        """Say why the visit went wrong."""
        self.failed = True
        self.show(events.Noticed(f"{self.entry.name}: {why}"))


async def visit_endpoints(checked: Checked, strict: bool, listen: float) -> int:
    """Visit each endpoint in turn, listening so many seconds for what it says unasked; the exit code."""
    redact = Redactor(each.manifest for each in checked.loaded)
    visits: list[Visit] = []
    for loaded in checked.loaded:
        for entry in loaded.manifest.entries:
            click.echo(f"{entry.name}:")
            visit = Visit(entry, loaded.plans[entry.name], Trace(redact, sys.stdout))
            visits.append(visit)
            await _connect(visit, listen)
            if entry.discovers and not visit.failed:
                await _discover(visit, loaded)
    wrong = checked.wrong or any(visit.failed for visit in visits)
    doubtful = checked.doubtful or any(visit.doubtful for visit in visits)
    return replace(checked, wrong=wrong, doubtful=doubtful).exit_code(strict)


async def _connect(visit: Visit, listen: float) -> None:
    """Open a connection as a call would, and listen on it."""
    ambient = Ambient(lambda: datetime.now(UTC), secrets.token_bytes)
    plan = discovery_plan(visit.entry) if visit.entry.discovers else next(iter(visit.plans), None)
    if plan is None:
        return
    arguments = dict(plan.defaults)
    scope = Scope(ambient, {"args": arguments, "tool": plan.tool, "vars": plan.variables, "session": {}})
    try:
        upgrade = plan.wire.upgrade.render(scope)
        opened = await Opener(ambient, time.monotonic, system_resolver, visit.observe, explain=True)(upgrade, arguments)
    except Unfilled as unfilled:
        visit.show(events.Noticed(f"not visited, because connecting needs arguments: {unfilled}; make a call instead"))
        return
    except BridgeError as failed:
        visit.fail(str(failed))
        return
    async with anyio.create_task_group() as running:
        with anyio.move_on_after(listen):
            ended = anyio.Event()
            running.start_soon(_read, opened, ended)
            await ended.wait()
        await opened.aclose()
    _judge(visit, scope)


def _judge(visit: Visit, scope: Scope) -> None:
    """Warn where a call would take what came unasked for its reply."""
    for plan in filter(takes_what_comes, visit.plans):
        for raw in visit.unasked:
            if not plan.rules.ignores(scope.extended(message=decode(raw).value)):
                told = f"{plan.full_name} would take this for its reply, and nobody had asked: {excerpt(raw, 100)}"
                way = 'say which message answers ("reply.match"), or which never does ("ignore")'
                visit.show(events.Noticed(f"warning: {told}; {way}"))
                visit.doubtful = True
                return


async def _read(opened: Connection, ended: anyio.Event) -> None:
    await opened.run()
    ended.set()


async def _discover(visit: Visit, loaded: Loaded) -> None:
    """Ask the endpoint for its tools, and list them."""
    entry = visit.entry
    only = replace(loaded, manifest=replace(loaded.manifest, entries=(entry,)))
    started = time.monotonic()
    async with Bridge([only], observe=visit.observe, explain=True) as bridge:
        await bridge.wait_discovered(DISCOVERY_WAIT)
        seconds = time.monotonic() - started
        plans, failure = list(bridge.tools.values()), bridge.failures.get(entry.name)
    if failure is not None:
        visit.fail(str(failure))
        return
    click.echo(f"{entry.name}: {len(plans)} tool{'s' * (len(plans) != 1)} in {seconds * 1000:.0f} ms")
    for plan in plans:
        click.echo(f"  {plan.full_name}({signature(plan.inputs)})")
