"""Forward everything between a client and the server that it starts, and record the version of their protocol.

python tap.py NOTE COMMAND…    NOTE gets the protocol's version.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

IN_REQUESTS = "io.modelcontextprotocol/protocolVersion"


def version_in(line: bytes) -> str | None:
    """Return the version in a message: each request of 2026-07-28 has it, and the first answer of earlier revisions."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    meta = (message.get("params") or {}).get("_meta") or {}
    return meta.get(IN_REQUESTS) or (message.get("result") or {}).get("protocolVersion")


def forward(source: IO[bytes], target: IO[bytes], note: Path) -> None:
    """Forward every line, until one side has closed."""
    try:
        for line in source:
            if version := version_in(line):
                note.write_text(version, encoding="utf-8")
            target.write(line)
            target.flush()
        target.close()
    except BrokenPipeError:
        pass


def main() -> int:
    """Run the server until the client disconnects; return its exit code."""
    note = Path(sys.argv[1])
    server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: server.send_signal(received))
    assert server.stdin is not None
    assert server.stdout is not None
    threading.Thread(target=forward, args=(sys.stdin.buffer, server.stdin, note), daemon=True).start()
    forward(server.stdout, sys.stdout.buffer, note)
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
