"""T12: 200 endpoints behind one address lose their connections at once and stay away for a minute, in virtual time.

Oracle: the network. It writes down each connect, and when every connection was there again.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from utcp_ws_mcp import Bridge, load_manifest
from utcp_ws_mcp.client.manifest_files import Loaded
from utcp_ws_mcp.core.backoff import LONGEST
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .simulation.endpoint import Endpoint, Habits
from .simulation.ledger import Ledger
from .simulation.loop import VirtualLoop
from .simulation.manifests import Shape
from .simulation.network import Fate, Network
from .simulation.run import NoPins, controlled, end

LINKS: Final = 200
DOWN: Final = 60.0
WINDOW: Final = 0.1
SHARE: Final = 0.1
"""How many of all connects may begin within WINDOW seconds."""

MOST: Final = 12
"""Connects for one endpoint."""

SPARE: Final = 5.0
"""Seconds beyond the longest pause, after which all are back."""

TOOL: Final[dict[str, Any]] = {"name": "ask", "inputs": {"type": "object"}}


@dataclass(frozen=True, slots=True)
class Herd:
    """What became of one seed: the connects after the loss (instant, port), and when all were back (None: never)."""

    connects: Sequence[tuple[float, int]]
    lost: int
    back: float | None

    @property
    def most_at_once(self) -> float:
        """The largest share of all connects within WINDOW seconds."""
        times = sorted(time for time, _ in self.connects)
        return max(bisect_left(times, time + WINDOW) - index for index, time in enumerate(times)) / len(times)

    @property
    def most_of_one(self) -> int:
        """Connects for the endpoint that had most of them."""
        return max(Counter(port for _, port in self.connects).values())


async def measure(size: Size) -> Sequence[Figure]:
    """Some seeds, and the worst of each figure."""
    draw = size.random()
    herds = await asyncio.to_thread(lambda: [scatter(draw.randrange(1 << 32)) for _ in range(size.of(5, 500))])
    at_once, of_one = max(herd.most_at_once for herd in herds), max(herd.most_of_one for herd in herds)
    never = sum(herd.back is None or herd.lost != LINKS for herd in herds)
    back = max(herd.back or 0.0 for herd in herds)
    longest = LONGEST + SPARE
    what = f"{LINKS} endpoints away for {DOWN:.0f} s, {len(herds)} times"
    return [
        Figure("T12", f"{what}: connects in 100 ms", f"{at_once:.1%} of all", f"{SHARE:.0%}", at_once <= SHARE),
        Figure("T12", "connects for one endpoint", str(of_one), str(MOST), of_one <= MOST),
        Figure("T12", "all back after", f"{back:.1f} s", f"{longest:.0f} s", not never and back <= longest),
    ]


def scatter(seed: int) -> Herd:
    """Play a seed."""
    loop, ledger = VirtualLoop(), Ledger(None)
    loaded = _manifest()
    endpoint = Endpoint(loop, Shape("ids", {}, [TOOL], loaded, greets=False), Habits(), ledger, seed)
    network = loop.network = Network(loop, endpoint, Fate, seed)
    with controlled(loop, seed, endpoint):
        try:
            return loop.run_until_complete(_play(loop, network, loaded))
        finally:
            end(loop, ledger)


async def _play(loop: VirtualLoop, network: Network, loaded: Loaded) -> Herd:
    async with Bridge([loaded], pins=NoPins()) as bridge:
        await bridge.wait_discovered(SPARE)
        lost, before = len(network.transports), len(network.attempts)
        network.restart(DOWN)
        await asyncio.sleep(DOWN)
        up, back = loop.now, None
        while back is None and loop.now < up + LONGEST + 2 * SPARE:
            await asyncio.sleep(WINDOW)
            back = loop.now - up if len(network.transports) == LINKS and not bridge.failures else None
        return Herd([(each.began, each.port) for each in network.attempts[before:]], lost, back)


def _manifest() -> Loaded:
    entries = [{"name": f"m{port}", "url": f"ws://127.0.0.1:{port}/"} for port in range(8000, 8000 + LINKS)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.json"
        file.write_text(json.dumps(entries), encoding="utf-8")
        return load_manifest(file, {}, ())


if __name__ == "__main__":
    run(measure)
