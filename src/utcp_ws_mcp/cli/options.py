"""What several commands share: options, loading manifests, and running a coroutine to its exit code."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Final, NoReturn

import anyio
import click

from ..client.catalog import find_manifest, is_manifest_word
from ..client.dotenv_files import read_dotenv
from ..client.manifest_files import LoadedManifest, load_manifest
from ..errors import BridgeError, InvalidManifest
from ..manifest.variables import CallerValues
from ..observability.redaction import Redactor
from .exit_codes import ExitCode
from .terminal import hide_secrets, report

COLLECTION_THRESHOLD: Final = 10_000
"""New objects after which Python looks for cycles among them. With its default of 700, a tenth of the time of many
concurrent calls are such searches, and calls leave no cycles."""

MANIFEST_VARIABLE: Final = "UTCP_WS_MCP_MANIFEST"
"""Names the manifest for `call` and `approve` if none is given."""

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


class Number(click.FloatRange):
    """A number in a range; `nan` is in none."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class OutputFile(click.Path):
    """A file that a command writes at its end; `-` is stdout, and becomes None.

    Whether the file can be written is found out before the command runs, or its result would be lost.
    """

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False, writable=True)

    def convert(  # type: ignore[override]
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | None:
        """Return the path, or None for stdout."""
        if value == "-":
            return None
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.exists() and not os.access(path.parent, os.W_OK | os.X_OK):
            self.fail(f"{str(path.parent)!r} is no folder in which a file can be made.", param, ctx)
        return path


def _split_headers(ctx: click.Context, param: click.Parameter, headers: Sequence[str]) -> dict[str, str]:
    pairs = [header.partition(":") for header in headers]
    if not all(separator for _, separator, _ in pairs):  # what was written may be a credential
        raise click.BadParameter("expected NAME:VALUE, with a colon.", ctx, param)
    return {name.strip(): value.strip() for name, _, value in pairs}


def header_option(text: str) -> Decorator:
    """Return the option for headers, which the command gets as a dictionary."""
    return click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", callback=_split_headers, help=text)


manifests_argument: Final = click.argument(
    "manifests", nargs=-1, required=True, type=click.Path(path_type=Path)
)  # no `exists=True`: the loader reports a missing file with the folder in which it looked
env_file_option: Final = click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Variables for the manifest, NAME=value in each line. May be given more than once.",
)


def combine(*options: Decorator) -> Decorator:
    """Return one decorator that adds all options, in the order in which `--help` lists them."""
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


def load_manifests(
    paths: Sequence[Path], env_files: Sequence[Path], callers: CallerValues | None = None
) -> list[LoadedManifest]:
    """Return the loaded manifests, and print their warnings; exit with `USAGE_ERROR` if one is invalid or unknown."""
    loaded: list[LoadedManifest] = []
    try:
        loaded = [load_manifest(find_manifest(path), env_files=env_files, callers=callers) for path in paths]
    except InvalidManifest as invalid:
        report(str(invalid))
        sys.exit(ExitCode.USAGE_ERROR)
    hide_secrets(Redactor(each.manifest for each in loaded))
    for each in loaded:
        print_load_warnings(each)
    return loaded


def read_variables(env_files: Sequence[Path]) -> dict[str, str]:
    """Return the environment with the variables of dotenv files, and print which of their lines are ignored.

    Raises:
        InvalidManifest: If a file cannot be read.
    """
    variables = dict(os.environ)
    for file in env_files:
        content = read_dotenv(file, str(file))
        variables |= content.variables
        for warning in content.warnings:
            report(warning, logging.WARNING)
    return variables


def print_load_warnings(loaded: LoadedManifest) -> None:
    """Print which parts of a manifest are ignored, and which call templates are disabled."""
    manifest = loaded.manifest
    for warning in manifest.warnings:
        report(f"{manifest.source}: {warning}", logging.WARNING)
    for disabled in manifest.disabled:
        report(f"{manifest.source}: {disabled.error()}", logging.WARNING)


def split_manifests(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Split `[MANIFEST]... [WORD]...`: leading JSON files, existing files and names of the catalogue are manifests.

    Without any, the manifest is the one that UTCP_WS_MCP_MANIFEST names, or manifest.json in the working directory.
    """
    count = 0
    while count < len(words) and is_manifest_word(words[count], next(iter(words[count + 1 :]), None)):
        count += 1
    manifests = [Path(word) for word in words[:count]]
    return manifests or [Path(os.environ.get(MANIFEST_VARIABLE, "manifest.json"))], list(words[count:])


def encodable_json(text: str) -> str:
    """Return JSON that stdout can write: with escapes if its encoding lacks a character."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return "".join(character if character.isascii() else json.dumps(character)[1:-1] for character in text)
    return text


def run(command: Callable[..., Coroutine[Any, Any, int]], *args: Any) -> NoReturn:
    """Run a coroutine function and exit with the code that it returns. Ctrl-C exits without a traceback."""
    # `__main__` disables the garbage collector while modules are imported. What was imported stays until the end,
    # so it is frozen: later collections do not visit it.
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(COLLECTION_THRESHOLD)
        gc.enable()
    try:
        code = anyio.run(command, *args)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BridgeError as failed:
        report(str(failed))
        code = ExitCode.USAGE_ERROR
    except BaseExceptionGroup as failed:
        raise _sole_cause(failed) from None
    sys.exit(code)


def _sole_cause(error: BaseException) -> BaseException:
    """Return the error that task groups wrap. Click ends a command by its type, as when the reader of stdout left."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
