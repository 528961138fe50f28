"""Planning an installation: the file of the host, the command, and what may be missing there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.client.manifest_files import LoadedManifest, load_manifest
from utcp_ws_mcp.hosts import installation as module
from utcp_ws_mcp.hosts.change import CommandChange, FileChange
from utcp_ws_mcp.hosts.hosts import HostApp, supported_hosts
from utcp_ws_mcp.hosts.installation import Place, default_name, plan_author, plan_server


def load(folder: Path, *names: str, **fields: Any) -> tuple[Path, LoadedManifest]:
    file = folder / "m.json"
    templates = [{"name": name, "url": "wss://a.example/", "tools": [{"name": "t"}], **fields} for name in names]
    file.write_text(json.dumps(templates), encoding="utf-8")
    return file, load_manifest(file, {"KEY": "x"})


HOST = HostApp(
    "H", "json", "servers", {"a": "$COMMAND", "b": "$ARGS", "c": "$COMMAND_LINE", "d": "$NAME", "e": 3, "f": "x"},
    {"linux": "{home}/l {cwd} {config} {folder}", "darwin": "{config}/d", "win32": "{config}/w {home}"}, "go on",
    {"variable": "H_HOME", "default": "{home}/.h"},
)  # fmt: skip

PATHS: list[tuple[str, dict[str, str], str]] = [
    ("linux", {"HOME": "/u"}, "/u/l /cwd /u/.config /u/.h"),
    ("linux", {"HOME": "/u", "XDG_CONFIG_HOME": "/x", "H_HOME": "/h"}, "/u/l /cwd /x /h"),
    ("linux", {"HOME": "/u", "XDG_CONFIG_HOME": "", "H_HOME": ""}, "/u/l /cwd /u/.config /u/.h"),
    ("freebsd", {"HOME": "/u", "USERPROFILE": "/other"}, "/u/l /cwd /u/.config /u/.h"),
    ("darwin", {"HOME": "/u", "XDG_CONFIG_HOME": "/x"}, "/u/Library/Application Support/d"),
    ("win32", {"USERPROFILE": "/u", "HOME": "/other"}, "/u/AppData/Roaming/w /u"),
    ("win32", {"USERPROFILE": "/u", "APPDATA": "/a"}, "/a/w /u"),
]


@pytest.mark.parametrize(("platform", "environ", "path"), PATHS)
def test_the_file_of_a_host_is_where_its_platform_has_it(platform: str, environ: dict[str, str], path: str) -> None:
    assert HOST.config_path(platform, environ, Path("/cwd")) == Path(path)


def test_without_a_home_in_the_environment_that_of_the_user_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/real")
    assert HOST.config_path("linux", {}, Path("/cwd")) == Path("/real/l /cwd /real/.config /real/.h")


def test_the_entry_of_a_server_is_made_of_its_name_and_command() -> None:
    entry = HOST.server_entry("ws", ["/bin/x", "-a", "m"])
    assert entry == {"a": "/bin/x", "b": ["-a", "m"], "c": ["/bin/x", "-a", "m"], "d": "ws", "e": 3, "f": "x"}


def test_a_running_claude_code_changes_its_file_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found: list[str] = []

    def which(name: str) -> str:
        found.append(name)
        return "/bin/claude"

    monkeypatch.setattr(module.shutil, "which", which)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    target = Place("claude-code").target()
    assert (target.command, target.path, found) == ("/bin/claude", tmp_path / ".claude.json", ["claude"])
    assert target.host is supported_hosts()["claude-code"]
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "/c")
    assert Place("claude-code").target().path == Path("/c/.claude.json")
    given = Place("claude-code", config=tmp_path / "x.json").target()
    assert (given.command, given.path) == (None, tmp_path / "x.json")
    assert Place("cursor").target().command is None
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert Place("claude-code").target().command is None


def test_a_host_that_changes_its_file_itself_gets_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: "/bin/claude")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    file, loaded = load(tmp_path, "weather")
    planned = plan_server(Place("claude-code"), [file], (), [loaded])
    assert planned.success == "Claude Code has a server 'weather'; /mcp in a new session shows it"
    assert isinstance(planned.change, CommandChange)
    program = module._program_command()
    add = ["/bin/claude", "mcp", "add", "--scope", "user", "weather", "--", *program]
    assert planned.change.commands == [[*add, "--server-name", "weather", str(file)]]
    servers = {"weather": {"command": "utcp-ws-mcp"}}
    (tmp_path / ".claude.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    planned = plan_server(Place("claude-code"), [file], (), [loaded])
    assert isinstance(planned.change, CommandChange)
    assert planned.change.commands[0] == ["/bin/claude", "mcp", "remove", "--scope", "user", "weather"]
    assert len(planned.change.commands) == 2


def test_a_server_is_started_with_the_files_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, loaded = load(tmp_path, "weather")
    env_file = tmp_path / "a.env"
    env_file.write_text("KEY=x\n", encoding="utf-8")
    place = Place("cursor", "mine", tmp_path / "mcp.json")
    planned = plan_server(place, [file], [Path("a.env")], [loaded])
    assert planned.success.startswith("Cursor has a server 'mine'; ")
    assert planned.success.endswith(supported_hosts()["cursor"].next_step)
    assert isinstance(planned.change, FileChange)
    entry = json.loads(planned.change.new_text)["mcpServers"]["mine"]
    assert [entry["command"], *entry["args"]] == [*module._program_command(), "--env-file", str(env_file), str(file)]
    author = plan_author(place, Path("made"), [Path("a.env")], ["--allow-host", "a.example"])
    assert isinstance(author.change, FileChange)
    entry = json.loads(author.change.new_text)["mcpServers"]["mine"]
    words = ["author", "--env-file", str(env_file), "--allow-host", "a.example", str(tmp_path / "made")]
    assert [entry["command"], *entry["args"]] == [*module._program_command(), *words]
    named = plan_author(Place("cursor", config=tmp_path / "mcp.json"), Path("made"), (), ())
    assert "'websocket-author'" in named.success


def test_a_name_that_a_host_would_show_twice_is_given_to_the_server(tmp_path: Path) -> None:
    host = next(name for name, each in supported_hosts().items() if each.adds_server_name and name != "claude-code")
    file, loaded = load(tmp_path, "weather")
    for name, is_repeated in (("weather", True), ("other", False)):
        change = plan_server(Place(host, name, tmp_path / "config"), [file], (), [loaded]).change
        assert ("--server-name" in change.diff) is is_repeated
    change = plan_server(Place("cursor", "weather", tmp_path / "c"), [file], (), [loaded]).change
    assert "--server-name" not in change.diff or supported_hosts()["cursor"].adds_server_name


NAMES = [(["a b/c"], "a-b-c"), (["x" * 70], "x" * 64), (["a", "b"], "websocket"), (["A_1-z"], "A_1-z")]


@pytest.mark.parametrize(("names", "expected"), NAMES)
def test_a_server_has_the_name_of_its_only_call_template(tmp_path: Path, names: list[str], expected: str) -> None:
    _, loaded = load(tmp_path, *names)
    assert default_name([loaded]) == expected


def test_variables_that_only_this_shell_has_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, loaded = load(tmp_path, "weather", headers={"X-A": "${KEY} ${OTHER}", "X-B": "${USER}"})
    monkeypatch.setenv("KEY", "x")
    monkeypatch.setenv("USER", "me")
    place = Place("cursor", config=tmp_path / "mcp.json")
    (warning,) = plan_server(place, [file], (), [loaded]).warnings
    assert warning.startswith("weather: KEY, OTHER: set in this shell, but Cursor may not have it. Write NAME=value")
    env_file = tmp_path / "a.env"
    env_file.write_text("KEY=x\nOTHER=y\n", encoding="utf-8")
    assert plan_server(place, [file], [env_file], [loaded]).warnings == ()
    monkeypatch.setattr(module.sys, "platform", "win32")
    monkeypatch.setenv("USERNAME", "me")
    (warning,) = plan_server(place, [file], (), [loaded]).warnings
    assert "KEY, OTHER, USER: " in warning


def test_a_program_in_a_cache_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, loaded = load(tmp_path, "weather")
    place = Place("cursor", config=tmp_path / "mcp.json")
    for prefix, count in (("/c/uv/archive-v0/x", 1), ("/c/environments-v2/x", 1), ("/usr/archive", 0)):
        monkeypatch.setattr(module.sys, "prefix", prefix)
        for planned in (plan_server(place, [file], (), [loaded]), plan_author(place, tmp_path, (), ())):
            assert len(planned.warnings) == count
            assert all("Run `uv tool install utcp-ws-mcp`, then install again." in each for each in planned.warnings)


def test_the_program_is_its_script_or_a_module_of_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", str(tmp_path / "python"))
    assert module._program_command() == [str(tmp_path / "python"), "-m", "utcp_ws_mcp"]
    for platform, name in (("linux", "utcp-ws-mcp"), ("win32", "utcp-ws-mcp.exe")):
        (tmp_path / name).touch()
        monkeypatch.setattr(module.sys, "platform", platform)
        assert module._program_command() == [str(tmp_path / name)]
        (tmp_path / name).unlink()


def test_what_hosts_accept_as_a_name() -> None:
    for name, accepted in (
        ("a", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("a\n", False),
    ):
        assert bool(module.SERVER_NAME.match(name)) is accepted
