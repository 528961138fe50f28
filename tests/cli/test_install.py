"""`utcp-ws-mcp install` and `uninstall`, as a person uses them."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tomllib
from contextlib import chdir
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from unittest import mock

import anyio
import pytest
from mcp import Client, StdioServerParameters

from utcp_ws_mcp.demo.endpoint import demo_endpoint
from utcp_ws_mcp.hosts.hosts import supported_hosts

from . import program
from .test_check import GOOD, write

TOKEN = "a-very-secret-token"
NEEDS_TOKEN = {**GOOD, "headers": {"Authorization": "Bearer ${API_TOKEN}"}}
BACKUP = ".before-utcp-ws-mcp"
OTHERS = """{
  "theme": "dark",
  "mcpServers": {
    "git": {"command": "git-mcp", "env": {"KEY": "their-own-secret"}}
  }
}
"""


def run(folder: Path, *arguments: str, typed: str = "", **environ: str) -> CompletedProcess[str]:
    """Run a command in a folder that is the home of the user as well, and compile nothing."""
    home = {"HOME": str(folder), "USERPROFILE": str(folder)}
    with chdir(folder), mock.patch.object(sys, "dont_write_bytecode", True):
        return program.run(*arguments, typed=typed, **home, **environ)


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def servers(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())["mcpServers"]


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    return write(tmp_path, GOOD)


@pytest.mark.parametrize("host", supported_hosts())
def test_what_install_does_uninstall_undoes(host: str, tmp_path: Path, manifest: str) -> None:
    done = run(tmp_path, "install", host, manifest, "--yes")
    assert done.returncode == 0, done.stderr
    file = supported_hosts()[host].config_path(
        sys.platform, {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}, tmp_path
    )
    assert file.is_file()
    assert f"{file} is written" in done.stdout
    assert json.dumps(manifest) in file.read_text(encoding="utf-8")
    before = file.read_text(encoding="utf-8")
    again = run(tmp_path, "install", host, manifest, "--yes")
    assert again.stdout.splitlines()[-1].startswith(
        f"nothing to change: {supported_hosts()[host].title} has a server 'm'"
    )
    undone = run(tmp_path, "uninstall", host, "--yes")
    assert (undone.returncode, undone.stderr) == (0, "")
    assert "utcp" not in file.read_text(encoding="utf-8")
    assert file.with_name(file.name + BACKUP).read_text(encoding="utf-8") == before


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_files_are_where_the_hosts_of_each_platform_look(platform: str, tmp_path: Path) -> None:
    environ = {"HOME": "/h", "USERPROFILE": "/h", "APPDATA": "/h/roaming"}
    files = {name: host.config_path(platform, environ, tmp_path).as_posix() for name, host in supported_hosts().items()}
    config = {"linux": "/h/.config", "darwin": "/h/Library/Application Support", "win32": "/h/roaming"}[platform]
    goose = {"linux": f"{config}/goose", "darwin": "/h/.config/goose", "win32": f"{config}/Block/goose/config"}
    assert files == {
        "claude-desktop": f"{config}/Claude/claude_desktop_config.json",
        "claude-code": f"{tmp_path.as_posix()}/.mcp.json",
        "cursor": "/h/.cursor/mcp.json",
        "vscode": f"{config}/Code/User/mcp.json",
        "gemini": "/h/.gemini/settings.json",
        "codex": "/h/.codex/config.toml",
        "opencode": "/h/.config/opencode/opencode.json",
        "qwen": "/h/.qwen/settings.json",
        "copilot": "/h/.copilot/mcp-config.json",
        "cline": "/h/.cline/data/settings/cline_mcp_settings.json",
        "continue": "/h/.continue/config.yaml",
        "goose": f"{goose[platform]}/config.yaml",
        "mcp-json": f"{tmp_path.as_posix()}/mcp.json",
    }


def test_a_host_with_a_folder_of_its_own_is_found_there() -> None:
    codex = supported_hosts()["codex"]
    assert codex.config_path("linux", {"HOME": "/h", "CODEX_HOME": "/c"}, Path("/")).as_posix() == "/c/config.toml"


def test_codex_waits_for_the_server(tmp_path: Path, manifest: str) -> None:
    assert run(tmp_path, "install", "codex", manifest, "--yes").returncode == 0
    (entry,) = tomllib.loads((tmp_path / ".codex" / "config.toml").read_text())["mcp_servers"].values()
    assert (entry["required"], entry["startup_timeout_sec"]) == (True, 20)


@pytest.mark.parametrize(("host", "option"), [("gemini", ["--server-name", "m"]), ("mcp-json", [])])
def test_a_host_that_adds_the_name_of_the_server_does_not_show_it_twice(
    host: str, option: list[str], tmp_path: Path, manifest: str
) -> None:
    file = tmp_path / "host.json"
    assert run(tmp_path, "install", host, manifest, "--yes", "--config", str(file)).returncode == 0
    assert servers(file)["m"]["args"] == [*option, manifest]


async def test_the_entry_starts_the_server_from_any_folder(tmp_path: Path) -> None:
    async with demo_endpoint() as port:
        (tmp_path / "m.json").write_text(json.dumps({"name": "demo", "url": "${DEMO_URL}"}))
        (tmp_path / "s.env").write_text(f"DEMO_URL=ws://127.0.0.1:{port}/\n")
        arguments = ("install", "mcp-json", "m.json", "--env-file", "s.env", "--yes")
        done = await anyio.to_thread.run_sync(lambda: run(tmp_path, *arguments))
        assert (done.returncode, done.stderr) == (0, "")
        entry = servers(tmp_path / "mcp.json")["demo"]
        assert all(Path(part).is_absolute() for part in (entry["command"], entry["args"][-1], entry["args"][-2]))
        with anyio.fail_after(30):
            async with Client(StdioServerParameters(**entry, cwd="/")) as client:
                result = await client.call_tool("demo_add", {"a": 2, "b": 3})
    assert result.structured_content == {"sum": 5}


def test_the_path_of_a_manifest_is_written_in_its_shortest_form(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "below").mkdir()
    done = run(tmp_path, "install", "claude-desktop", f"below/../{Path(manifest).name}", "--dry-run")
    assert (done.returncode, manifest in done.stdout, str(tmp_path / "below") in done.stdout) == (0, True, False), (
        done.stderr
    )


def test_everything_else_in_the_file_stays_and_a_copy_is_kept(tmp_path: Path, manifest: str) -> None:
    file = tmp_path / "host.json"
    file.write_text(OTHERS)
    file.chmod(0o640)
    done = run(tmp_path, "install", "cursor", manifest, "--config", str(file), "--name", "mine", "--yes")
    assert done.returncode == 0, done.stderr
    assert file.read_text().startswith(OTHERS.rstrip("\n }"))
    assert list(servers(file)) == ["git", "mine"]
    backup = file.with_name(file.name + BACKUP)
    assert (backup.read_text(), mode(backup), mode(file)) == (OTHERS, 0o640, 0o640)
    assert run(tmp_path, "uninstall", "cursor", "--config", str(file), "--yes").returncode == 0
    assert file.read_text() == OTHERS
    assert sorted(each.name for each in tmp_path.iterdir()) == [backup.name.replace(BACKUP, ""), backup.name, "m.json"]


def test_a_link_stays_a_link(tmp_path: Path, manifest: str) -> None:
    real, link = tmp_path / "dotfiles.json", tmp_path / "mcp.json"
    real.write_text(OTHERS)
    link.symlink_to(real)
    assert run(tmp_path, "install", "mcp-json", manifest, "--yes").returncode == 0
    assert link.is_symlink()
    assert list(servers(real)) == ["git", "m"]


def test_nothing_is_written_before_a_yes(tmp_path: Path, manifest: str) -> None:
    file = tmp_path / "mcp.json"
    for typed, options, code in (("n\n", [], 1), ("", [], 1), ("", ["--dry-run"], 0)):
        asked = run(tmp_path, "install", "mcp-json", manifest, *options, typed=typed)
        assert asked.returncode == code
        assert '+    "m": {\n' in asked.stdout
        assert not file.exists()
    assert run(tmp_path, "install", "mcp-json", manifest, typed="y\n").returncode == 0
    assert file.exists()


def test_a_dry_run_with_yes_is_a_contradiction(tmp_path: Path, manifest: str) -> None:
    refused = run(tmp_path, "install", "mcp-json", manifest, "--dry-run", "--yes")
    assert refused.returncode == 2
    assert "--dry-run and --yes contradict each other" in refused.stderr


def test_no_secret_is_shown_or_written(tmp_path: Path) -> None:
    manifest = write(tmp_path, NEEDS_TOKEN)
    (tmp_path / "s.env").write_text(f"API_TOKEN={TOKEN}\n")
    file = tmp_path / "mcp.json"
    file.write_text(OTHERS.replace("\n", " "))
    done = run(tmp_path, "install", "mcp-json", manifest, "--env-file", "s.env", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert TOKEN not in done.stdout + file.read_text()
    assert "their-own-secret" in file.read_text()
    assert "their-own-secret" not in done.stdout
    assert servers(file)["m"]["args"] == ["--env-file", str(tmp_path / "s.env"), manifest]


def test_a_variable_that_only_this_shell_has_is_a_warning(tmp_path: Path) -> None:
    manifest = write(tmp_path, NEEDS_TOKEN)
    done = run(tmp_path, "install", "claude-desktop", manifest, "--yes", API_TOKEN=TOKEN)
    assert done.returncode == 0
    assert "warning: m: API_TOKEN: set in this shell, but Claude Desktop may not have it" in done.stderr
    assert "--env-file FILE" in done.stderr
    assert TOKEN not in done.stderr + done.stdout


REFUSED = {
    "a variable that is not set": (NEEDS_TOKEN, "m: API_TOKEN is not set"),
    "a wrong manifest": ({**GOOD, "timeout": "soon"}, "timeout: expected a number"),
}


@pytest.mark.parametrize(("document", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_check_refuses_is_not_installed(document: Any, sentence: str, tmp_path: Path) -> None:
    refused = run(tmp_path, "install", "mcp-json", write(tmp_path, document), "--yes")
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert refused.stderr.endswith("Fix them and run the command again. [invalid-manifest]\n")
    assert not (tmp_path / "mcp.json").exists()


def test_comments_stay(tmp_path: Path, manifest: str) -> None:
    file = tmp_path / "mcp.json"
    file.write_text('{\n  // mine\n  "servers": {}, // none yet\n}\n')
    before = file.read_text()
    assert run(tmp_path, "install", "vscode", manifest, "--config", "mcp.json", "--yes").returncode == 0
    assert "  // mine\n" in file.read_text()
    assert "}, // none yet\n}\n" in file.read_text()
    assert run(tmp_path, "uninstall", "vscode", "--config", "mcp.json", "--yes").returncode == 0
    assert file.read_text() == before


BROKEN = {
    "no JSON": ("{mine: 1}", "mcp.json: line 1, column 2: invalid JSON. Nothing was changed. [host-file-invalid]"),
    "an array": ("[]", "mcp.json: line 1, column 1: expected an object. Nothing was changed. [host-file-invalid]"),
    "no text": (b"\xff\xfe\x00", "mcp.json is not UTF-8 text. Nothing was changed. [host-file-not-readable]"),
    "another server of the name": (
        '{"mcpServers": {"m": {"command": "x"}}}',
        "mcp.json has another server 'm'. Give this one another name with --name. [server-name-taken]",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_not_understood_stays_as_it_is(
    content: str | bytes, sentence: str, tmp_path: Path, manifest: str
) -> None:
    file = tmp_path / "mcp.json"
    content = content.encode() if isinstance(content, str) else content
    file.write_bytes(content)
    refused = run(tmp_path, "install", "mcp-json", manifest, "--yes")
    assert (refused.returncode, refused.stderr) == (2, f"{tmp_path}/{sentence}\n")
    assert file.read_bytes() == content


def test_a_file_where_a_folder_should_be_is_said(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "file").write_text("mine")
    refused = run(tmp_path, "install", "mcp-json", manifest, "--config", "file/mcp.json", "--yes")
    assert refused.returncode == 2
    message = (
        f"{tmp_path}/file/mcp.json cannot be written: file exists. Nothing was changed. [host-file-not-readable]\n"
    )
    assert refused.stderr == message


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="here root may write everywhere")
def test_a_folder_in_which_nothing_may_be_written_is_said(tmp_path: Path, manifest: str) -> None:
    refused = run(tmp_path, "install", "mcp-json", manifest, "--config", "/sys/kernel/mcp.json", "--yes")
    assert refused.returncode == 2
    message = r"/sys/kernel/mcp.json cannot be written: .+\. Nothing was changed\. \[host-file-not-readable\]\n"
    assert re.fullmatch(message, refused.stderr)


def test_a_host_or_a_name_that_cannot_be_is_refused(tmp_path: Path, manifest: str) -> None:
    assert "is not one of" in run(tmp_path, "install", "emacs", manifest).stderr
    assert "hosts accept 1 to 64 letters" in run(tmp_path, "install", "cursor", manifest, "--name", "a b").stderr


def test_uninstall_takes_only_what_is_ours_and_only_what_is_meant(tmp_path: Path, manifest: str) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(OTHERS)

    def uninstall(*arguments: str) -> str:
        refused = run(tmp_path, "uninstall", "mcp-json", *arguments, "--yes")
        assert refused.returncode == 2
        return refused.stderr.removeprefix(f"{file} ").removesuffix("\n")

    assert uninstall() == "has no server of utcp-ws-mcp. Nothing was changed. [server-not-found]"
    not_ours = f"the server 'git' in {file} was not installed by utcp-ws-mcp. Nothing was changed. [server-not-ours]"
    assert uninstall("--name", "git") == not_ours
    assert uninstall("--name", "gone") == "has no server 'gone'. Nothing was changed. [server-not-found]"
    for name in ("one", "two"):
        assert run(tmp_path, "install", "mcp-json", manifest, "--name", name, "--yes").returncode == 0
    assert uninstall() == "has several servers of utcp-ws-mcp. Choose one with --name: one, two. [server-ambiguous]"
    assert run(tmp_path, "uninstall", "mcp-json", "--name", "one", "--yes").returncode == 0
    assert list(servers(file)) == ["git", "two"]


CLAUDE = """#!{python}
import json, os, sys
file = os.path.join(os.environ["HOME"], ".claude.json")
state = json.load(open(file)) if os.path.exists(file) else {{"mcpServers": {{}}}}
match sys.argv[1:]:
    case ["mcp", "add", "--scope", "user", name, "--", command, *arguments] if name not in state["mcpServers"]:
        state["mcpServers"][name] = {{"type": "stdio", "command": command, "args": arguments}}
    case ["mcp", "remove", "--scope", "user", name] if name in state["mcpServers"]:
        del state["mcpServers"][name]
    case _:
        sys.exit("claude refuses")
