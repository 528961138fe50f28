"""`install` saves the byte code of what a session imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from utcp_ws_mcp.hosts import trial_start

COMPILE = "from utcp_ws_mcp.hosts.trial_start import compile_byte_code; compile_byte_code()"
SESSION = [
    {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}}},
    {"id": 2, "method": "tools/list"},
    {"id": 3, "method": "tools/call", "params": {"name": "m_t", "arguments": {}}},
    {"id": 4, "method": "ping"},
]
MANIFEST = {"name": "m", "url": "ws://127.0.0.1:9/", "preset": "jsonrpc2", "tools": [{"name": "t"}]}


def start(folder: Path, *arguments: str, **environ: str) -> str:
    """Run Python with a cache of byte code of its own; return what it wrote to stderr."""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "cache"), "UTCP_WS_MCP_STATE_DIR": str(folder), **environ}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    lines = "".join(json.dumps({"jsonrpc": "2.0", **each}) + "\n" for each in SESSION)
    done = subprocess.run(
        [sys.executable, *arguments], input=lines, capture_output=True, text=True, env=env, timeout=120, check=True
    )
    return done.stderr


def compiled_files(folder: Path) -> set[Path]:
    return set((folder / "cache").rglob("*.pyc"))


def test_the_first_session_after_install_compiles_nothing(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(MANIFEST))
    start(tmp_path, "-c", COMPILE)
    before = compiled_files(tmp_path)

    start(tmp_path, "-m", "utcp_ws_mcp", str(manifest))

    assert before
    assert compiled_files(tmp_path) == before


def test_nothing_is_started_where_byte_code_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(trial_start.subprocess, "run", lambda *_, **__: pytest.fail("a server was started"))

    trial_start.compile_byte_code()
