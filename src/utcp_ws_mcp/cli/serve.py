"""`utcp-ws-mcp serve`: serve the tools of manifests over stdio or streamable HTTP."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import ServeOptionsError
from ..manifest.variables import NO_CALLERS
from ..observability.logging import configure_logging
from ..server.http.defaults import (
    DEFAULT_FLEET,
    DEFAULT_HOST,
    DEFAULT_MAX_SESSIONS,
    DEFAULT_PORT,
    SHARED_KEY_VARIABLE,
    SHARED_VARIABLE,
    TOKEN_VARIABLE,
)
from ..server.result import DEFAULT_MAX_LINE_BYTES, JSON_FORMS, MIN_MAX_LINE_BYTES, JsonForm, MessageOptions
from ..server.run import ServeOptions, serve_http, serve_stdio
from ..server.tools import LIST_TIMEOUT, ListOptions
from .exit_codes import ExitCode
from .options import Number, combine, env_file_option, load_manifests, manifests_argument, run

if TYPE_CHECKING:
    from ..server.auth.caller_variables import CallerVariables
    from ..server.auth.options import OAuthOptions
    from ..server.http.config import SharedOptions

LOG_LEVELS: Final = ("debug", "info", "warning", "error")

_shared_options = combine(
    click.option("--log-level", type=click.Choice(LOG_LEVELS), default="warning", help="What stderr shows."),
    click.option("--log-format", type=click.Choice(("text", "json")), default="text", help="Format of stderr."),
    click.option("--otel", is_flag=True, help="Export traces and metrics over OTLP, as set in the OTEL_* variables."),
    click.option(
        "--list-timeout",
        type=Number(min=0),
        default=LIST_TIMEOUT,
        show_default=True,
        help="Seconds from the start that a list of tools waits for endpoints whose tools are not known yet.",
    ),
    click.option(
        "--server-name",
        metavar="NAME",
        default="",
        help="The name of this server in the host. Tools of a call template of this name are offered without it.",
    ),
    click.option("--meta-tools", is_flag=True, help="Offer three tools that search, describe and call the others."),
    click.option(
        "--json-results",
        "json_form",
        type=click.Choice(JSON_FORMS),
        default="auto",
        show_default=True,
        help="How JSON results are sent: as text and structured content (both), as text only, or as text, and as "
        "structured content if it is short or the tool declares `outputs` (auto).",
    ),
    click.option(
        "--max-line-bytes",
        type=click.IntRange(min=MIN_MAX_LINE_BYTES),
        default=DEFAULT_MAX_LINE_BYTES,
        show_default=True,
        help="Maximum size of a message to the client. Some hosts end the session at 10 MiB.",
    ),
    click.option("--no-fast-path", is_flag=True, help="Let the MCP SDK answer every request. Slower; for comparison."),
)
_http_options = combine(
    click.option(
        "--transport",
        type=click.Choice(("stdio", "http")),
        help="How clients connect; http is streamable HTTP.  [default: stdio]",
    ),
    click.option("--host", help=f"With http: the IP address to listen on.  [default: {DEFAULT_HOST}]"),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        help=f"With http: the port; 0 is a free one.  [default: {DEFAULT_PORT}]",
    ),
    click.option("--http", "address", metavar="[HOST:]PORT", help="Short form of --transport http --host --port."),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help=f"A file with the bearer token that clients must send; by default ${TOKEN_VARIABLE}.",
    ),
    click.option(
        "--issuer",
        metavar="URL",
        help="Accept access tokens of this OAuth 2.1 authorization server instead of a token of this server's own.",
    ),
    click.option(
        "--audience",
        metavar="URL",
        help="With --issuer: the URL at which clients reach this server, which their tokens must be for.",
    ),
    click.option(
        "--token-audience",
        metavar="TEXT",
        help="With --issuer: what aud of tokens is instead, for an authorization server that cannot write the URL "
        "there.",
    ),
    click.option(
        "--scope-tools",
        metavar="SCOPE=GLOB",
        multiple=True,
        help="With --issuer: the tools (manual.tool) that a scope allows. Tokens without such a scope may use the "
        "tools that only read.",
    ),
    click.option(
        "--requests-per-subject",
        type=Number(min=0, min_open=True),
        metavar="N",
        help="With --issuer: calls that each subject may make in a second.",
    ),
    click.option(
        "--shared",
        metavar="URL",
        help="Share rates, feeds and single connections with other replicas through this Redis server: redis://HOST or "
        f"rediss://HOST. A URL with a password comes from --shared-file or ${SHARED_VARIABLE}.",
    ),
    click.option(
        "--shared-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="A file with the URL of --shared.",
    ),
    click.option(
        "--shared-key-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="With --shared: share the OAuth2 tokens of endpoints as well, and rates, accounts and feeds of callers "
        f"with values of their own, encrypted with the key in this file; by default ${SHARED_KEY_VARIABLE}.",
    ),
    click.option(
        "--fleet",
        metavar="NAME",
        help="With --shared: the replicas of this name share. They serve the same manifests with the same variables.  "
        f"[default: {DEFAULT_FLEET}]",
    ),
    click.option(
        "--caller-variable",
        "caller_variable",
        metavar="NAME=HEADER",
        multiple=True,
        help="The header of a request that brings the value of ${caller:NAME}. May be given more than once.",
    ),
    click.option("--no-auth", is_flag=True, help="On loopback only: accept requests without a token."),
    click.option("--allowed-host", "allowed_hosts", multiple=True, help="A Host that clients may use: NAME[:PORT]."),
    click.option("--allowed-origin", "allowed_origins", multiple=True, help="An Origin whose pages may send requests."),
    click.option("--stateless", is_flag=True, help="No sessions, also for clients of the handshake revisions."),
    click.option(
        "--max-sessions",
        type=click.IntRange(min=1),
        default=DEFAULT_MAX_SESSIONS,
        show_default=True,
        help="Maximum number of sessions of clients of the handshake revisions.",
    ),
)


@click.command()
@manifests_argument
@env_file_option
@_shared_options
@_http_options
def serve(
    manifests: tuple[Path, ...],
    env_files: tuple[Path, ...],
    log_level: str,
    log_format: str,
    otel: bool,
    meta_tools: bool,
    json_form: JsonForm,
    max_line_bytes: int,
    no_fast_path: bool,
    list_timeout: float,
    server_name: str,
    **http: Any,
) -> None:
    """Serve the tools of MANIFESTS over stdio, or over HTTP. This is the default command."""
    if log_format == "json":
        configure_logging(log_level, as_json=True)  # what prevents the start must be an object as well
    address = _http_address(http)
    variables = _caller_variables(http) if address is not None else None
    stand_ins = None if address is None else variables.stand_ins if variables is not None else NO_CALLERS
    loaded = load_manifests(manifests, env_files, stand_ins)
    if not any(each.manifest.entries for each in loaded):
        sys.exit(ExitCode.USAGE_ERROR)
    messages, listing = MessageOptions(json_form, max_line_bytes), ListOptions(list_timeout, server_name)
    options = ServeOptions(
        log_level, log_format == "json", otel, meta_tools, not no_fast_path, env_files, messages, listing
    )
    if address is None:
        _reject_http_options(http)
        run(serve_stdio, loaded, options)
    from ..server.http.config import HttpOptions

    token, oauth = _read_token(http.pop("token_file")), _oauth_options(http)
    shared = _shared_store_options(http)
    http |= {"oauth": oauth, "shared": shared, "caller_variables": variables}
    run(serve_http, loaded, options, HttpOptions(address, token, **http))


def _http_address(http: dict[str, Any]) -> str | None:
    """Take the options that select the transport out of `http`; return HOST:PORT, or None for stdio.

    Raises:
        UsageError: if they contradict each other.
    """
    transport, host, port, address = (http.pop(name) for name in ("transport", "host", "port", "address"))
    named: dict[str, Any] = {"--host": host, "--port": port}
    given = [name for name, value in named.items() if value is not None]
    if address is not None:
        if transport == "stdio" or given:
            other = given[0] if given else "--transport stdio"
            raise click.UsageError(f"--http and {other} contradict each other; remove one of them")
        return str(address)
    if transport != "http":
        if given:
            raise click.UsageError(f"{given[0]} needs --transport http")
        return None
    host, port = host or DEFAULT_HOST, DEFAULT_PORT if port is None else port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _caller_variables(http: dict[str, Any]) -> CallerVariables | None:
    """Take the variables of callers out of `http`; None if there is none.

    Raises:
        UsageError: if one is malformed.
    """
    from ..server.auth.caller_variables import parse_caller_variables

    try:
        return parse_caller_variables(http.pop("caller_variable"))
    except ServeOptionsError as invalid:
        raise click.UsageError(str(invalid)) from None


_OF_ISSUER: Final = ("audience", "token_audience", "scope_tools", "requests_per_subject")
"""The options that need --issuer."""


def _oauth_options(http: dict[str, Any]) -> OAuthOptions | None:
    """Take the options of the authorization server out of `http`; None if there is none.

    Raises:
        UsageError: for an option that has no effect without --issuer.
    """
    from ..server.auth.options import OAuthOptions

    issuer = http.pop("issuer")
    others = {name: http.pop(name) for name in _OF_ISSUER}
    if issuer is not None:
        return OAuthOptions(issuer, **others)
    for name, value in others.items():
        if value:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --issuer")
    return None


def _shared_store_options(http: dict[str, Any]) -> SharedOptions | None:
    """Take the options of the shared store out of `http`; None if there is none.

    Raises:
        UsageError: if they contradict each other, or a file cannot be read.
    """
    from ..server.http.config import SharedOptions

    url, file, fleet, key_file = (http.pop(name) for name in ("shared", "shared_file", "fleet", "shared_key_file"))
    source = "--shared"
    if url is not None and file is not None:
        raise click.UsageError("--shared and --shared-file contradict each other; remove one of them")
    if file is not None:
        url, source = _read_text(file, "--shared-file"), f"{file} (--shared-file)"
    if url is None and (text := os.environ.get(SHARED_VARIABLE)):
        url, source = text, SHARED_VARIABLE
    if url is None:
        for name, value in {"--fleet": fleet, "--shared-key-file": key_file}.items():
            if value is not None:
                raise click.UsageError(f"{name} needs --shared")
        return None
    key, key_source = os.environ.get(SHARED_KEY_VARIABLE) or None, SHARED_KEY_VARIABLE
    if key_file is not None:
        key, key_source = _read_text(key_file, "--shared-key-file"), f"{key_file} (--shared-key-file)"
    return SharedOptions(url, source, fleet or DEFAULT_FLEET, key, key_source)


def _reject_http_options(http: dict[str, Any]) -> None:
    """Reject an option that has no effect on stdio: a token that protects nothing would be a false promise.

    Raises:
        UsageError: for the first one.
    """
    given = {**http, "max_sessions": http["max_sessions"] != DEFAULT_MAX_SESSIONS}
    for name, value in given.items():
        if value:
            option = name.removesuffix("s") if name.startswith("allowed") else name
            raise click.UsageError(f"--{option.replace('_', '-')} needs --http")


def _read_token(file: Path | None) -> str | None:
    """Return the token from its file or the environment; None if neither contains one.

    Raises:
        UsageError: if the file cannot be read.
    """
    if file is None:
        return os.environ.get(TOKEN_VARIABLE)
    return _read_text(file, "--token-file")


def _read_text(file: Path, option: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as failed:
        raise click.UsageError(f"{option} {file}: the file cannot be read") from failed
