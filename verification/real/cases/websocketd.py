"""websocketd: command-line programs as WebSocket endpoints."""

from __future__ import annotations

from verification.real.tools import ToolClient


async def calculate(tools: ToolClient) -> None:
    """Use the next message as the reply."""
    assert await tools.text("calculate", line="6*7") == "42"


async def calculate_big(tools: ToolClient) -> None:
    """Return a number that JSON would round as text."""
    assert await tools.text("calculate", line="2^64") == "18446744073709551616"


async def state_is_kept(tools: ToolClient) -> None:
    """Send an assignment, which has no reply; the next call uses its effect."""
    assert await tools.json("assign", name="x", value=5) == {"sent": True}
    assert await tools.text("calculate", line="x*x") == "25"


async def bad_line(tools: ToolClient) -> None:
    """Fail where the reply is an error line."""
    assert "divide by zero" in (await tools.error("calculate", line="1/0")).lower()


async def count(tools: ToolClient) -> None:
    """Receive all lines until the server ends the connection, which it does without a close frame."""
    stream = await tools.stream("run", program="count")
    assert stream.value == {"items": [f"line {n}" for n in range(1, 6)], "end": "closed", "complete": True}


async def query_and_header(tools: ToolClient) -> None:
    """Pass the query and the headers to the program."""
    stream = await tools.stream("environment", unit="m")
    assert stream.value == {"items": ["query=unit=m", "token=Bearer abc"], "end": "closed", "complete": True}


async def no_such_program(tools: ToolClient) -> None:
    """Fail with an unknown path."""
    assert "HTTP 404" in await tools.error("run", program="nothing")
