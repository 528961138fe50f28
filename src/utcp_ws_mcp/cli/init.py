"""Write a manifest to start from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

import click

from .. import manifest
from ..manifest.inheritance import preset_names, preset_purpose
from ..manifest.validation import closest_match

NO_PRESET: Final = "none"
"""The starter that uses no preset."""

FAILED: Final = 2


def list_presets() -> int:
    """Print the presets, and how to go on."""
    known = {name: preset_purpose(name) for name in sorted(preset_names())}
    known[NO_PRESET] = "No preset: an endpoint with messages of its own"
    width = max(map(len, known))
    for name, purpose in known.items():
        click.echo(f"{name:{width}}  {purpose}")
    click.echo("\nutcp-ws-mcp init PRESET writes a commented manifest.json")
    return 0


def write_example_manifest(preset: str, file: Path) -> int:
    """Write the commented manifest of a preset to a file that does not exist yet; the exit code."""
    known = preset_names() | {NO_PRESET}
    if preset not in known:
        near = closest_match(preset, known)
        hint = f"did you mean {near!r}?" if near else "`utcp-ws-mcp init` lists them"
        click.echo(f"there is no preset {preset!r}; {hint}", err=True)
        return FAILED
    text = (resources.files(manifest) / "starters" / f"{preset}.json").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        click.echo(f"{file} is there already and stays as it is; give another name: init {preset} FILE", err=True)
        return FAILED
    except OSError as failed:
        click.echo(f"{file} cannot be written: {(failed.strerror or 'no reason given').lower()}", err=True)
        return FAILED
    click.echo(f"{file} is written; put in what is yours, then: utcp-ws-mcp check {file}")
    return 0
