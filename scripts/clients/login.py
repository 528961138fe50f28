"""Let the client of fastmcp log in to `serve --issuer` with authorization code and PKCE: `make clients`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from tests.server.auth.issuer import Issuer, issuer
from utcp_ws_mcp.demo.endpoint import demo_endpoint

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parents[1] / "build" / "clients" / "sdk2" / "bin" / "python"
TIMEOUT = 60
EXPECTED = {"listed": ["demo_add", "demo_divide"], "sum": {"sum": 5}}


@contextmanager
def server(authority: Issuer, manifest: Path) -> Iterator[str]:
    """Serve the tools that the scope `demo` allows to users of an authorization server; yield the URL of MCP."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/mcp"
    command = [sys.executable, "-m", "utcp_ws_mcp", "serve", str(manifest), "--http", str(port)]
    options = ["--issuer", authority.url, "--audience", url, "--scope-tools", "demo=demo.[ad]*"]
    with subprocess.Popen([*command, *options]) as process:
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/readyz")
            yield url
        finally:
            process.terminate()


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            urllib.request.urlopen(url, timeout=1)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


async def log_in() -> tuple[dict[str, Any], str]:
    """Return what the client observed, and the scope for which it asked."""
    async with issuer() as authority, demo_endpoint(0) as port:
        with tempfile.TemporaryDirectory() as folder:
            manifest = Path(folder) / "manifest.json"
            manifest.write_text(json.dumps({"name": "demo", "url": f"ws://127.0.0.1:{port}/"}), encoding="utf-8")

            def run() -> str:
                with server(authority, manifest) as url:
                    command = [str(PYTHON), str(HERE / "python" / "fastmcp_login.py"), url]
                    # Tokens of an earlier run must not spare the login.
                    environ = {**os.environ, "HOME": folder, "FASTMCP_HOME": folder}
                    return subprocess.run(
                        command, capture_output=True, text=True, timeout=TIMEOUT, check=True, env=environ
                    ).stdout

            text = await anyio.to_thread.run_sync(run)
        return json.loads(text.splitlines()[-1]), authority.scope


def main() -> None:
    """Print what happened; exit with 1 if the client observed something unexpected."""
    try:
        observed, scope = anyio.run(log_in)
    except subprocess.CalledProcessError as failed:
        print(failed.stderr, file=sys.stderr)
        sys.exit(1)
    well = scope == "demo" and all(observed.get(name) == value for name, value in EXPECTED.items())
    print(f"{observed['client']}: logged in for the scope {scope!r}, {observed}: {'as expected' if well else 'FAILED'}")
    sys.exit(not well)


if __name__ == "__main__":
    main()
