"""`utcp-ws-mcp init`: write a commented manifest to start from, or a copy of one of the catalogue."""

from __future__ import annotations

import sys
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import click

from .. import manifest
from ..client.catalog import PREFIX, catalog_files, find_entry
from ..files import reason_of
from ..manifest.presets import preset_names, preset_summary
from ..manifest.validation import closest_match
from .exit_codes import ExitCode
from .options import OutputFile
from .terminal import echo

NO_PRESET: Final = "none"
"""The name of the example manifest that uses no preset."""


@click.command()
@click.argument("name", required=False)
@click.argument("file", default="manifest.json", type=OutputFile())
def init(name: str | None, file: Path | None) -> None:
    """Write a manifest to FILE (manifest.json; `-` is stdout).

    It is that of the preset NAME, or a copy of the entry NAME of the catalogue.

    Without NAME, list the presets. A preset comes before an entry of its name; `catalog:NAME` is always the entry.
    """
    sys.exit(list_presets() if name is None else write_example_manifest(name, file))


def list_presets() -> int:
    """Print the presets with their purpose; return the exit code."""
    known = {name: preset_summary(name) for name in sorted(preset_names())}
    known[NO_PRESET] = "No preset: an endpoint with messages of its own"
    width = max(map(len, known))
    for name, purpose in known.items():
        echo(f"{name:{width}}  {purpose}")
    echo("\nutcp-ws-mcp init PRESET writes a commented manifest.json")
    echo("utcp-ws-mcp init NAME copies a manifest of the catalogue; utcp-ws-mcp catalog lists them")
    return ExitCode.SUCCESS


def write_example_manifest(name: str, file: Path | None) -> int:
    """Write the manifest that a name stands for to a new file, never to an existing one, or to stdout.

    Returns:
        The exit code.
    """
    source = _find_source(name)
    if source is None:
        near = closest_match(name, {*preset_names(), NO_PRESET, *catalog_files()})
        hint = f"did you mean {near!r}?" if near else "`utcp-ws-mcp init` and `utcp-ws-mcp catalog` list them"
        echo(f"there is no preset {name!r}, and the catalogue has no such entry; {hint}", err=True)
        return ExitCode.USAGE_ERROR
    text = source.read_text(encoding="utf-8")
    if file is None:
        echo(text, nl=False)
        return ExitCode.SUCCESS
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        echo(f"{file} already exists and is not changed; give another name: init {name} FILE", err=True)
        return ExitCode.USAGE_ERROR
    except OSError as failed:
        echo(f"{file} cannot be written: {reason_of(failed)}. Give another FILE.", err=True)
        return ExitCode.USAGE_ERROR
    echo(f"{file} is written{_origin(name)}; fill in your values, then run: utcp-ws-mcp check {file}")
    return ExitCode.SUCCESS


def _find_source(name: str) -> Traversable | None:
    """Return the text that `init` writes for a name: the example of a preset, or an entry of the catalogue."""
    if name in preset_names() | {NO_PRESET}:
        return resources.files(manifest) / "examples" / f"{name}.json"
    return catalog_files().get(name.removeprefix(PREFIX))


def _origin(name: str) -> str:
    """Return what to add to the message about a written file if it is a copy of an entry of the catalogue."""
    if name in preset_names() | {NO_PRESET}:
        return ""
    entry = find_entry(name)
    presets = [template["preset"] for template in entry.templates if isinstance(template.get("preset"), str)]
    example = f" (its preset is {presets[0]}: `init {presets[0]}` writes an example of it)" if presets else ""
    return f", a copy of the catalogue entry {entry.name}{example}"
