"""`utcp-ws-mcp call`: call one tool with arguments from the command line, and print its result."""

from __future__ import annotations

import base64
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from ..authoring.trial import full_name, restrict_to_tool
from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest
from ..core.codecs.message import to_json_safe
from ..core.exchange.result import StreamResult, partial_stream_text
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, MissingVariable
from ..files import reason_of
from ..manifest.models.call_template import MAX_TIMEOUT
from ..observability import events
from ..observability.redaction import Redactor
from ..observability.trace import Trace
from ..records import Record
from .argument_names import check_argument_names
from .exit_codes import ExitCode
from .options import Number, OutputFile, env_file_option, load_manifests, run, split_manifests
from .terminal import echo, hide_secrets, write_result


class CallOptions(Record):
    """The options of `call`.

    Attributes:
        tool: `manual.tool`.
        pairs: KEY=VALUE or KEY:=JSON.
        input_json: All arguments as one JSON object.
        timeout: Seconds in place of those of the tool.
        trace: Whether every message is shown.
        output: The file for the result.
    """

    tool: str
    pairs: Sequence[str]
    input_json: str | None
    timeout: float | None
    trace: bool
    output: Path | None


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[MANIFEST] [MANUAL.]TOOL [KEY=VALUE]...")
@click.option("--input-json", metavar="OBJECT", help="All arguments as one JSON object.")
@click.option(
    "--timeout",
    type=Number(0, MAX_TIMEOUT, min_open=True),
    metavar="SECONDS",
    help="End the call after this time, in place of the timeout of its call template.",
)
@click.option("--trace", is_flag=True, help="Show every message on stderr, with times, secrets redacted.")
@click.option("--output", type=OutputFile(), help="Write the result to this file.")
@env_file_option
def call(words: tuple[str, ...], env_files: tuple[Path, ...], **given: Any) -> None:
    """Call one tool and print its result; exit with 1 if it fails.

    MANIFEST can be omitted: then it is $UTCP_WS_MCP_MANIFEST, or manifest.json in the working directory. MANUAL can be
    omitted if the manifest has only one call template.
    A VALUE is parsed according to the type in the tool's input schema; KEY:=VALUE is always JSON.
    """
    manifests, rest = split_manifests(words)
    if not rest:
        raise click.UsageError("no tool given: expected MANUAL.TOOL")
    loaded = load_manifests(manifests, env_files)
    run(call_tool, loaded, CallOptions(full_name(loaded, rest[0]), rest[1:], **given))


async def call_tool(manifests: Sequence[LoadedManifest], options: CallOptions) -> int:
    """Call one tool and print its result; return the exit code."""
    redact = hide_secrets(Redactor(each.manifest for each in manifests))
    observe = Trace(redact, sys.stderr, redact.guard) if options.trace else events.noop
    try:
        bridge_for_tool = Bridge(
            restrict_to_tool(manifests, options.tool),
            observe=observe,
            trace_rules=options.trace,
            redactor=redact,
        )
        async with bridge_for_tool as bridge:
            schema = await bridge.input_schema(options.tool)
            arguments = parse_arguments(options.pairs, options.input_json, schema)
            check_argument_names(options.tool, arguments, schema)
            check_timeout(bridge.tools.get(options.tool), options.timeout)
            value = await bridge.call_tool(options.tool, arguments, timeout=options.timeout)
    except MissingVariable:
        return ExitCode.FAILURE  # already printed when the manifest was loaded
    except BridgeError as failed:
        echo(str(failed), err=True)
        if failed.partial:
            text = partial_stream_text(bridge_for_tool.tools.get(options.tool), failed.partial)
            echo(redact.redact_result(text), err=True)
        return ExitCode.FAILURE
    data = _binary_data(value) if options.output else value
    if not isinstance(data, bytes):
        data = _format_result(value.value if isinstance(value, StreamResult) else value, redact)
    elif redact.redact_result(encoded := base64.b64encode(data).decode()) != encoded:
        data = b"binary data that contains a credential\n"
    return _print_result(data, options.output, is_binary=isinstance(value, bytes))


