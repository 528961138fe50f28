"""Real WebSocket servers on loopback, which run during a test."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests"
HOSTS = ROOT / "scripts" / "hosts" / "node_modules"
SECRET = "example-secret"
PROGRAM = "globalThis.calls = 0; setInterval(() => console.log('tick', Date.now()), 5)"


def require_program(command: str) -> str:
    """Return the path of a program; skip the test if it is missing, except in CI, where it must exist."""
    found = shutil.which(command)
    if found is None and os.environ.get("CI") != "true":
        pytest.skip(f"{command} is not installed")
    assert found, f"{command} is not installed"
    return found


def inspector_command() -> list[str]:
    """Return the command of the MCP Inspector's CLI; skip the test if it is missing, except in CI."""
    node, script = HOSTS / "node" / "bin" / "node", HOSTS / ".bin" / "mcp-inspector"
    if not script.exists() and os.environ.get("CI") != "true":
        pytest.skip("the MCP Inspector is not installed; run `make hosts`")
    return [str(node), str(script), "--cli"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def node_inspector(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Run a Node program with its debugger, and yield its manifest and the environment for the manifest."""
    program = folder / "app.js"
    program.write_text(PROGRAM)
    port = free_port()
    command = [require_program("node"), f"--inspect=127.0.0.1:{port}", str(program)]
    with _running(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr
        line = next(line for line in process.stderr if "listening on" in line)
        yield (
            Path(shutil.copy(MANIFESTS / "node-inspector.json", folder)),
            {
                "NODE_INSPECTOR_ADDRESS": f"127.0.0.1:{port}",
                "NODE_INSPECTOR_ID": line.rsplit("/", 1)[1].strip(),
            },
        )


@contextmanager
def aria2(folder: Path) -> Iterator[Path]:
    """Run the download manager aria2 with a secret, and yield its manifest."""
    port = free_port()
    options = [f"--rpc-listen-port={port}", f"--rpc-secret={SECRET}", f"--dir={folder}", "--no-conf=true"]
    command = [
        require_program("aria2c"),
        "--enable-rpc",
        *options,
        "--enable-dht=false",
        "--disable-ipv6=true",
        "--quiet=true",
    ]
    with _running(command):
        wait_for_port(port)
        yield copy_manifest("aria2.json", folder, "127.0.0.1:6800", f"127.0.0.1:{port}")


def copy_manifest(name: str, folder: Path, old: str, new: str) -> Path:
    """Copy an example manifest with another address of the server, and return the path of the copy."""
    text = (MANIFESTS / name).read_text()
    assert old in text
    target = folder / name
    target.write_text(text.replace(f"ws://{old}", f"ws://{new}"))
    return target


def wait_for_port(port: int, seconds: float = 20) -> None:
    """Wait until a server listens on the port."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise TimeoutError(f"nothing listens on port {port}")


@contextmanager
def _running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
        if process.stderr:
            process.stderr.close()


def inspect(manifest: Path, method: str, *options: str, era: str, env: dict[str, str]) -> Any:
    """Run the MCP Inspector's CLI with the bridge for a manifest and return the result."""
    import sys

    command = [*inspector_command(), sys.executable, "-m", "utcp_ws_mcp", str(manifest), "--method", method, *options]
    settings = [item for name, value in env.items() for item in ("-e", f"{name}={value}")]
    completed = subprocess.run(
        [*command, "-q", "--format", "json", "--protocol-era", era, *settings],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
    )
    assert completed.stdout, completed.stderr
    return json.loads(completed.stdout)["result"]
