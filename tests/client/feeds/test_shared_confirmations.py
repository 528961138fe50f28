"""One message that confirms several feeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio

from tests.peer import Peer, bridge_to, entry, peer


def trades(**step: Any) -> dict[str, Any]:
    return {
        "name": "trades",
        "inputs": {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
        "open": [
            {"send": {"op": "subscribe", "symbol": "{{ args.symbol }}"}},
            {"expect": "args.symbol in message.symbols", "timeout": 0.5, **step},
        ],
        "match": "message.symbol == args.symbol",
        "item": "message.price",
    }


async def confirm_together(seen: Peer, connection: Any, message: Any) -> None:
    if len(seen.received) == 2:
        await connection.send(json.dumps({"symbols": [each["symbol"] for each in seen.received]}))
        for symbol, price in (("A", 1), ("B", 2)):
            await connection.send(json.dumps({"symbol": symbol, "price": price}))


async def read_both(tmp_path: Path, **step: Any) -> dict[str, Any]:
    """The results of two feeds that are opened at the same time."""
    results: dict[str, Any] = {}
    limits = {"max_connections": 1}
    async with (
        peer(confirm_together) as seen,
        bridge_to(tmp_path, entry(seen, feeds=[trades(**step)], limits=limits)) as bridge,
        anyio.create_task_group() as tasks,
    ):

        async def read(symbol: str) -> None:
            results[symbol] = await bridge.call_tool("m.trades_events", {"symbol": symbol, "wait_seconds": 5})

        tasks.start_soon(read, "A")
        tasks.start_soon(read, "B")
    return results


async def test_a_message_confirms_every_feed_that_waits_for_it_if_the_step_says_so(tmp_path: Path) -> None:
    results = await read_both(tmp_path, answers_all=True)
    assert {symbol: (each["state"], each["events"][0]["data"]) for symbol, each in results.items()} == {
        "A": ("open", 1),
        "B": ("open", 2),
    }


async def test_otherwise_it_confirms_the_first_and_the_other_says_what_to_write(tmp_path: Path) -> None:
    results = await read_both(tmp_path)
    states = [each["state"] for each in results.values()]
    (failed,) = (state for state in states if state != "open")
    assert 'set "answers_all": true in this step.' in failed
