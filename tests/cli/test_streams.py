"""Standard streams that are closed or full, and a working folder that is gone: a sentence, and no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MANIFEST = {"name": "m", "url": "ws://localhost:9/", "tools": [{"name": "t"}]}
PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the shell closes the streams")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "m.json"
    file.write_text(json.dumps(MANIFEST), encoding="utf-8")
    return file


def shell(script: str, *arguments: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a script of the shell, in which `"$@"` is the command."""
    command = ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "utcp_ws_mcp", *arguments]
    return subprocess.run(command, input=typed, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("command", "code"), [(("serve", "FILE"), 0), (("tools", "--json", "FILE"), 0), (("schema",), 0)], ids=str
)
def test_a_command_bears_closed_streams(closed: str, command: tuple[str, ...], code: int, manifest: Path) -> None:
    done = shell(f'"$@" {closed}', *(str(manifest) if word == "FILE" else word for word in command))
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"internal error" not in done.stderr, done.stderr
    assert done.returncode == code


def test_a_server_without_stderr_answers_on_stdout(manifest: Path) -> None:
    assert json.loads(shell('"$@" 2>&-', "serve", str(manifest), typed=PING).stdout)["result"] == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize(
    "command", [("tools", "FILE"), ("catalog",), ("schema",), ("check", "FILE"), ("demo",)], ids=" ".join
)
def test_a_full_disk_is_reported_in_a_sentence(command: tuple[str, ...], manifest: Path) -> None:
    done = shell('"$@" > /dev/full', *(str(manifest) if word == "FILE" else word for word in command))
    assert b"the output cannot be written: no space left on device. Write it elsewhere." in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.returncode == 2


def test_the_demo_ends_without_a_word_when_its_reader_has_read_enough() -> None:
    command = [sys.executable, "-m", "utcp_ws_mcp", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        while b"is connected after" not in started.stdout.readline():
            continue
        started.stdout.close()
        assert started.stderr.read() == b""
    assert started.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("flags", [(), ("--no-fast-path",)], ids=["fast", "sdk"])
def test_a_server_whose_answers_meet_a_full_disk_ends_with_the_cause(flags: tuple[str, ...], manifest: Path) -> None:
    done = shell('"$@" > /dev/full', "serve", str(manifest), *flags, typed=PING)
    assert done.stderr.splitlines() == [
        b"the answers cannot be written to stdout: no space left on device. Let stdout be a pipe."
    ]
    assert done.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_server_that_logs_json_writes_the_cause_of_its_end_as_an_object(manifest: Path) -> None:
    done = shell('"$@" > /dev/full', "serve", str(manifest), "--log-format", "json", typed=PING)
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["level"] == "error"
    assert "no space left on device" in json.loads(line)["message"]
    assert done.returncode == 1


def test_a_server_whose_host_has_gone_ends_without_a_word(manifest: Path) -> None:
    assert shell('{ "$@"; echo "$?" >&2; } | true', "serve", str(manifest), typed=PING).stderr == b"0\n"


@pytest.mark.parametrize(
    "command", [("check", "m.json"), ("install", "mcp-json", "FILE", "--dry-run"), ("call", "m.t")], ids=" ".join
)
def test_a_working_folder_that_is_gone_is_named_as_the_cause(command: tuple[str, ...], manifest: Path) -> None:
    gone = manifest.parent / "gone"
    gone.mkdir()
    script = f'cd {gone} && rmdir {gone} && "$@"'
    done = shell(script, *(str(manifest) if word == "FILE" else word for word in command))
    assert b"the working folder has been removed. Change to one that exists." in done.stderr
    assert done.returncode == 2


def test_a_command_that_needs_no_working_folder_runs_without_one(manifest: Path) -> None:
    gone = manifest.parent / "gone"
    gone.mkdir()
    done = shell(f'cd {gone} && rmdir {gone} && "$@"', "tools", str(manifest))
    assert done.returncode == 0
    assert done.stdout.startswith(b"m.t")
