"""Claude Code without a login: `claude mcp add`, `list` and `remove`, in its own home folder. It calls no tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = Path(__file__).parent / "node_modules"
NODE = PACKAGES / "node" / "bin" / "node"
CLAUDE = PACKAGES / "@anthropic-ai" / "claude-code"


def main() -> None:
    """Add a server and list it, which connects to it; install and uninstall another; remove the first."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "claude").write_text(f'#!/bin/sh\nexec "{NODE}" "{CLAUDE / "cli-wrapper.cjs"}" "$@"\n')
        (home / "claude").chmod(0o755)
        added = run(home, "claude", "mcp", "add", "--scope", "user", "tried", "--", *sys.argv[1:])
        listed = run(home, "claude", "mcp", "list")
        manifest = sys.argv[-1]
        installed = run(home, sys.executable, "-m", "utcp_ws_mcp", "install", "claude-code", manifest, "--yes")
        connected = run(home, "claude", "mcp", "get", "demo")
        gone = run(home, sys.executable, "-m", "utcp_ws_mcp", "uninstall", "claude-code", "--name", "demo", "--yes")
        removed = run(home, "claude", "mcp", "remove", "--scope", "user", "tried")
        left = json.loads((home / ".claude.json").read_text(encoding="utf-8"))["mcpServers"]
    version = json.loads((CLAUDE / "package.json").read_text(encoding="utf-8"))["version"]
    steps = {
        "`mcp add`": "Added stdio MCP server tried" in added,
        "`mcp list`": "Connected" in listed,
        "`install`": "Added stdio MCP server demo" in installed and "Connected" in connected,
        "`uninstall`": "Removed MCP server demo" in gone,
        "`mcp remove`": "Removed MCP server tried" in removed and left == {},
    }
    print(json.dumps({"client": f"Claude Code {version}", "steps": steps}))


def run(home: Path, *command: str) -> str:
    """Run a command in the home folder; return its output."""
    environ = {
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home),
        "PATH": f"{home}{os.pathsep}{os.environ['PATH']}",
        "DISABLE_TELEMETRY": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    program = str(home / "claude") if command[0] == "claude" else command[0]
    done = subprocess.run(
        [program, *command[1:]], cwd=home, env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
