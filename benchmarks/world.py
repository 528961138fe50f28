"""What is bridged in a measurement, and how each contender is told."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .host import HANDSHAKE, Host
from .tools import INPUT_SCHEMA, tool_descriptions

OURS = "utcp-ws-mcp"
BARE = "bare SDK server, does nothing"
SMALLEST = "smallest bridge on the SDK"
UTCP = "UTCP-MCP bridge"
BY_HAND = "the limit: by hand, without the SDK"
RAW = "`websockets` alone, without MCP"

TEMPLATES: Mapping[str, Mapping[str, Any]] = {
    "replies": {"preset": "jsonrpc2"},
    "binary": {"response_format": "raw"},
    "streams": {"preset": "utcp", "stream": {"until": "message.type == 'stream_end'", "max_items": 1_000_000}},
}
"""How this project's manifest describes the endpoint, for each kind of answer."""


LIMITS: Mapping[str, int] = {"max_message_bytes": 64 << 20, "max_in_flight": 2000}
"""Wide enough for every measurement: nothing waits for a connection."""

MODULES: Mapping[str, str] = {
    OURS: "utcp_ws_mcp",
    BARE: "benchmarks.servers.bare_sdk",
    SMALLEST: "benchmarks.servers.smallest_bridge",
    UTCP: "benchmarks.servers.utcp_bridge",
    BY_HAND: "benchmarks.servers.by_hand",
}
"""What is started with a file, for each contender."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Endpoints by the name of their manual, with so many tools each. `discovered`: this project asks for the tools."""

    urls: Mapping[str, str]
    tools: int = 1
    kind: str = "replies"
    discovered: bool = False


@dataclass(slots=True)
class BenchmarkEnvironment:
    """A running endpoint, a folder for the contenders' files, and their environment."""

    port: int
    folder: Path
    environ: dict[str, str] = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self.environ = {"UTCP_WS_MCP_STATE_DIR": str(self.folder / "state")}

    def url(self, name: str = "m0", tools: int = 1, delay: float = 0.0) -> str:
        """A URL of the endpoint, which tells so many tools after so many seconds."""
        return f"ws://127.0.0.1:{self.port}/{name}?tools={tools}&delay={delay}"

    def workload(
        self, endpoints: int = 1, tools: int = 1, kind: str = "replies", *, discovered: bool = False
    ) -> Workload:
        """So many endpoints m0, m1, … with tools t0, t1, … each."""
        urls = {f"m{number}": self.url(f"m{number}", tools) for number in range(endpoints)}
        return Workload(urls, tools, kind, discovered)

    def host(self, name: str, workload: Workload, era: str = HANDSHAKE) -> Host:
        """A host for one contender in this world; entering it starts the process."""
        told = {OURS: _manifest, UTCP: _utcp_configuration}.get(name, _generic_configuration)(workload)
        self._count += 1
        file = self.folder / f"{self._count}.json"
        file.write_text(json.dumps(told))
        command = [sys.executable, "-m", MODULES[name], str(file)]
        return Host(command, self.environ, era)

    @contextmanager
    def hosts(self, workloads: Mapping[str, tuple[str, Workload]], era: str = HANDSHAKE) -> Iterator[dict[str, Host]]:
        """Running contenders, by a label: which contender, and in which world."""
        with ExitStack() as stack:
            yield {label: stack.enter_context(self.host(*given, era)) for label, given in workloads.items()}


@contextmanager
def benchmark_environment() -> Iterator[BenchmarkEnvironment]:
    """A stage, as long as the block lasts."""
    endpoint = subprocess.Popen([sys.executable, "-m", "benchmarks.endpoint"], stdout=subprocess.PIPE)
    try:
        assert endpoint.stdout
        port = int(endpoint.stdout.readline())
        with tempfile.TemporaryDirectory() as folder:
            yield BenchmarkEnvironment(port, Path(folder))
    finally:
        endpoint.terminate()
        endpoint.communicate()


def same_workload(workload: Workload, names: Iterable[str]) -> dict[str, tuple[str, Workload]]:
    """These contenders in the same world."""
    return {name: (name, workload) for name in names}


def _manifest(workload: Workload) -> Sequence[Mapping[str, Any]]:
    template = {**TEMPLATES[workload.kind], "timeout": 600, "limits": LIMITS}
    tools = [
        {"name": name, "description": text, "inputs": INPUT_SCHEMA} for name, text in tool_descriptions(workload.tools)
    ]
    listed = {} if workload.discovered else {"tools": tools}
    return [{"name": name, "url": url, **template, **listed} for name, url in workload.urls.items()]


def _utcp_configuration(workload: Workload) -> Mapping[str, Any]:
    templates = [{"name": name, "call_template_type": "websocket", "url": url} for name, url in workload.urls.items()]
    return {"manual_call_templates": templates}


def _generic_configuration(workload: Workload) -> Mapping[str, Any]:
    return {"manuals": workload.urls, "tools": workload.tools}
