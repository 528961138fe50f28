"""Print the JSON Schema of a manifest."""

from __future__ import annotations

import json

import click

from ..manifest.json_schema import manifest_schema


def print_schema() -> None:
    """Print it, for an editor."""
    click.echo(json.dumps(manifest_schema(), indent=2, ensure_ascii=False))
