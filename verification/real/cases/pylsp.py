"""python-lsp-server."""

from __future__ import annotations

from verification.real.tools import ToolClient

URI = "file:///nowhere/a.py"


async def open_and_check(tools: ToolClient) -> None:
    """Receive the diagnostics of a document as a notification."""
    result = await tools.json("open_and_check", uri=URI, text="import os\nx = undefined_name\nos.getcw\n")
    assert "undefined name 'undefined_name'" in result[0]["message"]
    assert result[0]["range"]["start"] == {"line": 1, "character": 4}


async def complete(tools: ToolClient) -> None:
    """Complete a name in the document that the previous call opened."""
    result = await tools.json("ask", what="completion", uri=URI, line=2, character=8)
    assert result["items"][0]["label"] == "getcwd()"
    assert result["isIncomplete"] is False


async def hover(tools: ToolClient) -> None:
    """Get the documentation of the name at a position."""
    assert "OS routines" in str(await tools.json("ask", what="hover", uri=URI, line=0, character=8))


async def change_and_symbols(tools: ToolClient) -> None:
    """Receive the symbols although diagnostics arrive before or after them."""
    text = "def first():\n    return 1\n\n\ndef second():\n    return first()\n"
    assert await tools.json("change", uri=URI, version=2, text=text) == {"sent": True}
    assert [symbol["name"] for symbol in await tools.json("symbols", uri=URI)][:2] == ["first", "second"]


async def unknown_method(tools: ToolClient) -> None:
    """Fail with an unknown method."""
    text = await tools.error("ask", what="nothing", uri=URI, line=0, character=0)
    assert text == "the endpoint said: Method Not Found: textDocument/nothing (-32601) [tool-error]"
