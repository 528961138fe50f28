"""Reasons why a host's configuration is not changed: each is an InstallError with a code, and nothing is written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.errors import InstallError
from utcp_ws_mcp.hosts import config_file
from utcp_ws_mcp.hosts.change import CommandChange
from utcp_ws_mcp.hosts.config_file import read_config_file, replace_config_file
from utcp_ws_mcp.hosts.hosts import supported_hosts
from utcp_ws_mcp.hosts.plan import Target, plan_install, plan_uninstall

HOST = supported_hosts()["cursor"]
OURS = {"command": "utcp-ws-mcp", "args": []}


def target_of(folder: Path, **servers: Any) -> Target:
    """Return a host whose file has these servers."""
    path = folder / "mcp.json"
    path.write_text(json.dumps({HOST.servers_key: servers}), encoding="utf-8")
    return Target(HOST, path)


def test_another_server_of_the_name_is_not_replaced(tmp_path: Path) -> None:
    target = target_of(tmp_path, ws={"command": "other"})
    with pytest.raises(InstallError) as refused:
        plan_install(target, "ws", ["utcp-ws-mcp"])
    message = f"{target.path} has another server 'ws'. Give this one another name with --name. [server-name-taken]"
    assert str(refused.value) == message


UNINSTALL = {
    "no server": ({}, None, "has no server of utcp-ws-mcp. Nothing was changed. [server-not-found]"),
    "none of the name": ({"a": OURS}, "b", "has no server 'b'. Nothing was changed. [server-not-found]"),
    "another program": (
        {"a": {"command": "other"}},
        "a",
        "was not installed by utcp-ws-mcp. Nothing was changed. [server-not-ours]",
    ),
    "several": (
        {"a": OURS, "b": OURS},
        None,
        "has several servers of utcp-ws-mcp. Choose one with --name: a, b. [server-ambiguous]",
    ),
}


@pytest.mark.parametrize(("servers", "name", "message"), UNINSTALL.values(), ids=UNINSTALL)
def test_a_server_that_cannot_be_identified_is_not_removed(
    tmp_path: Path, servers: dict[str, Any], name: str | None, message: str
) -> None:
    with pytest.raises(InstallError) as refused:
        plan_uninstall(target_of(tmp_path, **servers), name)
    assert str(refused.value).endswith(message)


def test_an_invalid_file_is_reported_with_its_name_and_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(InstallError) as refused:
        plan_install(Target(HOST, path), "ws", ["utcp-ws-mcp"])
    message = f"{path}: line 1, column 1: expected an object. Nothing was changed. [host-file-invalid]"
    assert str(refused.value) == message


def test_a_file_that_is_not_text_or_too_large_or_a_folder_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mcp.json"
    file.write_bytes(b"\xff")
    with pytest.raises(InstallError, match=r"is not UTF-8 text\. Nothing was changed\. \[host-file-not-readable\]"):
        _ = read_config_file(file).text
    with pytest.raises(InstallError, match=r"cannot be read: .*\. Nothing was changed\. \[host-file-not-readable\]"):
        read_config_file(tmp_path)
    monkeypatch.setattr(config_file, "MAX_BYTES", 0)
    with pytest.raises(InstallError, match=r"has more than 0 bytes\. Nothing was changed\. \[host-file-not-readable\]"):
        read_config_file(file)


def test_a_file_that_the_host_wrote_in_the_meantime_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    before = read_config_file(file)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(InstallError, match=r"Nothing was changed\. Try again\. \[host-file-changed\]"):
        replace_config_file(before, "new")
    assert file.read_text(encoding="utf-8") == "{}"


FAILING = {
    "it fails": ([sys.executable, "-c", "import sys; sys.exit('no')"], r" failed: no\. \[host-command-failed\]"),
    "it does not exist": (["/nonexistent/claude"], r"could not be run: FileNotFoundError\. \[host-command-failed\]"),
}


@pytest.mark.parametrize(("command", "message"), FAILING.values(), ids=FAILING)
def test_a_command_of_the_host_that_fails_is_an_error(command: list[str], message: str) -> None:
    with pytest.raises(InstallError, match=message):
        CommandChange([command]).apply()
