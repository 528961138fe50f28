"""`utcp-ws-mcp import`: make a manifest from the description of an API."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import click

from ..authoring.import_sources import Source, SourceOptions, is_endpoint, read_source
from ..errors import BridgeError, ImportFailed
from ..files import NEW_FILE_MODE, reason_of, replace_file
from ..importers.merging import merge
from ..importers.model import Document, Format, ImportOptions
from ..importers.run import Imported, import_document
from ..importers.urls import shown_url
from ..manifest.presets import preset_names
from ..observability.redaction import Redactor, redact_strings
from ..recorder.manifest import format_json
from ..records import Record
from .check import check_manifests
from .exit_codes import ExitCode
from .options import OutputFile, combine, env_file_option, header_option, read_variables, run
from .terminal import echo, hide_secrets
from .tools import propose_command

_choices = combine(
    click.option(
        "--format",
        "format_",
        type=click.Choice([each.value for each in Format]),
        help="The format; by default recognized.",
    ),
    click.option("--url", help="The WebSocket endpoint, where the description has none or another one."),
    click.option("--preset", help="The preset of the endpoint, instead of the one that belongs to the format."),
    click.option(
        "--viewpoint",
        type=click.Choice(["auto", "server", "client"]),
        default="auto",
        show_default=True,
        help="AsyncAPI: whose messages the description calls sent.",
    ),
    click.option("--include", multiple=True, metavar="GLOB", help="Import only these operations, by name."),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out these operations."),
    click.option("--tag", "tags", multiple=True, metavar="NAME", help="Import only operations with this tag."),
    click.option("--read-only", is_flag=True, help="Leave out operations that may change something."),
    click.option("--all", "everything", is_flag=True, help="Import all operations, however many there are."),
    click.option(
        "--events",
        type=click.Choice(["feeds", "streams", "none"]),
        default="feeds",
        show_default=True,
        help="What becomes of events.",
    ),
    click.option(
        "--depth", type=click.IntRange(0, 5), default=1, show_default=True, help="GraphQL: levels of selected objects."
    ),
    click.option(
        "--params",
        type=click.Choice(["position", "name"]),
        help="JSON-RPC: how parameters are sent where the description does not say it.",
    ),
)
_asking = combine(
    header_option("A header for asking a URL."),
    env_file_option,
    click.option("--remote-references", is_flag=True, help="Fetch documents that the description refers to by URL."),
    click.option("--online", is_flag=True, help="Afterwards, connect to the endpoint."),
    click.option("--yes", is_flag=True, help="Change an existing FILE without confirmation."),
)


class Target(Record):
    """Where the manifest goes, and what is done afterwards."""

    file: Path
    online: bool
    yes: bool
    env_files: Sequence[Path]


@click.command("import")
@click.argument("source")
@click.argument("file", default="manifest.json", type=OutputFile())
@_choices
@_asking
def import_(
    source: str,
    file: Path | None,
    format_: str | None,
    headers: dict[str, str],
    env_files: tuple[Path, ...],
    remote_references: bool,
    online: bool,
    yes: bool,
    **choices: Any,
) -> None:
    """Make a manifest from SOURCE, the description of an API, and write it to FILE (manifest.json; `-` is stdout).

    SOURCE is a file, a folder of JSON Schemas, or a URL: of a description (http), or of an endpoint that is asked for
    its methods (ws). Formats: AsyncAPI, OpenRPC, GraphQL, Chrome DevTools Protocol, obs-websocket, Home Assistant, HAR.

    If FILE exists, the difference of its tools is shown. What you changed in it is kept.
    """
    if choices["preset"] is not None and choices["preset"] not in preset_names():
        raise click.UsageError(f"there is no preset {choices['preset']!r}; `utcp-ws-mcp init` lists them")
    if online and file is None:
        raise click.UsageError("--online needs a FILE, because it connects with the manifest that was written")
    options = ImportOptions(**choices)
    variables = read_variables(env_files)
    asking = SourceOptions(Format(format_) if format_ else None, options.preset, headers, variables, remote_references)
    target = Target(file, online, yes, env_files) if file is not None else None
    run(_import_source, source, asking, options, target)


async def _import_source(source: str, asking: SourceOptions, options: ImportOptions, target: Target | None) -> int:
    """Read, import, write and check; return the exit code. Nothing is written if anything fails.

    The source gets the credentials of the user, so what it says of itself may contain them.
    """
    redact = hide_secrets(Redactor())
    redact.add_values(asking.credentials(source))
    try:
        existing = _read_existing(target.file) if target is not None else None
        if is_endpoint(source):
            text = "for its description. An endpoint that does not answer takes half a minute."
            echo(f"Asking {shown_url(source)} {text}", err=True)
        read = (await read_source(source, asking)).redacted(redact.guard)
        imported = await anyio.to_thread.run_sync(_import, read, options)
    except BridgeError as failed:
        echo(str(failed), err=True)
        return ExitCode.USAGE_ERROR
    for line in imported.report:
        echo(line, err=True)
    manifest = redact_strings(imported.manifest, redact.guard)
    if target is None:
        echo(format_json(manifest))
        return ExitCode.SUCCESS
    code = _write_new(manifest, target) if existing is None else _update(existing, manifest, target)
    if code is not None:
        return code
    return await _check(target, manifest)


def _import(read: Source, options: ImportOptions) -> Imported:
    return import_document(read.document, read.options(options), read.name, read.format, read.others, read.fields)


def _read_existing(file: Path) -> Document | None:
    """Return the manifest that is there already, or None.

    Raises:
        ImportFailed: if the file is something else.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as failed:
        reason = getattr(failed, "strerror", None) or "it is not JSON"
        message = f"{file} exists and cannot be read as a manifest: {reason.lower()}. Give another FILE."
        raise ImportFailed(message, code="import-target-invalid") from None
    if not isinstance(document, dict):
        message = f"{file} exists and is no manifest. Give another FILE."
        raise ImportFailed(message, code="import-target-invalid")
    return document


