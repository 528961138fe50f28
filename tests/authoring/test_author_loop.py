"""`author` over MCP: from an endpoint to tools that the same server offers, in both eras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from tests.peer import PATIENCE, Peer, jsonrpc, peer
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.server.documentation import GUIDE_TOPIC, topics

from .agent import BOTH_ERAS, agent, host_of

ADD = [json.dumps({"jsonrpc": "2.0", "id": n, "method": "add", "params": {"a": n}}) for n in (1, 2)]


@BOTH_ERAS
async def test_a_probed_endpoint_becomes_a_tool_of_the_same_server(tmp_path: Path, mode: str) -> None:
    async with peer(jsonrpc) as seen, agent(tmp_path, host_of(seen), mode=mode) as author:
        probed = await author.call("probe", url=seen.url, messages=ADD)
        assert '< {"jsonrpc": "2.0", "id": 2, "result": {"a": 2}}' in probed
        assert '"preset": "jsonrpc2"' in probed
        patch = {"name": "calc"}
        assert (await author.call("check_manifest", base="draft", manifest=patch)).startswith("Valid.")
        tried = await author.call("try_call", base="draft", manifest=patch, tool="add", arguments={"a": 5})
        assert '< result of add: {"a":5}' in tried
        assert "reply.match holds" in tried
        assert "calc_add" in await author.call("save_manifest", name="calc", base="draft", manifest=patch)
        assert (await author.tools())[-1] == "calc_add"
        result = await author.client.call_tool("calc_add", {"a": 7})
        assert result.content[0].text == '{"a":7}'
        assert await author.call("list_manifests") == "calc: calc.add"
        assert "removed" in await author.call("remove_manifest", name="calc")
        assert "calc_add" not in await author.tools()
    assert list(tmp_path.iterdir()) == []


async def test_parameters_of_a_probed_url_are_a_query_whose_values_become_arguments(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, agent(tmp_path, host_of(seen)) as author:
        probed = await author.call("probe", url=f"{seen.url}?v=2&topic=a%20b&topic=c", messages=ADD)
        assert '"topic": ["a b", "c"]' in probed
        tool = {
            "name": "add",
            "description": "Add.",
            "inputs": {"type": "object", "properties": {"topics": {}, "a": {}}},
        }
        patch = {"name": "calc", "query": {"topic": "{{ args.topics }}"}, "tools": [tool]}
        await author.call("save_manifest", name="calc", base="draft", manifest=patch)
        for arguments in ({"a": 1, "topics": ["x", "y&z"]}, {"a": 1}):
            assert not (await author.client.call_tool("calc_add", arguments)).is_error
    assert [each.path for each in seen.upgrades] == ["/?v=2&topic=a%20b&topic=c", "/?v=2&topic=x&topic=y%26z", "/?v=2"]


async def test_a_saved_manifest_is_one_that_every_command_serves(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, agent(tmp_path, host_of(seen)) as author:
        await author.call("probe", url=seen.url, messages=ADD)
        await author.call("save_manifest", name="calc", base="draft")
    loaded = load_manifest(tmp_path / "calc.json", {})
    assert [tool.full_name for tool in loaded.tools["localhost"]] == ["localhost.add"]


async def test_a_client_is_notified_when_the_tools_have_changed(tmp_path: Path) -> None:
    changed = anyio.Event()

    async def on_message(message: object) -> None:
        if "tools/list_changed" in repr(message):
            changed.set()

    async with peer(jsonrpc) as seen:
        async with agent(tmp_path, host_of(seen), mode="legacy", message_handler=on_message) as author:
            await author.tools()
            await author.call("probe", url=seen.url, messages=ADD)
            await author.call("save_manifest", name="calc", base="draft")
            with anyio.fail_after(PATIENCE):
                await changed.wait()


async def test_manifests_of_the_folder_are_served_from_the_start(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        (tmp_path / "calc.json").write_text(
            json.dumps({"url": seen.url, "name": "m", "preset": "jsonrpc2", "tools": [{"name": "t"}]})
        )
        (tmp_path / "other.json").write_text(
            json.dumps({"url": "wss://other.example/", "name": "o", "tools": [{"name": "t"}]})
        )
        async with agent(tmp_path, host_of(seen)) as author:
            assert (await author.tools())[-1] == "m_t"
            listed = await author.call("list_manifests")
    assert listed.splitlines()[0] == "calc: m.t"
    assert listed.splitlines()[1].startswith("other: not served: no connection to other.example:443")


async def test_a_merge_patch_changes_a_saved_manifest(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, agent(tmp_path, host_of(seen)) as author:
        manifest = {"url": seen.url, "name": "m", "preset": "jsonrpc2", "timeout": 5, "tools": [{"name": "t"}]}
        await author.call("save_manifest", name="m", manifest=manifest)
        patch = {"timeout": None, "tools": [{"name": "u", "description": "U."}]}
        assert "replaced" in await author.call("save_manifest", name="m", base="m", manifest=patch)
        saved = json.loads(await author.call("list_manifests", name="m"))
        assert saved == {
            "url": seen.url,
            "name": "m",
            "preset": "jsonrpc2",
            "tools": [{"name": "u", "description": "U."}],
        }
        assert (await author.tools())[-1] == "m_u"


async def test_an_entry_of_the_catalogue_is_saved_by_its_name(tmp_path: Path) -> None:
    async with agent(tmp_path, "localhost") as author:
        assert "aria2" in await author.call("list_catalog")
        assert "ARIA2" in await author.call("list_catalog", name="aria2")
        saved = await author.call("save_manifest", name="aria2", base="catalog:aria2")
        assert "aria2" in saved
        assert "[unknown-manifest]" in await author.fail("list_catalog", name="nowhere")
        assert "[unknown-manifest]" in await author.fail("check_manifest", base="catalog:nowhere")


async def test_a_description_is_imported_from_its_text(tmp_path: Path) -> None:
    document = {
        "openrpc": "1.3.2",
        "info": {"title": "Calc", "version": "1"},
        "methods": [
            {
                "name": "get_sum",
                "params": [{"name": "a", "schema": {"type": "integer"}}],
                "result": {"name": "r", "schema": {}},
            }
        ],
    }
    async with peer(jsonrpc) as seen, agent(tmp_path, host_of(seen)) as author:
        imported = await author.call("import_description", text=json.dumps(document), endpoint=seen.url)
        assert "1 imported" in imported
        assert (await author.call("check_manifest", base="draft")).startswith("Valid.")
        assert "get_sum" in await author.call("save_manifest", name="calc", base="draft")


async def test_the_pages_of_the_guide_are_short_enough_to_read(tmp_path: Path) -> None:
    async with agent(tmp_path) as author:
        guide = await author.call("guide")
        assert guide.endswith(f"More topics: {', '.join(topic for topic in topics() if topic != GUIDE_TOPIC)}.")
        assert "More topics:" not in await author.call("guide", topic=GUIDE_TOPIC)
        long = await author.call("guide", topic="messages")
        assert len(long) < 12_000
        assert "Read a section:" in long
        section = await author.call("guide", topic="messages", section="Several messages: then")
        assert section.startswith("#")
        assert "there is no topic" in await author.fail("guide", topic="../secrets")
        assert "there is no section" in await author.fail("guide", topic="messages", section="nothing")
        assert "jsonrpc2:" in await author.call("list_presets")
        assert '"preset": "jsonrpc2"' in await author.call("list_presets", name="jsonrpc2")
        assert "there is no preset" in await author.fail("list_presets", name="x")


@BOTH_ERAS
async def test_hosts_show_prompts_in_their_menus(tmp_path: Path, mode: str) -> None:
    async with agent(tmp_path, mode=mode) as author:
        prompts = (await author.client.list_prompts()).prompts
        assert [prompt.name for prompt in prompts] == ["connect_api", "fix_tool"]
        prompt = await author.client.get_prompt("connect_api", {"url": "wss://api.example/"})
        assert "wss://api.example/" in prompt.messages[0].content.text
        with pytest.raises(MCPError, match="needs the argument 'url'"):
            await author.client.get_prompt("connect_api", {})
        with pytest.raises(MCPError, match="there is no prompt"):
            await author.client.get_prompt("steal", {})


async def test_the_definitions_of_the_tools_take_few_tokens(tmp_path: Path) -> None:
    async with agent(tmp_path) as author:
        listed = await author.client.list_tools()
        text = "".join(tool.model_dump_json(by_alias=True, exclude_unset=True) for tool in listed.tools)
    assert len(text) < 8_000


async def test_the_draft_of_graphql_keeps_the_variable_of_the_login(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        acknowledged = message["type"] == "connection_init"
        data = {"type": "next", "id": message.get("id"), "payload": {"data": {"n": 1}}}
        await connection.send(json.dumps({"type": "connection_ack"} if acknowledged else data))

    messages = [
        '{"type": "connection_init", "payload": {"token": "${GQL_TOKEN}"}}',
        '{"id": "1", "type": "subscribe", "payload": {"query": "{ n }"}}',
    ]
    async with peer(answer, subprotocols=["graphql-transport-ws"]) as seen:
        grants = {"variables": (f"GQL_TOKEN@{host_of(seen)}",), "environ": {"GQL_TOKEN": "a-long-secret-0123"}}
        async with agent(tmp_path, host_of(seen), **grants) as author:
            probed = await author.call("probe", url=seen.url, protocol=["graphql-transport-ws"], messages=messages)
    assert seen.received[0]["payload"] == {"token": "a-long-secret-0123"}
    assert '"send": {"type": "connection_init", "payload": {"token": "${GQL_TOKEN}"}}' in probed
