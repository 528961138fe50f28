"""`utcp-ws-mcp approve`: approve discovered tools that are withheld."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest
from ..errors import PinStoreError
from .exit_codes import ExitCode
from .options import env_file_option, load_manifests, run, split_manifests
from .terminal import echo, hide_secrets

DISCOVERY_TIMEOUT: Final = 15.0
"""Seconds that endpoints have to return their manuals."""


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[MANIFEST] [MANUAL.TOOL]...")
@env_file_option
def approve(words: tuple[str, ...], env_files: tuple[Path, ...]) -> None:
    """Approve discovered tools that are withheld because they changed or were never approved.

    Without MANUAL.TOOL, only show them.
    """
    manifests, names = split_manifests(words)
    run(approve_tools, load_manifests(manifests, env_files), names)


async def approve_tools(manifests: Sequence[LoadedManifest], names: Sequence[str]) -> int:
    """Approve the tools with these names (`manual.tool`), and print those that stay withheld; return the exit code."""
    async with Bridge(manifests) as bridge:
        hide_secrets(bridge.redactor)
        await bridge.wait_discovered(DISCOVERY_TIMEOUT)
        for name in names:
            if name not in bridge.withheld:
                echo(f"{name} is not withheld", err=True)
                return ExitCode.FAILURE
            try:
                bridge.approve(name)
            except PinStoreError as error:
                echo(str(error), err=True)
                return ExitCode.FAILURE
            echo(f"{name} is approved")
        for name, reason in bridge.withheld.items():
            if name not in names:
                echo(f"{name} is withheld: {reason}")
    return ExitCode.SUCCESS
