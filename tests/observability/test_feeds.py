"""What observers see of a feed: events with codes, metrics, the trace and the state of its endpoint."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from tests.peer import PATIENCE, bridge_to, peer, silent
from utcp_ws_mcp.observability import feed_events
from utcp_ws_mcp.observability.events import broadcast
from utcp_ws_mcp.observability.metrics import GaugeSource, MetricsObserver, PrometheusRegistry
from utcp_ws_mcp.observability.trace import Trace
from utcp_ws_mcp.server.resources import EndpointResources
from utcp_ws_mcp.server.run import read_gauges

FEED = {
    "name": "prices",
    "inputs": {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
    "match": "message.symbol == args.symbol",
    "item": "message.price",
    "size": 1,
    "linger": 0,
}
ARGUMENTS = {"symbol": "ACME"}


def kinds(seen: list[Any]) -> list[str]:
    return [type(event).__name__ for event in seen if type(event).__name__.startswith("Feed")]


async def test_the_observers_of_a_feed_get_all_that_happens_to_it(tmp_path: Path) -> None:
    seen_events: list[Any] = []
    gauges, shown = GaugeSource(), io.StringIO()
    registry = PrometheusRegistry(gauges)
    observe = broadcast((seen_events.append, MetricsObserver(registry.record), Trace(str, shown)))
    async with peer(silent) as seen:
        document = {"name": "m", "url": seen.url, "feeds": [FEED]}
        async with bridge_to(tmp_path, document, observe=observe) as bridge:
            gauges.read = lambda: read_gauges(bridge)

            async def read(**arguments: Any) -> Any:
                return await bridge.call_tool("m.prices_events", {**ARGUMENTS, "wait_seconds": 9, **arguments})

            end = bridge.watch_feed(bridge.tools["m.prices_events"], ARGUMENTS, lambda: None)
            await seen.until(lambda: bool(seen.open))
            for message in ({"price": 1}, {"price": 2}, {}, {"price": 3}):
                await seen.open[0].send(json.dumps({"symbol": "ACME", **message}))
            first = await read(where="data == 3")
            assert 'utcp_ws_feeds{feed="m.prices",state="open"} 1.0' in registry.render()
            assert 'utcp_ws_feed_readers{feed="m.prices"} 1.0' in registry.render()
            (endpoint,) = json.loads(EndpointResources(bridge).read("utcp-ws://endpoints") or "")
            assert endpoint["feeds"] == {"open": 1}
            await seen.open[0].close(1012, "restart")
            await seen.until(lambda: len(seen.upgrades) == 2)
            await seen.open[-1].send(json.dumps({"symbol": "ACME", "price": 4}))
            result = first
            with anyio.fail_after(PATIENCE):
                while not result["events"] or result is first:
                    result = await read(cursor=result["cursor"])
                end()
                while kinds(seen_events)[-1] != "FeedClosed":
                    await anyio.lowlevel.checkpoint()
        gauges.read = tuple
    assert kinds(seen_events) == [
        "FeedOpened",
        "FeedEventAdded",
        "FeedEventAdded",
        "FeedEventsEvicted",
        "FeedEventInvalid",
        "FeedGapFound",
        "FeedEventAdded",
        "FeedEventsEvicted",
        "FeedRead",
        "FeedInterrupted",
        "FeedOpened",
        "FeedGapFound",
        "FeedEventAdded",
        "FeedEventsEvicted",
        "FeedRead",
        "FeedClosed",
    ]
    (interrupted,) = (event for event in seen_events if isinstance(event, feed_events.FeedInterrupted))
    assert (interrupted.error_code, interrupted.arguments) == ("connection-lost", '{"symbol":"ACME"}')
    assert (interrupted.manual, interrupted.unreachable) == ("m", True)
    lines = registry.render().splitlines()
    for name, value in {"events": 4, "events_invalid": 1, "evictions": 3, "gaps": 2, "interruptions": 1}.items():
        assert f'utcp_ws_feed_{name}_total{{feed="m.prices"}} {value}.0' in lines
    assert 'utcp_ws_feed_reconnects_total{feed="m.prices"} 1.0' in lines
    assert 'utcp_ws_feed_lag_seconds_count{feed="m.prices"} 2.0' in lines
    trace = shown.getvalue()
    for text in (
        "is open\n",
        "has event 4",
        "receives no events",
        "is open again",
        "has a gap after event 3",
        "closed",
    ):
        assert text in trace
