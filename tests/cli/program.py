"""Run a command in this process, which takes a fraction of the time that a new one takes."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess
from typing import Final
from unittest import mock

from click.testing import CliRunner

from utcp_ws_mcp.cli.main import main

LOGGERS: Final = ("utcp_ws_mcp", "utcp_ws_mcp.audit", "mcp", "uvicorn", "opentelemetry", "websockets.server")
"""What commands configure, and the log of the endpoint of a test."""

END_OF_INPUT: Final = "\x04"
"""Ctrl-D at a terminal."""


def run(*arguments: str, typed: str = "", terminal: bool = False, **environ: str) -> CompletedProcess[str]:
    """Run `utcp-ws-mcp` with nothing but these variables and an empty path; its stdin is a pipe or a terminal."""
    writer, reader = os.openpty() if terminal else reversed(os.pipe())
    os.write(writer, f"{typed}{END_OF_INPUT * terminal}".encode())  # both hold more than a test types
    if not terminal:
        os.close(writer)
    variables = mock.patch.dict(os.environ, {"PATH": "", **environ}, clear=True)
    with os.fdopen(reader, "rb") as stdin, variables, own_log():
        ended = CliRunner().invoke(main, arguments, input=stdin, prog_name="utcp-ws-mcp")
        for thread in threading.enumerate():
            if "read_lines" in thread.name:  # that of `record` reads to the end of the pipe
                thread.join()
    if terminal:
        os.close(writer)
    assert ended.exc_info is not None
    exit_ = ended.exc_info[1]
    if not isinstance(exit_, SystemExit):
        raise exit_
    assert isinstance(exit_.code, int)  # each command says how it ended
    return CompletedProcess(arguments, exit_.code, ended.stdout, ended.stderr)


@contextmanager
def own_log() -> Iterator[None]:
    """Keep what a command changes of the log to itself, and the log of the endpoint out of that of the command."""
    loggers = [logging.getLogger(name) for name in (None, *LOGGERS)]
    before = [(each, [*each.handlers], each.level, each.propagate) for each in loggers]
    hook = sys.excepthook
    logging.getLogger("websockets.server").setLevel(logging.WARNING)
    yield
    for each, handlers, level, propagate in before:
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)
    sys.excepthook = hook
    logging.captureWarnings(capture=False)
