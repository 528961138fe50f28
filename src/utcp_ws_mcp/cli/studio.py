"""`utcp-ws-mcp studio`: make and try a manifest in the browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ..errors import ServeOptionsError
from ..manifest.extras import is_installed, needs_extra
from .exit_codes import ExitCode
from .options import env_file_option, read_variables, run
from .terminal import echo


@click.command()
@click.argument("manifest", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--port", type=click.IntRange(0, 65535), help="The port on loopback; without it, the first free one.")
@click.option("--no-browser", is_flag=True, help="Only print the address of the page.")
@env_file_option
def studio(manifest: Path | None, port: int | None, no_browser: bool, env_files: tuple[Path, ...]) -> None:
    """Make and try a manifest in the browser; MANIFEST is a file, which may be new, or a name of the catalogue.

    The page is served on loopback only, and its address contains a token. Values of variables that are typed there
    stay in memory. Needs the extra studio.
    """
    if not is_installed("studio"):
        echo(str(ServeOptionsError(needs_extra("studio", "studio"), code="extra-not-installed")), err=True)
        sys.exit(ExitCode.USAGE_ERROR)
    os.environ.pop("NICEGUI_REDIS_URL", None)  # of another program: the studio keeps nothing anywhere
    # Before `run`, because the garbage collector, which starts there, would slow the import of a large library.
    from ..studio.session import StudioOptions
    from ..studio.ui.server import run_studio

    async def serve() -> int:
        await run_studio(
            StudioOptions(manifest, read_variables(env_files), env_files), port, open_browser=not no_browser
        )
        return ExitCode.SUCCESS

    run(serve)
