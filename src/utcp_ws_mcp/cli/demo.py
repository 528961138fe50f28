"""`utcp-ws-mcp demo`: show the server at work, or run only the endpoint of the demo."""

from __future__ import annotations

import click

from ..demo.session import run_demo, serve_endpoint
from .exit_codes import ExitCode
from .options import run
from .terminal import echo

DEFAULT_ENDPOINT_PORT = 8765
"""The port in manifests/demo.json."""


@click.command()
@click.option("--endpoint-only", is_flag=True, help="Only run the endpoint until Ctrl-C, and print a manifest for it.")
@click.option(
    "--port",
    default=0,
    help=f"The port of the endpoint. With --endpoint-only {DEFAULT_ENDPOINT_PORT} unless given, otherwise a free one.",
)
def demo(endpoint_only: bool, port: int) -> None:
    """Start a small endpoint, serve it to a real MCP client, and print what happens."""
    if endpoint_only:
        run(_serve_endpoint, port or DEFAULT_ENDPOINT_PORT)
    else:
        run(_run_demo, port)


async def _serve_endpoint(port: int) -> int:
    return ExitCode.SUCCESS if await serve_endpoint(port, echo) else ExitCode.USAGE_ERROR


async def _run_demo(port: int) -> int:
    return ExitCode.SUCCESS if await run_demo(port, echo) else ExitCode.FAILURE
