"""`utcp-ws-mcp record`: exchange messages with an endpoint by hand, and draft a manifest from the conversation."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Final

import anyio
import click
from anyio.from_thread import BlockingPortal
from anyio.streams.memory import MemoryObjectSendStream

from ..authoring.recording import Recording, endpoint_fields, open_recorded
from ..client.connection import Connection
from ..errors import BridgeError, ManifestError, MissingVariable
from ..files import reason_of
from ..observability.logging import report_crashes
from ..observability.trace import Trace
from ..recorder.manifest import Draft, format_json
from ..recorder.messages import unescape
from ..records import Record
from .exit_codes import ExitCode
from .options import Number, OutputFile, env_file_option, header_option, read_variables, run
from .terminal import echo

NO_MESSAGES: Final = (
    "No message was sent or received, so the draft only listens. Type a request of the API, such as one from the "
    "developer tools of a browser, and wait for its reply; from a pipe, --idle SECONDS waits longer."
)


class RecordOptions(Record):
    """The options of `record`. `idle` is in seconds."""

    not_in_repr: ClassVar = ("url", "headers", "protocols")
    url: str
    headers: Mapping[str, str]
    protocols: Sequence[str]
    output: Path | None
    idle: float
    env_files: Sequence[Path]
    escapes: bool
    binary: bool


@click.command()
@click.argument("url")
@header_option("A header of the handshake.")
@click.option("--protocol", "protocols", multiple=True, help="A subprotocol to offer.")
@click.option("--output", type=OutputFile(), help="Write the draft to this file.")
@click.option(
    "--idle",
    type=Number(min=0),
    default=0.5,
    show_default=True,
    help="Seconds without messages before the next line of a pipe is sent.",
)
@click.option("--escapes", is_flag=True, help=r"In a line, \r, \n, \0, \xNN and \\ stand for characters.")
@click.option("--hex", "binary", is_flag=True, help="Send each line as a binary message, written in hexadecimal.")
@env_file_option
def record(
    url: str,
    headers: dict[str, str],
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
    with _sigterm_like_ctrl_c():
        run(record_conversation, RecordOptions(url, headers, protocols, output, idle, env_files, escapes, binary))


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the recording with its draft as well: `timeout` sends it, with which scripts bound a command."""
    is_main = threading.current_thread() is threading.main_thread()  # no other thread can handle a signal
    # A shell may start a background job without Ctrl-C. SIGTERM must end it nevertheless.
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def record_conversation(options: RecordOptions) -> int:
    """Connect, send the lines of stdin, show what is received, then print or write the draft; return the exit code."""
    if options.output is not None and options.output.exists():
        echo(f"{options.output} already exists and is not changed; give another name", err=True)
        return ExitCode.USAGE_ERROR
    recording = Recording(read_variables(options.env_files))
    report_crashes(recording.guard)
    recording.show = Trace(recording.redact, sys.stderr, recording.guard)
    endpoint = endpoint_fields(options.url, options.headers, options.protocols)
    try:
        opened, url = await open_recorded(endpoint, recording)
    except BridgeError as failed:
        echo(recording.guard(str(failed)), err=True)
        return ExitCode.USAGE_ERROR if isinstance(failed, ManifestError) else ExitCode.FAILURE
    complete = True
    try:
        complete = await _run_session(opened, recording, options)
    finally:  # Ctrl-C is the usual way to end a recording, so it gives the draft as well
        if complete:
            if not recording.messages:
                echo(NO_MESSAGES, err=True)
            _write_draft(recording.draft(endpoint, url), options.output)
    return ExitCode.SUCCESS if complete else ExitCode.USAGE_ERROR


async def _run_session(connection: Connection, recording: Recording, options: RecordOptions) -> bool:
    """Send the lines of stdin until it ends or the endpoint closes the connection.

    Returns:
        Whether each line of a pipe could be sent. A line that lacks a variable ends the session, because the lines
        after it may need it, such as those after a login. At a terminal, the user can type the line again.
    """
    complete = True
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
                try:
                    await _send(connection, recording, line, options)
                except MissingVariable as missing:
                    echo(f"Not sent: {missing}", err=True)
                    complete = interactive
                if not complete:
                    break
                if not interactive:
                    await recording.wait_until_idle(idle)
        if complete:
            await recording.wait_until_idle(idle)
        await connection.aclose()
    return complete


async def _send(connection: Connection, recording: Recording, line: str, options: RecordOptions) -> None:
    """Send a line.

    Raises:
        MissingVariable: If one of its variables is not set. Then nothing is sent.
    """
    if not line.strip():
        return
    if options.binary:
        try:
            data = bytes.fromhex(line)
        except ValueError:
            echo(f"Not sent, because it is not hexadecimal: {line}", err=True)
            return
        await recording.send_binary(connection, data)
        return
    recording.require_variables(line)
    await recording.send_text(connection, unescape(line) if options.escapes else line)


@asynccontextmanager
async def read_lines(descriptor: int) -> AsyncIterator[AsyncIterable[str]]:
    """Read the lines of a file in a daemon thread: a read from a terminal cannot be cancelled."""
    send_stream, receive_stream = anyio.create_memory_object_stream[str](math.inf)
    async with BlockingPortal() as portal:
        threading.Thread(target=_read_lines_in_thread, args=(descriptor, portal, send_stream), daemon=True).start()
        with receive_stream, send_stream:
            yield receive_stream


def _read_lines_in_thread(descriptor: int, portal: BlockingPortal, send_stream: MemoryObjectSendStream[str]) -> None:
    rest = b""
    with suppress(RuntimeError, anyio.ClosedResourceError):  # the portal or the stream is closed: the session has ended
        while data := os.read(descriptor, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                portal.call(send_stream.send_nowait, line.decode("utf-8", "replace").removesuffix("\r"))
        if rest:
            portal.call(send_stream.send_nowait, rest.decode("utf-8", "replace"))
        portal.call(send_stream.close)


def _write_draft(draft: Draft, output: Path | None) -> None:
    """Write the draft to a file that does not exist yet; print it if there is none, or it cannot be written."""
    text = format_json(draft.document) + "\n"
    if output is None or not _write_new(output, text):
        echo(text, nl=False)
    for name in draft.missing_variables:
        echo(f"A secret was typed. The draft contains ${{{name}}} instead: set {name} before you use it.", err=True)


def _write_new(output: Path, text: str) -> bool:
    """Write a new file, and say so; return whether that was possible."""
    try:
        with output.open("x", encoding="utf-8") as new:
            new.write(text)
    except OSError as failed:
        echo(f"{output} cannot be written: {reason_of(failed)}. The draft is printed instead.", err=True)
        return False
    echo(f"{output} is written; check it with: utcp-ws-mcp check {output}", err=True)
    return True
