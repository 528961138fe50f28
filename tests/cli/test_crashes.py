"""A defect of this program: its traceback says where it is, and shows no value of a variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECRET = "s3cret-of-the-environment"

DEFECT = """
import importlib, sys

place = importlib.import_module({module!r})

def fail(*args, **options):
    raise RuntimeError("it cannot be done with {secret}")

setattr(place, {function!r}, fail)
sys.argv = ["utcp-ws-mcp", *{command!r}]
from utcp_ws_mcp.__main__ import run
run()
"""

LOAD = ("utcp_ws_mcp.client.manifest_files", "compile_entry")
COMMANDS = {
    "serve": (*LOAD, ["serve", "m.json"]),
    "check": (*LOAD, ["check", "m.json"]),
    "tools": (*LOAD, ["tools", "m.json"]),
    "call": (*LOAD, ["call", "m.json", "m.t"]),
    "record": ("utcp_ws_mcp.authoring.recording", "compile_entry", ["record", "ws://127.0.0.1:1/?k=${KEY}"]),
    "import": (
        "utcp_ws_mcp.authoring.import_sources",
        "parse_url",
        ["import", "http://127.0.0.1:1/", "--header", "A: ${KEY}"],
    ),
}


@pytest.mark.parametrize(("module", "function", "command"), COMMANDS.values(), ids=COMMANDS)
def test_a_defect_shows_no_value_of_a_variable(module: str, function: str, command: list[str], tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(
        '{"name": "m", "url": "ws://127.0.0.1:1/?k=${KEY}", "tools": [{"name": "t"}]}', encoding="utf-8"
    )
    code = DEFECT.format(module=module, function=function, command=command, secret=SECRET)
    environ = {**os.environ, "KEY": SECRET, "UTCP_WS_MCP_STATE_DIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env=environ,
    )
    assert SECRET not in ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert "RuntimeError" in ended.stderr
    assert "in fail" in ended.stderr
