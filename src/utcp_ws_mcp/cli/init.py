"""`utcp-ws-mcp init`: write a commented manifest to start from."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Final

import click

from .. import manifest
from ..manifest.presets import preset_names, preset_summary
from ..manifest.validation import closest_match
from .exit_codes import ExitCode
from .terminal import echo

NO_PRESET: Final = "none"
"""The name of the example manifest that uses no preset."""


@click.command()
@click.argument("preset", required=False)
@click.argument("file", default="manifest.json", type=click.Path(path_type=Path, dir_okay=False))
def init(preset: str | None, file: Path) -> None:
    """Write a commented manifest for PRESET to FILE (manifest.json); without PRESET, list the presets."""
    sys.exit(list_presets() if preset is None else write_example_manifest(preset, file))


def list_presets() -> int:
    """Print the presets with their purpose; return the exit code."""
    known = {name: preset_summary(name) for name in sorted(preset_names())}
    known[NO_PRESET] = "No preset: an endpoint with messages of its own"
    width = max(map(len, known))
    for name, purpose in known.items():
        echo(f"{name:{width}}  {purpose}")
    echo("\nutcp-ws-mcp init PRESET writes a commented manifest.json")
    return ExitCode.SUCCESS


def write_example_manifest(preset: str, file: Path) -> int:
    """Write the commented manifest of a preset to a new file; return the exit code. An existing file is not changed."""
    known = preset_names() | {NO_PRESET}
    if preset not in known:
        near = closest_match(preset, known)
        hint = f"did you mean {near!r}?" if near else "`utcp-ws-mcp init` lists them"
        echo(f"there is no preset {preset!r}; {hint}", err=True)
        return ExitCode.USAGE_ERROR
    text = (resources.files(manifest) / "examples" / f"{preset}.json").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        echo(f"{file} already exists and is not changed; give another name: init {preset} FILE", err=True)
        return ExitCode.USAGE_ERROR
    except OSError as failed:
        echo(f"{file} cannot be written: {(failed.strerror or 'no reason given').lower()}", err=True)
        return ExitCode.USAGE_ERROR
    echo(f"{file} is written; fill in your values, then run: utcp-ws-mcp check {file}")
    return ExitCode.SUCCESS
