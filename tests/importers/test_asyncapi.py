"""AsyncAPI: bindings, parameters, traits, security, correlation, alternatives, viewpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.peer import peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import ImportFailed

from .sides import entries, feeds, imported, problems_of, tools


def api(operations: dict[str, Any], messages: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Return a document of version 3 with one channel."""
    refs = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Shop"},
        "channels": {"main": {"address": None, "messages": refs, **others.pop("channel", {})}},
        "operations": {
            key: {"channel": {"$ref": "#/channels/main"}, **operation} for key, operation in operations.items()
        },
        "components": {"messages": messages, **others.pop("components", {})},
        **others,
    }


def of(*names: str) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/main/messages/{name}"} for name in names]


def message(kind: str, *required: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"type": {"const": kind}, **properties}, "required": ["type", *required]}
    return {"payload": schema}


TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
ASK = {"ask": {"action": "receive", "messages": of("ask"), "reply": {"messages": of("replied")}}}


def call_of(result: Any, name: str = "ask") -> dict[str, Any]:
    return tools(result)[name]["tool_call_template"]


def test_a_declared_correlation_is_used_also_where_the_payload_does_not_have_it(tmp_path: Any) -> None:
    located = {"correlationId": {"location": "$message.payload#/meta/ref"}}
    document = api(ASK, {"ask": {**message("ask"), **located}, "replied": {**message("replied", text=TEXT), **located}})
    result = imported(document)
    assert call_of(result)["message"] == {"type": "ask", "meta": {"ref": "{{ request_id }}"}}
    assert call_of(result)["reply"]["match"] == "message.meta.ref == request_id"
    assert problems_of(result, tmp_path) == []


def test_a_correlation_in_headers_does_not_exist_in_a_websocket_and_is_found_in_the_payload() -> None:
    header = {"correlationId": {"location": "$message.header#/id"}}
    document = api(
        ASK, {"ask": {**message("ask", req_id=NUMBER), **header}, "replied": message("replied", req_id=NUMBER)}
    )
    result = imported(document)
    assert call_of(result)["reply"]["match"] == "message.req_id == request_id"
    assert result.manifest["request_id"] == "counter"


def test_replies_without_ids_are_matched_by_their_constants() -> None:
    result = imported(api(ASK, {"ask": message("ask"), "replied": message("replied", text=TEXT)}))
    assert call_of(result)["reply"]["match"] == "message.type == 'replied'"
    assert any(line.startswith("Correlation: no request has an ID") for line in result.report)


def test_the_error_among_the_replies_fails_the_call_with_its_text() -> None:
    operations = {"ask": {**ASK["ask"], "reply": {"messages": of("replied", "failed")}}}
    failed = message("failed", id=NUMBER, problem={"type": "object", "properties": {"reason": TEXT}})
    messages = {"ask": message("ask", id=NUMBER), "replied": message("replied", id=NUMBER, text=TEXT), "failed": failed}
    assert call_of(imported(api(operations, messages)))["reply"] == {
        "match": "message.id == request_id",
        "error": "message.type == 'failed'",
        "error_message": "message.problem.reason",
        "result": "message.text",
    }


def test_a_reply_named_like_its_request_is_no_error() -> None:
    operations = {
        "reject": {"action": "receive", "messages": of("reject"), "reply": {"messages": of("reject.result", "error")}}
    }
    messages = {
        "reject": message("reject", id=TEXT),
        "reject.result": message("reject.result", id=TEXT),
        "error": message("error", id=TEXT, message=TEXT),
    }
    assert call_of(imported(api(operations, messages)), "reject")["reply"]["error"] == "message.type == 'error'"


async def test_a_request_with_constants_and_a_wrapper_is_sent_as_described(tmp_path: Any) -> None:
    wrapped = {"type": "object", "properties": {"shelf": TEXT, "count": NUMBER}, "required": ["shelf"]}
    document = api(
        ASK, {"ask": message("ask", id=NUMBER, data=wrapped), "replied": message("replied", id=NUMBER, text=TEXT)}
    )

    async def answer(_: Any, connection: Any, asked: Any) -> None:
        await connection.send(json.dumps({"type": "event"}))
        await connection.send(json.dumps({"type": "replied", "id": asked["id"], "text": asked["data"]["shelf"]}))

    async with peer(answer) as server:
        assert problems_of(imported(document, url=server.url), tmp_path) == []
        async with Bridge.open(tmp_path / "manifest.json") as bridge:
            assert await bridge.call_tool("shop.ask", {"shelf": "A"}) == "A"
    assert server.received == [{"type": "ask", "id": 1, "data": {"shelf": "A"}}]