json.dump(state, open(file, "w"))
print("claude did it")
"""


@pytest.fixture
def claude(tmp_path: Path) -> Path:
    """A stand-in for Claude Code's command, which takes what `claude mcp add --help` says, and nothing else."""
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(CLAUDE.format(python=sys.executable))
    program.chmod(0o755)
    return program


def test_claude_code_changes_its_own_file(tmp_path: Path, manifest: str, claude: Path) -> None:
    state = tmp_path / ".claude.json"
    done = run(tmp_path, "install", "claude-code", manifest, "--yes", PATH=str(claude.parent))
    assert done.returncode == 0, done.stderr
    assert f"$ {claude} mcp add --scope user m -- " in done.stdout
    assert "claude did it" in done.stdout
    assert servers(state)["m"]["args"][-1] == manifest
    again = run(
        tmp_path, "install", "claude-code", manifest, "--env-file", os.devnull, "--yes", PATH=str(claude.parent)
    )
    assert again.returncode == 0, again.stderr
    assert servers(state)["m"]["args"][-5:] == ["--env-file", os.devnull, "--server-name", "m", manifest]
    undone = run(tmp_path, "uninstall", "claude-code", "--yes", PATH=str(claude.parent))
    assert undone.returncode == 0, undone.stderr
    assert servers(state) == {}
    assert not (tmp_path / ".mcp.json").exists()


def test_what_claude_code_says_when_it_refuses_is_passed_on(tmp_path: Path, manifest: str, claude: Path) -> None:
    claude.write_text(CLAUDE.format(python=sys.executable).replace("--scope", "--other"))
    refused = run(tmp_path, "install", "claude-code", manifest, "--yes", PATH=str(claude.parent))
    assert (refused.returncode, refused.stderr) == (
        2,
        f"{claude} mcp add failed: claude refuses. [host-command-failed]\n",
    )
