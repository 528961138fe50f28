"""Talk to an endpoint by hand, and draft a manifest from what was said."""

from __future__ import annotations

import math
import os
import secrets
import sys
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Final

import anyio
import click
from anyio.from_thread import BlockingPortal
from anyio.streams.memory import MemoryObjectSendStream

from ..client.connection import Connection
from ..client.connector import Connector
from ..client.dial import system_resolver
from ..client.manifest_files import read_dotenv
from ..core.codecs.message import decode
from ..core.expressions.scope import Ambient, Scope
from ..core.network_policy import URL
from ..core.tools.catalog import compile_entry
from ..errors import BridgeError, InvalidManifest, MissingVariable
from ..manifest.json_format import format_json
from ..manifest.loader import load_document
from ..manifest.variables import VARIABLE, VariableResolver
from ..observability import events
from ..observability.logging import Trace
from ..observability.redaction import redactor
from ..recorder.manifest import Draft, draft_manifest
from ..recorder.messages import RecordedMessage

FAILED: Final = 1
MAX_IDLE_PERIODS: Final = 10
"""How many pauses a line waits for silence, where an endpoint never stops talking."""


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What the command `record` is to do. `pause` is in seconds."""

    url: str
    headers: Mapping[str, str]
    protocols: Sequence[str]
    output: Path | None
    idle: float
    env_files: Sequence[Path]


@dataclass(slots=True)
class Recording:
    """A conversation under way."""

    variables: Mapping[str, str] = field(repr=False)
    trace: Trace = field(init=False)
    messages: list[RecordedMessage] = field(default_factory=list)
    used_variables: dict[str, str] = field(default_factory=dict, repr=False)
    arrived: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.trace = Trace(self.redact, sys.stderr)

    def observe(self, event: events.Event) -> None:
        """Show an event, and keep what came."""
        if isinstance(event, events.MessageReceived):
            self.messages.append(RecordedMessage(False, decode(event.message).value))
            self.arrived.set()
            event = replace(event, role="")
        self.trace(event)

    def redact(self, text: str) -> str:
        """A text without the values of the variables that were used."""
        return redactor(self.used_variables.values())(text)

    def substitute(self, text: str) -> str:
        """A text with the variables that are set filled in."""

        def value(name: str, whole: str) -> str:
            if name in self.variables:
                self.used_variables[name] = self.variables[name]
            return self.variables.get(name, whole)

        return VARIABLE.sub(lambda found: value(found[1], found[0]) if found[1] else "${", text)

    async def wait_until_idle(self, idle: float) -> None:
        """Wait until nothing has come for so many seconds."""
        with anyio.move_on_after(idle * MAX_IDLE_PERIODS):
            silent = False
            while not silent:
                self.arrived = anyio.Event()
                with anyio.move_on_after(idle) as waiting:
                    await self.arrived.wait()
                silent = waiting.cancelled_caught


async def record(options: RecordOptions) -> int:
    """Connect, send the lines that are typed, show what comes; at the end print a drafted manifest, or write it."""
    if options.output is not None and options.output.exists():
        click.echo(f"{options.output} is there already and stays as it is; give another name", err=True)
        return FAILED
    variables = dict(os.environ)
    for file in options.env_files:
        variables |= read_dotenv(file, str(file))
    recording = Recording(variables)
    endpoint: dict[str, Any] = {"url": options.url}
    endpoint |= {"headers": dict(options.headers)} if options.headers else {}
    endpoint |= {"protocol": list(options.protocols)} if options.protocols else {}
    try:
        opened, url = await _connect(endpoint, recording)
    except BridgeError as failed:
        click.echo(recording.redact(str(failed)), err=True)
        return FAILED
    try:
        await _run_session(opened, recording, options.idle)
    finally:  # whoever presses Ctrl-C wants the draft, too
        _write_draft(draft_manifest(endpoint, url, recording.messages, recording.used_variables), options.output)
    return 0


async def _connect(endpoint: dict[str, Any], recording: Recording) -> tuple[Connection, URL]:
    """A connection, and its URL. Whoever types an address means it: private and plain ones are allowed.

    Raises:
        BridgeError: if there is none.
    """
    network = {"allow": ["private", "loopback"], "plaintext": True}
    watch = {"name": "watch", "tool_call_template": {"message": False, "stream": True}}
    document = {**endpoint, "name": "record", "network": network, "tools": [watch]}
    manifest = load_document(document, VariableResolver([recording.variables]), "record", PurePath())
    for disabled in manifest.disabled:
        raise MissingVariable(disabled.missing, disabled.name)
    (entry,) = manifest.entries
    recording.used_variables |= entry.variables
    plans, problems = compile_entry(entry)
    if problems:
        raise InvalidManifest("record", problems)
    ambient = Ambient(lambda: datetime.now(UTC), secrets.token_bytes)
    upgrade = plans[0].compiled_template.handshake.render(
        Scope(ambient, {"args": {}, "tool": "", "vars": {}, "session": {}})
    )
    assert upgrade.url is not None
    opened = await Connector(ambient, time.monotonic, system_resolver, recording.observe)(upgrade, {})
    return opened, upgrade.url


async def _run_session(connection: Connection, recording: Recording, idle: float) -> None:
    """Send what is typed until there is no more, or the endpoint goes away."""
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            await connection.receive_loop()
            tasks.cancel_scope.cancel()

        tasks.start_soon(read)
        typed = sys.stdin.isatty()
        if typed:
            click.echo("type a message in each line; Ctrl-D ends and drafts the manifest", err=True)
        else:
            await recording.wait_until_idle(idle)
        async with read_lines(sys.stdin.fileno()) as lines:
            async for line in lines:
                await _send(connection, recording, line)
                if not typed:
                    await recording.wait_until_idle(idle)
        await recording.wait_until_idle(idle)
        await connection.aclose()


async def _send(connection: Connection, recording: Recording, line: str) -> None:
    if line.strip():
        recording.messages.append(RecordedMessage(True, decode(line).value))
        await connection.send([recording.substitute(line)])


@asynccontextmanager
async def read_lines(descriptor: int) -> AsyncIterator[AsyncIterable[str]]:
    """The lines of a file, read in a thread that nobody waits for: it may hang in a terminal for ever."""
    gives, takes = anyio.create_memory_object_stream[str](math.inf)
    async with BlockingPortal() as portal:
        threading.Thread(target=_read_lines_in_thread, args=(descriptor, portal, gives), daemon=True).start()
        with takes:
            yield takes


def _read_lines_in_thread(descriptor: int, portal: BlockingPortal, send_stream: MemoryObjectSendStream[str]) -> None:
    rest = b""
    with suppress(RuntimeError, anyio.BrokenResourceError):  # nobody listens any more
        while data := os.read(descriptor, 1 << 16):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                portal.call(send_stream.send_nowait, line.decode("utf-8", "replace").removesuffix("\r"))
        if rest:
            portal.call(send_stream.send_nowait, rest.decode("utf-8", "replace"))
        portal.call(send_stream.close)


def _write_draft(draft: Draft, output: Path | None) -> None:
    """Print the draft, or write it to a file that does not exist yet."""
    text = format_json(draft.document) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        with output.open("x", encoding="utf-8") as new:
            new.write(text)
        click.echo(f"{output} is written; try: utcp-ws-mcp check {output}", err=True)
    for name in dict.fromkeys(draft.missing_variables):
        click.echo(f"a secret was typed; the draft says ${{{name}}} instead, so set {name} before you use it", err=True)