def check_timeout(tool: CompiledTool | None, timeout: float | None) -> None:
    """Refuse a timeout for a tool that reads a feed.

    Raises:
        UsageError: if the tool reads a feed and a timeout is given.
    """
    if timeout is not None and tool is not None and tool.feed is not None:
        raise click.UsageError(f"{tool.full_name} reads a feed, which has no timeout: leave out --timeout")


def _example_argument(schema: Any) -> str:
    return f"{next(iter(schema.get('properties', {})), 'name')}=…"


def parse_arguments(pairs: Sequence[str], input_json: str | None, schema: Any) -> dict[str, Any]:
    """Return the arguments of a call; pairs override keys of `input_json`.

    KEY=VALUE stays text if the schema says "string", otherwise it is JSON if it can be parsed; KEY:=VALUE must be JSON.

    Raises:
        UsageError: for a malformed pair or object.
    """
    arguments: dict[str, Any] = {}
    if input_json is not None:
        read = _parse_json(input_json, strict=False)
        if not isinstance(read, dict):
            raise click.UsageError(
                f'--input-json needs a JSON object, such as \'{{"city": "Oslo"}}\', not {input_json[:80]!r}'
            )
        arguments = read
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(
                f"expected KEY=VALUE, such as {_example_argument(schema)}, or --input-json OBJECT; not {pair!r}"
            )
        if key.endswith(":"):
            arguments[key[:-1]] = _parse_json(text, strict=True)
        else:
            kind = schema.get("properties", {}).get(key, {}).get("type")
            arguments[key] = value = text if kind == "string" else _parse_json(text, strict=False)
            if isinstance(value, str) and kind in _JSON_EXAMPLES:
                example = shlex.quote(json.dumps(_JSON_EXAMPLES[kind](text), ensure_ascii=False))
                raise click.UsageError(f"{key} is an {kind}, which is written as JSON: {key}:={example}")
    return arguments


_JSON_EXAMPLES: Final[Mapping[str, Callable[[str], Any]]] = {
    "array": lambda text: [part.strip() for part in text.split(",")],
    "object": lambda text: {"key": text},
}
"""What is probably meant by a text for an argument of a type that has no other form than JSON."""


def _parse_json(text: str, *, strict: bool) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if strict:
            raise click.UsageError(f"expected JSON after ':=', not {text[:80]!r}") from None
        return text


def _binary_data(value: Any) -> bytes | None:
    """Return what to write to a file for a binary result, or for a stream of binary items; None for other results."""
    if not isinstance(value, StreamResult):
        return value if isinstance(value, bytes) else None
    items = value.value.get("items") or [value.value.get("item", value.value.get("data"))]
    return b"".join(items) if all(isinstance(item, bytes) for item in items) else None


def _format_result(value: Any, redact: Redactor) -> bytes:
    """Return a result for stdout: text unchanged, anything else as JSON, without credentials."""
    text = value if isinstance(value, str) else json.dumps(to_json_safe(value), indent=2, ensure_ascii=False)
    return (redact.redact_result(text) + "\n").encode("utf-8", "replace")


def _print_result(data: bytes, output: Path | None, *, is_binary: bool) -> int:
    """Write a result to a file or to stdout; return the exit code."""
    if output is not None:
        try:
            output.write_bytes(data)
        except OSError as failed:
            echo(f"{output} cannot be written: {reason_of(failed)}. The call was carried out.", err=True)
            return ExitCode.FAILURE
        echo(f"{len(data)} bytes written to {output}", err=True)
    elif is_binary and sys.stdout.isatty():
        echo(f"{len(data)} bytes of binary data; use --output FILE to save them", err=True)
    else:
        write_result(data)
    return ExitCode.SUCCESS
