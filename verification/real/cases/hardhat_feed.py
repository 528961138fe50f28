"""New blocks of an Ethereum node (Hardhat) as a feed."""

from __future__ import annotations

from verification.real.feed_reading import Reader
from verification.real.tools import ToolClient


async def new_heads(tools: ToolClient) -> None:
    """Keep the headers of blocks that are mined while no client reads; each has the one before as its parent."""
    reader = await Reader.begin(tools, "heads")
    for _ in range(5):
        await tools.text("mine")
    heads = await reader.read(5)
    assert [later["parent"] for later in heads[1:]] == [earlier["hash"] for earlier in heads[:-1]]
    assert heads[-1]["number"] == await tools.text("number")
    assert (reader.missed, reader.gaps) == (0, [])


async def wait_for_a_block(tools: ToolClient) -> None:
    """Wait for a block with a number."""
    reader = await Reader.begin(tools, "heads")
    number = hex(int(await tools.text("number"), 16) + 2)
    where = f"data.number == '{number}'"
    waiting = tools.start("heads_events", cursor=reader.cursor, where=where, wait_seconds=20)
    for _ in range(3):
        await tools.text("mine")
    await waiting.ended.wait()
    assert [event["data"]["number"] for event in waiting.result.structured_content["events"]] == [number]


async def two_readers(tools: ToolClient) -> None:
    """Give two readers the same blocks from one subscription."""
    first, second = await Reader.begin(tools, "heads"), await Reader.begin(tools, "heads")
    await tools.text("mine")
    assert await first.read(1) == await second.read(1)
    assert not [text for _, text in tools.messages(">") if "eth_subscribe" in text]
