"""Offer two procedures to a WAMP router, or publish one event if SAY is set."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from autobahn.asyncio.component import Component, run
from autobahn.wamp.types import CallDetails, RegisterOptions

component = Component(transports=os.environ["URL"], realm="realm1")


@component.on_join
async def joined(session: Any, details: Any) -> None:
    """Publish, or register the procedures and say that they are there."""

    def add(a: float, b: float) -> float:
        return a + b

    async def count(up_to: int, details: CallDetails) -> str:
        for number in range(1, up_to + 1):
            details.progress(number)
            await asyncio.sleep(0.01)
        return "done"

    if said := os.environ.get("SAY"):
        session.publish("com.example.said", said)
        await session.leave()
        return
    await session.register(add, "com.example.add")
    await session.register(count, "com.example.count", options=RegisterOptions(details_arg="details"))
    Path(os.environ["READY"]).touch()


run([component])
