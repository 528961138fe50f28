"""nginx with Nchan."""

from __future__ import annotations

import re

from verification.real.tools import ToolClient


async def publish(tools: ToolClient) -> None:
    """Get a receipt in JSON for a text message that looks like JSON."""
    receipt = await tools.json("publish", channel="alpha", message='{"n": 1}')
    assert receipt["messages"] == 1
    assert receipt["subscribers"] == 0
    assert re.fullmatch(r"\d+:0", receipt["last_message_id"])
    assert tools.messages(">") == [("", '{"n": 1}')]


async def publish_and_read_back(tools: ToolClient) -> None:
    """Receive the published message."""
    assert await tools.text("say", channel="news", message="hello, é") == "hello, é"


async def history(tools: ToolClient) -> None:
    """Receive stored messages until none arrives for `idle_seconds`."""
    stream = await tools.stream("history", channel="news")
    assert stream.value == {"items": ["hello, é"], "end": "idle_seconds", "complete": False}


async def follow(tools: ToolClient) -> None:
    """Receive messages with their ids."""
    for message in ("one", "two", "three"):
        await tools.json("publish", channel="gamma", message=message)
    stream = await tools.stream("follow", channel="gamma")
    assert [item["text"] for item in stream.items] == ["one", "two", "three"]
    assert all(re.fullmatch(r"\d+:\d+", item["id"]) for item in stream.items)
    assert stream.items[0]["id"].endswith(":0")
    assert stream.end == "max_items"


async def private(tools: ToolClient) -> None:
    """Use a channel that requires a login."""
    assert await tools.text("say_privately", channel="x", message="secret") == "secret"


async def private_refused(tools: ToolClient) -> None:
    """Fail without the login."""
    assert "HTTP 401" in await tools.error("say_privately_without_login", channel="x", message="secret")


async def tls(tools: ToolClient) -> None:
    """Accept a certificate of the CA in `ca_file`."""
    assert await tools.text("say_over_tls", channel="tls", message="over tls") == "over tls"


async def tls_unknown_ca(tools: ToolClient) -> None:
    """Fail without the CA file."""
    text = await tools.error("say_over_tls_without_ca", channel="tls", message="over tls")
    assert "the TLS certificate is not valid" in text
