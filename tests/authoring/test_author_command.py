"""The command `author` as hosts start it, and `install --author`."""

from __future__ import annotations

import json
import logging
import sys
from functools import partial
from pathlib import Path

import pytest
from anyio import to_thread
from click.testing import CliRunner
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.cli.program import run
from tests.peer import jsonrpc, peer
from utcp_ws_mcp.authoring import server
from utcp_ws_mcp.authoring.workspace import Workspace
from utcp_ws_mcp.cli.main import main

from .agent import BOTH_ERAS, host_of

SECRET = "s3cr3t-value-0123456789"


@BOTH_ERAS
async def test_a_host_starts_it_over_stdio(tmp_path: Path, mode: str) -> None:
    env_file = tmp_path / "secrets.env"
    env_file.write_text(f"API_KEY={SECRET}\n")
    async with peer(jsonrpc) as seen:
        host = host_of(seen)
        words = ["--allow-host", host, "--allow-variable", f"API_KEY@{host}", "--env-file", str(env_file)]
        command = ["-m", "utcp_ws_mcp", "author", str(tmp_path / "made"), *words]
        transport = stdio_client(StdioServerParameters(command=sys.executable, args=command))
        async with Client(transport, mode=mode) as client:
            request = {"jsonrpc": "2.0", "id": 1, "method": "add", "params": {"a": 1}}
            arguments = {"url": seen.url, "messages": [json.dumps(request)], "headers": {"X-Key": "${API_KEY}"}}
            probed = await client.call_tool("probe", arguments)
            assert not probed.is_error, probed
            saved = await client.call_tool("save_manifest", {"name": "calc", "base": "draft"})
            assert not saved.is_error, saved
            assert [tool.name for tool in (await client.list_tools()).tools][-1] == "localhost_add"
            result = await client.call_tool("localhost_add", {"a": 3})
            assert result.content[0].text == '{"a":3}'
    assert seen.upgrades[-1].headers["X-Key"] == SECRET
    assert (tmp_path / "made" / "calc.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "words",
    [("--allow-host", "ws://a.example/"), ("--allow-host", "a.example:99999"), ("--allow-variable", "API_KEY")],
)
def test_a_malformed_grant_is_refused_at_the_start(tmp_path: Path, words: tuple[str, str]) -> None:
    result = CliRunner().invoke(main, ["author", str(tmp_path), *words])
    assert result.exit_code == 2
    assert "[invalid-grant]" in result.output


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    result = CliRunner().invoke(main, ["author", str(file / "folder")])
    assert result.exit_code == 2
    assert "[manifest-not-saved]" in result.output


def test_install_sets_it_up_in_a_host(tmp_path: Path) -> None:
    config = tmp_path / "mcp.json"
    words = ["--author", str(tmp_path / "made"), "--allow-host", "*.example.com", "--allow-variable", "K@a.example.com"]
    result = CliRunner().invoke(main, ["install", "cursor", "--config", str(config), "--yes", *words])
    assert result.exit_code == 0, result.output
    server = json.loads(config.read_text())["mcpServers"]["websocket-author"]
    command = [server["command"], *server["args"]]
    expected = [
        "author",
        "--allow-host",
        "*.example.com",
        "--allow-variable",
        "K@a.example.com",
        str(tmp_path / "made"),
    ]
    assert command[-6:] == expected
    removed = CliRunner().invoke(main, ["uninstall", "cursor", "--config", str(config), "--yes"])
    assert removed.exit_code == 0, removed.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["manifest.json", "--author", "made"], "contradict each other"),
        (["manifest.json", "--allow-host", "a.example"], "need --author FOLDER"),
        (["manifest.json", "--allow-variable", "K@a.example"], "need --author FOLDER"),
        (["manifest.json", "--allow-private"], "need --author FOLDER"),
        ([], "give MANIFESTS, or --author FOLDER"),
        (["--author", "made", "--allow-host", "a b"], "[invalid-grant]"),
    ],
)
def test_install_refuses_what_has_no_meaning(tmp_path: Path, words: list[str], expected: str) -> None:
    result = CliRunner().invoke(main, ["install", "cursor", "--config", str(tmp_path / "mcp.json"), *words])
    assert result.exit_code == 2
    assert expected in result.output


async def test_the_options_are_the_grants_of_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Workspace] = []

    async def serve(workspace: Workspace) -> int:
        served.append(workspace)
        logging.getLogger("utcp_ws_mcp").warning("said with %s", SECRET)
        return 7

    monkeypatch.setattr(server, "serve_author", serve)
    (tmp_path / "v.env").write_text(f"API_KEY={SECRET}\n")
    words = ("--allow-host", "*.a.example", "--allow-variable", "API_KEY@b.a.example", "--allow-private")
    ended = await to_thread.run_sync(
        partial(run, "author", str(tmp_path / "made"), *words, "--env-file", str(tmp_path / "v.env"))
    )
    assert ended.returncode == 7
    assert "said with ***" in ended.stderr
    (workspace,) = served
    assert workspace.folder.path == tmp_path / "made"
    grants = workspace.grants
    assert [str(each) for each in grants.hosts] == ["*.a.example"]
    assert [str(each) for each in grants.variables] == ["API_KEY@b.a.example"]
    assert grants.allow_private
