"""Schemas from the network that could hold the loop or reach out: each is decided at once, and nothing is opened."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from utcp_ws_mcp.core.tools.catalog import compile_tools
from utcp_ws_mcp.errors import InvalidArguments
from utcp_ws_mcp.manifest.remote_manual import read_manual
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .parsers import ENTRY
from .schemas import hostile_schemas

MAX_SECONDS: Final = 0.050
"""Seconds of processor time for a decision: to take the schema or leave it out, or to check one set of arguments."""

REPETITIONS: Final = 3
"""The best of so many counts, because others use the machine too."""

AUDITED_EVENTS: Final = ("open", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")


class AuditRecorder:
    """Notes what the process opens while it is `on`."""

    def __init__(self) -> None:
        self.enabled = False
        self.opened: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.enabled and event in AUDITED_EVENTS:
            self.opened.append(f"{event} {arguments[0]!r}")


def decide(schema: dict[str, Any], values: Sequence[Any]) -> tuple[bool, float]:
    """Whether a tool with this schema is offered, and the longest time that one decision took."""
    started = time.process_time()
    tools, _ = read_manual({"tools": [{"name": "t", "inputs": schema}]}, ENTRY)
    plans, _ = compile_tools(ENTRY, tools)
    longest = time.process_time() - started
    for plan in plans:
        for value in values:
            started = time.process_time()
            try:
                plan.validate_arguments({"x": value})
            except InvalidArguments as invalid:
                str(invalid)
            longest = max(longest, time.process_time() - started)
    return bool(plans), longest


async def measure(size: Size) -> Sequence[Figure]:
    """Every schema; the first is decided once before, so that what is imported late is imported."""
    decide({"type": "object"}, [1])
    watch = AuditRecorder()
    slow, offered, count, longest = [], 0, 0, 0.0
    watch.enabled = True
    for name, schema, values in hostile_schemas():
        turns = [decide(schema, values) for _ in range(REPETITIONS)]
        took = min(seconds for _, seconds in turns)
        count, offered, longest = count + 1, offered + turns[0][0], max(longest, took)
        slow += [f"{name} ({took * 1000:.0f} ms)"] if took > MAX_SECONDS else []
    watch.enabled = False
    shown = "".join(f"; {one}" for one in slow[:5])
    return [
        Figure(
            *("S8", "hostile schemas, the slowest decision", f"{longest * 1000:.1f} ms of {count}{shown}"),
            *(f"≤ {MAX_SECONDS * 1000:.0f} ms each, ≥ 60 schemas", not slow and count >= 60),
        ),
        Figure(
            *("S8", "hostile schemas, files and hosts opened", f"{len(watch.opened)} ({offered} tools offered)"),
            *("0, some offered", not watch.opened and offered > 0),
        ),
    ]


if __name__ == "__main__":
    run(measure)
