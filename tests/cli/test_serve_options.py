"""What the options of `serve` select, without serving."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.cli import serve
from utcp_ws_mcp.client.manifest_files import LoadedManifest
from utcp_ws_mcp.server.auth.options import OAuthOptions
from utcp_ws_mcp.server.http.config import HttpOptions, SharedOptions
from utcp_ws_mcp.server.result import MessageOptions
from utcp_ws_mcp.server.run import ServeOptions
from utcp_ws_mcp.server.tools import ListOptions

from .program import run

GOOD = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}]}
KEY = "k" * 43


class Server:
    """Takes the place of both servers, and keeps what it was started with."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.options: ServeOptions | None = None
        self.http: HttpOptions | None = None

    async def serve(self, manifests: Sequence[LoadedManifest], options: ServeOptions, *http: HttpOptions) -> int:
        self.names = [entry.name for each in manifests for entry in each.manifest.entries]
        self.options, self.http = options, http[0] if http else None
        return 0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(serve, "serve_http", made.serve)
    monkeypatch.setattr(serve, "serve_stdio", made.serve)
    return made


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    return str(path)


def started(server: Server, file: str, *options: str, **environ: str) -> Server:
    done = run("serve", file, *options, **environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert server.names == ["m"]
    return server


def http_options(server: Server, file: str, *options: str, **environ: str) -> HttpOptions:
    http = started(server, file, *options, **environ).http
    assert http is not None
    return http


def test_without_options_the_documented_defaults_hold(server: Server, file: str) -> None:
    assert started(server, file).http is None
    assert server.options == ServeOptions(
        "warning", False, False, False, True, (), MessageOptions("auto", 8 << 20), ListOptions(1.0, "")
    )


GENERAL: dict[str, tuple[list[str], dict[str, Any]]] = {
    "the level of the log": (["--log-level", "debug"], {"log_level": "debug"}),
    "the format of the log": (["--log-format", "json"], {"json_logs": True}),
    "the format of the log as text": (["--log-format", "text"], {"json_logs": False}),
    "OpenTelemetry": (["--otel"], {"otel": True}),
    "three tools": (["--meta-tools"], {"meta_tools": True}),
    "no fast path": (["--no-fast-path"], {"fast_path": False}),
    "the time of a list": (["--list-timeout", "0"], {"listing": ListOptions(0.0, "")}),
    "the name of the server": (["--server-name", "n"], {"listing": ListOptions(1.0, "n")}),
    "the form of results": (["--json-results", "text"], {"messages": MessageOptions("text", 8 << 20)}),
    "the size of a line": (["--max-line-bytes", "65536"], {"messages": MessageOptions("auto", 65536)}),
}


@pytest.mark.parametrize(("options", "fields"), GENERAL.values(), ids=GENERAL)
@pytest.mark.parametrize("transport", [[], ["--http", "0", "--no-auth"]], ids=["stdio", "http"])
def test_an_option_holds_over_both_transports(
    server: Server, file: str, transport: list[str], options: list[str], fields: dict[str, Any]
) -> None:
    served = started(server, file, *transport, *options).options
    assert {name: getattr(served, name) for name in fields} == fields


def test_files_of_variables_are_passed_on(server: Server, file: str, tmp_path: Path) -> None:
    files = [tmp_path / "a.env", tmp_path / "b.env"]
    for each in files:
        each.write_text("A=1\n")
    served = started(server, file, *(word for each in files for word in ("--env-file", str(each)))).options
    assert served is not None
    assert served.env_files == tuple(files)


ADDRESSES: dict[str, tuple[list[str], str]] = {
    "a port": (["--http", "8765"], "8765"),
    "a host and a port": (["--http", "0.0.0.0:1"], "0.0.0.0:1"),
    "with the transport": (["--http", "8765", "--transport", "http"], "8765"),
    "the transport alone": (["--transport", "http"], "127.0.0.1:8080"),
    "the transport and a host": (["--transport", "http", "--host", "0.0.0.0"], "0.0.0.0:8080"),
    "the transport and a port": (["--transport", "http", "--port", "1"], "127.0.0.1:1"),
    "the transport and any port": (["--transport", "http", "--port", "0"], "127.0.0.1:0"),
    "an address of IPv6": (["--transport", "http", "--host", "::1", "--port", "1"], "[::1]:1"),
}


@pytest.mark.parametrize(("options", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_the_address_is_that_of_the_options(server: Server, file: str, options: list[str], address: str) -> None:
    assert http_options(server, file, *options) == HttpOptions(address)


HTTP: dict[str, tuple[list[str], dict[str, Any]]] = {
    "no token": (["--no-auth"], {"no_auth": True}),
    "hosts": (["--allowed-host", "a", "--allowed-host", "b:1"], {"allowed_hosts": ("a", "b:1")}),
    "origins": (["--allowed-origin", "https://a", "--allowed-origin", "null"], {"allowed_origins": ("https://a",
        "null")}),
    "no sessions": (["--stateless"], {"stateless": True}),
    "the number of sessions": (["--max-sessions", "1"], {"max_sessions": 1}),
    "an authorization server": (
        ["--issuer", "https://i.example", "--audience", "https://m.example/mcp"],
        {"oauth": OAuthOptions("https://i.example", "https://m.example/mcp", (), None)},
    ),
    "an authorization server with its options": (
        ["--issuer", "i", "--audience", "m", "--scope-tools", "a=b", "--scope-tools", "c=d", "--requests-per-subject",
            "0.5"],
        {"oauth": OAuthOptions("i", "m", ("a=b", "c=d"), 0.5)},
    ),
    "an authorization server with identifiers of its own": (
        ["--issuer", "i", "--audience", "m", "--token-audience", "api://m"],
        {"oauth": OAuthOptions("i", "m", (), None, "api://m")},
    ),
    "a shared store": (["--shared", "redis://h"], {"shared": SharedOptions("redis://h", "--shared", "default", None,
        "UTCP_WS_MCP_SHARED_KEY")}),
    "a shared store of a fleet": (
        ["--shared", "redis://h", "--fleet", "f"],
        {"shared": SharedOptions("redis://h", "--shared", "f", None, "UTCP_WS_MCP_SHARED_KEY")},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("options", "fields"), HTTP.values(), ids=HTTP)
def test_an_option_of_http_is_passed_on(server: Server, file: str, options: list[str], fields: dict[str, Any]) -> None:
    assert http_options(server, file, "--http", "0", *options) == HttpOptions("0", **fields)


def test_a_value_of_callers_has_its_header(server: Server, file: str) -> None:
    options = ["--caller-variable", "A=X-A", "--caller-variable", "B=X-B"]
    variables = http_options(server, file, "--http", "0", *options).caller_variables
    assert variables is not None
    assert dict(variables.headers) == {"A": "X-A", "B": "X-B"}


def test_the_token_comes_from_its_file_or_else_from_the_environment(server: Server, file: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" of-the-file\n")
    environ = {"UTCP_WS_MCP_TOKEN": "of-the-environment"}
    assert http_options(server, file, "--http", "0", **environ).token == "of-the-environment"
    from_file = http_options(server, file, "--http", "0", "--token-file", str(tmp_path / "token"), **environ)
    assert from_file.token == "of-the-file"
    assert "of-the-file" not in repr(from_file)
    assert http_options(server, file, "--http", "0").token is None


def test_the_shared_store_comes_from_an_option_a_file_or_the_environment(
    server: Server, file: str, tmp_path: Path
) -> None:
    url, key = tmp_path / "url", tmp_path / "key"
    url.write_text("redis://of-the-file\n")
    key.write_text(f"{KEY}\n")
    environ = {"UTCP_WS_MCP_SHARED": "redis://of-the-environment", "UTCP_WS_MCP_SHARED_KEY": "of-the-environment"}

    def shared(*options: str, **environ: str) -> SharedOptions | None:
        return http_options(server, file, "--http", "0", *options, **environ).shared

    named = "UTCP_WS_MCP_SHARED_KEY"
    assert shared(**environ) == SharedOptions(
        "redis://of-the-environment", "UTCP_WS_MCP_SHARED", "default", "of-the-environment", named
    )
    assert shared("--shared", "redis://h", UTCP_WS_MCP_SHARED="redis://of-the-environment") == SharedOptions(
        "redis://h", "--shared", "default", None, named
    )
    assert shared("--shared-file", str(url), "--shared-key-file", str(key), **environ) == SharedOptions(
        "redis://of-the-file", f"{url} (--shared-file)", "default", KEY, f"{key} (--shared-key-file)"
    )
    assert shared("--shared", "redis://h", UTCP_WS_MCP_SHARED_KEY="") == SharedOptions(
        "redis://h", "--shared", "default", None, named
    )
    assert shared(UTCP_WS_MCP_SHARED="") is None


CONTRADICTIONS: dict[str, tuple[list[str], str]] = {
    "two addresses": (["--http", "0", "--host", "h", "--port", "1"],
        "--http and --host contradict each other; remove one"),
    "two transports": (["--http", "0", "--transport", "stdio"], "--http and --transport stdio contradict each other"),
    "a host and a port for stdio": (["--port", "0", "--host", "h"], "--host needs --transport http"),
    "a token in a folder": (["--http", "0", "--token-file", "FOLDER"], "is a directory"),
    "a key in a folder": (["--http", "0", "--shared-key-file", "FOLDER"], "is a directory"),
    "a URL in a folder": (["--http", "0", "--shared-file", "FOLDER"], "is a directory"),
    "a token in no file": (["--http", "0", "--token-file", "/nowhere"], "'/nowhere' does not exist"),
    "a key in no file": (["--http", "0", "--shared-key-file", "/nowhere"], "'/nowhere' does not exist"),
    "a URL in no file": (["--http", "0", "--shared-file", "/nowhere"], "'/nowhere' does not exist"),
    "a port for stdio": (["--port", "0"], "--port needs --transport http"),
    "a host for stdio": (["--transport", "stdio", "--host", "h"], "--host needs --transport http"),
    "an audience": (["--http", "0", "--audience", "a"], "--audience needs --issuer"),
    "an audience of tokens": (["--http", "0", "--token-audience", "a"], "--token-audience needs --issuer"),
    "a rate": (["--http", "0", "--requests-per-subject", "1"], "--requests-per-subject needs --issuer"),
    "two stores": (
        ["--http", "0", "--shared", "redis://h", "--shared-file", "FILE"],
        "--shared and --shared-file contradict each other; remove one of them",
    ),
    "a file of a key for no store": (["--http", "0", "--shared-key-file", "FILE"], "--shared-key-file needs --shared"),
    "no sessions over stdio": (["--stateless"], "--stateless needs --http"),
    "sessions over stdio": (["--max-sessions", "7"], "--max-sessions needs --http"),
    "hosts over stdio": (["--allowed-host", "h"], "--allowed-host needs --http"),
    "origins over stdio": (["--allowed-origin", "h"], "--allowed-origin needs --http"),
    "a token over stdio": (["--token-file", "FILE"], "--token-file needs --http"),
    "no token over stdio": (["--no-auth"], "--no-auth needs --http"),
    "tools of a scope over stdio": (["--scope-tools", "a=b"], "--scope-tools needs --http"),
    "a file that is no text": (["--http", "0", "--token-file", "BINARY"],
        "--token-file BINARY: the file cannot be read"),
    "a file of a URL that is no text": (
        ["--http", "0", "--shared-file", "BINARY"], "--shared-file BINARY: the file cannot be read",
    ),
    "a port that is none": (["--transport", "http", "--port", "65536"], "65536 is not in the range 0<=x<=65535"),
    "a negative time": (["--list-timeout", "-1"], "-1.0 is not in the range x>=0"),
    "no sessions at all": (["--http", "0", "--max-sessions", "0"], "0 is not in the range x>=1"),
    "no rate": (["--http", "0", "--issuer", "i", "--requests-per-subject", "0"], "0.0 is not in the range x>0"),
    "short lines": (["--max-line-bytes", "65535"], "65535 is not in the range x>=65536"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "sentence"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_an_option_without_effect_is_refused(
    server: Server, file: str, tmp_path: Path, options: list[str], sentence: str
) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff")
    given = [{"FILE": file, "BINARY": str(binary), "FOLDER": str(tmp_path)}.get(word, word) for word in options]
    done = run("serve", file, *given)
    assert done.returncode == 2
    assert sentence.replace("BINARY", str(binary)) in done.stderr
    assert server.options is None


def test_sessions_may_have_their_default_over_stdio(server: Server, file: str) -> None:
    assert started(server, file, "--max-sessions", "500").http is None


def test_manifests_without_a_usable_call_template_are_not_served(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "unset.json"
    path.write_text(json.dumps({**GOOD, "headers": {"X": "${UNSET}"}}))
    done = run("serve", str(path))
    assert (done.returncode, server.options) == (2, None)
    assert "UNSET is not set" in done.stderr


def test_a_file_that_is_not_there_is_no_token(file: str, tmp_path: Path) -> None:
    done = run("serve", file, "--http", "0", "--token-file", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "does not exist" in done.stderr
