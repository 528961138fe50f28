"""Run the cases of a server."""

from __future__ import annotations

import inspect
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

import anyio

from .server import ServerNotReady, case_names, run_launcher
from .tools import ToolClient, serve_manifest

CASE_TIMEOUT: Final = 60
"""Seconds for one case."""

LIGHT: Final = ("aria2", "graphql-ws", "nchan", "node-inspect", "pylsp", "socketio", "vite", "websocketd")
"""Servers that install within one minute in total."""

HEAVY: Final = ("actioncable", "jupyter", "mopidy")
"""Servers whose installation takes longer."""

FEEDS: Final = (
    "chromium-feed",
    "hardhat-feed",
    "homeassistant-feed",
    "mopidy-feed",
    "mosquitto-feed",
    "nchan-feed",
    "obs-feed",
)
"""Servers whose events are followed; the launcher is that of the name without "-feed"."""

Case = Callable[[ToolClient], Awaitable[None]]


@dataclass
class Report:
    """The result of a server: the failures by case."""

    server: str
    era: str
    cases: int
    seconds: float = 0
    failed: dict[str, str] = field(default_factory=dict)


async def run_server(server: str, era: str) -> Report:
    """Start a server and run its cases in order, with one host and one bridge.

    Raises:
        ServerNotReady: if the server does not start.
    """
    started = time.monotonic()
    cases = cases_of(server)
    report = Report(server, era, len(cases))
    if server not in FEEDS and (differing := set(case_names(server)) ^ cases.keys()):
        report.failed["(names)"] = f"these names differ from cases.json: {', '.join(sorted(differing))}"
    try:
        async with (
            run_launcher(server.removesuffix("-feed")) as variables,
            serve_manifest(server, era, variables) as tools,
        ):
            for name, case in cases.items():
                tools.start_case()
                if failure := await _run(case, tools):
                    report.failed[name] = failure
    except ServerNotReady:
        raise
    except Exception as failed:  # the bridge may fail in any way; that fails every case
        report.failed |= dict.fromkeys(cases, _describe_failure(failed))
    report.seconds = time.monotonic() - started
    return report


def cases_of(server: str) -> dict[str, Case]:
    """Return the cases of a server by name, in the order of their definition."""
    module: ModuleType = import_module(f".cases.{server.replace('-', '_')}", __package__)
    found = inspect.getmembers(module, inspect.iscoroutinefunction)
    own = [(name, case) for name, case in found if case.__module__ == module.__name__ and not name.startswith("_")]
    return dict(sorted(own, key=lambda pair: pair[1].__code__.co_firstlineno))


async def _run(case: Case, tools: ToolClient) -> str:
    """Run a case and return a description of its failure, or "" where it passed."""
    try:
        with anyio.fail_after(CASE_TIMEOUT):
            await case(tools)
    except Exception as failed:  # any exception is a failure of this case; the next cases still run
        return f"{_describe_failure(failed)}\n{str(tools.last)[:500]}\n{tools.log()[-3000:]}"
    return ""


def _describe_failure(failed: Exception) -> str:
    """Return the source line that failed and the error."""
    while isinstance(failed, ExceptionGroup):
        failed = failed.exceptions[0]
    frames = traceback.extract_tb(failed.__traceback__)
    lines = [frame.line or "" for frame in frames if Path(frame.filename).parent.name == "cases"]
    return "\n".join([*lines[-1:], f"{type(failed).__name__}: {failed}"])
