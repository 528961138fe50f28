"""`import` sends credentials to the source: what the source says of them reaches no file and no terminal."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from websockets.sync.server import ServerConnection

from tests.cli.endpoint import served
from utcp_ws_mcp.cli.main import main

CANARY = "Kx7/aB3+dQ9zY5&wV1~mN8>"


def describe(connection: ServerConnection) -> None:
    """Answer `rpc.discover` with a description that repeats the credentials of the handshake."""
    assert connection.request is not None
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(connection.request.path).query)
    credential = connection.request.headers.get("Authorization", *query.get("token", ["none"])).split()[-1]
    parameter = {"name": "room", "schema": {"type": "string", "default": credential}}
    method = {"name": "open", "summary": f"Open with {credential}.", "params": [parameter], "tags": [credential]}
    for line in connection:
        document = {"openrpc": "1.2.6", "info": {"title": f"API of {credential}", "version": "1"}, "methods": [method]}
        connection.send(json.dumps({"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": document}))


def run_import(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["import", *arguments, "--format", "openrpc", "--yes"])


@pytest.mark.parametrize("value", [f"Bearer {CANARY}", "Bearer ${API_TOKEN}"], ids=["typed", "variable"])
def test_a_credential_of_a_header_that_the_source_repeats_is_not_written(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", CANARY)
    file = tmp_path / "manifest.json"
    with served(describe) as url:
        result = run_import(url, str(file), "--header", f"Authorization: {value}")
    written = file.read_text(encoding="utf-8")
    assert "Open with ***." in written
    assert CANARY not in written + result.output
    assert "kx7" not in written + result.output  # in the name that is made of the title


def test_a_credential_of_the_query_that_the_source_repeats_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    with served(describe) as url:
        result = run_import(f"{url}?token={urllib.parse.quote(CANARY, '')}", str(file))
    written = file.read_text(encoding="utf-8")
    assert "Open with ***." in written
    assert CANARY not in written + result.output
    assert "kx7" not in written + result.output  # in the name that is made of the title


@pytest.mark.parametrize("mode", [0o640, 0o605])
def test_a_changed_manifest_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "manifest.json"
    file.write_text('{"manual_call_templates": []}', encoding="utf-8")
    file.chmod(mode)
    with served(describe) as url:
        run_import(url, str(file))
    assert "Open with none." in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_password_in_the_url_of_the_source_is_not_shown(scheme: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["import", f"{scheme}://me:pa55word@localhost:1/", str(tmp_path / "m.json")])
    assert f"{scheme}://localhost:1/" in result.output
    assert "pa55word" not in result.output


def test_a_document_that_cannot_be_read_is_named_without_the_query_of_its_url(tmp_path: Path) -> None:
    def page(connection: ServerConnection, request: Any) -> Any:
        return connection.respond(200, "<html>")

    with served(describe, process_request=page) as url:
        source = f"{url.replace('ws:', 'http:')}?session=k3y-of-the-session"
        result = CliRunner().invoke(main, ["import", source, str(tmp_path / "m.json")])
    assert "HTML or XML" in result.output
    assert "k3y-of" not in result.output