def _write_new(manifest: Document, target: Target) -> int | None:
    """Write a new file; return an exit code if that fails."""
    return _write(manifest, target.file, f"{target.file} is written.")


def _update(existing: Document, imported: Document, target: Target) -> int | None:
    """Show the difference to a manifest that exists, and write it if the user agrees."""
    merged, difference = merge(existing, imported)
    for line in difference.lines():
        echo(f"{target.file}: {line}")
    if difference.is_empty:
        return ExitCode.SUCCESS
    if not target.yes and not (sys.stdin.isatty() and click.confirm(f"Change {target.file}?")):
        echo(f"{target.file} is not changed; --yes changes it without confirmation", err=True)
        return ExitCode.FAILURE
    return _write(merged, target.file, f"{target.file} is changed.")


def _write(manifest: Mapping[str, Any], file: Path, message: str) -> int | None:
    """Write a file, which keeps its permissions; return an exit code if that fails."""
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else NEW_FILE_MODE
        replace_file(file, (format_json(manifest) + "\n").encode(), mode)
    except OSError as failed:
        echo(f"{file} cannot be written: {reason_of(failed)}. Give another FILE.", err=True)
        return ExitCode.USAGE_ERROR
    echo(message, err=True)
    return None


async def _check(target: Target, imported: Document) -> int:
    """Check the manifest as `check` does; with `--online` also connect. Propose a command if nothing is missing."""
    checked = check_manifests([target.file], target.env_files)
    code = checked.exit_code(strict=False)
    if target.online:
        from .probe import probe_endpoints  # only --online needs the client

        return await probe_endpoints(checked, False, 1.0)
    missing = any(each.manifest.disabled for each in checked.loaded)
    if checked.loaded and not missing:
        templates = imported.get("manual_call_templates", [imported])
        echo(f"Next: {propose_command(str(target.file), templates, target.env_files)}", err=True)
    return ExitCode.SUCCESS if missing and checked.loaded else code
