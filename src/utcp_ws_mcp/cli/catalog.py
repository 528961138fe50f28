"""`utcp-ws-mcp catalog`: list the manifests that are installed with the package, show one, and test its connection."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from ..client.catalog import PREFIX, CatalogEntry, find_entry, read_catalog
from ..client.manifest_files import LoadedManifest, load_manifest
from ..errors import InvalidManifest
from ..manifest.presets import preset_names
from ..observability.redaction import Redactor
from .exit_codes import ExitCode
from .options import encodable_json, env_file_option, run
from .terminal import echo, hide_secrets
from .tools import format_signature, propose_command

_WIDTH: Final = 100
"""Characters of a line of text."""


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON array, with variables, setup and limits.")
@click.pass_context
def catalog(context: click.Context, as_json: bool) -> None:
    """List the ready-made manifests; each is usable by its name, wherever a command takes a manifest."""
    if context.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json is for the list; show and doctor have no such form")
    elif as_json:
        listed = [_to_json(entry) for entry in read_catalog()]
        echo(encodable_json(json.dumps(listed, indent=2, ensure_ascii=False)))
    else:
        _print_list(read_catalog())


@catalog.command()
@click.argument("name")
def show(name: str) -> None:
    """Show what the entry NAME needs, its tools and its feeds."""
    entry = _find(name)
    echo("\n".join(_describe(entry)))


@catalog.command()
@click.argument("name")
@env_file_option
def doctor(name: str, env_files: tuple[Path, ...]) -> None:
    """Check the variables of the entry NAME, connect, log in, and say what to do if that fails."""
    entry = _find(name)
    try:
        loaded = load_manifest(entry.file, env_files=env_files)
    except InvalidManifest as invalid:  # an --env-file that cannot be read
        echo(str(invalid), err=True)
        sys.exit(ExitCode.USAGE_ERROR)
    hide_secrets(Redactor([loaded.manifest]))
    run(examine, entry, loaded, env_files)


async def examine(entry: CatalogEntry, loaded: LoadedManifest, env_files: Sequence[Path]) -> int:
    """Print the state of each variable and of each connection, and what to do; return the exit code."""
    from .probe import try_connection  # only this command needs the client

    missing = {name for disabled in loaded.manifest.disabled for name in disabled.missing}
    for line in _describe_variables(entry, _states(entry, loaded, missing)):
        echo(line)
    redact = Redactor([loaded.manifest])
    failures = 0
    for template in loaded.manifest.entries:
        report = await try_connection(template, loaded.tools[template.name], redact)
        echo(f"{template.name}: {report.text}")
        failures += report.failed
    if missing:
        echo(f"\nSet {', '.join(sorted(missing))}: write NAME=value lines to a file, and pass it with --env-file FILE.")
    if failures:
        echo(f"\nSetup: {entry.info.setup}" if entry.info.setup else "\nSee: utcp-ws-mcp catalog show " + entry.name)
    if missing or failures:
        return ExitCode.FAILURE
    echo(f"\nReady. Next: {propose_command(entry.name, entry.templates, env_files)}")
    return ExitCode.SUCCESS


def _find(name: str) -> CatalogEntry:
    try:
        return find_entry(name)
    except InvalidManifest as unknown:
        echo(str(unknown), err=True)
        sys.exit(ExitCode.USAGE_ERROR)


def _to_json(entry: CatalogEntry) -> dict[str, Any]:
    info = entry.info
    variables = [
        {"name": name, "required": required, "description": info.variables.get(name, "")}
        for name, required in entry.variables.items()
    ]
    return {
        "name": entry.name,
        "summary": info.summary,
        "run_against": info.run_against,
        "setup": info.setup,
        "variables": variables,
        "limits": info.limits,
        "tools": list(_names(entry, "tools")),
        "feeds": list(_names(entry, "feeds")),
    }


def _print_list(entries: Sequence[CatalogEntry]) -> None:
    width = max(len(entry.name) for entry in entries)
    indent = " " * (width + 2)
    for entry in entries:
        echo(f"{entry.name:{width}}  {entry.info.summary}")
        needs = ", ".join(entry.required) or "no variables"
        echo(f"{indent}{entry.provenance}; needs {needs}")
    echo("\nutcp-ws-mcp catalog show NAME    what an entry needs, and its tools")
    echo("utcp-ws-mcp catalog doctor NAME  check its variables, connect and log in")


def _describe(entry: CatalogEntry) -> Iterator[str]:
    info = entry.info
    yield f"{entry.name}: {info.summary}"
    yield f"{entry.provenance[0].upper()}{entry.provenance[1:]}."
    for title, text in (("Setup", info.setup), ("Limits", info.limits)):
        if text:
            yield ""
            yield from textwrap.wrap(f"{title}: {text}", _WIDTH, break_long_words=False, break_on_hyphens=False)
    if entry.variables:
        yield ""
        states = {name: "required" if required else "optional" for name, required in entry.variables.items()}
        yield from _describe_variables(entry, states)
    yield ""
    for template in entry.templates:
        yield from _describe_tools(template)
    yield ""
    yield f"Call:    {propose_command(entry.name, entry.templates)}"
    yield f"Install: utcp-ws-mcp install HOST {entry.name}"
    yield f"Copy:    utcp-ws-mcp init {_init_word(entry)}"


def _describe_tools(template: Mapping[str, Any]) -> Iterator[str]:
    for tool in template.get("tools", []):
        mark = "" if tool.get("annotations", {}).get("readOnlyHint") else " [changes something]"
        yield f"{template['name']}.{tool['name']}({format_signature(tool.get('inputs', {}))}){mark}"
        yield from textwrap.wrap(tool["description"], _WIDTH, initial_indent="    ", subsequent_indent="    ")
    for feed in template.get("feeds", []):
        if feed != "...":
            yield f"{template['name']}.{feed['name']}({format_signature(feed.get('inputs', {}))}) [feed]"
            yield from textwrap.wrap(feed["description"], _WIDTH, initial_indent="    ", subsequent_indent="    ")
    if "tools" not in template and "feeds" not in template:
        yield f"{template['name']}: the endpoint announces its tools."


def _describe_variables(entry: CatalogEntry, states: Mapping[str, str]) -> Iterator[str]:
    width = max(map(len, states), default=0)
    for name, state in states.items():
        first = f"{name:{width}}  {state}: {entry.info.variables.get(name, '')}"
        yield from textwrap.wrap(first, _WIDTH, subsequent_indent="    ", break_long_words=False)


def _states(entry: CatalogEntry, loaded: LoadedManifest, missing: set[str]) -> dict[str, str]:
    known = {name for template in loaded.manifest.entries for name in template.variables}
    unset = {False: "not set, optional", True: "not set"}
    return {
        name: "MISSING" if name in missing else "set" if name in known else unset[required]
        for name, required in entry.variables.items()
    }


def _names(entry: CatalogEntry, kind: str) -> Iterator[str]:
    for template in entry.templates:
        yield from (f"{template['name']}.{each['name']}" for each in template.get(kind, []) if each != "...")


def _init_word(entry: CatalogEntry) -> str:
    """Return how `init` names the entry: a preset comes before an entry of its name."""
    return f"{PREFIX}{entry.name}" if entry.name in preset_names() else entry.name
