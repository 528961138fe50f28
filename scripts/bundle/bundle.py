"""Assemble the MCP bundle, and let the official tool validate and pack it: `make bundle`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from utcp_ws_mcp import __version__

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MCPB = HERE / "node_modules" / ".bin" / "mcpb"
PARTS = ("pyproject.toml", "README.md", "LICENSE", "docs/manifest-for-agents.md", "docs/reference/manifest.schema.json")
FOLDERS = ("src", "manifests", "docs/reference/manifest")
"""Files and folders that a build of the wheel reads."""


def assemble(folder: Path) -> None:
    """Write the files of the bundle: its manifest, and the files that uv needs to install the program."""
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": __version__}, indent=2), encoding="utf-8")
    for part in PARTS:
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, folder / part)
    for each in FOLDERS:
        shutil.copytree(ROOT / each, folder / each, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))


def main() -> int:
    """Write dist/utcp-ws-mcp-VERSION.mcpb; return the exit code of the tool that fails, or 0."""
    folder, bundle = ROOT / "build" / "bundle", ROOT / "dist" / f"utcp-ws-mcp-{__version__}.mcpb"
    shutil.rmtree(folder, ignore_errors=True)
    bundle.parent.mkdir(exist_ok=True)
    assemble(folder)
    for command in (("validate", str(folder / "manifest.json")), ("pack", str(folder), str(bundle))):
        if code := subprocess.run([str(MCPB), *command], check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