def test_traits_are_merged_and_the_own_word_wins() -> None:
    trait = {"summary": "From the trait.", "tags": [{"name": "shared"}]}
    operations = {"ask": {**ASK["ask"], "summary": "Own.", "traits": [{"$ref": "#/components/operationTraits/t"}]}}
    own = {"traits": [{"contentType": "application/json"}], **message("ask")}
    document = api(
        operations, {"ask": own, "replied": message("replied")}, components={"operationTraits": {"t": trait}}
    )
    tool = tools(imported(document))["ask"]
    assert (tool["description"], tool["tags"]) == ("Own.", ["shared"])


@pytest.mark.parametrize(
    ("scheme", "fields"),
    [
        ({"type": "http", "scheme": "bearer"}, {"headers": {"Authorization": "Bearer ${SHOP_KEY}"}}),
        ({"type": "httpApiKey", "in": "header", "name": "X-Key"}, {"headers": {"X-Key": "${SHOP_KEY}"}}),
        (
            {"type": "httpApiKey", "in": "query", "name": "q"},
            {"auth": {"auth_type": "api_key", "api_key": "${SHOP_KEY}", "var_name": "q", "location": "query"}},
        ),
        ({"type": "httpApiKey", "in": "header", "name": "Sec-WebSocket-Protocol"}, {"protocol": ["${SHOP_KEY}"]}),
        (
            {"type": "userPassword"},
            {"auth": {"auth_type": "basic", "username": "${SHOP_USER}", "password": "${SHOP_PASSWORD}"}},
        ),
        ({"type": "oauth2", "flows": {}}, {"headers": {"Authorization": "Bearer ${SHOP_KEY}"}}),
    ],
)
def test_the_security_scheme_of_the_server_becomes_credentials(
    scheme: Any, fields: dict[str, Any], tmp_path: Any
) -> None:
    server = {"host": "shop.example.com", "protocol": "wss", "security": [{"$ref": "#/components/securitySchemes/key"}]}
    document = api(
        ASK,
        {"ask": message("ask"), "replied": message("replied")},
        servers={"live": server},
        components={"securitySchemes": {"key": scheme}},
    )
    result = imported(document, url=None)
    assert {key: result.manifest[key] for key in fields} == fields
    assert problems_of(result, tmp_path) == []


def test_a_scheme_that_does_not_belong_to_the_handshake_gives_way_to_the_next() -> None:
    schemes = {"cert": {"type": "X509"}, "key": {"type": "http", "scheme": "bearer"}}
    security = [{"$ref": f"#/components/securitySchemes/{name}"} for name in schemes]
    server = {"host": "shop.example.com", "protocol": "wss", "security": security}
    document = api(ASK, {"ask": message("ask"), "replied": message("replied")}, servers={"live": server})
    document["components"]["securitySchemes"] = schemes
    assert "Authorization" in imported(document, url=None).manifest["headers"]


def test_an_address_with_parameters_and_bindings_makes_arguments_and_variables(tmp_path: Any) -> None:
    channel = {
        "address": "/rooms/{room}",
        "parameters": {"room": {"description": "The room."}},
        "bindings": {
            "ws": {
                "query": {
                    "properties": {"token": TEXT, "depth": {"type": "integer", "default": 5}, "odd": TEXT},
                    "required": ["token"],
                },
                "headers": {"properties": {"X-Region": {"const": "eu"}, "X-Api-Key": TEXT}},
            }
        },
    }
    server = {"host": "{region}.example.com:8443", "protocol": "wss", "variables": {"region": {"enum": ["eu", "us"]}}}
    messages = {"ask": message("ask"), "replied": message("replied")}
    result = imported(api(ASK, messages, channel=channel, servers={"live": server}), url=None)
    assert result.manifest["url"] == (
        "wss://eu.example.com:8443/rooms/{{ args.room }}?token=${SHOP_TOKEN}&depth={{ args.depth | default(5) }}"
    )
    assert result.manifest["headers"] == {"X-Region": "eu", "X-Api-Key": "${SHOP_X_API_KEY}"}
    assert tools(result)["ask"]["inputs"]["required"] == ["room"]
    assert {*result.description.variables} == {"SHOP_TOKEN", "SHOP_X_API_KEY"}
    assert problems_of(result, tmp_path) == []


