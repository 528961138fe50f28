"""UTCP's own client, `UtcpClient`, with the plugin of this project: real sockets, and the forms of UTCP's own pages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from utcp.data.call_template import CallTemplate, CallTemplateSerializer
from utcp.data.tool import Tool
from utcp.data.utcp_manual import UtcpManual
from utcp.exceptions import UtcpSerializerValidationError, UtcpVariableNotFound
from utcp.interfaces.serializer import Serializer
from utcp.plugins.discovery import register_call_template
from utcp.utcp_client import UtcpClient

from tests.client.test_discovery import announces, manual
from tests.client.test_oauth import token, token_endpoint
from tests.peer import Peer, echo, jsonrpc, peer, silent
from utcp_ws_mcp import Bridge, CallTimeout, InvalidArguments, PolicyError, ToolError
from utcp_ws_mcp.plugins.utcp.manual import build_manual
from utcp_ws_mcp.plugins.utcp.protocol import WebSocketProtocol


def template(seen: Peer, *tools: Any, **more: Any) -> dict[str, Any]:
    """A call template of a client's configuration; a tool is its name, or a whole tool."""
    listed = [{"name": tool} if isinstance(tool, str) else tool for tool in tools]
    document = {"name": "m", "call_template_type": "websocket", "url": seen.url, **more}
    return {**document, "tools": listed} if listed else document


@asynccontextmanager
async def client_of(*templates: Any, **config: Any) -> AsyncIterator[UtcpClient]:
    client = await UtcpClient.create(config={"manual_call_templates": list(templates), **config})
    try:
        yield client
    finally:
        await client.close()


class FileManual(CallTemplate):
    """A call template of another kind, as the plugins of files and texts have it."""

    call_template_type: str = "file"
    file_path: str = ""


class FileManuals(Serializer[FileManual]):
    def to_dict(self, obj: FileManual) -> dict[str, Any]:
        return obj.model_dump()

    def validate_dict(self, obj: dict[str, Any]) -> FileManual:
        return FileManual.model_validate(obj)


@pytest.fixture(autouse=True)
def _files() -> None:
    register_call_template("file", FileManuals())


async def names(client: UtcpClient) -> list[str]:
    return [tool.name for tool in await client.config.tool_repository.get_tools()]


async def test_an_endpoint_that_speaks_utcp_is_asked_and_its_tools_are_called() -> None:
    async with peer(announces(manual("a", "b"))) as seen, client_of(template(seen)) as client:
        assert await names(client) == ["m.a", "m.b"]
        assert await client.call_tool("m.a", {"n": 1}) == '{"n": 1}'
        assert len(seen.upgrades) == 1


async def test_tools_that_a_call_template_lists_are_called_without_asking_anybody() -> None:
    async with peer(jsonrpc) as seen, client_of(template(seen, "add", preset="jsonrpc2")) as client:
        assert await client.call_tool("m.add", {"a": 2}) == {"a": 2}
        assert [message["method"] for message in seen.received] == ["add"]


async def test_many_calls_at_once_get_their_own_replies() -> None:
    results: dict[int, Any] = {}
    async with peer(jsonrpc) as seen, client_of(template(seen, "t", preset="jsonrpc2")) as client:

        async def call(number: int) -> None:
            results[number] = await client.call_tool("m.t", {"n": number})

        async with anyio.create_task_group() as calls:
            for number in range(20):
                calls.start_soon(call, number)
    assert results == {number: {"n": number} for number in range(20)}


async def test_a_tool_that_a_manual_lists_with_its_prefix_is_called_by_that_name() -> None:
    async with peer(announces(manual("m.a"))) as seen, client_of(template(seen)) as client:
        assert await names(client) == ["m.a"]
        assert await client.call_tool("m.a", {"n": 1}) == '{"n": 1}'


