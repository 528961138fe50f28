"""`utcp-ws-mcp record`: exchange messages with an endpoint by hand, and draft a manifest from the conversation."""

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
from ..core.codecs.message import decode
from ..core.expressions.scope import Ambient, Scope
from ..core.network_policy import URL
from ..core.tools.catalog import compile_entry
from ..errors import BridgeError, InvalidManifest
from ..manifest.loader import load_document
from ..manifest.variables import VARIABLE, VariableResolver
from ..observability import events
from ..observability.logging import Trace
from ..observability.redaction import redact_strings
from ..observability.secret_forms import is_word
from ..observability.secret_search import SecretGroup
from ..recorder.manifest import Draft, draft_manifest, format_json
from ..recorder.messages import RecordedMessage, unescape
from .exit_codes import ExitCode
from .options import env_file_option, read_variables, run
from .terminal import echo

MAX_IDLE_PERIODS: Final = 10
"""Idle periods after which the next line of a pipe is sent although the endpoint is still sending."""

NO_MESSAGES: Final = (
    "No message was sent or received, so the draft only listens. Type a request of the API, such as one from the "
    "developer tools of a browser, and wait for its reply; from a pipe, --idle SECONDS waits longer."
)


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """The options of `record`. `idle` is in seconds."""

    url: str
    headers: Mapping[str, str]
    protocols: Sequence[str]
    output: Path | None
    idle: float
    env_files: Sequence[Path]
    escapes: bool = False
    binary: bool = False


@click.command()
@click.argument("url")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header of the handshake.")
@click.option("--protocol", "protocols", multiple=True, help="A subprotocol to offer.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the draft to this file.")
@click.option(
    "--idle", default=0.5, show_default=True, help="Seconds without messages before the next line of a pipe is sent."
)
@click.option("--escapes", is_flag=True, help=r"In a line, \r, \n, \0, \xNN and \\ stand for characters.")
@click.option("--hex", "binary", is_flag=True, help="Send each line as a binary message, written in hexadecimal.")
@env_file_option
def record(
    url: str,
    headers: tuple[str, ...],
    protocols: tuple[str, ...],
    output: Path | None,
    idle: float,
    escapes: bool,
    binary: bool,
    env_files: tuple[Path, ...],
) -> None:
    """Connect to URL, send each line of stdin, show what is received; then draft a manifest from it.

    ${NAME} in the URL, a header, a subprotocol or a line is the variable NAME. The draft contains ${NAME}, not its
    value.
    """
    pairs = {name.strip(): value.strip() for name, _, value in (header.partition(":") for header in headers)}
    run(record_conversation, RecordOptions(url, pairs, protocols, output, idle, env_files, escapes, binary))


@dataclass(slots=True)
class Recording:
    """The state of a recording: the messages, and the variables that they use."""

    variables: Mapping[str, str] = field(repr=False)
    trace: Trace = field(init=False)
    messages: list[RecordedMessage] = field(default_factory=list)
    used_variables: dict[str, str] = field(default_factory=dict, repr=False)
    arrived: anyio.Event = field(default_factory=anyio.Event)
    _secrets: SecretGroup = field(default_factory=SecretGroup)
    _guarded: SecretGroup = field(default_factory=SecretGroup)

    def __post_init__(self) -> None:
        self.trace = Trace(self.redact, sys.stderr, self.guard)

    def observe(self, event: events.Event) -> None:
        """Show an event, and record received messages."""
        if isinstance(event, events.MessageReceived):
            self.messages.append(RecordedMessage(False, decode(event.message).value))
            self.arrived.set()
            event = replace(event, role="")
        self.trace(event)

    def redact(self, text: str) -> str:
        """Return a text without the values of the variables that were used."""
        self._secrets.replace(self.used_variables.values())
        return self._secrets.redact(text)

    def guard(self, text: str) -> str:
        """Return a text, which may be a sentence of this program, without the values that are not a word."""
        self._guarded.replace(value for value in self.used_variables.values() if not is_word(value))
        return self._guarded.redact(text)

    def substitute(self, text: str) -> str:
        """Return a text in which `${NAME}` is replaced by the value of each variable that is set."""

        def value(name: str, whole: str) -> str:
            if name in self.variables:
                self.used_variables[name] = self.variables[name]
            return self.variables.get(name, whole)

        return VARIABLE.sub(lambda found: value(found[1], found[0]) if found[1] else "${", text)

    async def wait_until_idle(self, idle: float) -> None:
        """Wait until nothing was received for `idle` seconds, at most `MAX_IDLE_PERIODS` times as long."""
        with anyio.move_on_after(idle * MAX_IDLE_PERIODS):
            silent = False
            while not silent:
                self.arrived = anyio.Event()
                with anyio.move_on_after(idle) as waiting:
                    await self.arrived.wait()
                silent = waiting.cancelled_caught


