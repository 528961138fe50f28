"""The command group `utcp-ws-mcp`. Each command has a module of its own, which is imported when the command runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final

import click

from .. import __version__
from .exit_codes import ExitCode

COMMANDS: Final[Mapping[str, str]] = {
    "serve": "serve",
    "check": "check",
    "tools": "tools",
    "call": "call",
    "watch": "watch",
    "approve": "approve",
    "catalog": "catalog",
    "init": "init",
    "record": "record",
    "import": "import_",
    "author": "author",
    "studio": "studio",
    "schema": "schema",
    "docs": "docs",
    "demo": "demo",
    "install": "install",
    "uninstall": "install",
}
"""The module of each command, in the order in which `--help` lists them.

The function is called as the command; that of `import`, which is a keyword, as its module.
"""


class LazyCommands(Mapping[str, click.Command]):
    """The commands by name.

    A command is imported when it is looked up: hosts start `utcp-ws-mcp manifest.json` for every session, and that
    start must not pay for the imports of `record`, `install` or `demo`.
    """

    def __getitem__(self, name: str) -> click.Command:
        function = f"{name}_" if iskeyword(name) else name
        command: click.Command = getattr(import_module(f".{COMMANDS[name]}", __package__), function)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class DefaultServeGroup(click.Group):
    """A group whose command `serve` may be omitted: `utcp-ws-mcp manifest.json`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of COMMANDS, not sorted: the usual commands come first."""
        return list(COMMANDS)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` before arguments that do not start with a command.

        Raises:
            NoSuchCommand: if the first argument is a word that looks like a mistyped command, and neither a file nor
                an entry of the catalogue.
        """
        if args and args[0] not in COMMANDS and args[0] not in {"-h", "--help", "--version"}:
            if args[0].isalpha() and not Path(args[0]).exists() and not _is_in_catalog(args[0]):
                mistyped = click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
                if mistyped.possibilities:
                    raise mistyped
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Ctrl-C, also while a command is imported, ends with the documented exit code.

        Raises:
            WorkingFolderGone: if the command needs the working folder, and that has been removed.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)
        except click.Abort as aborted:  # of a question: Ctrl-C interrupts, the end of the input declines
            if not isinstance(aborted.__context__, KeyboardInterrupt):
                raise
            ctx.exit(ExitCode.INTERRUPTED)
        except FileNotFoundError:
            if _has_working_folder():
                raise
            raise WorkingFolderGone from None


class WorkingFolderGone(click.ClickException):
    """The working folder has been removed, so that no relative path means anything."""

    exit_code = ExitCode.USAGE_ERROR

    def __init__(self) -> None:
        """Compose the message."""
        super().__init__("the working folder has been removed. Change to one that exists.")


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _is_in_catalog(word: str) -> bool:
    from ..client.catalog import catalog_files  # most commands start with a command or a file

    return word in catalog_files()


@click.group(
    cls=DefaultServeGroup,
    commands=LazyCommands(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="utcp-ws-mcp")
def main() -> None:
    """Serve the tools of WebSocket endpoints to MCP hosts, as described by a manifest.

    \b
    utcp-ws-mcp manifest.json                      serve over stdio; hosts run this
    utcp-ws-mcp catalog                            list ready-made manifests, usable by name
    utcp-ws-mcp init PRESET                        write a manifest to start from
    utcp-ws-mcp record URL                         draft a manifest from a conversation
    utcp-ws-mcp import SOURCE                      make a manifest from the description of an API
    utcp-ws-mcp author FOLDER                      let an agent make manifests, over MCP
    utcp-ws-mcp studio [manifest.json]             make and try a manifest in the browser
    utcp-ws-mcp check manifest.json                validate manifests and report likely problems
    utcp-ws-mcp tools manifest.json                list the tools
    utcp-ws-mcp call manifest.json MANUAL.TOOL …   call a tool
    utcp-ws-mcp watch manifest.json MANUAL.FEED …  print the events of a feed as they come
    utcp-ws-mcp approve manifest.json              show and approve discovered tools that have changed
    utcp-ws-mcp docs [TOPIC]                       print the guide for writing manifests, or what a code means
    utcp-ws-mcp install HOST manifest.json         add the server to a host such as claude-desktop
    utcp-ws-mcp demo                               run a demo

    Expressions in a manifest are Jinja2, in the dialect of MiniJinja: `utcp-ws-mcp docs` describes them.
    """  # noqa: D301  # click reads the \b
