"""S17: what an endpoint, a manual or a caller does holds up no other endpoint.

While each attack of `attacks` runs, another endpoint is called continuously; it takes 20 ms for its reply. Pass
criteria: the longest of these calls, as a multiple of the median without attack, and the processor time of the whole
process until the attack ends or its deadline passes, in units of a fixed piece of work (about 10 ms). The second does
not hold for an attack without end: it takes what time there is until its deadline, and its endpoint, which is a part of
the same process, most of it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from utcp_ws_mcp import Bridge, BridgeError, InvalidManifest
from verification.harness.clock import unit_of_work
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .attacks import Attack, attacks
from .bridge_fixture import JSONObject, open_bridge
from .endpoint import DISCOVERY

DELAY: Final = 0.02
"""Seconds that the good endpoint takes."""

MAX_RATIO: Final = 20.0
MAX_UNITS: Final = 400.0
DEADLINE: Final = 3.0
"""Seconds that an attack has; the timeout of its calls is shorter."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The longest wait of the good endpoint in seconds, and the processor time of the attack in units of work."""

    name: str
    wait: float
    units: float


@asynccontextmanager
async def attacker(attack: Attack) -> AsyncIterator[int]:
    """Serve the endpoint of an attack until the block ends, and yield its port."""

    def process(connection: ServerConnection, request: Request) -> Response | None:
        if "upgrade" in request.headers:
            return None
        return Response(200, "OK", Headers({"Content-Length": str(len(attack.body))}), attack.body)

    async def handle(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for raw in connection:
                if raw == json.dumps(DISCOVERY) or (isinstance(raw, str) and '"utcp"' in raw):
                    await connection.send(json.dumps(attack.manual))
                    continue
                for reply in attack.replies:
                    await connection.send(reply)
                while attack.endless:
                    await connection.send(attack.replies[0])
                    await asyncio.sleep(0)

    async with serve(handle, "127.0.0.1", 0, process_request=process, compression=None, max_size=None) as listening:
        yield next(iter(listening.sockets)).getsockname()[1]


@asynccontextmanager
async def good_endpoint() -> AsyncIterator[int]:
    """Serve the good endpoint until the block ends, and yield its port."""

    async def handle(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for raw in connection:
                await asyncio.sleep(DELAY)
                await connection.send(json.dumps({"jsonrpc": "2.0", "id": json.loads(raw)["id"], "result": 1}))

    async with serve(handle, "127.0.0.1", 0, compression=None) as listening:
        yield next(iter(listening.sockets)).getsockname()[1]


async def measure(size: Size) -> Sequence[Figure]:
    """Attack, one after the other."""
    async with good_endpoint() as good:
        unit = min(unit_of_work() for _ in range(5))
        calm = await effect_of(Attack("nothing"), good, unit)
        reference = statistics.median(calm)
        effects, refused = [], 0
        for attack in attacks():
            for _ in range(size.of(1, 10)):
                started = time.process_time()
                waits = await effect_of(attack, good, unit)
                refused += not waits
                effects += [Effect(attack.name, max(waits), (time.process_time() - started) / unit)] if waits else []
    slow = sorted((each for each in effects if each.wait > MAX_RATIO * reference), key=lambda each: -each.wait)
    endless = {attack.name for attack in attacks() if attack.endless}
    ending = [each for each in effects if each.name not in endless]
    costly = sorted((each for each in ending if each.units > MAX_UNITS), key=lambda each: -each.units)
    longest = max(effects, key=lambda each: each.wait)
    most = max(ending, key=lambda each: each.units)
    result = f"{longest.wait / reference:.1f} × ({longest.name})"
    result += "".join(f"; {each.name}: {each.wait / reference:.0f} ×" for each in slow[1:8])
    took = f"{most.units:.0f} units ({most.name})" + "".join(f"; {each.name}: {each.units:.0f}" for each in costly[1:8])
    what = f"{len(effects)} attacks, {refused} refused when the manifest was loaded"
    return [
        Figure("S17", f"{what}: the longest call of another endpoint, as a multiple of that without attack",
               result, f"{MAX_RATIO:.0f} ×", not slow),
        Figure("S17", "the most processor time of an attack that ends",
               took, f"{MAX_UNITS:.0f} units of 10 ms", not costly),
    ]  # fmt: skip


async def effect_of(attack: Attack, good: int, unit: float) -> list[float]:
    """Return the seconds of the calls of the good endpoint while the attack runs; none if the manifest is refused."""
    assert unit > 0
    async with attacker(attack) as port:
        try:
            async with open_bridge(_document(attack, port, good)) as bridge:
                await bridge.call_tool("good.t")
                stop = asyncio.Event()
                watching = asyncio.create_task(_watch(bridge, stop))
                with suppress(TimeoutError):
                    async with asyncio.timeout(DEADLINE):
                        await _attack(attack, bridge)
                stop.set()
                return await watching
        except InvalidManifest:
            return []


def _document(attack: Attack, port: int, good: int) -> list[JSONObject]:
    fields = json.loads(json.dumps(dict(attack.template)).replace("HTTP", f"http://127.0.0.1:{port}/"))
    limits = {"limits": {"max_connections": fields.pop("max_connections")}} if "max_connections" in fields else {}
    bad = {"name": "bad", "url": f"ws://127.0.0.1:{port}/", "timeout": DEADLINE - 1, **limits, **fields}
    calm = {"name": "good", "url": f"ws://127.0.0.1:{good}/", "preset": "jsonrpc2", "tools": [{"name": "t"}]}
    return [calm, bad if attack.manual else {**bad, "tools": [{"name": "t"}]}]


async def _watch(bridge: Bridge, stop: asyncio.Event) -> list[float]:
    loop = asyncio.get_running_loop()
    seconds: list[float] = []
    while not stop.is_set() or not seconds:
        started = loop.time()
        await bridge.call_tool("good.t")
        seconds.append(loop.time() - started)
    return seconds


async def _attack(attack: Attack, bridge: Bridge) -> None:
    await asyncio.sleep(0)
    if attack.manual:
        await bridge.wait_discovered(DEADLINE)
        names = [name for name in bridge.tools if name.startswith("bad.")][:1]
    else:
        names = ["bad.t"]
    if attack.name == "nothing":
        await asyncio.sleep(0.5)
        return
    calls = [_call(bridge, name, attack.arguments) for name in names for _ in range(attack.calls)]
    await asyncio.gather(*calls)


async def _call(bridge: Bridge, name: str, arguments: Any) -> None:
    with suppress(BridgeError):
        await bridge.call_tool(name, dict(arguments))


if __name__ == "__main__":
    run(measure)
