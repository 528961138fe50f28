"""Calling a tool for a host."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, bridge_to, entry, peer
from utcp_ws_mcp.server.tools import ToolService

ROWS = '[["a row of the reply"],["another one"]]'


async def answer_rows(seen: Peer, connection: Any, message: Any) -> None:
    await connection.send(ROWS)


def is_row(value: Any) -> bool:
    return type(value) is list and value[:1] == ["another one"]


async def test_the_value_of_a_reply_is_released_before_its_text_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def redact(text: str) -> str:
        if text == ROWS:
            held.append(any(map(is_row, gc.get_objects())))
        return text

    tool = {"name": "t", "tool_call_template": {"response_format": "json"}}
    async with peer(answer_rows) as seen, bridge_to(tmp_path, entry(seen, tool)) as bridge:
        monkeypatch.setattr(bridge.redactor, "redact_result", redact)
        tools = ToolService(bridge)
        found = await tools.find("m_t")
        assert found is not None
        result = await tools.call(found, {}, _ignore)
    assert (result.structured, held) == (ROWS, [False])


async def _ignore(number: float, message: str) -> None: ...


async def test_only_a_call_that_reports_progress_is_kept_alive_by_it(tmp_path: Path) -> None:
    running: list[int] = []

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        running.append(len(tools.running))
        await connection.send(ROWS)

    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, {"name": "t"})) as bridge:
        tools = ToolService(bridge)
        found = await tools.find("m_t")
        assert found is not None
        for report in (_ignore, None):
            await tools.call(found, {}, report)
        running.append(len(tools.running))
    assert running == [1, 0, 0]
