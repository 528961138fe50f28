"""The list of tools that hosts see."""

from __future__ import annotations

from pathlib import Path

from tests.net.test_discovery import manual, tells
from tests.peer import PATIENCE, bridge_to, entry, peer
from utcp_ws_mcp.mcp.offer import offer
from utcp_ws_mcp.redact import HIDDEN, redactor


async def test_a_manual_that_repeats_a_credential_does_not_show_it_to_the_model(tmp_path: Path) -> None:
    schema = {"properties": {"a": {"description": "s3cret-key", "default": "s3cret-key"}}}
    tool = {"name": "t", "description": "Asked with s3cret-key", "inputs": schema, "tags": ["s3cret-key"]}
    async with peer(tells(manual(tool))) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        assert await bridge.wait_discovered(PATIENCE)
        offered = offer(list(bridge.tools.values()), redactor(["s3cret-key"]))
    assert "s3cret" not in offered.modern + offered.handshake
    assert f"Asked with {HIDDEN}" in offered.modern
