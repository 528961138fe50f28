"""Which texts are scopes (RFC 6749 section 3.3)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.peer import PATIENCE
from utcp_ws_mcp.errors import ServeOptionsError
from utcp_ws_mcp.server.auth.scopes import is_scope, parse_tool_scopes


@pytest.mark.parametrize("text", ["a", "tools:read", "https://a.example/scope?x=1#y", "!", "~", "[]"])
def test_printable_characters_of_ascii_are_a_scope(text: str) -> None:
    assert is_scope(text)


@pytest.mark.parametrize("text", ["", " ", "a b", 'a"b', "a\\b", "a\x7f", "a\n", "ü"])
def test_blanks_quotes_backslashes_and_other_letters_are_in_no_scope(text: str) -> None:
    assert not is_scope(text)
    with pytest.raises(ServeOptionsError, match="expected SCOPE=GLOB"):
        parse_tool_scopes([f"{text}=m.*"])


TOOLS = [{"name": "get_city", "description": "Get a city."}, {"name": "set_city", "description": "Set it."}]
DISCOVERED = {"name": "other", "url": "ws://127.0.0.1:9/"}


@pytest.mark.parametrize("others", [[], [DISCOVERED]], ids=["listed", "discovered"])
async def test_a_pattern_of_no_tool_is_a_warning_at_the_start_unless_tools_may_follow(
    tmp_path: Path, others: list[Any]
) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps([{"name": "weather", "url": "ws://127.0.0.1:9/", "tools": TOOLS}, *others]))
    options = ["--http", "0", "--issuer", "http://127.0.0.1:9/", "--audience", "http://127.0.0.1:9/mcp"]
    options += ["--scope-tools", "a=weather.get_*", "--scope-tools", "a=weather_set_*", "--scope-tools", "b=*"]
    command = [sys.executable, "-m", "utcp_ws_mcp", "serve", str(file), *options]
    async with await anyio.open_process(command, stderr=subprocess.PIPE) as process:
        assert process.stderr
        with anyio.fail_after(PATIENCE):
            said = await BufferedByteReceiveStream(process.stderr).receive_until(b"utcp-ws-mcp serves", 10_000)
        process.terminate()
    warnings = [line.partition(b"WARNING ")[2] for line in said.splitlines() if b"scope-tools" in line]
    expected = (
        b"--scope-tools a=weather_set_* allows no tool of the manifests. Names have the form manual.tool, such as "
        b"weather.get_city. [scope-tools-unused]"
    )
    assert warnings == ([] if others else [expected])