async def record_conversation(options: RecordOptions) -> int:
    """Connect, send the lines of stdin, show what is received, then print or write the draft; return the exit code."""
    if options.output is not None and options.output.exists():
        echo(f"{options.output} already exists and is not changed; give another name", err=True)
        return ExitCode.USAGE_ERROR
    recording = Recording(read_variables(options.env_files))
    endpoint: dict[str, Any] = {"url": options.url}
    endpoint |= {"headers": dict(options.headers)} if options.headers else {}
    endpoint |= {"protocol": list(options.protocols)} if options.protocols else {}
    try:
        opened, url = await _connect(endpoint, recording)
    except BridgeError as failed:
        echo(recording.guard(str(failed)), err=True)
        return ExitCode.FAILURE
    try:
        await _run_session(opened, recording, options)
    finally:  # Ctrl-C is the usual way to end a recording, so it gives the draft as well
        draft = draft_manifest(endpoint, url, recording.messages, recording.used_variables)
        draft = replace(draft, document=redact_strings(draft.document, recording.guard))
        if not recording.messages:
            echo(NO_MESSAGES, err=True)
        _write_draft(draft, options.output)
    return ExitCode.SUCCESS


async def _connect(endpoint: dict[str, Any], recording: Recording) -> tuple[Connection, URL]:
    """Open the connection; return it with its URL.

    Private addresses and unencrypted transport are allowed, because the user typed the address.

    Raises:
        BridgeError: if no connection can be opened.
    """
    network = {"allow": ["private", "loopback"], "plaintext": True}
    watch = {"name": "watch", "tool_call_template": {"listen": True, "stream": True}}
    document = {**endpoint, "name": "record", "network": network, "tools": [watch]}
    manifest = load_document(document, VariableResolver([recording.variables]), "record", PurePath())
    for disabled in manifest.disabled:
        raise disabled.error()
    (entry,) = manifest.entries
    recording.used_variables |= entry.variables
    tools, problems = compile_entry(entry)
    if problems:
        raise InvalidManifest("record", problems)
    ambient = Ambient(lambda: datetime.now(UTC), secrets.token_bytes, recording.redact)
    request = tools[0].compiled_template.handshake.render(
        Scope(ambient, {"args": {}, "tool": "", "vars": {}, "session": {}})
    )
    assert request.url is not None
    opened = await Connector(ambient, time.monotonic, None, recording.observe)(request, {})
    return opened, request.url


async def _run_session(connection: Connection, recording: Recording, options: RecordOptions) -> None:
    """Send the lines of stdin until it ends or the endpoint closes the connection."""
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            await connection.receive_loop()
            tasks.cancel_scope.cancel()

        tasks.start_soon(read)
        interactive, idle = sys.stdin.isatty(), options.idle
        if interactive:
            echo("Type one message per line. Ctrl-D ends the session and drafts the manifest.", err=True)
        else:
            await recording.wait_until_idle(idle)
        async with read_lines(sys.stdin.fileno()) as lines:
            async for line in lines:
                await _send(connection, recording, line, options)
                if not interactive:
                    await recording.wait_until_idle(idle)
        await recording.wait_until_idle(idle)
        await connection.aclose()


async def _send(connection: Connection, recording: Recording, line: str, options: RecordOptions) -> None:
    if not line.strip():
        return
    if options.binary:
        try:
            data = bytes.fromhex(line)
        except ValueError:
            echo(f"Not sent, because it is not hexadecimal: {line}", err=True)
            return
        recording.messages.append(RecordedMessage(True, data))
        await connection.send([data])
        return
    text = unescape(line) if options.escapes else line
    recording.messages.append(RecordedMessage(True, decode(text).value))
    await connection.send([recording.substitute(text)])


@asynccontextmanager
async def read_lines(descriptor: int) -> AsyncIterator[AsyncIterable[str]]:
    """Read the lines of a file in a daemon thread: a read from a terminal cannot be cancelled."""
    send_stream, receive_stream = anyio.create_memory_object_stream[str](math.inf)
    async with BlockingPortal() as portal:
        threading.Thread(target=_read_lines_in_thread, args=(descriptor, portal, send_stream), daemon=True).start()
        with receive_stream:
            yield receive_stream


def _read_lines_in_thread(descriptor: int, portal: BlockingPortal, send_stream: MemoryObjectSendStream[str]) -> None:
    rest = b""
    with suppress(RuntimeError, anyio.BrokenResourceError):  # the portal or the stream is closed: the session has ended
        while data := os.read(descriptor, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                portal.call(send_stream.send_nowait, line.decode("utf-8", "replace").removesuffix("\r"))
        if rest:
            portal.call(send_stream.send_nowait, rest.decode("utf-8", "replace"))
        portal.call(send_stream.close)


def _write_draft(draft: Draft, output: Path | None) -> None:
    """Print the draft, or write it to a file that does not exist yet."""
    text = format_json(draft.document) + "\n"
    if output is None:
        echo(text, nl=False)
    else:
        with output.open("x", encoding="utf-8") as new:
            new.write(text)
        echo(f"{output} is written; check it with: utcp-ws-mcp check {output}", err=True)
    for name in dict.fromkeys(draft.missing_variables):
        echo(f"A secret was typed. The draft contains ${{{name}}} instead: set {name} before you use it.", err=True)
