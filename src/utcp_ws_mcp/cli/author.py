"""`utcp-ws-mcp author`: an MCP server with whose tools an agent makes manifests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import AuthoringRefused
from .options import combine, env_file_option, read_variables, run

grant_options = combine(
    click.option(
        "--allow-host",
        "hosts",
        multiple=True,
        metavar="HOST[:PORT]",
        help="A host that the agent may connect to; * stands for parts of a name, as in *.example.com.",
    ),
    click.option(
        "--allow-variable",
        "variables",
        multiple=True,
        metavar="NAME@HOST",
        help="A variable of the environment or of --env-file that may be sent to a host.",
    ),
    click.option("--allow-private", is_flag=True, help="Public names that are allowed may have private addresses."),
)


def grant_words(hosts: Sequence[str], variables: Sequence[str], allow_private: bool) -> list[str]:
    """Return the options that allow the same, checked, for the command that a host runs.

    Raises:
        UsageError: if one is malformed.
    """
    from ..authoring.grants import HostPattern, VariableGrant

    try:
        named = [("--allow-host", str(HostPattern.parse(each))) for each in hosts]
        named += [("--allow-variable", str(VariableGrant.parse(each))) for each in variables]
    except AuthoringRefused as malformed:
        raise click.UsageError(str(malformed)) from None
    return [word for pair in named for word in pair] + (["--allow-private"] if allow_private else [])


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@grant_options
@env_file_option
def author(
    folder: Path, hosts: tuple[str, ...], variables: tuple[str, ...], allow_private: bool, env_files: tuple[Path, ...]
) -> None:
    """Serve tools over stdio with which an agent makes and corrects manifests in FOLDER.

    The agent reaches only hosts that are allowed here, or that you allow when the host asks you. It writes secrets as
    ${NAME}, and never sees their values. The tools of the saved manifests are served as well.
    """
    run(_serve, folder, hosts, variables, allow_private, env_files)


async def _serve(
    folder: Path, hosts: tuple[str, ...], variables: tuple[str, ...], allow_private: bool, env_files: tuple[Path, ...]
) -> int:
    # The MCP SDK and all importers: `--help` and a mistyped option do not wait for them.
    from ..authoring.folder import ManifestFolder
    from ..authoring.grants import Grants, HostPattern, VariableGrant
    from ..authoring.server import serve_author
    from ..authoring.workspace import Workspace
    from ..observability.logging import configure_logging

    grants = Grants(
        [HostPattern.parse(each) for each in hosts],
        [VariableGrant.parse(each) for each in variables],
        read_variables(env_files),
        allow_private,
    )
    workspace = Workspace(ManifestFolder.open(folder), grants)
    configure_logging("warning", workspace.redact)
    return await serve_author(workspace)
