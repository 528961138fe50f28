"""What several commands share: options, loading manifests, and running a coroutine to its exit code."""

from __future__ import annotations

import gc
import json
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
from .terminal import echo, hide_secrets

COLLECTION_THRESHOLD: Final = 10_000
"""New objects after which Python looks for cycles among them. With its default of 700, a tenth of the time of many
concurrent calls are such searches, and calls leave no cycles."""

MANIFEST_VARIABLE: Final = "UTCP_WS_MCP_MANIFEST"
"""Names the manifest for `call` and `approve` if none is given."""

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

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
        echo(str(invalid), err=True)
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
            echo(warning, err=True)
    return variables


def print_load_warnings(loaded: LoadedManifest) -> None:
    """Print which parts of a manifest are ignored, and which call templates are disabled."""
    manifest = loaded.manifest
    for warning in manifest.warnings:
        echo(f"{manifest.source}: {warning}", err=True)
    for disabled in manifest.disabled:
        echo(f"{manifest.source}: {disabled.error()}", err=True)


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
        echo(str(failed), err=True)
        code = ExitCode.USAGE_ERROR
    sys.exit(code)
