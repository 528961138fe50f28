"""websocketd: command-line programs as WebSocket endpoints."""

from __future__ import annotations

from verification.real.tools import ToolClient


async def calculate(tools: ToolClient) -> None:
    """The next message is the answer."""
    assert await tools.text("calculate", line="6*7") == "42"


async def calculate_big(tools: ToolClient) -> None:
    """A number that JSON would round stays text."""
    assert await tools.text("calculate", line="2^64") == "18446744073709551616"


async def state_is_kept(tools: ToolClient) -> None:
    """Nothing answers an assignment, and the next call finds what it did."""
    assert await tools.json("assign", name="x", value=5) == {"sent": True}
    assert await tools.text("calculate", line="x*x") == "25"


async def bad_line(tools: ToolClient) -> None:
    """A line that says error is one."""
    assert "divide by zero" in (await tools.error("calculate", line="1/0")).lower()


async def count(tools: ToolClient) -> None:
    """Everything until the server closes, from the first line on; the close has no close frame."""
    stream = await tools.stream("run", program="count")
    assert stream.value == {"items": [f"line {n}" for n in range(1, 6)], "end": "closed"}


async def query_and_header(tools: ToolClient) -> None:
    """Query and headers reach the program."""
    stream = await tools.stream("environment", unit="m")
    assert stream.value == {"items": ["query=unit=m", "token=Bearer abc"], "end": "closed"}


async def no_such_program(tools: ToolClient) -> None:
    """A path that does not exist."""
    assert "HTTP 404" in await tools.error("run", program="nothing")
