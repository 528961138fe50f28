"""Topics of the MQTT broker Mosquitto as feeds."""

from __future__ import annotations

import anyio

from verification.real.feed_reading import Reader
from verification.real.tools import ToolClient

TOPIC, OTHER = "house/door", "house/window"


async def between_two_questions(tools: ToolClient) -> None:
    """Keep messages that come while no client reads."""
    reader = await Reader.begin(tools, "topic", topic=TOPIC)
    for number in range(3):
        await tools.json("publish", topic=TOPIC, payload=f"message {number}")
    assert await reader.read(3) == ["message 0", "message 1", "message 2"]
    assert (reader.missed, reader.gaps) == (0, [])
    tools.remember(reader=reader)


async def two_topics(tools: ToolClient) -> None:
    """Keep the messages of another topic apart, on the same connection."""
    reader = await Reader.begin(tools, "topic", topic=OTHER)
    await tools.json("publish", topic=TOPIC, payload="open")
    await tools.json("publish", topic=OTHER, payload="closed")
    assert await reader.read(1) == ["closed"]
    assert await tools.recall("reader").read(1) == ["open"]


async def wait_for_one(tools: ToolClient) -> None:
    """Wait for a message that fulfils a condition."""
    reader: Reader = tools.recall("reader")
    waiting = tools.start("topic_events", topic=TOPIC, cursor=reader.cursor, where="data == 'burglar'", wait_seconds=20)
    for payload in ("cat", "burglar"):
        await tools.json("publish", topic=TOPIC, payload=payload)
    await waiting.ended.wait()
    assert [event["data"] for event in waiting.result.structured_content["events"]] == ["burglar"]


async def thrown_out(tools: ToolClient) -> None:
    """Open again by itself, with a named gap, when another client takes its identifier."""
    reader = await Reader.begin(tools, "topic", topic=TOPIC)
    port = tools.variables["BROKER_PORT"]
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-i", "bridge", "-t", TOPIC, "-m", "taken"]
    await anyio.run_process(command)
    await reader.wait_for_gap()
    assert "not connected from" in reader.gaps[0]
    await tools.json("publish", topic=TOPIC, payload="back")
    assert await reader.read(1) == ["back"]
