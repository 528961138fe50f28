"""Ctrl-C before and while a command runs: its exit code, and no traceback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from utcp_ws_mcp.cli.main import main

INTERRUPTED_IMPORT = """
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
sys.argv = ["utcp-ws-mcp", "check", {manifest!r}]
from utcp_ws_mcp.__main__ import run
run()
"""


@pytest.mark.parametrize(
    "module",
    ["click", "utcp_ws_mcp.cli.main", "utcp_ws_mcp.cli.check", "utcp_ws_mcp.lint"],
)
def test_ctrl_c_while_modules_are_imported_ends_with_its_code(tmp_path: Path, module: str) -> None:
    manifest = tmp_path / "m.json"
    manifest.write_text('{"url": "wss://a.example/", "tools": [{"name": "t"}]}')
    code = INTERRUPTED_IMPORT.format(module=module, manifest=str(manifest))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_ctrl_c_ends_author_while_the_host_keeps_its_input_open(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "utcp_ws_mcp", "author", str(tmp_path)]
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as author:
        assert author.stdin is not None
        assert author.stdout is not None
        assert author.stderr is not None
        author.stdin.write(json.dumps(request) + "\n")
        author.stdin.flush()
        assert json.loads(author.stdout.readline())["id"] == 1
        author.send_signal(signal.SIGINT)
        try:
            assert author.wait(timeout=30) == 0
        finally:
            author.kill()
        assert "Traceback" not in author.stderr.read()


@pytest.mark.parametrize(("ended", "code"), [(KeyboardInterrupt, 130), (EOFError, 1)])
def test_ctrl_c_at_a_question_interrupts_and_the_end_of_the_input_declines(
    ended: type[BaseException], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, config = tmp_path / "m.json", tmp_path / "hosts.json"
    manifest.write_text('{"name": "m", "url": "wss://a.example/", "tools": [{"name": "t", "description": "T."}]}')

    def question(text: str) -> bool:
        try:
            raise ended
        except (KeyboardInterrupt, EOFError):
            raise click.Abort from None

    monkeypatch.setattr(click, "confirm", question)
    done = CliRunner().invoke(main, ["install", "mcp-json", str(manifest), "--config", str(config)])
    assert done.exit_code == code
    assert not config.exists()
