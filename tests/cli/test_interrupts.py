"""Ctrl-C before a command runs: the documented exit code, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