FORMS: list[tuple[Any, Any, Any]] = [
    ({}, {"user_id": "123", "action": "getData"}, {"user_id": "123", "action": "getData"}),
    (
        {"message": {"type": "request", "p": {"q": "UTCP_ARG_q_UTCP_ARG"}}},
        {"q": "x"},
        {"type": "request", "p": {"q": "x"}},
    ),
    (
        {"message": {"data": {"commands": ["UTCP_ARG_a_UTCP_ARG", "two"]}}},
        {"a": "one"},
        {"data": {"commands": ["one", "two"]}},
    ),
    (
        {"message": {"jsonrpc": "2.0", "id": 1, "params": "UTCP_ARG_p_UTCP_ARG"}},
        {"p": {"id": 1}},
        {"jsonrpc": "2.0", "id": 1, "params": '{"id": 1}'},
    ),
    ({"message": "CMD:UTCP_ARG_c_UTCP_ARG;VALUE:UTCP_ARG_v_UTCP_ARG"}, {"c": "SET", "v": "25"}, "CMD:SET;VALUE:25"),
    (
        {"message": "GET UTCP_ARG_r_UTCP_ARG HTTP/1.1\r\nHost: x\r\n\r\n"},
        {"r": "/a"},
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    (
        {"message": '{"q": "UTCP_ARG_q_UTCP_ARG"}'},
        {"q": '", "isAdmin": true, "x": "'},
        {"q": '", "isAdmin": true, "x": "'},
    ),
    (
        {"message": {"q": "UTCP_ARG_q_UTCP_ARG"}},
        {"q": '", "isAdmin": true, "x": "'},
        {"q": '", "isAdmin": true, "x": "'},
    ),
    ({"message": {"text": "UTCP_ARG_text_UTCP_ARG", "id": "123"}}, {"text": "hi"}, {"text": "hi", "id": "123"}),
    ({"request_data_format": "text", "request_data_template": "CMD:UTCP_ARG_c_UTCP_ARG"}, {"c": "GO"}, "CMD:GO"),
]
"""The forms of messages in UTCP's pages and tests: what a call template says, arguments, what is sent."""


@pytest.mark.parametrize(("written", "arguments", "sent"), FORMS, ids=range(len(FORMS)))
async def test_the_forms_of_messages_that_utcp_documents_are_sent_as_it_says(
    written: Any, arguments: Any, sent: Any
) -> None:
    async with peer(echo) as seen, client_of(template(seen, "t", **written)) as client:
        await client.call_tool("m.t", arguments)
        assert seen.received == [sent]


@pytest.mark.parametrize(
    ("form", "result"), [(None, '{"n": 1}'), ("json", {"n": 1}), ("text", '{"n": 1}'), ("raw", '{"n": 1}')]
)
async def test_a_reply_is_given_in_the_form_that_is_asked_for(form: str | None, result: Any) -> None:
    async with peer(echo) as seen, client_of(template(seen, "t", response_format=form)) as client:
        assert await client.call_tool("m.t", {"n": 1}) == result


async def test_headers_header_fields_and_the_subprotocol_reach_the_handshake() -> None:
    more = {"headers": {"X-Custom": "value"}, "header_fields": ["X-User"], "protocol": "utcp-v1", "timeout": 60}
    async with peer(echo, subprotocols=["utcp-v1"]) as seen, client_of(template(seen, "t", **more)) as client:
        await client.call_tool("m.t", {"X-User": "ada"})
    headers = seen.upgrades[0].headers
    assert (headers["X-Custom"], headers["X-User"], headers["Sec-WebSocket-Protocol"]) == ("value", "ada", "utcp-v1")


API_KEY = {"auth_type": "api_key", "api_key": "${KEY}", "var_name": "X-Key"}
BASIC = {"auth_type": "basic", "username": "ada", "password": "$PASSWORD"}
SECRETS = {"m_KEY": "k$3y${HOME}", "m_PASSWORD": "$ecret"}


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (API_KEY, ("X-Key", SECRETS["m_KEY"])),
        ({**API_KEY, "var_name": "Authorization", "location": "header"}, ("Authorization", SECRETS["m_KEY"])),
        ({**API_KEY, "var_name": "key", "location": "cookie"}, ("Cookie", f"key={SECRETS['m_KEY']}")),
        (BASIC, ("Authorization", "Basic YWRhOiRlY3JldA==")),
    ],
)
async def test_credentials_of_every_kind_reach_the_handshake_as_they_are(
    auth: Any, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    async with peer(echo) as seen, client_of(template(seen, "t", auth=auth)) as client:
        await client.call_tool("m.t", {})
    assert seen.upgrades[0].headers[expected[0]] == expected[1]


async def test_an_api_key_reaches_the_query() -> None:
    auth = {**API_KEY, "var_name": "key", "location": "query"}
    async with peer(echo) as seen, client_of(template(seen, "t", auth=auth), variables={"m_KEY": "k3y"}) as client:
        await client.call_tool("m.t", {})
    assert seen.upgrades[0].path == "/?key=k3y"


async def test_a_token_is_fetched_with_the_fields_that_only_this_plugin_knows() -> None:
    async with token_endpoint(token) as endpoint, peer(echo) as seen:
        async with client_of(template(seen, "t", auth=endpoint.auth(scope="read", audience="api"))) as client:
            await client.call_tool("m.t", {})
    assert seen.upgrades[0].headers["Authorization"] == "Bearer t1"
    assert (endpoint.requests[0][1]["scope"], endpoint.requests[0][1]["audience"]) == (["read"], ["api"])


async def test_a_discovered_tool_brings_credentials_from_the_variables_of_its_manual() -> None:
    tool = {"name": "a", "tool_call_template": {"call_template_type": "websocket", "auth": API_KEY}}
    async with peer(announces(manual(tool))) as seen, client_of(template(seen), variables={"m_KEY": "k3y"}) as client:
        await client.call_tool("m.a", {})
        assert await client.get_required_variables_for_registered_tool("m.a") == ["m_KEY"]
    assert seen.upgrades[-1].headers["X-Key"] == "k3y"


async def test_variables_of_expressions_come_from_the_client() -> None:
    message = {"token": "{{ vars.KEY }}"}
    async with peer(echo) as seen:
        async with client_of(template(seen, "t", message=message), variables={"m_KEY": "k3y"}) as client:
            await client.call_tool("m.t", {})
        with pytest.raises(UtcpVariableNotFound, match="m_KEY"):
            await UtcpClient.create(config={"manual_call_templates": [template(seen, "t", message=message)]})
    assert seen.received == [{"token": "k3y"}]


async def stream_of_utcp(seen: Peer, connection: Any, message: Any) -> None:
    """Answer as UTCP frames streams, `request_id` only where the request has one."""
    own = {"request_id": message["request_id"]} if "request_id" in message else {}
    for number in (1, 2):
        await connection.send(json.dumps({"type": "tool_response", "result": number, **own}))
    await connection.send(json.dumps({"type": "stream_end", **own}))


@pytest.mark.parametrize("more", [{}, {"preset": "utcp"}, {"request_data_format": "json"}, {"stream": True}])
async def test_a_streaming_call_gives_each_item_until_the_stream_ends(more: Any) -> None:
    async with peer(stream_of_utcp) as seen, client_of(template(seen, "t", **more)) as client:
        assert [item async for item in client.call_tool_streaming("m.t", {})] == [1, 2]


async def test_a_streaming_call_fails_where_utcp_reports_a_failure() -> None:
    async def fail(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"type": "tool_error", "error": "no such symbol"}))

    async with peer(fail) as seen, client_of(template(seen, "t")) as client:
        with pytest.raises(ToolError, match="no such symbol"):
            await anext(client.call_tool_streaming("m.t", {}))