def test_what_a_variable_is_for_is_said_in_one_short_line() -> None:
    said = {"long_token": "x" * 121, "token": "The\n  token.", "api_key": " "}
    properties = {name: {"type": "string", "description": text} for name, text in said.items()}
    bindings = {"ws": {"query": {"properties": properties, "required": [*properties]}}}
    document = api(ASK, {"ask": message("ask"), "replied": message("replied")}, channel={"bindings": bindings})
    assert imported(document).description.variables == {
        "SHOP_LONG_TOKEN": "x" * 120,
        "SHOP_TOKEN": "The token.",
        "SHOP_API_KEY": "the parameter api_key of the URL",
    }


def test_channels_of_several_paths_are_several_endpoints(tmp_path: Any) -> None:
    document = api(ASK, {"ask": message("ask"), "replied": message("replied")}, channel={"address": "/a"})
    document["channels"]["other"] = {"address": "/b", "messages": {"news": message("news")}}
    document["operations"]["news"] = {"action": "send", "channel": {"$ref": "#/channels/other"}}
    result = imported(document)
    assert [(entry["name"], entry["url"]) for entry in entries(result.manifest)] == [
        ("shop_a", "wss://api.example.com/a"),
        ("shop_b", "wss://api.example.com/b"),
    ]
    assert problems_of(result, tmp_path) == []


def test_a_url_that_is_given_whole_is_the_endpoint_of_all_channels() -> None:
    document = api(ASK, {"ask": message("ask"), "replied": message("replied")}, channel={"address": "/a"})
    assert imported(document, url="wss://x.example.com/live").manifest["url"] == "wss://x.example.com/live"


def test_alternatives_of_a_payload_are_tools_of_their_own() -> None:
    either = {"payload": {"oneOf": [message("open")["payload"], message("close")["payload"]]}}
    result = imported(api({"order": {"action": "receive", "messages": of("either")}}, {"either": either}))
    assert {*tools(result)} == {"open", "close"}
    assert call_of(result, "open") == {"message": {"type": "open"}, "reply": "none"}


def test_alternatives_that_stand_alone_in_all_of_are_tools_of_their_own() -> None:
    either = {"payload": {"allOf": [{"oneOf": [message("open")["payload"], message("close")["payload"]]}]}}
    result = imported(api({"order": {"action": "receive", "messages": of("either")}}, {"either": either}))
    assert {*tools(result)} == {"open", "close"}


def test_alternatives_of_an_event_are_events_of_one_feed() -> None:
    either = {"payload": {"oneOf": [message("up")["payload"], message("down")["payload"]]}}
    result = imported(api({"news": {"action": "send", "messages": of("either")}}, {"either": either}))
    assert feeds(result)["main"]["match"] == "message.type in ['up', 'down']"


def test_a_payload_that_is_no_object_is_one_argument() -> None:
    messages = {"line": {"payload": TEXT}, "numbers": {"payload": {"type": "array", "items": NUMBER}}}
    operations = {name: {"action": "receive", "messages": of(name)} for name in messages}
    result = imported(api(operations, messages))
    assert call_of(result, "line")["message"] == "{{ args.text }}"
    assert call_of(result, "numbers")["message"] == "{{ args.payload }}"


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"contentType": "audio/wav"}, "binary"),
        ({"payload": {"type": "string", "format": "binary"}}, "binary"),
        ({"payload": {"schemaFormat": "application/vnd.apache.avro;version=1.9.0", "schema": {}}}, "avro"),
        ({"payload": {"properties": {"x": {"$ref": "#/nowhere"}}}}, "leads nowhere"),
    ],
)
def test_an_operation_that_cannot_be_expressed_is_skipped_and_named(part: Any, reason: str) -> None:
    operations = {**ASK, "odd": {"action": "receive", "messages": of("odd")}}
    messages = {"ask": message("ask"), "replied": message("replied"), "odd": {"payload": {}, **part}}
    result = imported(api(operations, messages))
    assert [*tools(result)] == ["ask"]
    assert [(each.name, reason in each.reason) for each in result.description.skipped] == [("odd", True)]


