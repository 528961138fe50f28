"""The command line of the MCP Inspector: `python inspector.py ERA COMMAND…`, where ERA is legacy, auto or modern."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
NODE = PACKAGES / "node" / "bin" / "node"
INSPECTOR = PACKAGES / "@modelcontextprotocol" / "inspector"

TOOL_FAILED = 5
"""The exit code for a result that is an error; a schema that other hosts reject has another exit code."""


def list_tools(era: str, command: list[str], *options: str) -> dict[str, Any]:
    """Return the result of a method."""
    program = [str(NODE), str(PACKAGES / ".bin" / "mcp-inspector"), "--cli", "--protocol-era", era]
    done = subprocess.run([*program, *command, *options, "-q", "--format", "json"], capture_output=True, check=False)
    if done.returncode not in (0, TOOL_FAILED):
        sys.exit(done.stderr.decode())
    result: dict[str, Any] = json.loads(done.stdout)["result"]
    return result


def call(era: str, command: list[str], tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a call."""
    given = ("--tool-name", tool, "--tool-args-json", json.dumps(arguments))
    return list_tools(era, command, "--method", "tools/call", *given)


def main() -> None:
    """List with `--strict`, call, read a stream, fail. It shows no progress."""
    era, command = sys.argv[1], sys.argv[2:]
    version = json.loads((INSPECTOR / "package.json").read_text(encoding="utf-8"))["version"]
    observation = {
        "client": f"MCP Inspector {version}",
        "listed": [tool["name"] for tool in list_tools(era, command, "--method", "tools/list", "--strict")["tools"]],
        "sum": call(era, command, "demo_add", {"a": 2, "b": 3})["structuredContent"],
        "picture": call(era, command, "demo_picture", {"colour": "#3366cc"})["content"][0]["type"],
        "stream": call(era, command, "demo_countdown", {"start": 3})["structuredContent"]["items"],
        "progress": None,
        "tool_error": call(era, command, "demo_divide", {"a": 1, "b": 0})["content"][0]["text"],
        "argument_error": call(era, command, "demo_add", {"a": 2})["content"][0]["text"],
    }
    print(json.dumps(observation))


if __name__ == "__main__":
    main()
