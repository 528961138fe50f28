"""Errors of calls to endpoints that demand a login which the manifest does not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, bridge_to, entry, peer, silent
from utcp_ws_mcp.errors import CallTimeout, ConnectionLost, ToolError

HOME = r'"preset": "homeassistant" has one for endpoints that send such messages\.'
FIELDS = r'Write its messages in "on_connect"; credentials of the handshake belong in "auth"\.'
MATCHED = {"reply": {"match": "message.id == request_id", "error": "message.error", "error_message": "message.error"}}


async def demand(connection: Any) -> None:
    await connection.send(json.dumps({"type": "auth_required", "ha_version": "2026.1"}))


async def refuse(seen: Peer, connection: Any, message: Any) -> None:
    await connection.send(json.dumps({"type": "auth_invalid", "message": "no"}))
    await connection.close()


async def test_a_call_that_is_refused_by_a_close_names_the_preset(tmp_path: Path) -> None:
    async with peer(refuse, greet=demand) as seen, bridge_to(tmp_path, entry(seen, "t", **MATCHED)) as bridge:
        with pytest.raises(ConnectionLost, match=HOME):
            await bridge.call_tool("m.t")


async def test_a_call_that_gets_no_answer_names_the_preset(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await demand(connection)

    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", timeout=0.3, **MATCHED)) as bridge:
        with pytest.raises(CallTimeout, match=HOME):
            await bridge.call_tool("m.t")


async def test_a_close_for_a_missing_login_names_the_fields(tmp_path: Path) -> None:
    async def close(seen: Peer, connection: Any, message: Any) -> None:
        await connection.close(1008, "authentication required")

    async with peer(close) as seen, bridge_to(tmp_path, entry(seen, "t")) as bridge:
        with pytest.raises(ConnectionLost, match=FIELDS):
            await bridge.call_tool("m.t")


@pytest.mark.parametrize(("login", "is_hinted"), [({}, True), ({"on_connect": [{"send": "hello"}]}, False)])
async def test_an_error_reply_names_the_fields_unless_there_is_a_login(
    tmp_path: Path, login: Any, is_hinted: bool
) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if isinstance(message, dict):
            await connection.send(json.dumps({"id": message["id"], "error": "Not authenticated"}))

    template = {**MATCHED, **login, "message": {"id": "{{ request_id }}"}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        with pytest.raises(ToolError) as failed:
            await bridge.call_tool("m.t")
    said = "the endpoint said: Not authenticated"
    assert failed.value.message == "Not authenticated"
    assert str(failed.value).startswith(f"{said}. Perhaps" if is_hinted else f"{said} [tool-error]")
    assert bool(failed.value.hint) is is_hinted


async def test_the_preset_itself_says_nothing_of_a_missing_login(tmp_path: Path) -> None:
    home = {"preset": "homeassistant", "timeout": 0.3}
    given = {"HOMEASSISTANT_TOKEN": "x"}
    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen, "t", **home), environ=given) as bridge:
        with pytest.raises(CallTimeout) as failed:
            await bridge.call_tool("m.t")
    assert "Perhaps" not in str(failed.value)
