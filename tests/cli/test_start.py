"""What a session imports until its tools are listed: hosts start the server for every session, and wait for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MAX_OWN_MODULES = 144
"""Modules of this package until `initialize` is answered. A new one on the way to it needs a reason."""

LATER = {"websockets", "mcp", "httpx2", "platformdirs", "importlib.metadata", "tempfile"}
"""Libraries that are imported when a connection is opened or a file is written."""

REQUESTS = [
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
]
MANIFEST = {"name": "m", "url": "ws://127.0.0.1:1/", "preset": "jsonrpc2", "tools": [{"name": "t"}]}
REPORT = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"


def imported(folder: Path, requests: list[dict[str, object]]) -> set[str]:
    """Return the modules that a session on stdio has imported when its requests are answered."""
    (folder / "m.json").write_text(json.dumps(MANIFEST))
    (folder / "report.py").write_text(REPORT + "from utcp_ws_mcp.__main__ import run\nrun()\n")
    ended = subprocess.run(
        [sys.executable, folder / "report.py", folder / "m.json"],
        input="".join(json.dumps(each) + "\n" for each in requests),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    asked = [request["id"] for request in requests if "id" in request]
    assert [answer["id"] for answer in answers if "result" in answer] == asked
    return set(ended.stderr.split())


@pytest.mark.parametrize("count", [1, 3], ids=["initialize", "tools/list"])
def test_a_session_that_calls_nothing_imports_no_library_for_connections(tmp_path: Path, count: int) -> None:
    assert imported(tmp_path, REQUESTS[:count]) & LATER == set()


def test_the_start_imports_few_modules_of_this_package(tmp_path: Path) -> None:
    own = {name for name in imported(tmp_path, REQUESTS[:1]) if name.startswith("utcp_ws_mcp")}

    assert len(own) <= MAX_OWN_MODULES
    assert (
        own & {f"utcp_ws_mcp.{name}" for name in ("client.caller", "client.feeds.manager", "server.listing")} == set()
    )
