"""The list of tools that hosts see."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

from tests.client.test_discovery import announces, manual
from tests.peer import PATIENCE, bridge_to, entry, peer
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.secret_names import REDACTED
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.observability.redaction import redactor
from utcp_ws_mcp.server.listing import build_listing


async def test_a_manual_that_repeats_a_credential_does_not_show_it_to_the_model(tmp_path: Path) -> None:
    schema = {"properties": {"a": {"description": "s3cret-key", "default": "s3cret-key"}}}
    tool = {"name": "t", "description": "Asked with s3cret-key", "inputs": schema, "tags": ["s3cret-key"]}
    async with peer(announces(manual(tool))) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        assert await bridge.wait_discovered(PATIENCE)
        offered = build_listing(list(bridge.tools.values()), redactor(["s3cret-key"]))
    assert "s3cret" not in str(offered.modern + offered.handshake)
    assert f"Asked with {REDACTED}" in offered.modern[0]


def test_a_list_is_json_that_every_host_can_read_whatever_the_manifest_says() -> None:
    deep: list[object] = []
    for _ in range(70):
        deep = [deep]
    tool = {"name": "t", "description": "s3cret-key \ud800", "inputs": {"properties": {"a": {"default": deep}}}}
    document = [{"name": "m", "url": "wss://own.example/ws", "tools": [tool]}]
    plans, problems = compile_entry(load_document(document, VariableResolver([]), "m.json", PurePath()).entries[0])
    offered = build_listing(plans, redactor(["s3cret-key"]))
    (shown,) = json.loads(offered.modern[0].encode())
    assert (problems, shown["description"]) == ([], f"{REDACTED} \ufffd")
    assert "nested too deeply" in json.dumps(shown["inputSchema"])
