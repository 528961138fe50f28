"""Try every client against the demo endpoint, and print what each listed and called: `make clients`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from utcp_ws_mcp.demo.endpoint import demo_endpoint

HERE = Path(__file__).resolve().parent
BUILD_FOLDER = HERE.parents[1] / "build" / "clients"
NODE = HERE / "node_modules" / "node" / "bin" / "node"
CLIENT_TIMEOUT = 180
BEGINS, ENDS = "<!-- clients -->\n", "<!-- end of clients -->\n"

EXPECTED: dict[str, Any] = {
    "listed": ["demo_add", "demo_divide", "demo_shout", "demo_picture", "demo_countdown"],
    "sum": {"sum": 5},
    "picture": "image",
    "stream": [3, 2, 1, 0],
    "progress": ["3", "2", "1", "0"],
    "tool_error": "the endpoint said: division by zero: choose another b [tool-error]",
    "argument_error": 'demo_add: invalid arguments: "b" is a required property. [invalid-arguments]',
}
"""What a client observes if it shows everything."""


@dataclass(frozen=True)
class Client:
    """A client and its script.

    `hidden_fields` are not shown by it, `client_checked` are found by it before the server is called.
    `drops_late_progress`: it drops progress that arrives together with the result, so only its beginning is certain.
    """

    title: str
    script: tuple[str, ...]
    era: str
    hidden_fields: frozenset[str] = frozenset()
    client_checked: frozenset[str] = frozenset()
    drops_late_progress: bool = False


def _python(environment: str, script: str, *options: str) -> tuple[str, ...]:
    return (str(BUILD_FOLDER / environment / "bin" / "python"), str(HERE / "python" / script), *options)


def _node(script: str, *options: str) -> tuple[str, ...]:
    return (str(NODE), str(HERE / "node" / script), *options)


def _here(script: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, str(HERE / script), *options)


OLD, NEW = "2025-11-25", "2026-07-28"
NO_PROGRESS = frozenset({"progress"})
CLIENTS = (
    Client("MCP Inspector, `--cli`", _here("inspector.py", "legacy"), OLD, NO_PROGRESS),
    Client("MCP Inspector, `--cli --protocol-era modern`", _here("inspector.py", "modern"), NEW, NO_PROGRESS),
    Client("TypeScript SDK 1", _node("sdk1.mjs"), OLD, drops_late_progress=True),
    Client("TypeScript SDK 2", _node("sdk2.mjs", "legacy"), OLD, drops_late_progress=True),
    Client('TypeScript SDK 2, `mode: "auto"`', _node("sdk2.mjs", "auto"), NEW, drops_late_progress=True),
    Client("Python SDK 1", _python("sdk1", "mcp_session.py"), OLD),
    Client("Python SDK 2", _python("sdk2", "mcp_client.py"), NEW),
    Client('Python SDK 2, `mode="legacy"`', _python("sdk2", "mcp_client.py", "--mode", "legacy"), OLD),
    Client("fastmcp", _python("sdk2", "fastmcp_client.py"), NEW),
    Client("LangChain", _python("sdk1", "langchain_adapters.py"), OLD, NO_PROGRESS),
    Client("Pydantic AI", _python("sdk2", "pydantic_ai_toolset.py"), NEW, NO_PROGRESS),
    Client(
        "OpenAI Agents", _python("sdk2", "openai_agents_server.py"), NEW, NO_PROGRESS, frozenset({"argument_error"})
    ),
    Client("mcp-use", _python("mcp-use", "mcp_use_client.py"), OLD, NO_PROGRESS),
    Client("Claude Code, no login", _here("claude_code.py"), OLD),
)


def find_differences(client: Client, observation: dict[str, Any], version: str) -> list[str]:
    """Return the differences from what is expected."""
    differences = [] if version == client.era else [f"protocol {version}"]
    if "steps" in observation:
        return differences + [step for step, succeeded in observation["steps"].items() if not succeeded]
    differences += [name for name in client.client_checked if not observation.get(name)]
    compared = sorted(EXPECTED.keys() - client.hidden_fields - client.client_checked)
    return differences + [
        f"{name}: {observation.get(name)!r}" for name in compared if not _is_right(client, name, observation.get(name))
    ]


def _is_right(client: Client, name: str, value: Any) -> bool:
    expected = EXPECTED[name]
    if name == "progress" and client.drops_late_progress:
        return bool(value) and value == expected[: len(value)]
    return bool(value == expected)


def table_row(client: Client, observation: dict[str, Any], version: str, wrong: Sequence[str]) -> str:
    """Return the row of the table."""
    start = f"| {client.title} | {observation['client']} | {version} |"
    if wrong:
        return f"{start} FAILED: {'; '.join(wrong)} | | | | |"
    if "steps" in observation:
        return f"{start} {', '.join(observation['steps'])} | | | | |"
    progress = "not shown" if "progress" in client.hidden_fields else f"{len(observation['progress'])} messages"
    argument_error = "found by the client" if "argument_error" in client.client_checked else "exact message"
    stream = f"{len(observation['stream'])} items, progress: {progress}"
    tools = f"{len(observation['listed'])} tools"
    return f"{start} {tools} | number, image | {stream} | exact message | {argument_error} |"


def run_client(client: Client, manifest: Path) -> tuple[dict[str, Any], str]:
    """Run the script of a client; return its observation, and the version of the protocol that it used."""
    note = manifest.with_name("version")
    note.write_text("none", encoding="utf-8")
    server = [sys.executable, str(HERE / "tap.py"), str(note), sys.executable, "-m", "utcp_ws_mcp", str(manifest)]
    try:
        done = subprocess.run(
            [*client.script, *server], capture_output=True, text=True, timeout=CLIENT_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        return {"client": type(failed).__name__}, note.read_text(encoding="utf-8")
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return {"client": f"exit code {done.returncode}"}, note.read_text(encoding="utf-8")
    return json.loads(done.stdout.splitlines()[-1]), note.read_text(encoding="utf-8")


async def run_all(chosen: str) -> tuple[str, bool]:
    """Return the table, and whether there were no differences."""
    columns = ("client", "version", "protocol", "lists", "calls", "stream", "tool error", "wrong arguments")
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    well = True
    async with demo_endpoint(0) as port:
        with tempfile.TemporaryDirectory() as folder:
            manifest = Path(folder) / "manifest.json"
            manifest.write_text(json.dumps({"name": "demo", "url": f"ws://127.0.0.1:{port}/"}), encoding="utf-8")
            for client in (client for client in CLIENTS if chosen in client.title):
                observation, version = await anyio.to_thread.run_sync(run_client, client, manifest)
                wrong = find_differences(client, observation, version)
                well = well and not wrong
                lines.append(table_row(client, observation, version, wrong))
    return "\n".join(lines) + "\n", well


def main() -> None:
    """Print the table; exit with 1 if a client observed something unexpected."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--into", type=Path, help="write the table into this page, replacing the previous one")
    parser.add_argument("--only", default="", help="only clients whose title contains this text")
    given = parser.parse_args()
    table, well = anyio.run(run_all, given.only)
    print(table, end="")
    if given.into:
        page = given.into.read_text(encoding="utf-8")
        before, rest = page.split(BEGINS)
        given.into.write_text(f"{before}{BEGINS}{table}{ENDS}{rest.split(ENDS)[1]}", encoding="utf-8")
    sys.exit(not well)


if __name__ == "__main__":
    main()
