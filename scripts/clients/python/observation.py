"""What a client observed of the tools of the demo endpoint, as one line of JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any


@dataclass
class Observation:
    """The names of the tools; 2 + 3; the kind of the picture; the countdown and its progress; two errors."""

    listed: list[str] = field(default_factory=list)
    sum: Any = None
    picture: str | None = None
    stream: Any = None
    progress: list[str | None] | None = field(default_factory=list)
    tool_error: str | None = None
    argument_error: str | None = None


def report(observe: Callable[[list[str]], Awaitable[Observation]], package: str, command: list[str]) -> None:
    """Observe the server that a command starts, and print the result."""

    async def run() -> Observation:
        return await observe(command)

    print(json.dumps({"client": f"{package} {version(package)}", **asdict(asyncio.run(run()))}))
