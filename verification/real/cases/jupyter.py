"""Jupyter Server with a running kernel."""

from __future__ import annotations

from verification.real.tools import ToolClient


async def kernel_info(tools: ToolClient) -> None:
    """Receive status messages before and after the reply."""
    result = await tools.json("kernel_info")
    assert result["language_info"]["name"] == "python"
    assert result["status"] == "ok"


async def run_expression(tools: ToolClient) -> None:
    """Get the output of the code and its value."""
    stream = await tools.stream("run", code="print('working')\n6*7")
    assert _printed(stream.items) == "working\n"
    assert _values(stream.items) == ["42"]
    assert {"execution_state": "busy"} in stream.items
    assert stream.end == "until"


async def run_slow_output(tools: ToolClient) -> None:
    """Receive output while the code runs."""
    code = "import time\nfor i in range(3):\n    print(i, flush=True); time.sleep(0.3)"
    stream = await tools.stream("run", code=code)
    assert _printed(stream.items) == "0\n1\n2\n"
    assert stream.progress[-1][0] - stream.progress[0][0] > 0.5


async def run_error(tools: ToolClient) -> None:
    """Fail where the code raises an exception."""
    assert await tools.error("run", code="1/0") == "the endpoint said: ZeroDivisionError: division by zero [tool-error]"


async def run_with_input(tools: ToolClient) -> None:
    """Answer a request for input during the call."""
    stream = await tools.stream("run", code="'you said ' + input('name? ')", answer="Ada")
    assert _values(stream.items) == ["'you said Ada'"]


async def complete(tools: ToolClient) -> None:
    """Complete a name at the cursor."""
    result = await tools.json("complete", code="import os; os.getcw", cursor_pos=19)
    assert "getcwd" in result["matches"]


async def no_token(tools: ToolClient) -> None:
    """Fail without a token: the server rejects the upgrade."""
    assert "HTTP 403" in await tools.error("kernel_info_without_token")


def _printed(items: list[dict[str, str]]) -> str:
    return "".join(item["text"] for item in items if "text" in item)


def _values(items: list[dict[str, dict[str, str]]]) -> list[str]:
    return [item["data"]["text/plain"] for item in items if "data" in item]
