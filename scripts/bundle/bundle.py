"""Lay out the MCP bundle, and let the official tool check and pack it: `make bundle`."""

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
PARTS = ("pyproject.toml", "README.md", "LICENSE")


def lay_out(folder: Path) -> None:
    """Write the files of the bundle: its manifest, and what uv needs to install the program."""
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": __version__}, indent=2), encoding="utf-8")
    for part in PARTS:
        shutil.copy(ROOT / part, folder / part)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))


def main() -> int:
    """Write dist/utcp-ws-mcp-VERSION.mcpb; the exit code of the tool that fails, or 0."""
    folder, bundle = ROOT / "build" / "bundle", ROOT / "dist" / f"utcp-ws-mcp-{__version__}.mcpb"
    shutil.rmtree(folder, ignore_errors=True)
    bundle.parent.mkdir(exist_ok=True)
    lay_out(folder)
    for command in (("validate", str(folder / "manifest.json")), ("pack", str(folder), str(bundle))):
        if code := subprocess.run([str(MCPB), *command], check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
