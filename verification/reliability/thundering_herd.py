"""T12: 200 endpoints at one address lose their connections at once and are down for one minute, in virtual time.

The simulated network records each connection attempt and the time when all connections are open again.
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
"""The share of all connection attempts that may start within WINDOW seconds."""

MAX_CONNECTS: Final = 12
"""Connection attempts for one endpoint."""

RECOVERY_MARGIN: Final = 5.0
"""Seconds beyond the maximum backoff within which all endpoints must be connected again."""

TOOL: Final[dict[str, Any]] = {"name": "ask", "inputs": {"type": "object"}}


@dataclass(frozen=True, slots=True)
class HerdResult:
    """The result of a seed.

    `connects` are the connection attempts after the loss (time, port), `recovered_at` is None if some did not recover.
    """

    connects: Sequence[tuple[float, int]]
    lost: int
    recovered_at: float | None

    @property
    def peak_share(self) -> float:
        """The largest share of all connection attempts within WINDOW seconds."""
        times = sorted(time for time, _ in self.connects)
        return max(bisect_left(times, time + WINDOW) - index for index, time in enumerate(times)) / len(times)

    @property
    def max_connects_of_one(self) -> int:
        """The number of attempts for the endpoint with the most attempts."""
        return max(Counter(port for _, port in self.connects).values())


async def measure(size: Size) -> Sequence[Figure]:
    """Run some seeds and return the worst of each figure."""
    rng = size.random()
    results = await asyncio.to_thread(lambda: [run_seed(rng.randrange(1 << 32)) for _ in range(size.of(5, 500))])
    at_once, of_one = max(herd.peak_share for herd in results), max(herd.max_connects_of_one for herd in results)
    unrecovered = sum(herd.recovered_at is None or herd.lost != ENDPOINT_COUNT for herd in results)
    recovery = max(herd.recovered_at or 0.0 for herd in results)
    limit = MAX_BACKOFF + RECOVERY_MARGIN
    what = f"{ENDPOINT_COUNT} endpoints down for {OUTAGE:.0f} s, {len(results)} times"
    return [
        Figure(
            "T12",
            f"{what}: connection attempts in 100 ms",
            f"{at_once:.1%} of all",
            f"{MAX_SHARE:.0%}",
            at_once <= MAX_SHARE,
        ),
        Figure("T12", "attempts for one endpoint", str(of_one), str(MAX_CONNECTS), of_one <= MAX_CONNECTS),
        Figure(
            "T12", "all recovered after", f"{recovery:.1f} s", f"{limit:.0f} s", not unrecovered and recovery <= limit
        ),
    ]


def run_seed(seed: int) -> HerdResult:
    """Run a seed."""
    loop, ledger = VirtualLoop(), Ledger(None)
    manifest = _manifest()
    endpoint = Endpoint(loop, Shape("ids", {}, [TOOL], manifest, sends_greeting=False), FaultRates(), ledger, seed)
    network = loop.network = Network(loop, endpoint, LinkFaults, seed)
    with controlled(loop, seed, endpoint):
        try:
            return loop.run_until_complete(_play(loop, network, manifest))
        finally:
            end(loop, ledger)


async def _play(loop: VirtualLoop, network: Network, manifest: LoadedManifest) -> HerdResult:
    async with Bridge([manifest], pin_store=NullPinStore()) as bridge:
        await bridge.wait_discovered(RECOVERY_MARGIN)
        lost, before = len(network.transports), len(network.attempts)
        network.restart(OUTAGE)
        await asyncio.sleep(OUTAGE)
        outage_end, recovery = loop.now, None
        while recovery is None and loop.now < outage_end + MAX_BACKOFF + 2 * RECOVERY_MARGIN:
            await asyncio.sleep(WINDOW)
            if len(network.transports) == ENDPOINT_COUNT and not bridge.discovery_errors:
                recovery = loop.now - outage_end
        return HerdResult([(each.began, each.port) for each in network.attempts[before:]], lost, recovery)


def _manifest() -> LoadedManifest:
    entries = [{"name": f"m{port}", "url": f"ws://127.0.0.1:{port}/"} for port in range(8000, 8000 + ENDPOINT_COUNT)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.json"
        file.write_text(json.dumps(entries), encoding="utf-8")
        return load_manifest(file, {}, ())


if __name__ == "__main__":
    run(measure)
