"""The one place where commands write: no credential reaches a terminal, and no endpoint controls it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from ..files import reason_of
from ..manifest.invisible import escape_invisible
from ..observability.logging import announce, report_crashes
from ..observability.redaction import Redactor
from .exit_codes import ExitCode

_REDACTOR_KEY: Final = f"{__package__}.redactor"
"""Where the context of a command has the redactor of the manifests that it loaded."""


class OutputFailed(click.ClickException):
    """What a command writes cannot be written, because the disk is full for example."""

    exit_code = ExitCode.USAGE_ERROR


@contextmanager
def _reporting_failures() -> Iterator[None]:
    """Report that nothing can be written. Click ends a command whose reader has gone, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as failed:
        message = f"the output cannot be written: {reason_of(failed)}. Write it elsewhere."
        raise OutputFailed(message) from None


def hide_secrets(redactor: Redactor) -> Redactor:
    """Remove the credentials that a redactor knows from everything that this command writes; return the redactor."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_REDACTOR_KEY] = redactor
        report_crashes(redactor.guard)
    return redactor


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write a text without credentials, with visible forms of control characters."""
    shown = escape_invisible(_without_secrets(text))
    with _reporting_failures():
        click.echo(shown, err=err, nl=nl)


def report(text: str, level: int = logging.ERROR) -> None:
    """Write a problem to stderr: as text, or as an object where the log of `serve` consists of them."""
    announce(_without_secrets(text), level)


def _without_secrets(text: str) -> str:
    context = click.get_current_context(silent=True)
    redactor = context.meta.get(_REDACTOR_KEY) if context is not None else None
    return text if redactor is None else redactor.guard(text)


def write_result(data: bytes) -> None:
    """Write a result, which is redacted, to stdout: unchanged for another program, visible for a terminal."""
    out: Any = sys.stdout
    with _reporting_failures():
        out.buffer.write(escape_invisible(data.decode("utf-8", "replace")).encode() if out.isatty() else data)
        out.buffer.flush()


def with_name(name: str, text: str) -> str:
    """Return a text about a call template that begins with its name; many errors do already."""
    return text if text.startswith(f"{name}: ") else f"{name}: {text}"
