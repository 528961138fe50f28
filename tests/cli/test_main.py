"""The group of commands: which word is a command, and which a manifest; commands without much of their own."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from utcp_ws_mcp import __version__
from utcp_ws_mcp.cli import check, demo, main
from utcp_ws_mcp.cli.check import CheckResult
from utcp_ws_mcp.cli.main import COMMANDS, LazyCommands
from utcp_ws_mcp.manifest.json_schema import manifest_schema

from .program import run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_command_is_found_by_its_name() -> None:
    commands = LazyCommands()
    assert [*commands] == [*COMMANDS]
    assert len(commands) == len(COMMANDS)
    for name in COMMANDS:
        assert isinstance(commands[name], click.Command)
        assert commands[name].name == name
    with pytest.raises(KeyError):
        commands["none"]


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_lists_the_usual_commands_first(option: str) -> None:
    shown = run(option)
    assert shown.returncode == 0
    listed = shown.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed if line[2:3].strip()] == [*COMMANDS]
    assert run("check", option).returncode == 0


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == f"utcp-ws-mcp, version {__version__}\n"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("chekc", "No such command 'chekc'. Did you mean 'check'?"),
        ("chek-c", "there is no such file in"),
        ("xyzzy", "there is no such file in"),
        ("chek.json", "there is no such file in"),
    ],
)
def test_a_first_word_like_a_command_is_a_mistake_and_others_are_manifests(word: str, said: str) -> None:
    refused = run(word)
    assert refused.returncode == 2
    assert said in refused.stderr


def test_a_mistake_is_one_whatever_follows(folder: Path) -> None:
    (folder / "m.json").write_text("{}")
    for following in ("--help", "m.json", "chat"):
        assert "No such command 'chekc'. Did you mean 'check'?" in run("chekc", following).stderr


HELP = {
    "serve": [
        "[default: 1.0; x>=0]", "[default: 8388608; x>=65536]", "[default: auto]", "[default: 500; x>=1]",
        "[default: stdio]", "[default: 127.0.0.1]", "[default: 8080]", "[default: default]",
    ],
    "check": ["[default: 1.0; x>=0]"],
    "tools": ["[default: 10.0; x>=0]"],
    "record": ["[default: 0.5; x>=0]"],
    "import": ["[default: auto]", "[default: feeds]", "[default: 1; 0<=x<=5]"],
}  # fmt: skip


@pytest.mark.parametrize(("command", "defaults"), HELP.items())
def test_the_help_shows_the_defaults(command: str, defaults: list[str]) -> None:
    shown = " ".join(run(command, "--help").stdout.split())
    assert [each for each in defaults if each not in shown] == []


def test_a_file_or_an_entry_that_is_called_like_a_command_is_served(folder: Path) -> None:
    (folder / "chekc").write_text(json.dumps({"name": "m", "url": "wss://a.example/", "headers": {"X": "${UNSET}"}}))
    assert "UNSET is not set" in run("chekc").stderr
    assert "CHAT_TOKEN is not set" in run("chat").stderr


def test_no_word_is_answered_with_the_help() -> None:
    shown = run()
    assert shown.returncode == 2
    assert "Usage: utcp-ws-mcp" in shown.stderr


def test_ctrl_c_ends_each_command_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> CheckResult:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "check_manifests", interrupted)
    assert run("check", "m.json").returncode == 130
    assert main.ExitCode.INTERRUPTED == 130


def test_the_schema_is_printed_for_people_and_editors() -> None:
    printed = run("schema")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout == json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


DEMOS: dict[str, tuple[list[str], str, int]] = {
    "a session": ([], "session", 0),
    "a session on a port": (["--port", "7"], "session", 7),
    "the endpoint": (["--endpoint-only"], "endpoint", 8765),
    "the endpoint on a port": (["--endpoint-only", "--port", "7"], "endpoint", 7),
}


@pytest.mark.parametrize(("options", "part", "port"), DEMOS.values(), ids=DEMOS)
@pytest.mark.parametrize("succeeds", [True, False])
def test_the_demo_is_a_session_or_its_endpoint(
    monkeypatch: pytest.MonkeyPatch, options: list[str], part: str, port: int, succeeds: bool
) -> None:
    started: list[tuple[str, int]] = []

    async def serve_endpoint(port: int, say: object) -> bool:
        started.append(("endpoint", port))
        return succeeds

    async def run_demo(port: int, say: object) -> bool:
        started.append(("session", port))
        return succeeds

    monkeypatch.setattr(demo, "serve_endpoint", serve_endpoint)
    monkeypatch.setattr(demo, "run_demo", run_demo)
    assert run("demo", *options).returncode == (0 if succeeds else 2 if part == "endpoint" else 1)
    assert started == [(part, port)]
