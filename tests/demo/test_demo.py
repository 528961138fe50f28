"""The endpoint of the demo."""

from __future__ import annotations

import logging

import pytest
from websockets.asyncio.client import connect

from utcp_ws_mcp.demo.endpoint import demo_endpoint


async def test_a_client_that_goes_away_without_a_word_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with demo_endpoint() as port:
        client = await connect(f"ws://127.0.0.1:{port}/")
        await client.send('{"type": "utcp"}')
        await client.recv()
        client.transport.abort()
        await client.wait_closed()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
