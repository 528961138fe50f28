"""Start a server once, so that Python saves the byte code of everything that a session imports.

pip compiles what it installs, uv does not: the first start would take several times as long as later ones, and hosts
give it no more time. What is imported is not listed here but found by doing what a session does: a list, a call whose
endpoint refuses the connection, and a request that only the SDK's server answers.
"""

from __future__ import annotations

import compileall
import json
import os
import socket
import subprocess  # a session in this process would import less than a new one
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ..client.state_files import STATE_DIR_VARIABLE

TRIAL_TIMEOUT: Final = 30.0
"""Seconds after which the server of the trial is ended."""

_CLIENT: Final = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "trial", "version": "1"}}
_MESSAGES: Final[tuple[dict[str, Any], ...]] = (
    {"id": 1, "method": "initialize", "params": _CLIENT},
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list"},
    {"id": 3, "method": "tools/call", "params": {"name": "trial_call", "arguments": {}}},
    {"id": 4, "method": "completion/complete", "params": {}},
)


def compile_byte_code() -> None:
    """Save the byte code of this package, and of what a session imports. What cannot be saved is left as it is."""
    if sys.dont_write_bytecode:
        return
    compileall.compile_dir(Path(__file__).parents[1], quiet=2)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nothing listens on a port that is only bound
        manifest = Path(folder) / "trial.json"
        url = f"ws://127.0.0.1:{bound.getsockname()[1]}/"
        tools = [{"name": "call", "inputs": {"type": "object"}}]
        manifest.write_text(json.dumps({"name": "trial", "url": url, "preset": "jsonrpc2", "tools": tools}))
        command = [sys.executable, "-m", (__package__ or "").partition(".")[0], str(manifest)]
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(  # noqa: S603  # an argument list, no shell
                command,
                input=b"".join(json.dumps({"jsonrpc": "2.0", **each}).encode() + b"\n" for each in _MESSAGES),
                capture_output=True,
                timeout=TRIAL_TIMEOUT,
                env={**os.environ, STATE_DIR_VARIABLE: folder},
                check=False,
            )
