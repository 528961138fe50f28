"""Values of options that a command could only refuse later, when what it did is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from websockets.sync.server import ServerConnection

from tests.cli.endpoint import served
from tests.cli.program import run
from utcp_ws_mcp.cli.exit_codes import ExitCode


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@pytest.fixture
def url() -> Iterator[str]:
    with served(echo) as address:
        yield address


@pytest.fixture
def manifest(url: str, tmp_path: Path) -> str:
    tool = {"name": "ping", "description": "Ping."}
    document = {"name": "m", "url": url, "message": "PING", "response_format": "text", "tools": [tool]}
    file = tmp_path / "m.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return str(file)


COMMANDS = [
    ["record", "ws://127.0.0.1:1/", "--output"],
    ["call", "m.json", "m.t", "--output"],
    ["import", "x.json"],
    ["init", "jsonrpc2"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_file_in_a_folder_that_is_not_there_is_refused_before_anything_is_done(
    command: list[str], tmp_path: Path
) -> None:
    refused = run(*command, str(tmp_path / "none" / "out.json"))
    assert refused.returncode == ExitCode.USAGE_ERROR
    assert f"{str(tmp_path / 'none')!r} is no folder in which a file can be made." in refused.stderr


def test_a_dash_as_the_output_is_stdout(
    manifest: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    called = run("call", manifest, "ping", "--output", "-")
    recorded = run("record", url, "--idle", "0.1", "--output", "-", typed='{"id": 1, "op": "a"}\n')
    began = run("init", "jsonrpc2", "-")
    assert (called.returncode, called.stdout) == (0, "PING\n")
    assert json.loads(recorded.stdout)["url"] == url
    assert json.loads(began.stdout)["preset"] == "jsonrpc2"
    assert (began.returncode, began.stderr) == (0, "")
    assert not (tmp_path / "-").exists()


def test_a_draft_that_cannot_be_written_is_printed(tmp_path: Path) -> None:
    file = tmp_path / "draft.json"

    def write_first(connection: ServerConnection) -> None:
        for message in connection:
            file.write_text("theirs", encoding="utf-8")
            connection.send(message)

    with served(write_first) as url:
        recorded = run("record", url, "--idle", "0.1", "--output", str(file), typed='{"id": 1, "op": "a"}\n')
    assert f"{file} cannot be written: file exists. The draft is printed instead.\n" in recorded.stderr
    assert json.loads(recorded.stdout)["url"] == url
    assert (recorded.returncode, file.read_text(encoding="utf-8")) == (0, "theirs")


def test_a_result_that_cannot_be_written_is_said_with_what_happened(manifest: str, tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    with mock.patch.object(Path, "write_bytes", side_effect=OSError(28, "No space left on device")):
        called = run("call", manifest, "ping", "--output", str(file))
    assert called.stderr == f"{file} cannot be written: no space left on device. The call was carried out.\n"
    assert (called.returncode, called.stdout) == (ExitCode.FAILURE, "")


NUMBERS = [
    ["call", "m.json", "m.t", "--timeout"],
    ["check", "m.json", "--online", "--duration"],
    ["record", "ws://127.0.0.1:1/", "--idle"],
    ["tools", "m.json", "--timeout"],
    ["watch", "m.json", "m.f", "--duration"],
    ["serve", "m.json", "--list-timeout"],
]


@pytest.mark.parametrize("command", NUMBERS, ids=lambda words: words[0])
@pytest.mark.parametrize(("value", "reason"), [("nan", "'nan' is not a number."), ("-1", "-1.0 is not in the range")])
def test_a_duration_is_a_number_that_is_not_negative(command: list[str], value: str, reason: str) -> None:
    refused = run(*command, value)
    assert refused.returncode == ExitCode.USAGE_ERROR
    assert reason in refused.stderr


@pytest.mark.parametrize("command", [["record", "ws://127.0.0.1:1/"], ["import", "ws://127.0.0.1:1/"]])
def test_a_header_without_a_colon_is_refused_and_not_repeated(command: list[str]) -> None:
    refused = run(*command, "--header", "Bearer hunter2")
    assert refused.returncode == ExitCode.USAGE_ERROR
    assert "Invalid value for '--header': expected NAME:VALUE, with a colon." in refused.stderr
    assert "hunter2" not in refused.stderr
