"""What is bridged in a measurement, and the configuration of each contender."""

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

from .fixtures import INPUT_SCHEMA, tool_descriptions
from .host import HANDSHAKE, Host

OURS = "utcp-ws-mcp"
BARE = "bare SDK server, does nothing"
MINIMAL = "smallest bridge on the SDK"
UTCP = "UTCP-MCP bridge"
WITHOUT_SDK = "the limit: by hand, without the SDK"
RAW = "`websockets` alone, without MCP"

TEMPLATES: Mapping[str, Mapping[str, Any]] = {
    "replies": {"preset": "jsonrpc2"},
    "binary": {"response_format": "raw"},
    "without ids": {"response_format": "json"},
    "subscriptions": {"preset": "jsonrpc2"},
    "streams": {"preset": "utcp", "stream": {"until": "message.type == 'stream_end'", "max_items": 1_000_000}},
}
"""The call template for each kind of answer."""

SUBSCRIBE: Mapping[str, Any] = {
    "name": "subscribe",
    "inputs": INPUT_SCHEMA,
    "tool_call_template": {"stream": {"match": "message.params.subscription == reply.result.n", "max_items": 1000}},
}
"""A stream that the reply opens, and to which no message belongs."""

FEED: Mapping[str, Any] = {"name": "f", "match": "message.method == 'event'", "max_wait_seconds": 3600}
"""A feed without events."""

LIMITS: Mapping[str, int] = {"max_message_bytes": 64 << 20, "max_in_flight": 2000}
"""High enough for every measurement: no call waits for a connection."""

MODULES: Mapping[str, str] = {
    OURS: "utcp_ws_mcp",
    BARE: "benchmarks.servers.bare_sdk",
    MINIMAL: "benchmarks.servers.minimal_bridge",
    UTCP: "benchmarks.servers.utcp_bridge",
    WITHOUT_SDK: "benchmarks.servers.without_sdk",
}
"""The module that is started with a file, for each contender."""

OPTIONS: Mapping[str, Sequence[str]] = {OURS: ("--max-line-bytes", str(64 << 20))}
"""Further arguments: no answer of a measurement is too large for a line."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The URLs of the endpoints by manual, and the number of tools of each.

    `discovered`: this project discovers the tools instead of reading them from the manifest.
    """

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

    def url(self, name: str = "m0", tools: int = 1, delay: float = 0.0, pause: float = 0.0) -> str:
        """Return a URL at which the endpoint returns a manual with so many tools after `delay` seconds.

        It answers each call after `pause` seconds.
        """
        return f"ws://127.0.0.1:{self.port}/{name}?tools={tools}&delay={delay}&pause={pause}"

    def workload(
        self,
        endpoints: int = 1,
        tools: int = 1,
        kind: str = "replies",
        *,
        discovered: bool = False,
        pause: float = 0.0,
    ) -> Workload:
        """Return a workload with endpoints m0, m1, … that answer after `pause`, and tools t0, t1, … at each."""
        urls = {f"m{number}": self.url(f"m{number}", tools, pause=pause) for number in range(endpoints)}
        return Workload(urls, tools, kind, discovered)

    def host(
        self, name: str, workload: Workload, era: str = HANDSHAKE, environ: Mapping[str, str] | None = None
    ) -> Host:
        """Return a host for one contender, with further variables; entering it starts the process."""
        configuration = {OURS: _manifest, UTCP: _utcp_configuration}.get(name, _generic_configuration)(workload)
        self._count += 1
        file = self.folder / f"{self._count}.json"
        file.write_text(json.dumps(configuration))
        command = [sys.executable, "-m", MODULES[name], str(file), *OPTIONS.get(name, ())]
        return Host(command, {**self.environ, **(environ or {})}, era)

    @contextmanager
    def hosts(self, workloads: Mapping[str, tuple[str, Workload]], era: str = HANDSHAKE) -> Iterator[dict[str, Host]]:
        """Start contenders with their workloads; yield their hosts by label."""
        with ExitStack() as stack:
            yield {label: stack.enter_context(self.host(*given, era)) for label, given in workloads.items()}


@contextmanager
def benchmark_environment() -> Iterator[BenchmarkEnvironment]:
    """Run the endpoint until the block ends."""
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
    """Return the same workload for several contenders."""
    return {name: (name, workload) for name in names}


def _manifest(workload: Workload) -> Sequence[Mapping[str, Any]]:
    template = {**TEMPLATES[workload.kind], "timeout": 600, "limits": LIMITS}
    tools: list[Mapping[str, Any]] = [
        {"name": name, "description": text, "inputs": INPUT_SCHEMA} for name, text in tool_descriptions(workload.tools)
    ]
    if workload.kind == "subscriptions":
        template |= {"feeds": [FEED]}
        tools = [*tools, SUBSCRIBE]
    listed = {} if workload.discovered else {"tools": tools}
    return [{"name": name, "url": url, **template, **listed} for name, url in workload.urls.items()]


def _utcp_configuration(workload: Workload) -> Mapping[str, Any]:
    templates = [{"name": name, "call_template_type": "websocket", "url": url} for name, url in workload.urls.items()]
    return {"manual_call_templates": templates}


def _generic_configuration(workload: Workload) -> Mapping[str, Any]:
    return {"manuals": workload.urls, "tools": workload.tools}
