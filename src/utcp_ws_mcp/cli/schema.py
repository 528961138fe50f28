"""`utcp-ws-mcp schema`: print the JSON Schema of a manifest."""

from __future__ import annotations

import json

import click

from ..manifest.json_schema import manifest_schema
from .terminal import echo


@click.command()
def schema() -> None:
    """Print the JSON Schema of a manifest, for editors."""
    echo(json.dumps(manifest_schema(), indent=2, ensure_ascii=False))