async def test_a_streaming_call_of_a_tool_with_one_reply_gives_that() -> None:
    async with peer(jsonrpc) as seen, client_of(template(seen, "t", preset="jsonrpc2")) as client:
        assert [item async for item in client.call_tool_streaming("m.t", {"n": 1})] == [{"n": 1}]


async def test_a_plain_call_of_a_stream_gives_its_items_in_one() -> None:
    async with peer(stream_of_utcp) as seen, client_of(template(seen, "t", stream=True)) as client:
        assert await client.call_tool("m.t", {}) == {"items": [1, 2], "end": "until", "complete": True}


async def test_errors_are_of_the_kinds_that_utcp_documents() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    tools = ({"name": "t", "inputs": schema},)
    async with peer(silent) as seen, client_of(template(seen, *tools, timeout=0.1)) as client:
        with pytest.raises(InvalidArguments):
            await client.call_tool("m.t", {"n": "one"})
        with pytest.raises(TimeoutError) as late:
            await client.call_tool("m.t", {"n": 1})
        with pytest.raises(ValueError, match="Tool not found"):
            await client.call_tool("m.missing", {})
    assert isinstance(late.value, CallTimeout)


async def test_a_deregistered_manual_is_gone_with_its_connections() -> None:
    async with peer(announces(manual("a"))) as seen, client_of(template(seen)) as client:
        await client.call_tool("m.a", {})
        assert await client.deregister_manual("m")
        await seen.until(lambda: seen.closed != [])
        assert await names(client) == []
        await client.register_manual(CallTemplateSerializer().validate_dict(template(seen)))
        assert await client.call_tool("m.a", {"n": 1}) == '{"n": 1}'