def test_pings_of_the_endpoint_are_answered_by_themselves() -> None:
    operations = {
        **ASK,
        "ping": {"action": "send", "messages": of("ping")},
        "pong": {"action": "receive", "messages": of("pong")},
    }
    names = ("ask", "replied", "ping", "pong")
    result = imported(api(operations, {name: message(name) for name in names}))
    assert result.manifest["auto_reply"] == [{"match": "message.type == 'ping'", "send": {"type": "pong"}}]
    assert [each.name for each in result.description.skipped] == ["pong"]


def test_what_all_of_demands_of_a_property_is_put_together() -> None:
    base = {"type": "object", "properties": {"type": {"type": "string"}, "meta": {"type": "object"}}}
    own = {"type": "object", "properties": {"type": {"const": "typing"}}}
    result = imported(api({"t": {"action": "send", "messages": of("t")}}, {"t": {"payload": {"allOf": [base, own]}}}))
    assert feeds(result)["main"]["match"] == "message.type == 'typing'"


def test_events_are_compared_with_those_of_the_same_connection_only() -> None:
    anything = {"payload": {"type": "object", "properties": {"text": {"type": "string"}}}}
    document = {
        "asyncapi": "2.6.0",
        "info": {"title": "Two"},
        "servers": {"live": {"url": "wss://two.example.com", "protocol": "wss"}},
        "channels": {
            "/news": {"subscribe": {"operationId": "getNews", "message": anything}},
            "/chat": {"publish": {"operationId": "say", "message": anything}},
        },
    }
    result = imported(document)
    assert result.description.skipped == []
    found = [feed["match"] for entry in entries(result.manifest) for feed in entry.get("feeds", ())]
    assert found == ["message.text is defined"]


def test_a_document_without_operations_says_so() -> None:
    with pytest.raises(ImportFailed, match="Skipped main: the document has no operations") as failed:
        imported(api({}, {"ask": message("ask")}))
    assert failed.value.code == "nothing-to-import"


# Viewpoint


def sides(result: Any) -> tuple[list[str], list[str]]:
    return [*tools(result)], [*feeds(result)]


def test_the_viewpoint_can_be_given() -> None:
    operations = {"a": {"action": "receive", "messages": of("x")}, "b": {"action": "send", "messages": of("y")}}
    document = api(operations, {"x": message("x"), "y": message("y")})
    assert sides(imported(document, viewpoint="server"))[0] == ["x"]
    assert sides(imported(document, viewpoint="client"))[0] == ["y"]


@pytest.mark.parametrize(
    ("text", "is_server"),
    [
        ("Messages sent by the client.", True),
        ("Client → server.", True),
        ("Server messages.", False),
        ("Pushed to every client.", False),
        ("All client-to-server messages.", True),
        ("All server-to-client messages.", False),
    ],
)
def test_the_text_of_an_operation_says_whose_messages_it_has(text: str, is_server: bool) -> None:
    operations = {"a": {"action": "receive", "summary": text, "messages": of("x")}}
    result = imported(api(operations, {"x": message("x")}))
    assert bool(tools(result)) is is_server


def test_a_reply_says_that_its_operation_is_what_clients_send() -> None:
    operations = {"ask": {**ASK["ask"], "action": "send"}}
    result = imported(api(operations, {"ask": message("ask"), "replied": message("replied")}))
    assert sides(result) == (["ask"], [])
    assert "view of the client" in "\n".join(result.report)


# Version 2


def version_2(publish: Any, subscribe: Any, **others: Any) -> dict[str, Any]:
    return {
        "asyncapi": "2.6.0",
        "info": {"title": "Sim"},
        "channels": {"/": {"publish": {"message": publish}, "subscribe": {"message": subscribe}}},
        **others,
    }


def test_replies_that_version_2_cannot_declare_are_found_by_an_id_and_their_names(tmp_path: Any) -> None:
    answer = message("result", req_id=NUMBER, success={"type": "boolean"}, error_message=TEXT)
    update = message("update", data={"type": "object"})
    request = message("set", "req_id", req_id=NUMBER, value=NUMBER)
    result = imported(version_2({"oneOf": [request, message("quiet")]}, {"oneOf": [answer, update]}))
    assert call_of(result, "set")["reply"] == {
        "match": "message.req_id == request_id",
        "error": "message.success == false",
        "error_message": "message.error_message",
    }
    assert call_of(result, "quiet")["reply"] == "none"
    assert problems_of(result, tmp_path) == []


def test_messages_of_version_2_without_a_name_are_numbered_from_one() -> None:
    result = imported(version_2({"oneOf": [{"payload": TEXT}, {"payload": NUMBER}]}, message("news")))
    assert [*tools(result)] == ["message_1", "message_2"]


