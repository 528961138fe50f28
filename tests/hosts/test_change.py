"""Changes of a host's configuration: what a person sees, and what is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from utcp_ws_mcp.errors import InstallError
from utcp_ws_mcp.hosts import change as module
from utcp_ws_mcp.hosts import config_file, toml_config, trial_start
from utcp_ws_mcp.hosts.change import CommandChange, FileChange
from utcp_ws_mcp.hosts.config_file import ConfigFile, read_config_file, replace_config_file
from utcp_ws_mcp.hosts.hosts import supported_hosts
from utcp_ws_mcp.hosts.plan import Target, plan_install, plan_uninstall


def test_a_diff_has_the_lines_that_change_and_hides_secrets(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "c", b'a\n"abcd"\n"ab"\nb\n')
    change = FileChange(file, 'a\n"abcd", "ab", ab\nb\n', ["ab", "abcd"])
    assert change.diff == (
        f'--- {file.path}\n+++ {file.path}\n@@ -2,2 +2 @@\n-"…"\n-"…"\n+"…", "…", ab\n'
    )  # fmt: skip
    assert FileChange(file, file.text).diff == ""
    assert FileChange(ConfigFile(file.path, None), "a\n").diff.splitlines()[0] == "--- (no file yet)"
    assert "abcd" not in repr(change)


def test_the_old_content_is_kept_beside_the_file_with_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "c.json"
    assert FileChange(read_config_file(path), "1").apply() == f"{path} is written."
    assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == ("1", 0o644)
    path.chmod(0o601)
    backup = path.with_name("c.json.before-utcp-ws-mcp")
    assert FileChange(read_config_file(path), "2").apply() == f"{path} is written. The old content is in {backup}."
    assert [(each.read_text(encoding="utf-8"), each.stat().st_mode & 0o777) for each in (path, backup)] == [
        ("2", 0o601),
        ("1", 0o601),
    ]
    assert sorted(path.parent.iterdir()) == [path, backup]


def test_a_file_that_cannot_be_written_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "c.json"
    path.write_text("1", encoding="utf-8")
    monkeypatch.setattr(config_file, "replace_file", refuse)
    with pytest.raises(InstallError) as failed:
        replace_config_file(read_config_file(path), "2")
    message = f"{path} cannot be written: permission denied. Nothing was changed. [host-file-not-readable]"
    assert (str(failed.value), path.read_text(encoding="utf-8")) == (message, "1")


def test_a_link_stays_one_and_white_space_is_no_content(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_bytes(b"\xef\xbb\xbf \r\n\t")
    link.symlink_to(real)
    file = read_config_file(link)
    assert (file.path, file.text) == (real, "")
    replace_config_file(file, "{}")
    assert (link.is_symlink(), real.read_text(encoding="utf-8")) == (True, "{}")
    real.write_bytes(b"\xef\xbb\xbf{}")
    assert read_config_file(real).text == "\ufeff{}"


def test_the_largest_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_file.MAX_BYTES == 16 << 20
    monkeypatch.setattr(config_file, "MAX_BYTES", 2)
    path = tmp_path / "c"
    path.write_bytes(b"12")
    assert read_config_file(path).content == b"12"
    path.write_bytes(b"123")
    with pytest.raises(InstallError, match="has more than 2 bytes"):
        read_config_file(path)


def test_commands_of_a_host_run_in_order_up_to_the_first_that_fails(tmp_path: Path) -> None:
    say = [sys.executable, "-c", "print('said')"]
    fail = [sys.executable, "-c", "import sys; print('out'); sys.exit(3)"]
    touch = [sys.executable, "-c", f"open({str(tmp_path / 'x')!r}, 'w')"]
    change = CommandChange([say, ["a b", "c"]])
    assert change.diff.splitlines()[1] == "$ 'a b' c"
    assert change.diff.startswith(f"$ {sys.executable} -c ")
    assert CommandChange([say, say]).apply() == "said\nsaid"
    with pytest.raises(InstallError, match=r" failed: out\. \[host-command-failed\]"):
        CommandChange([fail, touch]).apply()
    assert not (tmp_path / "x").exists()
    with pytest.raises(InstallError, match=r"^/nonexistent/claude could not be run: FileNotFoundError\."):
        CommandChange([["/nonexistent/claude", "mcp"]]).apply()


@pytest.mark.parametrize(
    ("out", "err", "reason"), [("o", "e", "e."), ("o", " ", "o."), ("", "", "exit code 3."), ("", "e!", "e!")]
)
def test_a_command_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, out: str, err: str, reason: str) -> None:
    given: list[object] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        given.append((options["stdin"], options["timeout"], options["text"], options["capture_output"]))
        return subprocess.CompletedProcess(command, 3, out, err if err.strip() else "")

    monkeypatch.setattr(module.subprocess, "run", run)
    with pytest.raises(InstallError) as failed:
        CommandChange([["claude", "mcp", "add it", "more"]]).apply()
    assert failed.value.message == f"claude mcp 'add it' failed: {reason}"
    assert given == [(subprocess.DEVNULL, 60, True, True)]


def test_a_server_of_a_host_that_changes_its_file_itself_is_removed_by_its_command(tmp_path: Path) -> None:
    file = tmp_path / ".claude.json"
    file.write_text('{"mcpServers": {"ws": {"command": "utcp_ws_mcp"}}}', encoding="utf-8")
    target = Target(supported_hosts()["claude-code"], file, "/bin/claude")
    name, change = plan_uninstall(target, None)
    assert isinstance(change, CommandChange)
    assert (name, change.commands) == ("ws", [["/bin/claude", "mcp", "remove", "--scope", "user", "ws"]])
    added = plan_install(target, "other", ["x", "-y"])
    assert isinstance(added, CommandChange)
    assert added.commands == [["/bin/claude", "mcp", "add", "--scope", "user", "other", "--", "x", "-y"]]


def test_secrets_of_other_servers_are_not_in_the_diff(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text('{"mcpServers": {"a": {"env": {"K": "s3cret"}}}}', encoding="utf-8")
    target = Target(supported_hosts()["cursor"], file)
    change = plan_install(target, "ws", ["utcp-ws-mcp"])
    assert ("s3cret" in change.diff, "…" in change.diff) == (False, True)
    change.apply()
    _, removal = plan_uninstall(target, "ws")
    assert ("s3cret" in removal.diff, "…" in removal.diff) == (False, True)


def test_texts_below_env_and_headers_of_toml_are_secrets_at_any_depth() -> None:
    text = '[s.a]\nargs = ["shown"]\n[s.a.env]\nA = "one"\nB = 3\nC = ""\n[s.b]\nheaders = {X = ["two"]}\n'
    text += '[[s.c.list]]\nhttp_headers = {Y = "three"}\n'
    assert toml_config.secrets(text) == {"one", "two", "three"}


TOML_ERRORS = {
    "a = 1\nb = [": "line 2: invalid TOML.",
    "s = 5\n": "expected one table for each server under 's'.",
    "[s]\na = 1\n": "expected one table for each server under 's'.",
}


@pytest.mark.parametrize(("text", "message"), TOML_ERRORS.items())
def test_what_is_wrong_in_toml_is_said(text: str, message: str) -> None:
    with pytest.raises(InstallError) as failed:
        toml_config.entries(text, "s")
    assert failed.value.message == message


def test_a_trial_is_a_session_of_this_package_in_a_folder_that_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, object]]] = []
    compiled: list[tuple[Path, int]] = []

    def run(command: list[str], **options: object) -> None:
        assert Path(command[-1]).exists()
        started.append((command, options))
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(trial_start.compileall, "compile_dir", lambda path, quiet: compiled.append((path, quiet)))
    monkeypatch.setattr(trial_start.subprocess, "run", run)
    trial_start.compile_byte_code()
    ((command, options),) = started
    assert command[:3] == [sys.executable, "-m", "utcp_ws_mcp"]
    assert (options["timeout"], options["check"], options["capture_output"]) == (30.0, False, True)
    lines = bytes(options["input"]).splitlines()  # type: ignore[call-overload]
    assert [json.loads(line).get("id") for line in lines] == [1, None, 2, 3, 4]
    assert all(b'"jsonrpc": "2.0"' in line for line in lines)
    folder = Path(command[-1]).parent
    assert (folder.exists(), options["env"]["UTCP_WS_MCP_STATE_DIR"]) == (False, str(folder))  # type: ignore[index]
    assert compiled == [(Path(trial_start.__file__).parents[1], 2)]