async def test_close_closes_the_connections_of_this_client_only() -> None:
    async with peer(echo) as seen, client_of(template(seen, "t")) as other:
        async with client_of(template(seen, "t")) as client:
            await client.call_tool("m.t", {})
            await other.call_tool("m.t", {})
        await seen.until(lambda: seen.closed != [])
        assert await other.call_tool("m.t", {"n": 1}) == '{"n": 1}'
        assert [code for code, _ in seen.closed] == [1001]
        assert len(seen.open) == 1


async def test_an_endpoint_that_cannot_be_reached_does_not_hold_up_the_others() -> None:
    async with peer(announces(manual("a"))) as gone:
        pass
    async with peer(announces(manual("a"))) as seen:
        async with client_of(template(gone, name="gone"), template(seen)) as client:
            assert await names(client) == ["m.a"]
            with pytest.raises(ConnectionError, match="connection refused"):
                await client.register_manual(CallTemplateSerializer().validate_dict(template(gone, name="gone")))


async def test_an_invalid_call_template_reports_all_its_problems() -> None:
    async with peer(echo) as seen, client_of() as client:
        wrong = template(seen, "t", repli={}, ignore="mesage.x")
        with pytest.raises(ValueError, match="Did you mean 'reply'") as refused:
            await client.register_manual(CallTemplateSerializer().validate_dict(wrong))
    assert seen.upgrades == []
    assert "the call template m" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "ws://169.254.169.254/",
        "ws://localhost.evil.com/socket",
        "ws://127.0.0.1.attacker.example/socket",
        "ws://example.com/socket",
        "ws://10.0.0.5/socket",
        "http://localhost/socket",
        "",
        "not-a-url",
    ],
)
def test_a_url_that_utcp_refuses_is_refused(url: str) -> None:
    with pytest.raises(UtcpSerializerValidationError, match="url|URL|wss://"):
        CallTemplateSerializer().validate_dict({"name": "m", "call_template_type": "websocket", "url": url})


@pytest.mark.parametrize(
    "url", ["wss://api.example.com/socket", "ws://localhost/socket", "ws://127.0.0.1:9090/socket", "ws://[::1]:9090/s"]
)
def test_a_url_that_utcp_accepts_is_accepted(url: str) -> None:
    found = CallTemplateSerializer().validate_dict({"name": "m", "call_template_type": "websocket", "url": url})
    assert (found.url, found.keep_alive, found.message, found.response_format, found.timeout) == (
        url,
        True,
        None,
        None,
        30,
    )


