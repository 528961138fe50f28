"""What the commands do: list tools, approve changed ones, call one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from . import events
from .bridge import Bridge, Streamed
from .errors import BridgeError
from .log import Trace
from .redact import redactor, secret_values
from .sources import Loaded

CALL_FAILED: Final = 1
APPROVE_WAIT: Final = 15.0
"""Seconds that endpoints have for their manuals."""


@dataclass(frozen=True, slots=True)
class CallWish:
    """What the command `call` is to do."""

    tool: str
    pairs: Sequence[str]
    whole: str | None
    trace: bool
    output: Path | None


async def list_tools(loaded: Sequence[Loaded], as_json: bool, wait: float) -> int:
    """Print the tools; 1 if an endpoint did not tell its own."""
    redact = _redactor(loaded)

    def notice(event: events.Event) -> None:
        if isinstance(event, events.Noticed):
            click.echo(redact(event.text), err=True)

    async with Bridge(loaded, observe=notice) as bridge:
        await bridge.wait_discovered(wait)
        plans, failures = list(bridge.tools.values()), dict(bridge.failures)
    for failure in failures.values():
        click.echo(redact(str(failure)), err=True)
    if as_json:
        listed = [
            {"name": plan.full_name, "description": plan.description, "inputs": plan.inputs, "outputs": plan.outputs}
            for plan in plans
        ]
        click.echo(redact(json.dumps(listed, indent=2, ensure_ascii=False)))
        return CALL_FAILED if failures else 0
    for plan in plans:
        first_line = plan.description.strip().partition("\n")[0]
        click.echo(redact(f"{plan.full_name}({_signature(plan.inputs)})" + (f"  {first_line}" if first_line else "")))
    return CALL_FAILED if failures else 0


def _signature(inputs: Any) -> str:
    required = inputs.get("required", [])
    names = inputs.get("properties", {})
    return ", ".join(name if name in required else f"{name}?" for name in names)


async def approve_tools(loaded: Sequence[Loaded], names: Sequence[str]) -> int:
    """Approve the named tools, and print those that stay withheld."""
    async with Bridge(loaded) as bridge:
        await bridge.wait_discovered(APPROVE_WAIT)
        for name in names:
            if name not in bridge.withheld:
                click.echo(f"{name} is not withheld", err=True)
                return CALL_FAILED
            if wrong := bridge.approve(name):
                click.echo(wrong, err=True)
                return CALL_FAILED
            click.echo(f"{name} is approved")
        for name, why in bridge.withheld.items():
            if name not in names:
                click.echo(f"{name} is withheld: {why}")
    return 0


async def call_tool(loaded: Sequence[Loaded], wish: CallWish) -> int:
    """Call one tool and print its result; 1 if it fails."""
    redact = _redactor(loaded)
    observe = Trace(redact, sys.stderr) if wish.trace else events.ignore
    try:
        async with Bridge(_only(loaded, wish.tool), observe=observe) as bridge:
            schema = await bridge.input_schema(wish.tool)
            value = await bridge.call_tool(wish.tool, read_arguments(wish.pairs, wish.whole, schema))
    except BridgeError as failed:
        click.echo(redact(str(failed)), err=True)
        return CALL_FAILED
    _print_result(value.value if isinstance(value, Streamed) else value, wish.output)
    return 0


def _redactor(loaded: Sequence[Loaded]) -> Callable[[str], str]:
    return redactor(secret_values(entry for each in loaded for entry in each.manifest.entries))


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
            raise click.UsageError(f"expected KEY=VALUE, not {pair!r}")
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


def _print_result(value: Any, output: Path | None) -> None:
    if isinstance(value, bytes):
        data = value
    else:
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=repr)
        data = (text + "\n").encode("utf-8", "replace")
    if output is not None:
        output.write_bytes(data)
        click.echo(f"{len(data)} bytes written to {output}", err=True)
    elif isinstance(value, bytes) and sys.stdout.isatty():
        click.echo(f"{len(value)} bytes of binary data; use --output FILE to keep them", err=True)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
