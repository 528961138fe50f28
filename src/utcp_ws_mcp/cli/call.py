"""Call one tool, with arguments from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from ..bridge import Bridge, StreamResult
from ..client.manifest_files import LoadedManifest
from ..core.codecs.message import to_json_safe
from ..core.exchange.result import partial_stream_text
from ..errors import BridgeError, MissingVariable
from ..observability import events
from ..observability.logging import Trace, escape_control_chars
from ..observability.redaction import Redactor

CALL_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What the command `call` is to do."""

    tool: str
    pairs: Sequence[str]
    input_json: str | None
    trace: bool
    output: Path | None


async def call_tool(manifests: Sequence[LoadedManifest], options: CallOptions) -> int:
    """Call one tool and print its result; 1 if it fails."""
    redact = Redactor(each.manifest for each in manifests)
    observe = Trace(redact, sys.stderr) if options.trace else events.noop
    try:
        made = Bridge(
            _restrict_to_tool(manifests, options.tool),
            observe=observe,
            trace_rules=options.trace,
            on_token=redact.add_token,
        )
        async with made as bridge:
            schema = await bridge.input_schema(options.tool)
            value = await bridge.call_tool(options.tool, parse_arguments(options.pairs, options.input_json, schema))
    except MissingVariable:
        return CALL_FAILED  # it was told when the manifest was loaded
    except BridgeError as failed:
        click.echo(escape_control_chars(redact(str(failed))), err=True)
        if collected := getattr(failed, "partial", ()):
            click.echo(
                escape_control_chars(redact(partial_stream_text(made.tools.get(options.tool), collected))), err=True
            )
        return CALL_FAILED
    data = _binary_data(value) if options.output else value
    if not isinstance(data, bytes):
        data = _format_result(value.value if isinstance(value, StreamResult) else value, redact)
    _print_result(data, options.output, is_binary=isinstance(value, bytes))
    return 0


def _restrict_to_tool(manifests: Sequence[LoadedManifest], tool: str) -> list[LoadedManifest]:
    """The manifests without the call templates that have nothing to do with a tool."""
    names = [entry.name for each in manifests for entry in each.manifest.entries]
    wanted = {name for name in names if tool.startswith(f"{name}.")} or set(names)
    return [
        replace(
            each,
            manifest=replace(
                each.manifest, entries=tuple(entry for entry in each.manifest.entries if entry.name in wanted)
            ),
        )
        for each in manifests
    ]


def _example_argument(schema: Any) -> str:
    return f"{next(iter(schema.get('properties', {})), 'name')}=…"


def parse_arguments(pairs: Sequence[str], input_json: str | None, schema: Any) -> dict[str, Any]:
    """The arguments of a call from the command line: KEY=VALUE by the schema's type, KEY:=JSON, or one JSON object."""
    arguments: dict[str, Any] = {}
    if input_json is not None:
        read = _parse_json(input_json, strict=False)
        if not isinstance(read, dict):
            raise click.UsageError(
                f'--json needs a JSON object, such as \'{{"city": "Oslo"}}\', not {input_json[:80]!r}'
            )
        arguments = read
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(
                f"expected KEY=VALUE, such as {_example_argument(schema)}, or --json OBJECT; not {pair!r}"
            )
        if key.endswith(":"):
            arguments[key[:-1]] = _parse_json(text, strict=True)
        else:
            kind = schema.get("properties", {}).get(key, {}).get("type")
            arguments[key] = text if kind == "string" else _parse_json(text, strict=False)
    return arguments


def _parse_json(text: str, *, strict: bool) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if strict:
            raise click.UsageError(f"expected JSON after ':=', not {text[:80]!r}") from None
        return text


def _binary_data(value: Any) -> bytes | None:
    """What a file holds of a result that is binary: of a stream, the items one after the other."""
    if not isinstance(value, StreamResult):
        return value if isinstance(value, bytes) else None
    items = value.value.get("items") or [value.value.get("item")]
    return b"".join(items) if all(isinstance(item, bytes) for item in items) else None


def _format_result(value: Any, redact: Redactor) -> bytes:
    """A result as it is printed: text as it is, anything else as JSON, without credentials."""
    text = value if isinstance(value, str) else json.dumps(to_json_safe(value), indent=2, ensure_ascii=False)
    return (redact.redact_result(text) + "\n").encode("utf-8", "replace")


def _print_result(data: bytes, output: Path | None, *, is_binary: bool) -> None:
    if output is not None:
        output.write_bytes(data)
        click.echo(f"{len(data)} bytes written to {output}", err=True)
    elif is_binary and sys.stdout.isatty():
        click.echo(f"{len(data)} bytes of binary data; use --output FILE to keep them", err=True)
    else:
        sys.stdout.buffer.write(escape_control_chars(data.decode()).encode() if sys.stdout.isatty() else data)
        sys.stdout.buffer.flush()
