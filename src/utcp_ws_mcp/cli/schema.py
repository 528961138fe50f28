"""`utcp-ws-mcp schema`: print the JSON Schema of a manifest."""

from __future__ import annotations

import json

import click

from ..manifest.json_schema import manifest_schema
from .options import encodable_json
from .terminal import echo


@click.command()
def schema() -> None:
    """Print the JSON Schema of a manifest, for editors."""
    echo(encodable_json(json.dumps(manifest_schema(), indent=2, ensure_ascii=False)))