def test_a_server_of_version_2_may_lack_the_scheme() -> None:
    servers = {"live": {"url": "sim.example.com/{stage}", "protocol": "wss", "variables": {"stage": {"default": "v1"}}}}
    result = imported(version_2(message("a"), message("b"), servers=servers), url=None)
    assert result.manifest["url"] == "wss://sim.example.com/v1"


@pytest.mark.parametrize("response", [message("replied", id=NUMBER), message("replied", id=NUMBER)["payload"]])
def test_a_reply_of_an_extension_of_version_2_is_used(response: Any) -> None:
    result = imported(version_2({**message("ask", id=NUMBER), "x-response": response}, message("news")))
    assert call_of(result)["reply"]["match"] == "message.id == request_id"


@pytest.mark.parametrize("version", ["1.2.0", "4.0.0", 3])
def test_another_version_is_refused(version: Any) -> None:
    with pytest.raises(ImportFailed) as failed:
        imported({**version_2(message("a"), message("b")), "asyncapi": version})
    assert failed.value.code == "description-version"


def test_an_event_that_nothing_distinguishes_is_skipped() -> None:
    loose = {"payload": {"type": "object", "properties": {"text": TEXT}}}
    operations = {**ASK, "loose": {"action": "send", "messages": of("loose")}}
    messages = {"ask": message("ask"), "replied": message("replied", text=TEXT), "loose": loose}
    result = imported(api(operations, messages))
    assert [each.name for each in result.description.skipped] == ["loose"]
    assert feeds(result) == {}


def test_an_object_that_holds_the_id_leaves_its_other_properties_as_arguments(tmp_path: Any) -> None:
    located = {"correlationId": {"location": "$message.payload#/meta/ref"}}
    meta = {"type": "object", "properties": {"ref": TEXT, "lang": TEXT}, "required": ["ref"]}
    messages = {"ask": {**message("ask", meta=meta), **located}, "replied": {**message("replied"), **located}}
    result = imported(api(ASK, messages))
    assert call_of(result)["message"] == {"type": "ask", "meta": {"ref": "{{ request_id }}", "lang": "{{ args.lang }}"}}
    assert list(tools(result)["ask"]["inputs"]["properties"]) == ["lang"]
    assert problems_of(result, tmp_path) == []


def test_one_message_that_cannot_be_expressed_takes_no_other_with_it() -> None:
    operations = {
        "ask": {"action": "receive", "messages": of("ask")},
        "happened": {"action": "send", "messages": of("moved", "packed")},
    }
    packed = {"payload": {"schemaFormat": "application/vnd.apache.avro;version=1.9.0", "schema": {"type": "record"}}}
    result = imported(api(operations, {"ask": message("ask"), "moved": message("moved"), "packed": packed}))
    assert list(tools(result)) == ["ask"]
    assert feeds(result)["main"]["match"] == "message.type == 'moved'"
    assert any("Skipped happened: the message packed, because its payload is" in line for line in result.report)


def test_a_parameter_of_the_channel_in_the_payload_is_no_id_of_requests() -> None:
    light = {"type": "object", "properties": {"cmd": {"const": "on"}, "id": NUMBER}}
    done = {"type": "object", "properties": {"cmd": {"const": "ack"}, "id": NUMBER}}
    document = {
        "asyncapi": "2.6.0",
        "info": {"title": "Lights"},
        "servers": {"main": {"url": "wss://lights.example.com", "protocol": "wss"}},
        "channels": {
            "light": {
                "parameters": {"id": {"schema": TEXT, "location": "$message.payload#/id"}},
                "publish": {"operationId": "switch", "message": {"payload": light}},
                "subscribe": {"operationId": "done", "message": {"payload": done}},
            }
        },
    }
    assert call_of(imported(document), "on") == {"message": {"cmd": "on", "id": "{{ args.id }}"}, "reply": "none"}


def test_names_keep_their_letters_without_accents() -> None:
    document = api(
        {"prüfe": {"action": "receive", "messages": of("größe")}},
        {"größe": {"payload": {"type": "object", "properties": {"höhe": NUMBER}}}},
    )
    document["info"]["title"] = "Ünïcode Läger"
    result = imported(document)
    assert result.manifest["name"] == "unicode_lager"
    assert list(tools(result)) == ["prufe"]
    assert list(tools(result)["prufe"]["inputs"]["properties"]) == ["hohe"]
