"""`utcp-ws-mcp approve`: approve discovered tools that are withheld."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ..authoring.trial import full_name
from ..bridge import Bridge
from ..client.approvals import DIGEST_LENGTH, WithheldTool
from ..client.manifest_files import LoadedManifest
from ..errors import PolicyError
from .exit_codes import ExitCode
from .options import env_file_option, load_manifests, run, split_manifests
from .terminal import echo, hide_secrets, with_name

DISCOVERY_TIMEOUT: Final = 15.0
"""Seconds that endpoints have to return their manuals."""


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[MANIFEST] [[MANUAL.]TOOL@DIGEST]...")
@env_file_option
def approve(words: tuple[str, ...], env_files: tuple[Path, ...]) -> None:
    """Approve discovered tools that are withheld because they changed or were never approved.

    Without TOOL@DIGEST, show them: the reason, the definition, and the words that approve it. A tool is approved only
    if its definition still has this digest. MANUAL can be omitted if the manifest has only one call template.
    """
    manifests, names = split_manifests(words)
    loaded = load_manifests(manifests, env_files)
    run(approve_tools, loaded, [full_name(loaded, name) for name in names])


async def approve_tools(manifests: Sequence[LoadedManifest], names: Sequence[str]) -> int:
    """Approve tools (`manual.tool@digest`), or show those that are withheld; return the exit code.

    It is `FAILURE` if a tool was not approved, or if not all that are withheld could be shown.
    """
    async with Bridge(manifests) as bridge:
        hide_secrets(bridge.redactor)
        errors = await bridge.wait_discovery_errors(DISCOVERY_TIMEOUT)
        for manual, error in errors.items():
            echo(with_name(manual, str(error)), err=True)
        for each in names:
            name, _, digest = each.rpartition("@")
            if not name:
                echo(_describe(each, bridge.withheld_tools.get(each)), err=True)
                return ExitCode.FAILURE
            try:
                await bridge.approve(name, digest)
            except PolicyError as refused:
                echo(str(refused), err=True)
                return ExitCode.FAILURE
            echo(f"{name} is approved")
        for name, tool in bridge.withheld_tools.items() if not names else ():
            echo(_describe(name, tool))
        is_incomplete = bool(errors) and not names
    return ExitCode.FAILURE if is_incomplete else ExitCode.SUCCESS


def _describe(name: str, tool: WithheldTool | None) -> str:
    """Return why a tool is withheld, its definition as the endpoint announced it, and what approves it."""
    if tool is None:
        return f"{name} is not withheld"
    definition = json.dumps(tool.definition, indent=2, ensure_ascii=True)  # escapes show invisible characters
    return f"{name} is withheld: {tool.reason}\n{definition}\napprove it with: {name}@{tool.digest[:DIGEST_LENGTH]}\n"
