"""`utcp-ws-mcp tools`: list the tools of manifests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest
from ..observability import events
from ..observability.redaction import Redactor, redact_strings
from .exit_codes import ExitCode
from .options import Number, encodable_json, env_file_option, load_manifests, manifests_argument, run
from .terminal import echo, hide_secrets


@click.command()
@manifests_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON array, with schemas.")
@click.option(
    "--timeout",
    type=Number(min=0),
    default=10.0,
    show_default=True,
    help="Seconds to wait for endpoints whose tools are discovered.",
)
@env_file_option
def tools(manifests: tuple[Path, ...], as_json: bool, timeout: float, env_files: tuple[Path, ...]) -> None:
    """List the tools of MANIFESTS, including those that endpoints announce in a UTCP manual."""
    run(list_tools, load_manifests(manifests, env_files), as_json, timeout)


async def list_tools(manifests: Sequence[LoadedManifest], as_json: bool, timeout: float) -> int:
    """Print the tools; return `FAILURE` if a discovery failed."""
    redact = hide_secrets(Redactor(each.manifest for each in manifests))

    def print_warning(event: events.Event) -> None:
        if isinstance(event, events.WarningIssued):
            echo(event.text, err=True)

    async with Bridge(manifests, observe=print_warning, redactor=redact) as bridge:
        errors = await bridge.wait_discovery_errors(timeout)
        listed = list(bridge.tools.values())
    for error in errors.values():
        echo(str(error), err=True)
    if as_json:
        objects = [
            {"name": tool.full_name, "description": tool.description, "inputs": tool.inputs, "outputs": tool.outputs}
            for tool in listed
        ]
        shown = json.dumps(redact_strings(objects, redact.redact_result), indent=2, ensure_ascii=False)
        echo(encodable_json(shown))
    else:
        for tool in listed:
            summary = tool.description.strip().partition("\n")[0]
            echo(f"{tool.full_name}({format_signature(tool.inputs)})" + (f"  {summary}" if summary else ""))
    return ExitCode.FAILURE if errors else ExitCode.SUCCESS


def format_signature(inputs: Any) -> str:
    """Return the arguments of an input schema, separated by commas; optional ones end in a question mark."""
    required = inputs.get("required", [])
    names = inputs.get("properties", {})
    return ", ".join(name if name in required else f"{name}?" for name in names)


def propose_command(reference: str, templates: Sequence[Mapping[str, Any]], env_files: Sequence[Path] = ()) -> str:
    """Return a command to try next: a call of the first tool that only reads, if possible without arguments.

    Args:
        reference: The file of the manifest, or the name of an entry of the catalogue.
        templates: The call templates as they are written.
        env_files: The files of variables, which the command needs as well.
    """
    options = "".join(f" --env-file {shlex.quote(str(file))}" for file in env_files)
    manifest = shlex.quote(reference)
    tools = [(template["name"], tool) for template in templates for tool in template.get("tools", ())]
    listed = [(template["name"], feed) for template in templates for feed in template.get("feeds", ())]
    feeds = [f"{manual}.{feed['name']}" for manual, feed in listed if feed != "..."]  # the dots are inherited feeds
    if not tools:
        return (
            f"utcp-ws-mcp watch {manifest} {feeds[0]}{options}" if feeds else f"utcp-ws-mcp tools {manifest}{options}"
        )

    def rank(named: tuple[str, Any]) -> tuple[bool, int]:
        tool = named[1]
        return not tool.get("annotations", {}).get("readOnlyHint"), len(tool.get("inputs", {}).get("required", []))

    manual, tool = min(tools, key=rank)
    arguments = "".join(f" {name}=…" for name in tool.get("inputs", {}).get("required", []))
    return f"utcp-ws-mcp call {manifest} {manual}.{tool['name']}{arguments}{options}"