def test_a_call_template_survives_being_written_and_read() -> None:
    document = {
        "name": "m",
        "call_template_type": "websocket",
        "url": "wss://api.example.com/ws",
        "protocol": "utcp-v1",
        "timeout": 60,
        "message": {"type": "UTCP_ARG_type_UTCP_ARG"},
        "response_format": "json",
        "header_fields": ["user_id"],
        "auth": {
            "auth_type": "oauth2",
            "token_url": "https://a.example/t",
            "client_id": "i",
            "client_secret": "s",
            "scope": None,
            "audience": "a",
        },
        "reply": {"match": "message.id == request_id"},
        "tools": [{"name": "t"}],
    }
    serializer = CallTemplateSerializer()
    assert serializer.to_dict(serializer.validate_dict(document)) == document


async def test_a_call_template_made_by_the_class_of_utcp_websocket_works() -> None:
    theirs = pytest.importorskip("utcp_websocket")
    async with peer(announces(manual("a"))) as seen, client_of() as client:
        await client.register_manual(
            theirs.WebSocketCallTemplate(name="my service", url=seen.url, message={"n": "UTCP_ARG_n_UTCP_ARG"})
        )
        assert await client.call_tool("my_service.a", {"n": "1"}) == '{"n": "1"}'


async def test_this_plugin_wins_over_utcp_websocket_in_whatever_order_they_are_found() -> None:
    theirs = pytest.importorskip("utcp_websocket")
    import utcp_ws_mcp.plugins.utcp as ours

    for order in ((ours, theirs), (theirs, ours)):
        for plugin in order:
            plugin.register()
        async with client_of() as client:
            assert isinstance(client._protocol_for("websocket"), WebSocketProtocol)


def test_a_client_that_is_too_old_is_not_changed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from utcp.plugins import discovery

    import utcp_ws_mcp.plugins.utcp as ours

    monkeypatch.delattr(discovery, "register_communication_protocol_factory")
    monkeypatch.setattr(discovery, "register_call_template", lambda *_, **__: pytest.fail("it was registered"))
    ours.register()
    assert "needs utcp 1.2" in caplog.text


async def save_strays(client: UtcpClient, own: Any) -> None:
    """Put a manual of another kind into a client's repository, with the WebSocket tool m.a."""
    owner = FileManual(name="m", allowed_communication_protocols=["file", "websocket"])
    await client.config.tool_repository.save_manual(owner, UtcpManual([Tool(name="m.a", tool_call_template=own)]))


@asynccontextmanager
async def stray_of(own: Any) -> AsyncIterator[UtcpClient]:
    async with client_of() as client:
        await save_strays(client, own)
        yield client


async def test_a_tool_of_a_manual_of_another_kind_is_called_by_its_own_call_template() -> None:
    async with peer(echo) as seen, token_endpoint(token) as endpoint:
        own = template(seen, message={"q": "UTCP_ARG_q_UTCP_ARG"}, auth=endpoint.auth(client_secret="${KEY}"))
        async with stray_of(own) as client:
            client.config.variables = {"m_KEY": "k3y"}
            for _ in range(2):
                assert await client.call_tool("m.a", {"q": "x"}) == '{"q": "x"}'
    assert [upgrade.headers["Authorization"] for upgrade in seen.upgrades] == ["Bearer t1"]
    assert endpoint.requests[0][1]["client_secret"] == ["k3y"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"network": {"allow": ["private"]}}, "may not set 'network'"),
        ({"before_connect": [{"http": {"url": "http://127.0.0.1/"}}]}, "may not set 'before_connect'"),
        ({"reply": {"match": "message | regex_find('a+') == 'a'"}}, "can only look up and compare"),
    ],
)
async def test_a_tool_of_a_manual_of_another_kind_may_do_no_more_than_one_from_the_network(said: Any, why: str) -> None:
    async with peer(echo) as seen, stray_of(template(seen, **said)) as client:
        with pytest.raises(PolicyError, match=why):
            await client.call_tool("m.a", {})
    assert seen.upgrades == []


