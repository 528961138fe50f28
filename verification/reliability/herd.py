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
from utcp_ws_mcp.client.manifest_files import LoadedManifest
from utcp_ws_mcp.core.backoff import MAX_BACKOFF
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .simulation.endpoint import Endpoint, FaultRates
from .simulation.ledger import Ledger
from .simulation.loop import VirtualLoop
from .simulation.manifests import Shape
from .simulation.network import LinkFaults, Network
from .simulation.run import NullPinStore, controlled, end

ENDPOINT_COUNT: Final = 200
OUTAGE: Final = 60.0
WINDOW: Final = 0.1
MAX_SHARE: Final = 0.1
"""How many of all connects may begin within WINDOW seconds."""

MAX_CONNECTS: Final = 12
"""Connects for one endpoint."""

RECOVERY_MARGIN: Final = 5.0
"""Seconds beyond the longest pause, after which all are back."""

TOOL: Final[dict[str, Any]] = {"name": "ask", "inputs": {"type": "object"}}


@dataclass(frozen=True, slots=True)
class HerdResult:
    """What became of one seed: the connects after the loss (instant, port), and when all were back (None: never)."""

    connects: Sequence[tuple[float, int]]
    lost: int
    recovered_at: float | None

    @property
    def peak_share(self) -> float:
        """The largest share of all connects within WINDOW seconds."""
        times = sorted(time for time, _ in self.connects)
        return max(bisect_left(times, time + WINDOW) - index for index, time in enumerate(times)) / len(times)

    @property
    def max_connects_of_one(self) -> int:
        """Connects for the endpoint that had most of them."""
        return max(Counter(port for _, port in self.connects).values())


async def measure(size: Size) -> Sequence[Figure]:
    """Some seeds, and the worst of each figure."""
    draw = size.random()
    herds = await asyncio.to_thread(lambda: [scatter(draw.randrange(1 << 32)) for _ in range(size.of(5, 500))])
    at_once, of_one = max(herd.peak_share for herd in herds), max(herd.max_connects_of_one for herd in herds)
    never = sum(herd.recovered_at is None or herd.lost != ENDPOINT_COUNT for herd in herds)
    back = max(herd.recovered_at or 0.0 for herd in herds)
    longest = MAX_BACKOFF + RECOVERY_MARGIN
    what = f"{ENDPOINT_COUNT} endpoints away for {OUTAGE:.0f} s, {len(herds)} times"
    return [
        Figure("T12", f"{what}: connects in 100 ms", f"{at_once:.1%} of all", f"{MAX_SHARE:.0%}", at_once <= MAX_SHARE),
        Figure("T12", "connects for one endpoint", str(of_one), str(MAX_CONNECTS), of_one <= MAX_CONNECTS),
        Figure("T12", "all back after", f"{back:.1f} s", f"{longest:.0f} s", not never and back <= longest),
    ]


def scatter(seed: int) -> HerdResult:
    """Play a seed."""
    loop, ledger = VirtualLoop(), Ledger(None)
    loaded = _manifest()
    endpoint = Endpoint(loop, Shape("ids", {}, [TOOL], loaded, sends_greeting=False), FaultRates(), ledger, seed)
    network = loop.network = Network(loop, endpoint, LinkFaults, seed)
    with controlled(loop, seed, endpoint):
        try:
            return loop.run_until_complete(_play(loop, network, loaded))
        finally:
            end(loop, ledger)


async def _play(loop: VirtualLoop, network: Network, loaded: LoadedManifest) -> HerdResult:
    async with Bridge([loaded], pin_store=NullPinStore()) as bridge:
        await bridge.wait_discovered(RECOVERY_MARGIN)
        lost, before = len(network.transports), len(network.attempts)
        network.restart(OUTAGE)
        await asyncio.sleep(OUTAGE)
        up, back = loop.now, None
        while back is None and loop.now < up + MAX_BACKOFF + 2 * RECOVERY_MARGIN:
            await asyncio.sleep(WINDOW)
            back = loop.now - up if len(network.transports) == ENDPOINT_COUNT and not bridge.discovery_errors else None
        return HerdResult([(each.began, each.port) for each in network.attempts[before:]], lost, back)


def _manifest() -> LoadedManifest:
    entries = [{"name": f"m{port}", "url": f"ws://127.0.0.1:{port}/"} for port in range(8000, 8000 + ENDPOINT_COUNT)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.json"
        file.write_text(json.dumps(entries), encoding="utf-8")
        return load_manifest(file, {}, ())


if __name__ == "__main__":
    run(measure)
