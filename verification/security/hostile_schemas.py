"""S8: no schema from the network blocks the event loop or opens a file or a connection."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from utcp_ws_mcp.core.tools.catalog import compile_tools
from utcp_ws_mcp.errors import InvalidArguments
from utcp_ws_mcp.manifest.remote_manual import read_manual
from verification.harness.clock import unit_of_work
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .parsers import ENTRY
from .schemas import hostile_schemas

MAX_UNITS: Final = 5.0
"""Processor time to accept or reject a schema, or to check one set of arguments, in units of about 10 ms.

A unit is a fixed piece of Python's own work, measured beside each decision: what slows one slows the other.
"""

REPETITIONS: Final = 3
"""Repetitions of each measurement; the fastest counts."""

AUDITED_EVENTS: Final = ("open", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")


class AuditRecorder:
    """Records what the process opens while `enabled`."""

    def __init__(self) -> None:
        self.enabled = False
        self.opened: list[str] = []
        sys.addaudithook(self._record)

    def _record(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.enabled and event in AUDITED_EVENTS:
            self.opened.append(f"{event} {arguments[0]!r}")


def decide(schema: dict[str, Any], values: Sequence[Any]) -> tuple[bool, float]:
    """Return whether a tool with this schema is offered, and the longest time of a decision in seconds."""
    started = time.process_time()
    tools, _ = read_manual({"tools": [{"name": "t", "inputs": schema}]}, ENTRY)
    compiled, _ = compile_tools(ENTRY, tools)
    longest = time.process_time() - started
    for tool in compiled:
        for value in values:
            started = time.process_time()
            try:
                tool.validate_arguments({"x": value})
            except InvalidArguments as invalid:
                str(invalid)
            longest = max(longest, time.process_time() - started)
    return bool(compiled), longest


async def measure(size: Size) -> Sequence[Figure]:
    """Test every schema, after a first decision that loads lazy imports."""
    decide({"type": "object"}, [1])
    recorder = AuditRecorder()
    slow, offered, count, longest = [], 0, 0, 0.0
    recorder.enabled = True
    for name, schema, values in hostile_schemas():
        turns = [(decide(schema, values), unit_of_work()) for _ in range(REPETITIONS)]
        units = min(duration for (_, duration), _ in turns) / min(unit for _, unit in turns)
        count, offered, longest = count + 1, offered + turns[0][0][0], max(longest, units)
        slow += [f"{name} ({units:.1f})"] if units > MAX_UNITS else []
    recorder.enabled = False
    examples = "".join(f"; {name}" for name in slow[:5])
    return [
        Figure(
            *("S8", "hostile schemas, the slowest decision", f"{longest:.1f} units of {count}{examples}"),
            *(f"≤ {MAX_UNITS:.0f} units of 10 ms each, ≥ 60 schemas", not slow and count >= 60),
        ),
        Figure(
            *("S8", "hostile schemas, files and hosts opened", f"{len(recorder.opened)} ({offered} tools offered)"),
            *("0, some offered", not recorder.opened and offered > 0),
        ),
    ]


if __name__ == "__main__":
    run(measure)
