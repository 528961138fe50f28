"""No command ends because the terminal's encoding lacks a character."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = "✓ 日本 😀 \u202e"
MANIFEST = {
    "name": "m",
    "url": "ws://localhost:9/",
    "tools": [{"name": "t", "description": TEXT, "inputs": {"properties": {"größe✓": {"type": "string"}}}}],
}


def run(encoding: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    return subprocess.run(
        [sys.executable, "-m", "utcp_ws_mcp", *arguments], capture_output=True, timeout=60, env=environ, check=False
    )


COMMANDS = (
    ("tools", "FILE"),
    ("tools", "--json", "FILE"),
    ("check", "FILE"),
    ("check", "--online", "--duration", "0", "FILE"),
    ("call", "--trace", "FILE", "m.t", "größe✓=日本"),
    ("approve", "FILE"),
    ("schema",),
    ("docs",),
    ("init",),
    ("--help",),
)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_writes_what_the_terminal_cannot_show_as_escapes(
    command: tuple[str, ...], encoding: str, tmp_path: Path
) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps(MANIFEST), encoding="utf-8")
    done = run(encoding, *(str(file) if word == "FILE" else word for word in command))
    assert b"Traceback" not in done.stderr, done.stderr
    if command[:2] == ("tools", "--json"):
        (tool,) = json.loads(done.stdout.decode(encoding))
        assert tool["description"] == TEXT