async def test_a_tool_of_a_manual_of_another_kind_reads_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret", encoding="utf-8")
    async with peer(echo) as seen, stray_of(template(seen, message={"$file": str(secret)})) as client:
        await client.call_tool("m.a", {})
    assert seen.received == [{"$file": str(secret)}]


async def test_a_tool_of_a_manual_of_another_kind_is_called_differently_when_its_call_template_changes() -> None:
    async with peer(echo) as seen, stray_of(template(seen, message="one")) as client:
        assert await client.call_tool("m.a", {}) == "one"
        await save_strays(client, template(seen, message="two"))
        assert await client.call_tool("m.a", {}) == "two"


async def test_a_manual_in_a_shared_repository_is_called_by_a_client_that_did_not_register_it() -> None:
    async with peer(announces(manual("a"))) as seen, client_of(template(seen, headers={"X-Custom": "value"})) as client:
        async with client_of() as other:
            other.config.tool_repository = client.config.tool_repository
            assert await other.call_tool("m.a", {"n": 1}) == '{"n": 1}'
    assert [upgrade.headers["X-Custom"] for upgrade in seen.upgrades] == ["value", "value"]


async def test_tools_of_other_kinds_are_handed_on_only_where_the_operator_allows_them() -> None:
    mcp = {"name": "x", "tool_call_template": {"call_template_type": "file", "file_path": "x"}}
    async with peer(announces(manual("a", mcp))) as seen:
        async with client_of(template(seen)) as client:
            assert await names(client) == ["m.a"]
        async with client_of(template(seen, allowed_communication_protocols=["websocket", "file"])) as client:
            assert await names(client) == ["m.a", "m.x"]


@pytest.mark.parametrize("manual_url", ["wss://api.example.com/", "ws://127.0.0.1/"])
def test_a_manual_from_elsewhere_hands_on_no_tool_that_points_at_this_machine(manual_url: str) -> None:
    own = CallTemplateSerializer().validate_dict({"call_template_type": "websocket", "url": manual_url})
    own.allowed_communication_protocols = ["websocket", "file"]
    announced = [{"name": "x", "tool_call_template": {"call_template_type": "file", "url": "http://127.0.0.1/"}}]
    handed = [tool.name for tool in build_manual(own, {"tools": announced}, ()).tools]
    assert handed == (["x"] if manual_url.startswith("ws://127") else [])


async def test_a_tool_whose_schema_utcp_cannot_hold_is_called_all_the_same() -> None:
    schema = {"type": "object", "properties": {"n": True}}
    async with peer(echo) as seen, client_of(template(seen, {"name": "t", "inputs": schema})) as client:
        assert await client.call_tool("m.t", {"n": 1}) == '{"n": 1}'


async def test_a_tool_of_a_manual_of_another_kind_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reloads: list[int] = []
    reload = Bridge.reload

    def noted(self: Bridge, loaded: Any) -> None:
        reloads.append(len(loaded))
        reload(self, loaded)

    monkeypatch.setattr(Bridge, "reload", noted)
    async with peer(echo) as seen, stray_of(template(seen, message="one")) as client:
        for _ in range(3):
            assert await client.call_tool("m.a", {}) == "one"
    assert reloads == [1]


async def test_a_manual_that_cannot_be_loaded_is_not_kept() -> None:
    async with peer(announces(manual("a"))) as seen, client_of() as client:
        for _ in range(2):
            with pytest.raises(ValueError, match="Did you mean 'reply'"):
                await client.register_manual(CallTemplateSerializer().validate_dict(template(seen, "t", repli={})))
        await client.register_manual(CallTemplateSerializer().validate_dict(template(seen)))
        assert await names(client) == ["m.a"]
