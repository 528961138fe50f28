"""The command line: serve, check, tools, call, demo."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import anyio
import click

from .. import __version__
from ..client.manifest_files import LoadedManifest, load_manifest
from ..errors import BridgeError, InvalidManifest, MissingVariable
from ..manifest.validation import closest_match
from .http_options import http_options, read_token, reject_http_options
from .install_options import install, uninstall

MANIFEST_VARIABLE: Final = "UTCP_WS_MCP_MANIFEST"
WRONG_INPUT: Final = 2
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


class DefaultServe(click.Group):
    """A group whose command `serve` may be left out: `utcp-ws-mcp manifest.json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` in front of arguments that begin with no command."""
        own = {"-h", "--help", "--version"}
        if args and args[0] not in self.commands and args[0] not in own:
            if args[0].isalpha() and not Path(args[0]).exists() and (near := closest_match(args[0], self.commands)):
                raise click.UsageError(f"there is no command {args[0]!r}; did you mean {near!r}?", ctx)
            args = ["serve", *args]
        return super().parse_args(ctx, args)


_env_file = click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Variables for the manifest, NAME=value in each line. May be given more than once.",
)
_log_level = click.option("--log-level", type=click.Choice(LOG_LEVELS), default="warning", help="What stderr shows.")


@click.group(cls=DefaultServe, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="utcp-ws-mcp")
def main() -> None:  # click reads the \b
    """Serve the tools of WebSocket endpoints to MCP hosts, as a manifest describes them.

    \b
    utcp-ws-mcp manifest.json                      serve over stdio; hosts run this
    utcp-ws-mcp init PRESET                        write a manifest to start from
    utcp-ws-mcp record URL                         draft one from a conversation
    utcp-ws-mcp check manifest.json                say everything that is wrong with it, or will hurt
    utcp-ws-mcp tools manifest.json                list its tools
    utcp-ws-mcp call manifest.json MANUAL.TOOL …   call one
    utcp-ws-mcp approve manifest.json              show discovered tools that have changed
    utcp-ws-mcp install HOST manifest.json         let a host such as claude-desktop start it
    utcp-ws-mcp demo                               see it all in ten seconds
    """  # noqa: D301  # click reads the \b


@main.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@_env_file
@_log_level
@click.option("--log-format", type=click.Choice(("text", "json")), default="text", help="Lines of stderr.")
@click.option("--otel", is_flag=True, help="Export traces and metrics over OTLP, as the OTEL_* variables say.")
@click.option("--meta-tools", is_flag=True, help="Offer three tools that search, describe and call the others.")
@http_options
def serve(
    manifests: tuple[Path, ...],
    env_files: tuple[Path, ...],
    log_level: str,
    log_format: str,
    otel: bool,
    meta_tools: bool,
    **http: Any,
) -> None:
    """Serve the tools of MANIFESTS over stdio, or over HTTP. This is the default command."""
    loaded = _load(manifests, env_files)
    if not any(each.manifest.entries for each in loaded):
        sys.exit(WRONG_INPUT)
    from ..server.run import ServeOptions, serve_stdio

    options = ServeOptions(log_level, log_format == "json", otel, meta_tools, env_files)
    if http["address"] is None:
        reject_http_options(http)
        _run(serve_stdio, loaded, options)
    from ..server.http.config import HttpOptions
    from ..server.run_http import serve_http

    http["token"] = read_token(http.pop("token_file"))
    _run(serve_http, loaded, options, HttpOptions(**http))


@main.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Warnings count as wrong.")
@click.option("--online", is_flag=True, help="Connect, log in, ask for tools, and show what comes.")
@click.option("--listen", default=1.0, show_default=True, help="With --online: seconds to listen to each endpoint.")
@_env_file
def check(manifests: tuple[Path, ...], strict: bool, online: bool, listen: float, env_files: tuple[Path, ...]) -> None:
    """Say everything that is wrong with MANIFESTS, and what will hurt; exit 2 if anything is wrong."""
    from .check import check_manifests

    checked = check_manifests(manifests, env_files)
    if online:
        from .probe import probe_endpoints

        _run(probe_endpoints, checked, strict, listen)
    sys.exit(checked.exit_code(strict))


@main.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON array, with schemas.")
@click.option("--wait", default=10.0, show_default=True, help="Seconds to wait for endpoints that tell their tools.")
@_env_file
def tools(manifests: tuple[Path, ...], as_json: bool, wait: float, env_files: tuple[Path, ...]) -> None:
    """List the tools of MANIFESTS; endpoints that speak UTCP are asked for theirs."""
    from .tools import list_tools

    _run(list_tools, _load(manifests, env_files), as_json, wait)


@main.command()
@click.argument("words", nargs=-1, required=True, metavar="[MANIFEST] MANUAL.TOOL [KEY=VALUE]...")
@click.option("--json", "arguments", help="All arguments as one JSON object.")
@click.option("--trace", is_flag=True, help="Show every message on stderr, with times, secrets hidden.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file.")
@_env_file
def call(
    words: tuple[str, ...], arguments: str | None, trace: bool, output: Path | None, env_files: tuple[Path, ...]
) -> None:
    """Call one tool and print its result; exit 1 if it fails.

    MANIFEST may be left out: then it is $UTCP_WS_MCP_MANIFEST, or manifest.json in this folder.
    A VALUE is read as the tool's input schema says; KEY:=VALUE is always JSON.
    """
    manifests, rest = _split_manifests(words)
    if not rest:
        raise click.UsageError("say which tool to call: MANUAL.TOOL")
    loaded = _load(manifests, env_files)
    from .call import CallOptions, call_tool

    _run(call_tool, loaded, CallOptions(rest[0], rest[1:], arguments, trace, output))


@main.command()
@click.argument("words", nargs=-1, required=True, metavar="[MANIFEST] [MANUAL.TOOL]...")
@_env_file
def approve(words: tuple[str, ...], env_files: tuple[Path, ...]) -> None:
    """Take in discovered tools that are withheld, because they changed or were never approved.

    Without MANUAL.TOOL only show them.
    """
    manifests, names = _split_manifests(words)
    from .tools import approve_tools

    _run(approve_tools, _load(manifests, env_files), names)


@main.command()
@click.argument("preset", required=False)
@click.argument("file", default="manifest.json", type=click.Path(path_type=Path, dir_okay=False))
def init(preset: str | None, file: Path) -> None:
    """Write a commented manifest for PRESET to FILE (manifest.json); without PRESET, list them."""
    from .init import list_presets, write_example_manifest

    sys.exit(list_presets() if preset is None else write_example_manifest(preset, file))


@main.command()
@click.argument("url")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header of the handshake.")
@click.option("--protocol", "protocols", multiple=True, help="A subprotocol to offer.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the draft to this file.")
@click.option("--pause", default=0.5, show_default=True, help="Seconds of silence before a pipe's next line.")
@_env_file
def record(
    url: str,
    headers: tuple[str, ...],
    protocols: tuple[str, ...],
    output: Path | None,
    pause: float,
    env_files: tuple[Path, ...],
) -> None:
    """Connect to URL, send each line that is typed, show what comes; then draft a manifest from it.

    ${NAME} in the URL, a header or a line is the variable NAME: the draft says ${NAME}, too, never its value.
    """
    from .record import RecordOptions, record

    split = {name.strip(): value.strip() for name, _, value in (header.partition(":") for header in headers)}
    _run(record, RecordOptions(url, split, protocols, output, pause, env_files))


@main.command()
def schema() -> None:
    """Print the JSON Schema of a manifest, for editors."""
    from .schema import print_schema

    print_schema()


@main.command()
@click.option("--keep", is_flag=True, help="Only run the endpoint, for manifests/demo.json.")
@click.option("--port", default=0, help="The port of the endpoint; 8765 with --keep unless given.")
def demo(keep: bool, port: int) -> None:
    """Start a small endpoint, serve it to a real MCP client, and show what happens."""
    from ..demo.session import run_demo, serve_endpoint

    if keep:
        _run(serve_endpoint, port or 8765)
    else:
        _run(run_demo, port)


main.add_command(install)
main.add_command(uninstall)


def _load(manifests: Sequence[Path], env_files: Sequence[Path]) -> list[LoadedManifest]:
    """The manifests, or exit 2 with every problem of theirs on stderr."""
    loaded: list[LoadedManifest] = []
    try:
        loaded = [load_manifest(path, env_files=env_files) for path in manifests]
    except InvalidManifest as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(WRONG_INPUT)
    for each in loaded:
        _print_warnings(each)
    return loaded


def _print_warnings(loaded: LoadedManifest) -> None:
    """Print what is left out of a manifest."""
    manifest = loaded.manifest
    for notice in manifest.warnings:
        click.echo(f"{manifest.source}: {notice}", err=True)
    for disabled in manifest.disabled:
        click.echo(f"{manifest.source}: {MissingVariable(disabled.missing, disabled.name)}", err=True)


def _split_manifests(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    count = 0
    while count < len(words) and (words[count].endswith(".json") or Path(words[count]).is_file()):
        count += 1
    manifests = [Path(word) for word in words[:count]]
    return manifests or [Path(os.environ.get(MANIFEST_VARIABLE, "manifest.json"))], list(words[count:])


def _run(command: Callable[..., Coroutine[Any, Any, int]], *args: Any) -> None:
    """Run to the end. Ctrl-C ends without a traceback."""
    if not gc.isenabled():  # `__main__` turned it off
        gc.freeze()
        gc.enable()
    try:
        code = anyio.run(command, *args)
    except KeyboardInterrupt:
        code = 130
    except BridgeError as failed:
        click.echo(str(failed), err=True)
        code = WRONG_INPUT
    sys.exit(code)
