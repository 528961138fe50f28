"""The MCP server, driven by the SDK's own client in both protocol eras."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.client.test_discovery import announces, manual
from tests.peer import PATIENCE, Peer, bridge_to, echo, entry, jsonrpc, peer, silent
from tests.server.sides import sdk_client, session_client
from utcp_ws_mcp import Bridge

RPC = {"preset": "jsonrpc2"}
META_PREFIX = "io.github.utcp-ws-mcp/"
WAYS = {
    "2026-07-28": ("auto", session_client),
    "handshake": ("legacy", session_client),
    "2026-07-28, SDK": ("auto", sdk_client),
    "handshake, SDK": ("legacy", sdk_client),
}
pytestmark = pytest.mark.parametrize("way", WAYS)


@asynccontextmanager
async def client_of(folder: Path, document: Any, way: str, **options: Any) -> AsyncIterator[Client]:
    """An MCP client of a bridge, in this process."""
    mode, client_to = WAYS[way]
    async with bridge_to(folder, document, environ=options.pop("environ", None)) as bridge:
        async with client_to(bridge, mode, **options) as client:
            yield client


def answers(reply: Any) -> Any:
    """A peer that answers every message with the same reply."""

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(reply)

    return answer


async def test_tools_are_listed_with_all_that_hosts_show(tmp_path: Path, way: str) -> None:
    tool = {
        "name": "get.quote",
        "description": "A quote.",
        "inputs": {"properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
        "tags": ["finance"],
        "annotations": {"readOnlyHint": True, "title": "Quote"},
    }
    async with peer(echo) as seen, client_of(tmp_path, entry(seen, tool), way) as client:
        listed = (await client.list_tools()).tools[0]
    assert listed.name == "m_get_quote"
    assert listed.title == "Quote"
    assert listed.description == "A quote."
    assert listed.input_schema["type"] == "object"
    assert listed.input_schema["required"] == ["symbol"]
    assert listed.annotations is not None
    assert listed.annotations.read_only_hint is True
    assert listed.meta == {"io.github.utcp-ws-mcp/tool": "m.get.quote", "io.github.utcp-ws-mcp/tags": ["finance"]}


async def test_json_stands_in_a_text_block_and_as_structured_content(tmp_path: Path, way: str) -> None:
    async with peer(jsonrpc) as seen, client_of(tmp_path, entry(seen, "t", **RPC), way) as client:
        result = await client.call_tool("m_t", {"n": [1, 2.0, None, "ü"]})
    assert result.structured_content == {"n": [1, 2.0, None, "ü"]}
    assert json.loads(result.content[0].text) == {"n": [1, 2.0, None, "ü"]}


@pytest.mark.parametrize("value", [[1, 2], "text", 5, None, True])
async def test_json_that_is_no_object_reaches_both_eras(tmp_path: Path, way: str, value: Any) -> None:
    document = {"response_format": "json"}
    async with peer(answers(json.dumps(value))) as seen:
        async with client_of(tmp_path, entry(seen, "t", **document), way) as client:
            result = await client.call_tool("m_t", {})
    assert not result.is_error
    assert result.content[0].text == (value if isinstance(value, str) else json.dumps(value, separators=(",", ":")))


PNG = b"\x89PNG\r\n\x1a\nrest"


@pytest.mark.parametrize(
    ("data", "kind", "media_type"),
    [
        (PNG, "image", "image/png"),
        (b"\xff\xd8\xff\xe0", "image", "image/jpeg"),
        (b"RIFF....WEBPVP8 ", "image", "image/webp"),
        (b"RIFF....WAVEfmt ", "audio", "audio/wav"),
        (b"OggS\0", "audio", "audio/ogg"),
        (b"%PDF-1.7", "resource", "application/pdf"),
        (b"\x00\x01", "resource", "application/octet-stream"),
    ],
)
async def test_binary_becomes_the_block_of_its_kind(
    tmp_path: Path, way: str, data: bytes, kind: str, media_type: str
) -> None:
    async with peer(answers(data)) as seen, client_of(tmp_path, entry(seen, "t"), way) as client:
        block = (await client.call_tool("m_t", {})).content[0]
    assert block.type == kind
    held = block.resource if isinstance(block, types.EmbeddedResource) else block
    assert held.mime_type == media_type
    assert base64.b64decode(held.blob if kind == "resource" else held.data) == data


@pytest.mark.parametrize(("collect", "shown"), [("list", [b"h\xc3", b"\xa9!"]), ("last", [b"\xa9!"]), ("text", [])])
async def test_a_stream_shows_the_binary_items_that_its_result_holds(
    tmp_path: Path, way: str, collect: str, shown: list[bytes]
) -> None:
    async def tell(seen: Peer, connection: Any, message: Any) -> None:
        for piece in (b"h\xc3", b"\xa9!"):
            await connection.send(piece)

    stream = {"max_items": 2, "collect": collect}
    async with peer(tell) as seen, client_of(tmp_path, entry(seen, "t", stream=stream), way) as client:
        blocks = (await client.call_tool("m_t", {})).content
    assert [base64.b64decode(block.resource.blob) for block in blocks[1:]] == shown
    assert (json.loads(blocks[0].text).get("text") == "h\u00e9!") is (collect == "text")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('{"a": "\\ud800"}', {"a": "\ufffd"}),
        ('{"a": NaN, "b": -Infinity, "c": 1e400}', {"a": "NaN", "b": "-Infinity", "c": "Infinity"}),
        ('{"a": ' + "1" * 400 + "}", {"a": int("1" * 400)}),
    ],
    ids=["lone surrogate", "no numbers", "long number"],
)
async def test_a_reply_that_json_cannot_hold_is_made_to_fit_and_the_session_lives(
    tmp_path: Path, way: str, reply: str, expected: Any
) -> None:
    async with peer(answers(reply)) as seen:
        async with client_of(tmp_path, entry(seen, "t", response_format="json"), way) as client:
            for _ in range(2):
                assert (await client.call_tool("m_t", {})).structured_content == expected


async def test_deep_nesting_is_cut_and_the_session_lives(tmp_path: Path, way: str) -> None:
    async with peer(answers('{"a":' * 500 + "1" + "}" * 500)) as seen:
        async with client_of(tmp_path, entry(seen, "t", response_format="json"), way) as client:
            for _ in range(2):
                result = await client.call_tool("m_t", {})
                assert "nested too deeply" in result.content[0].text


async def test_wrong_arguments_are_a_result_that_names_them(tmp_path: Path, way: str) -> None:
    tool = {"name": "t", "inputs": {"properties": {"n": {"type": "integer"}}, "additionalProperties": False}}
    async with peer(echo) as seen, client_of(tmp_path, entry(seen, tool), way) as client:
        for arguments, named in (({"n": "x"}, "n:"), ({"m": 1}, "'m' was unexpected")):
            result = await client.call_tool("m_t", arguments)
            assert result.is_error
            assert named in result.content[0].text
        assert not seen.upgrades


async def test_an_unknown_tool_is_a_protocol_error(tmp_path: Path, way: str) -> None:
    async with peer(echo) as seen, client_of(tmp_path, entry(seen, "t"), way) as client:
        with pytest.raises(MCPError, match="there is no tool") as error:
            await client.call_tool("nope", {})
    assert error.value.error.code == types.INVALID_PARAMS


async def test_faults_and_lost_connections_are_results_that_a_model_can_act_on(tmp_path: Path, way: str) -> None:
    async def fail(seen: Peer, connection: Any, message: Any) -> None:
        if message["method"] == "cut":
            connection.transport.abort()
        else:
            await connection.send(json.dumps({"id": message["id"], "error": {"message": "out of paper"}}))

    async with peer(fail) as seen, client_of(tmp_path, entry(seen, "print", "cut", **RPC), way) as client:
        fault = await client.call_tool("m_print", {})
        lost = await client.call_tool("m_cut", {})
    assert fault.is_error
    assert fault.content[0].text == "the endpoint said: out of paper [tool-error]"
    assert fault.meta[META_PREFIX + "code"] == "tool-error"
    assert fault.meta[META_PREFIX + "text_by"] == "endpoint"
    assert fault.meta[META_PREFIX + "outcome"] == "answered"
    assert lost.is_error
    assert "may have been executed" in lost.content[0].text


async def test_a_result_that_fits_the_outputs_is_structured_and_one_that_does_not_is_an_error(
    tmp_path: Path, way: str
) -> None:
    tool = {"name": "t", "outputs": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}
    async with peer(jsonrpc) as seen, client_of(tmp_path, entry(seen, tool, **RPC), way) as client:
        assert (await client.list_tools()).tools[0].output_schema is not None
        assert (await client.call_tool("m_t", {"n": 1})).structured_content == {"n": 1}
        wrong = await client.call_tool("m_t", {"n": "one"})
    assert wrong.is_error
    assert 'n: "one" is not of type "integer"' in wrong.content[0].text
    assert wrong.content[1].text == '{"n":"one"}'


async def test_outputs_of_a_text_reply_are_not_promised(tmp_path: Path, way: str) -> None:
    tool = {"name": "t", "outputs": {"type": "object", "required": ["n"]}}
    async with peer(echo) as seen, client_of(tmp_path, entry(seen, tool), way) as client:
        assert (await client.list_tools()).tools[0].output_schema is None
        assert not (await client.call_tool("m_t", {"n": 1})).is_error


async def test_one_tool_with_an_impossible_schema_does_not_harm_the_list(tmp_path: Path, way: str) -> None:
    tools = [
        {"name": "good"},
        {"name": "list", "inputs": {"type": "object", "$schema": 5, "properties": {}}},
        {"name": "nullable", "inputs": {"type": ["object", "null"], "properties": {"a": {}}}},
        {"name": "choice", "inputs": {"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"required": ["b"]}]}},
        {"name": "array", "inputs": {"type": "array"}},
        {"name": "odd", "outputs": {"type": "array"}, "tool_call_template": {"response_format": "json"}},
    ]
    async with peer(announces(manual(*tools))) as seen, client_of(tmp_path, entry(seen), way) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"m_good", "m_nullable", "m_choice", "m_odd"} <= set(listed)
        assert all(tool.input_schema["type"] == "object" for tool in listed.values())
        assert not {"oneOf", "anyOf", "allOf"} & listed["m_choice"].input_schema.keys()
        refused = await client.call_tool("m_choice", {"c": 1})
        assert refused.is_error
        assert not (await client.call_tool("m_good", {})).is_error


async def test_names_fit_every_host_and_stay_unique(tmp_path: Path, way: str) -> None:
    tools = ["a.b", "a_b", "a b", "ü" * 10, "x" * 100, "x" * 101]
    async with peer(echo) as seen, client_of(tmp_path, entry(seen, *tools), way) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        titles = [tool.title for tool in (await client.list_tools()).tools]
        assert len(set(names)) == 6
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)
        assert titles[:2] == ["m.a.b", "m.a_b"]
        for name in names:
            assert not (await client.call_tool(name, {})).is_error


async def test_each_item_of_a_stream_is_progress_at_once(tmp_path: Path, way: str) -> None:
    go_on = anyio.Event()

    async def stream(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "result": 1}))
        await go_on.wait()
        await connection.send(json.dumps({"id": message["id"], "result": 2}))
        await connection.send(json.dumps({"id": message["id"], "done": True}))

    seen_progress: list[tuple[float, str | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        seen_progress.append((progress, message))
        go_on.set()

    document = {**RPC, "stream": {"until": "message.done"}}
    async with peer(stream) as seen, client_of(tmp_path, entry(seen, "t", **document), way) as client:
        with anyio.fail_after(PATIENCE):
            result = await client.call_tool("m_t", {}, progress_callback=progress)
    assert result.structured_content == {"items": [1, 2], "end": "until", "complete": True}
    assert seen_progress == [(1.0, "1"), (2.0, "2")]


async def test_a_cancelled_call_asks_the_endpoint_to_end_its_stream(tmp_path: Path, way: str) -> None:
    async def endless(seen: Peer, connection: Any, message: Any) -> None:
        if message.get("method") == "cancel":
            return
        await connection.send(json.dumps({"id": message["id"], "result": 1}))

    document = {**RPC, "stream": {"cancel": {"method": "cancel", "id": "{{ request_id }}"}}}
    async with peer(endless) as seen, client_of(tmp_path, entry(seen, "t", **document), way) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "m_t", {})
            await seen.until(lambda: len(seen.received) == 1)
            tasks.cancel_scope.cancel()
        await seen.until(lambda: len(seen.received) == 2)
    assert seen.received[1] == {"method": "cancel", "id": seen.received[0]["id"]}


async def test_the_list_is_answered_while_an_endpoint_is_silent_and_announced_when_it_speaks(
    tmp_path: Path, way: str
) -> None:
    speak = anyio.Event()

    async def late(seen: Peer, connection: Any, message: Any) -> None:
        await speak.wait()
        await connection.send(json.dumps(manual("late")))

    changed = anyio.Event()

    async def on_message(message: Any) -> None:
        if "list_changed" in repr(message) or "ListChanged" in type(message).__name__:
            changed.set()

    async with peer(late) as slow, peer(announces(manual("a"))) as quick:
        document = [{**entry(slow), "name": "slow"}, entry(quick)]
        async with client_of(tmp_path, document, way, message_handler=on_message) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["m_a"]
            with anyio.fail_after(PATIENCE):
                if WAYS[way][0] == "legacy":
                    speak.set()
                    await changed.wait()
                else:
                    async with client.listen(tools_list_changed=True) as events:
                        speak.set()
                        await anext(aiter(events))
                assert [tool.name for tool in (await client.list_tools()).tools] == ["slow_late", "m_a"]


async def test_a_defect_of_ours_shows_nothing_to_the_model(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Bridge, *_: Any) -> Any:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Bridge, "call_tool", broken)
    async with peer(echo) as seen, client_of(tmp_path, entry(seen, "t"), way) as client:
        result = await client.call_tool("m_t", {})
    assert result.is_error
    assert "secret" not in result.content[0].text


async def test_a_silent_endpoint_ends_in_an_error_within_its_timeout(tmp_path: Path, way: str) -> None:
    async with peer(silent) as seen, client_of(tmp_path, entry(seen, "t", timeout=0.1), way) as client:
        result = await client.call_tool("m_t", {})
    assert result.is_error
    assert "timed out after 0.1 s waiting for a reply" in result.content[0].text
    assert result.meta[META_PREFIX + "code"] == "reply-timeout"


async def test_a_stream_that_fails_keeps_what_came_before(tmp_path: Path, way: str) -> None:
    async def fail(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "result": "first"}))
        await connection.send(json.dumps({"id": message["id"], "error": {"message": "then this"}}))

    async with peer(fail) as seen, client_of(tmp_path, entry(seen, "t", stream=True, **RPC), way) as client:
        result = await client.call_tool("m_t", {})
    assert result.is_error
    assert [block.text for block in result.content] == [
        "the endpoint said: then this [tool-error]",
        'what came before: ["first"]',
    ]
    message = result.content[0].text  # hosts that read only the structured content see the error there
    assert result.structured_content == {"items": ["first"], "end": "error", "complete": False, "error": message}


async def test_a_text_that_fails_in_its_middle_keeps_what_came_before_as_text(tmp_path: Path, way: str) -> None:
    async def fail(seen: Peer, connection: Any, message: Any) -> None:
        for line in ('reading "a"\n', "not found\n"):
            await connection.send(json.dumps({"id": message["id"], "result": line}))
        await connection.send(json.dumps({"id": message["id"], "error": {"message": "exit code 2"}}))

    tool = {**RPC, "stream": {"collect": "text"}}
    async with peer(fail) as seen, client_of(tmp_path, entry(seen, "t", **tool), way) as client:
        result = await client.call_tool("m_t", {})
    assert [block.text for block in result.content] == [
        "the endpoint said: exit code 2 [tool-error]",
        'what came before: reading "a"\nnot found\n',
    ]


@pytest.mark.parametrize(
    ("outputs", "value", "is_promised"),
    [
        ({"type": "array", "items": {"type": "integer"}}, [1, 2], True),
        ({"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "integer"}}}, [1, 2], True),
        ({"$ref": "#/definitions/n", "definitions": {"n": {"type": "number"}}}, 5, True),
        ({"type": "string"}, "text", True),
        ({"type": "boolean"}, False, True),
        ({"type": ["object", "array"]}, {"a": [1]}, True),
        ({"properties": {"a": {"type": "integer"}}, "type": ["object", "string"]}, {"a": 1}, True),
        ({"type": ["array", "null"]}, None, False),
    ],
)
async def test_outputs_of_every_type_are_promised_and_kept_in_both_eras(
    tmp_path: Path, way: str, outputs: Any, value: Any, is_promised: bool
) -> None:
    tool = {"name": "t", "outputs": outputs}
    async with peer(answers(json.dumps(value))) as seen:
        async with client_of(tmp_path, entry(seen, tool, response_format="json"), way) as client:
            schema = (await client.list_tools()).tools[0].output_schema
            result = await client.call_tool("m_t", {})  # the client validates it
    assert not result.is_error
    assert (schema is not None) is is_promised
    if "handshake" in way:
        assert result.structured_content == {"result": value}
        assert schema is None or schema["type"] == "object"
    else:
        assert result.structured_content == value


@pytest.mark.parametrize("value", ["text", None, 5])
async def test_a_result_that_its_outputs_allow_is_no_error(tmp_path: Path, way: str, value: Any) -> None:
    tool = {"name": "t", "outputs": {"type": ["string", "integer", "null"]}}
    async with peer(answers(json.dumps(value))) as seen:
        async with client_of(tmp_path, entry(seen, tool, response_format="json"), way) as client:
            assert not (await client.call_tool("m_t", {})).is_error
