"""The one place where commands write: no credential reaches a terminal, and no endpoint controls it."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import click

from ..manifest.invisible import escape_invisible
from ..observability.logging import log_always, logs_json, report_crashes
from ..observability.redaction import Redactor

_REDACTOR_KEY: Final = f"{__package__}.redactor"
"""Where the context of a command has the redactor of the manifests that it loaded."""


def hide_secrets(redactor: Redactor) -> Redactor:
    """Remove the credentials that a redactor knows from everything that this command writes; return the redactor."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_REDACTOR_KEY] = redactor
        report_crashes(redactor.guard)
    return redactor


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write a text without credentials, with visible forms of control characters."""
    click.echo(escape_invisible(_without_secrets(text)), err=err, nl=nl)


def report(text: str, level: int = logging.ERROR) -> None:
    """Write a problem to stderr: as text, or as an object where the log of `serve` consists of them."""
    if logs_json():
        log_always(level, _without_secrets(text))
    else:
        echo(text, err=True)


def _without_secrets(text: str) -> str:
    context = click.get_current_context(silent=True)
    redactor = context.meta.get(_REDACTOR_KEY) if context is not None else None
    return text if redactor is None else redactor.guard(text)


def write_result(data: bytes) -> None:
    """Write a result, which is redacted, to stdout: unchanged for another program, visible for a terminal."""
    out: Any = sys.stdout
    out.buffer.write(escape_invisible(data.decode("utf-8", "replace")).encode() if out.isatty() else data)
    out.buffer.flush()


def with_name(name: str, text: str) -> str:
    """Return a text about a call template that begins with its name; many errors do already."""
    return text if text.startswith(f"{name}: ") else f"{name}: {text}"
