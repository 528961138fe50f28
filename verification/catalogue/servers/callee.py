"""A WAMP callee with the procedures of the entry crossbar-wamp: `python callee.py URL`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from autobahn.asyncio.component import Component, run  # type: ignore[import-not-found]
from autobahn.wamp.types import CallDetails, RegisterOptions  # type: ignore[import-not-found]

component = Component(transports=sys.argv[1], realm="realm1")


@component.on_join  # type: ignore[untyped-decorator]
async def joined(session: Any, _: Any) -> None:
    """Register the procedures."""

    def add(a: float = 0, b: float = 0) -> float:
        return a + b

    def count(n: int = 1, details: CallDetails | None = None) -> int:
        for number in range(n):
            if details is not None and details.progress:
                details.progress(number)
        return n

    await session.register(add, "com.example.add")
    await session.register(count, "com.example.count", options=RegisterOptions(details_arg="details"))
    Path("registered").touch()


run([component])
