"""List tools, and approve discovered ones that have changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import click

from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest
from ..errors import PinStoreError
from ..observability import events
from ..observability.redaction import Redactor

FAILED: Final = 1
APPROVE_TIMEOUT: Final = 15.0
"""Seconds that endpoints have for their manuals."""


async def list_tools(manifests: Sequence[LoadedManifest], as_json: bool, timeout: float) -> int:
    """Print the tools; 1 if an endpoint did not tell its own."""
    redact = Redactor(each.manifest for each in manifests)

    def notice(event: events.Event) -> None:
        if isinstance(event, events.WarningIssued):
            click.echo(redact(event.text), err=True)

    async with Bridge(manifests, observe=notice) as bridge:
        await bridge.wait_discovered(timeout)
        plans, failures = list(bridge.tools.values()), dict(bridge.discovery_errors)
    for failure in failures.values():
        click.echo(redact(str(failure)), err=True)
    if as_json:
        listed = [
            {"name": plan.full_name, "description": plan.description, "inputs": plan.inputs, "outputs": plan.outputs}
            for plan in plans
        ]
        click.echo(redact(json.dumps(listed, indent=2, ensure_ascii=False)))
        return FAILED if failures else 0
    for plan in plans:
        first_line = plan.description.strip().partition("\n")[0]
        click.echo(
            redact(f"{plan.full_name}({format_signature(plan.inputs)})" + (f"  {first_line}" if first_line else ""))
        )
    return FAILED if failures else 0


def format_signature(inputs: Any) -> str:
    """The arguments of a tool, optional ones with a question mark."""
    required = inputs.get("required", [])
    names = inputs.get("properties", {})
    return ", ".join(name if name in required else f"{name}?" for name in names)


async def approve_tools(manifests: Sequence[LoadedManifest], names: Sequence[str]) -> int:
    """Approve the named tools, and print those that stay withheld."""
    async with Bridge(manifests) as bridge:
        await bridge.wait_discovered(APPROVE_TIMEOUT)
        for name in names:
            if name not in bridge.withheld:
                click.echo(f"{name} is not withheld", err=True)
                return FAILED
            try:
                bridge.approve(name)
            except PinStoreError as failed:
                click.echo(str(failed), err=True)
                return FAILED
            click.echo(f"{name} is approved")
        for name, why in bridge.withheld.items():
            if name not in names:
                click.echo(f"{name} is withheld: {why}")
    return 0
