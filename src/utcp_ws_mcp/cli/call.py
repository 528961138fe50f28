"""Call one tool, with arguments from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from ..bridge import Bridge, Streamed
from ..client.manifest_files import Loaded
from ..core.codecs.message import clean
from ..core.exchange.result import told_before
from ..errors import BridgeError, UnknownVariable
from ..observability import events
from ..observability.logging import Trace, visible
from ..observability.redaction import Redactor

CALL_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What the command `call` is to do."""

    tool: str
    pairs: Sequence[str]
    whole: str | None
    trace: bool
    output: Path | None


async def call_tool(loaded: Sequence[Loaded], options: CallOptions) -> int:
    """Call one tool and print its result; 1 if it fails."""
    redact = Redactor(each.manifest for each in loaded)
    observe = Trace(redact, sys.stderr) if options.trace else events.ignore
    try:
        made = Bridge(_only(loaded, options.tool), observe=observe, explain=options.trace, on_token=redact.learn_token)
        async with made as bridge:
            schema = await bridge.input_schema(options.tool)
            value = await bridge.call_tool(options.tool, read_arguments(options.pairs, options.whole, schema))
    except UnknownVariable:
        return CALL_FAILED  # it was told when the manifest was loaded
    except BridgeError as failed:
        click.echo(visible(redact(str(failed))), err=True)
        if collected := getattr(failed, "collected", ()):
            click.echo(visible(redact(told_before(made.tools.get(options.tool), collected))), err=True)
        return CALL_FAILED
    data = _binary(value) if options.output else value
    if not isinstance(data, bytes):
        data = _as_text(value.value if isinstance(value, Streamed) else value, redact)
    _print_result(data, options.output, is_binary=isinstance(value, bytes))
    return 0


def _only(loaded: Sequence[Loaded], tool: str) -> list[Loaded]:
    """The manifests without the call templates that have nothing to do with a tool."""
    names = [entry.name for each in loaded for entry in each.manifest.entries]
    wanted = {name for name in names if tool.startswith(f"{name}.")} or set(names)
    return [
        replace(
            each,
            manifest=replace(
                each.manifest, entries=tuple(entry for entry in each.manifest.entries if entry.name in wanted)
            ),
        )
        for each in loaded
    ]


def _example(schema: Any) -> str:
    return f"{next(iter(schema.get('properties', {})), 'name')}=…"


def read_arguments(pairs: Sequence[str], whole: str | None, schema: Any) -> dict[str, Any]:
    """The arguments of a call from the command line: KEY=VALUE by the schema's type, KEY:=JSON, or one JSON object."""
    arguments: dict[str, Any] = {}
    if whole is not None:
        read = _from_json(whole, strict=False)
        if not isinstance(read, dict):
            raise click.UsageError(f'--json needs a JSON object, such as \'{{"city": "Oslo"}}\', not {whole[:80]!r}')
        arguments = read
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(f"expected KEY=VALUE, such as {_example(schema)}, or --json OBJECT; not {pair!r}")
        if key.endswith(":"):
            arguments[key[:-1]] = _from_json(text, strict=True)
        else:
            kind = schema.get("properties", {}).get(key, {}).get("type")
            arguments[key] = text if kind == "string" else _from_json(text, strict=False)
    return arguments


def _from_json(text: str, *, strict: bool) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if strict:
            raise click.UsageError(f"expected JSON after ':=', not {text[:80]!r}") from None
        return text


def _binary(value: Any) -> bytes | None:
    """What a file holds of a result that is binary: of a stream, the items one after the other."""
    if not isinstance(value, Streamed):
        return value if isinstance(value, bytes) else None
    items = value.value.get("items") or [value.value.get("item")]
    return b"".join(items) if all(isinstance(item, bytes) for item in items) else None


def _as_text(value: Any, redact: Redactor) -> bytes:
    """A result as it is printed: text as it is, anything else as JSON, without credentials."""
    text = value if isinstance(value, str) else json.dumps(clean(value), indent=2, ensure_ascii=False)
    return (redact.in_result(text) + "\n").encode("utf-8", "replace")


def _print_result(data: bytes, output: Path | None, *, is_binary: bool) -> None:
    if output is not None:
        output.write_bytes(data)
        click.echo(f"{len(data)} bytes written to {output}", err=True)
    elif is_binary and sys.stdout.isatty():
        click.echo(f"{len(data)} bytes of binary data; use --output FILE to keep them", err=True)
    else:
        sys.stdout.buffer.write(visible(data.decode()).encode() if sys.stdout.isatty() else data)
        sys.stdout.buffer.flush()
