"""AsyncAPI: bindings, parameters, traits, security, correlation, alternatives, viewpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.peer import peer
from utcp_ws_mcp import Bridge, load_manifest
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.asyncapi.importer import import_asyncapi
from utcp_ws_mcp.importers.model import Description, Event, ImportOptions, Operation, Skipped, Status
from utcp_ws_mcp.importers.references import References

from .sides import URL, entries, feeds, imported, problems_of, tools


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


@pytest.mark.parametrize("of_server", [[], [{"$ref": "#/components/securitySchemes/cert"}]], ids=["none", "unsuitable"])
def test_the_security_scheme_of_an_operation_becomes_credentials_of_its_connection(of_server: Any) -> None:
    operations = {"ask": {**ASK["ask"], "security": [{"$ref": "#/components/securitySchemes/key"}]}}
    server = {"host": "shop.example.com", "protocol": "wss", "security": of_server}
    document = api(operations, {"ask": message("ask"), "replied": message("replied")}, servers={"live": server})
    document["components"]["securitySchemes"] = {"cert": {"type": "X509"}, "key": {"type": "http", "scheme": "bearer"}}

    assert imported(document, url=None).manifest["headers"] == {"Authorization": "Bearer ${SHOP_KEY}"}


def test_the_security_scheme_of_an_operation_of_version_2_becomes_credentials_of_its_connection() -> None:
    document = {
        "asyncapi": "2.6.0",
        "info": {"title": "Shop"},
        "servers": {"live": {"url": "wss://shop.example.com", "protocol": "wss"}},
        "channels": {
            "/open": {"publish": {"message": message("ask")}},
            "/own": {"publish": {"message": message("ask"), "security": [{"key": []}]}},
        },
        "components": {"securitySchemes": {"key": {"type": "httpApiKey", "name": "X-Key", "in": "header"}}},
    }

    by_url = {
        each["url"]: each.get("headers") for each in imported(document, url=None).manifest["manual_call_templates"]
    }
    assert by_url == {"wss://shop.example.com/open": None, "wss://shop.example.com/own": {"X-Key": "${SHOP_KEY}"}}


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
    assert result.manifest["url"] == "wss://eu.example.com:8443/rooms/{{ args.room }}"
    assert result.manifest["query"] == {
        "token": "${SHOP_TOKEN}", "depth": "{{ args.depth }}", "odd": "{{ args.odd }}"
    }  # fmt: skip
    assert result.manifest["headers"] == {"X-Region": "eu", "X-Api-Key": "${SHOP_X_API_KEY}"}
    assert tools(result)["ask"]["inputs"]["required"] == ["room"]
    assert {*result.description.variables} == {"SHOP_TOKEN", "SHOP_X_API_KEY"}
    assert problems_of(result, tmp_path) == []


def test_repeated_and_optional_parameters_of_a_binding_work_as_they_are_imported(tmp_path: Any) -> None:
    listed = {"type": "array", "items": TEXT}
    query = {"properties": {"keywords": listed, "language": TEXT, "v": {"const": 2}}}
    region = {"$ref": "#/components/schemas/Region"}
    server = {"host": "shop.example.com", "protocol": "wss", "bindings": {"ws": {"query": region}}}
    document = api(
        ASK, {"ask": message("ask"), "replied": message("replied")}, channel={"bindings": {"ws": {"query": query}}},
        servers={"live": server}, components={"schemas": {"Region": {"properties": {"region": TEXT}}}},
    )  # fmt: skip
    result = imported(document, url=None)
    assert result.manifest["query"] == {
        "region": "{{ args.region }}", "keywords": "{{ args.keywords }}", "language": "{{ args.language }}", "v": 2
    }  # fmt: skip
    inputs = tools(result)["ask"]["inputs"]
    assert inputs["properties"]["keywords"] == listed
    assert not {"region", "keywords", "language"} & set(inputs.get("required", ()))
    assert problems_of(result, tmp_path) == []
    file = tmp_path / "imported.json"
    file.write_text(json.dumps(result.manifest))
    (tool, *_) = load_manifest(file, environ={}).tools["shop"]
    scope = Scope(Ambient(None, None), {"args": {"keywords": ["a", "b c"]}, "vars": {}, "session": {}, "tool": "ask"})  # type: ignore[arg-type]
    assert tool.compiled_template.handshake.render(scope).url.target == "/?keywords=a&keywords=b%20c&v=2"


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


def test_the_messages_of_a_document_without_operations_belong_to_a_side_by_their_names(tmp_path: Any) -> None:
    names = ["subscribe", "getPrice", "priceUpdate", "subscribeResponse"]
    result = imported(api({}, {name: message(name) for name in names}))
    assert [*tools(result)] == ["subscribe", "getPrice"]
    (feed,) = feeds(result).values()
    assert feed["match"] == "message.type in ['priceUpdate', 'subscribeResponse']"
    assert result.report[1].startswith("The document has no operations: messages that are called like requests are")
    assert problems_of(result, tmp_path) == []


def test_a_document_without_messages_has_nothing_to_import() -> None:
    with pytest.raises(ImportFailed) as failed:
        imported(api({}, {}))
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


# Whole operations


def described(document: Any, **options: Any) -> Description:
    given = ImportOptions(**{"url": URL, **options})
    return import_asyncapi(document, References(document), given, "api.yaml")


def operations(document: Any, **options: Any) -> dict[str, Operation]:
    return {each.name: each for each in described(document, viewpoint="server", **options).operations}


def test_a_request_is_a_whole_tool() -> None:
    asked = {**ASK["ask"], "summary": "Deletes all.", "tags": [{"name": "t"}], "deprecated": True}
    messages = {"ask": message("deleteAll", "x", id=NUMBER, x=TEXT), "replied": message("done", id=NUMBER, value=TEXT)}
    assert operations(api({"ask": asked}, messages))["deleteAll"] == Operation(
        "deleteAll",
        tool={
            "name": "deleteAll",
            "description": "Deletes all.",
            "inputs": {
                "type": "object",
                "properties": {"x": TEXT},
                "required": ["x"],
                "additionalProperties": False,
            },
            "annotations": {"readOnlyHint": False, "destructiveHint": True},
            "tags": ["t"],
            "tool_call_template": {
                "message": {"type": "deleteAll", "id": "{{ request_id }}", "x": "{{ args.x }}"},
                "reply": {
                    "match": "message.id == request_id",
                    "error": "message.type == 'error' or message.error",
                    "error_message": "message.error.message | default(message.error) | default(message.message)",
                    "result": "message.value",
                },
            },
        },
        tags=["t"],
        status=Status.DEPRECATED,
        sources=("ask",),
    )


def named(text: str, *fields: str) -> dict[str, Any]:
    return dict.fromkeys(fields or ("summary",), text)


@pytest.mark.parametrize(
    ("operation", "of_message", "of_channel", "description"),
    [
        (named("Of the operation."), named("Of the message."), named("Of the channel."), "Of the operation."),
        ({}, named("Of the message."), named("Of the channel."), "Of the message."),
        ({}, {"payload": {"const": 1, "description": "Of the payload."}}, named("Of it."), "Of the payload."),
        ({}, {}, named("Of the channel."), "Of the channel."),
        ({}, {}, {}, "Ask."),
    ],
)
def test_a_tool_is_described_by_what_is_nearest(
    operation: Any, of_message: Any, of_channel: Any, description: str
) -> None:
    own = {"action": "receive", "messages": of("ask"), **operation}
    document = api({"ask": own}, {"ask": {"payload": TEXT, **of_message}}, channel=of_channel)
    (tool,) = tools(imported(document, viewpoint="server")).values()
    assert tool["description"] == description


def test_several_messages_of_an_operation_have_descriptions_of_their_own() -> None:
    own = {"action": "receive", "summary": "Of the operation."}
    messages = {"a": {**message("a"), "summary": "Of a."}, "b": message("b")}
    found = tools(imported(api({"ask": own}, messages), viewpoint="server"))
    assert [each["description"] for each in found.values()] == ["Of a.", "B."]


@pytest.mark.parametrize(
    ("key", "payload", "name"),
    [
        ("op", {"type": "object", "properties": {"type": {"const": "say.it-2"}}}, "say.it-2"),
        ("op", {"type": "object", "properties": {"type": {"const": "say it"}}}, "op"),
        ("op", {"type": "object", "properties": {"type": {"const": 7}}}, "op"),
        ("op", {"type": "object", "properties": {"type": {"const": "9a"}}}, "op"),
        ("op", {"type": "object", "properties": {"type": {"const": "x" * 41}}}, "x" * 41),
        ("op", {"type": "object", "properties": {"type": {"const": "x" * 42}}}, "op"),
        *((f"{prefix}News", TEXT, "news") for prefix in ("receive", "recv", "send", "on", "publish", "handle", "sub")),
        ("send_send_it", TEXT, "send_it"),
        ("sender", TEXT, "sender"),
        ("on.X", TEXT, "x"),
        ("send_", TEXT, "send"),
        ("Say", TEXT, "say"),
    ],
)
def test_a_tool_has_the_name_of_its_kind_or_its_operation(key: str, payload: Any, name: str) -> None:
    document = api({key: {"action": "receive", "messages": of("m")}}, {"m": {"payload": payload}})
    assert [*tools(imported(document, viewpoint="server"))] == [name]


def test_tools_of_one_name_have_numbers_on_one_endpoint_only() -> None:
    document = api(
        {"a": {"action": "receive", "messages": of("m")}}, {"m": {"payload": TEXT}}, channel={"address": "/a"}
    )
    document["channels"]["b"] = {"address": "/b", "messages": {"m": {"payload": TEXT}}}
    document["operations"]["A"] = document["operations"]["a"]
    document["operations"]["sendA"] = {"action": "receive", "channel": {"$ref": "#/channels/b"}}
    found = described(document, viewpoint="server").operations
    assert [(each.endpoint, each.name) for each in found] == [("a", "a"), ("a", "a_2"), ("b", "a")]


# Replies


def test_a_request_without_a_reply_waits_for_none() -> None:
    document = api({"say": {"action": "receive", "messages": of("say")}}, {"say": message("say")})
    assert call_of(imported(document, viewpoint="server"), "say")["reply"] == "none"


def test_the_reply_of_one_message_comes_before_that_of_its_operation() -> None:
    own = {**message("ask", id=TEXT), "x-response": message("own", id=TEXT)}
    document = version_2(own, message("news"))
    document["channels"]["/"]["publish"]["x-response"] = message("other", id=TEXT)
    result = imported(document)
    assert call_of(result)["reply"]["match"] == "message.id == request_id"
    assert result.report[-1] == (
        "Correlation: replies are matched by an ID of the request: id, found in request and replies (1)."
    )


PATH = {"address": "/events"}


def stream_api(*answers: str, request: Any = None, **channel: Any) -> dict[str, Any]:
    """Return a document of a connection on which one message is answered by all others."""
    sent = {"payload": {"type": "object", "properties": {"from": NUMBER}}} if request is None else request
    messages = {"get": sent, **{name: message(name, reason=TEXT) for name in answers}}
    operations = {
        "getEvents": {"action": "receive", "messages": of("get")},
        "news": {"action": "send", "messages": of(*answers)},
    }
    return api(operations, messages, channel={**PATH, **channel})


def test_a_connection_with_one_request_is_a_call_whose_messages_are_its_result() -> None:
    result = described(stream_api("item", "failed"), viewpoint="server")
    (operation,) = result.operations
    assert operation.sources == ("getEvents", "news")
    assert operation.tool is not None
    assert operation.tool["tool_call_template"] == {
        "message": {"from": "{{ args.from }}"},
        "keep_alive": False,
        "reply": {"error": "message.type == 'failed'", "error_message": "message.reason"},
        "stream": {"until_close": True, "max_items": 100, "max_seconds": 20},
    }


@pytest.mark.parametrize("answers", [("item", "other"), ("failed", "error")])
def test_a_stream_whose_failures_nothing_distinguishes_has_no_rule_for_them(answers: Any) -> None:
    (operation,) = described(stream_api(*answers), viewpoint="server").operations
    assert operation.tool is not None
    assert "reply" not in operation.tool["tool_call_template"]
    assert "stream" in operation.tool["tool_call_template"]


def test_a_failure_without_a_text_has_no_message() -> None:
    document = stream_api("item", "failed")
    document["components"]["messages"]["failed"] = message("failed")
    (operation,) = described(document, viewpoint="server").operations
    assert operation.tool is not None
    assert operation.tool["tool_call_template"]["reply"] == {"error": "message.type == 'failed'"}


@pytest.mark.parametrize(
    "document",
    [
        stream_api("item", address=None),
        stream_api("item", request=message("get")),
        stream_api("item", request={"payload": {"oneOf": [{"type": "object"}, {"type": "object", "title": "x"}]}}),
    ],
    ids=["a shared connection", "a request with a kind", "several requests"],
)
def test_another_connection_is_no_call(document: Any) -> None:
    result = described(document, viewpoint="server")
    assert all("stream" not in each.tool["tool_call_template"] for each in result.operations if each.tool)
    assert any(each.event for each in result.operations)


def test_two_operations_of_events_are_no_result_of_one_call() -> None:
    document = stream_api("item")
    document["operations"]["more"] = {"action": "send", "channel": {"$ref": "#/channels/main"}, "messages": of("item")}
    found = described(document, viewpoint="server").operations
    assert [each.name for each in found if each.event] == ["news", "more"]


def test_replies_are_guessed_among_the_messages_of_the_same_channel() -> None:
    operations = {
        "ask": {"action": "receive", "messages": of("ask")},
        "replied": {"action": "send", "messages": of("replied", "news")},
    }
    messages = {
        "ask": message("ask", x=TEXT, id=NUMBER),
        "replied": message("ask_result", x=TEXT, id=NUMBER, value=TEXT),
        "news": message("news", id=NUMBER),
    }
    result = described(api(operations, messages), viewpoint="server")
    assert result.operations[0].tool is not None
    assert result.operations[0].tool["tool_call_template"]["reply"]["match"] == "message.id == request_id"
    assert result.notes[-1] == "Replies that the document does not name were found by the names of messages: ask."
    assert result.notes[-2] == (
        "Correlation: replies are matched by an ID of the request: id, found in request and replies (1)."
    )
    assert result.endpoints[""]["request_id"] == "counter"
    other = api(operations, messages)
    other["channels"]["other"] = {"messages": {}}
    other["operations"]["replied"]["channel"] = {"$ref": "#/channels/other"}
    assert described(other, viewpoint="server").notes[-1].startswith("Correlation: no request has an ID")


@pytest.mark.parametrize("extra", [{}, {"correlationId": {"location": "$message.payload#/value"}}])
@pytest.mark.parametrize("answer", ["ask_result", "news"])
def test_messages_are_no_replies_unless_their_name_and_an_id_say_so(extra: Any, answer: str) -> None:
    operations = {
        "ask": {"action": "receive", "messages": of("ask")},
        "replied": {"action": "send", "messages": of("replied")},
    }
    messages = {"ask": {**message("ask", value=TEXT), **extra}, "replied": message(answer, value=TEXT)}
    result = imported(api(operations, messages), viewpoint="server")
    is_answered = answer == "ask_result" and bool(extra)
    assert (call_of(result)["reply"] != "none") is is_answered
    assert any("does not name were found" in line for line in result.report) is is_answered


def test_what_the_correlation_is_found_in_is_noted_for_each_way() -> None:
    located = {"correlationId": {"location": "$message.payload#/meta/ref"}}
    operations = {
        name: {"action": "receive", "messages": of(name), "reply": {"messages": of("replied")}} for name in "abcd"
    }
    operations["e"] = {"action": "receive", "messages": of("e")}
    messages = {
        **{name: {**message(name), **located} for name in "ab"},
        "c": message("c", id=TEXT),
        "d": message("d"),
        "e": message("e"),
        "replied": message("replied", id=TEXT),
    }
    notes = described(api(operations, messages), viewpoint="server").notes
    assert notes[-1] == (
        "Correlation: replies are matched by an ID of the request: meta.ref, declared in the document (2), "
        "id, found in request and replies (1); 2 requests have none."
    )
    del operations["e"], messages["e"]
    assert described(api(operations, messages), viewpoint="server").notes[-1].endswith("; 1 request has none.")
    events = api({"n": {"action": "send", "messages": of("n")}}, {"n": message("n")})
    assert not any("Correlation" in note for note in described(events, viewpoint="server").notes)


# Pings


@pytest.mark.parametrize(
    ("payload", "send", "match"),
    [
        (message("PONG"), {"type": "PONG"}, "message.type == 'PING'"),
        (
            {"payload": {"type": "object", "required": ["head"], "properties": {
                "head": {"type": "object", "properties": {"op": {"const": "pong"}}}}}},
            {"head": {"op": "pong"}},
            "message.head.op == 'ping'",
        ),
    ],
)  # fmt: skip
def test_pongs_are_sent_as_the_document_writes_them(payload: Any, send: Any, match: str) -> None:
    operations = {
        "pong": {"action": "receive", "messages": of("pong")},
        "ping": {"action": "send", "messages": of("Ping")},
    }
    result = described(api(operations, {"pong": payload, "Ping": message("x")}), viewpoint="server")
    assert result.endpoints[""]["auto_reply"] == [{"match": match, "send": send}]
    assert result.skipped == [Skipped("pong", "it answers pings, which is done by itself")]


def test_a_pong_is_a_tool_where_nothing_pings_or_something_answers_it() -> None:
    pong = {"action": "receive", "messages": of("pong")}
    messages = {"pong": message("pong"), "news": message("news"), "ping": message("ping")}
    news, ping = ({"action": "send", "messages": of(name)} for name in ("news", "ping"))
    assert "pong" in operations(api({"pong": pong, "news": news}, messages))
    replied = {**pong, "reply": {"messages": of("news")}}
    assert "pong" in operations(api({"pong": replied, "ping": ping}, messages))
    assert "pong" not in operations(api({"pong": pong, "news": news, "ping": ping}, messages))


# Events


def test_an_event_is_one_of_the_feed_of_its_channel() -> None:
    operation = {"action": "send", "messages": of("a"), "tags": [{"name": "t"}], "deprecated": True}
    document = api({"news": operation}, {"a": message("a")}, channel={"description": "The news."})
    assert operations(document)["news"] == Operation(
        "news",
        event=Event("main", "message.type", "a", {"description": "The news."}),
        tags=["t"],
        read_only=True,
        status=Status.DEPRECATED,
        sources=("news",),
    )
    several = api({"news": {"action": "send"}}, {"a": message("x"), "b": message("y")})
    found = operations(several)
    assert [(name, each.event and each.event.value, each.sources) for name, each in found.items()] == [
        ("a", "x", ("news",)), ("b", "y", ("news",))
    ]  # fmt: skip
    assert found["a"].event is not None
    assert found["a"].event.fields == {"description": "What Shop sends by itself."}


@pytest.mark.parametrize(
    ("channel", "feed"),
    [
        ({"address": "/v1/live/{room}"}, "v1_live"),
        ({"address": "/9/live"}, "feed_9_live"),
        ({"address": "/{room}"}, "messages"),
        ({"address": "/" + "x" * 30}, "x" * 24),
        ({"address": "/" + "x" * 23 + "/y"}, "x" * 23),
        ({"address": "topic.name"}, "main"),
    ],
)
def test_a_feed_has_the_name_of_its_path_or_its_channel(channel: Any, feed: str) -> None:
    document = api({"news": {"action": "send", "messages": of("a")}}, {"a": message("a")}, channel=channel)
    event = operations(document)["news"].event
    assert event is not None
    assert event.feed == feed


def test_a_feed_has_the_arguments_of_its_url() -> None:
    channel = {"address": "/{room}/{day}", "parameters": {"room": {"description": "R."}, "day": {"default": "1"}}}
    document = api({"news": {"action": "send", "messages": of("a")}}, {"a": message("a")}, channel=channel)
    event = operations(document)["news"].event
    assert event is not None
    assert event.fields["inputs"] == {
        "type": "object",
        "properties": {"room": {"type": "string", "description": "R."}, "day": {"type": "string", "default": "1"}},
        "required": ["room"],
        "additionalProperties": False,
    }
    optional = {"address": "/{day}", "parameters": {"day": {"default": "1"}}}
    only = operations(api({"news": {"action": "send", "messages": of("a")}}, {"a": message("a")}, channel=optional))
    assert only["news"].event is not None
    assert "required" not in only["news"].event.fields["inputs"]


LOOSE = {"payload": {"type": "object", "properties": {"x": TEXT}}}


def test_the_only_message_of_a_connection_needs_nothing_that_distinguishes_it() -> None:
    document = api({"news": {"action": "send", "messages": of("a")}}, {"a": {"payload": TEXT}})
    assert operations(document)["news"].event == Event(
        "main", "message is defined", None, {"description": "What Shop sends by itself."}
    )


ONE_UNCLEAR = {"a": LOOSE, "b": {"payload": TEXT}, "c": message("c")}


def test_messages_of_which_one_cannot_be_distinguished_are_events_without_it_and_it_is_named() -> None:
    ask = {"action": "receive", "messages": of("ask")}
    operations_ = {"ask": ask, "news": {"action": "send", "messages": of("a", "b", "c")}}
    result = described(api(operations_, {**ONE_UNCLEAR, "ask": message("ask")}), viewpoint="server")
    assert [(each.name, each.event.subject) for each in result.operations if each.event] == [
        ("a", "message.x is defined"), ("c", "message.type")
    ]  # fmt: skip
    assert result.skipped == [Skipped("news", "nothing in the messages b distinguishes them from others")]


def test_a_feed_of_everything_that_comes_has_also_what_cannot_be_distinguished(tmp_path: Any) -> None:
    result = imported(api({"news": {"action": "send"}}, ONE_UNCLEAR), viewpoint="server")
    assert [feed["match"] for feed in feeds(result).values()] == ["message is defined"]
    assert result.description.skipped == []
    assert problems_of(result, tmp_path) == []


def test_an_event_is_distinguished_from_requests_and_their_replies() -> None:
    replied = {"payload": {"type": "object", "properties": {"x": TEXT}}}
    operations_ = {**ASK, "news": {"action": "send", "messages": of("news")}}
    messages = {"ask": message("ask", y=TEXT), "replied": replied, "news": LOOSE}
    result = described(api(operations_, messages), viewpoint="server")
    assert result.skipped == [Skipped("news", "nothing in its messages distinguishes them from others")]
    news = {"payload": {"type": "object", "properties": {"x": TEXT, "y": TEXT, "z": TEXT}}}
    event = operations(api(operations_, {**messages, "news": news}))["news"].event
    assert event is not None
    assert (event.subject, event.value) == ("message.z is defined", None)


def test_an_event_that_cannot_be_expressed_is_skipped() -> None:
    document = api(
        {**ASK, "news": {"action": "send", "messages": of("odd")}},
        {"ask": message("ask"), "replied": message("replied"), "odd": {"contentType": "audio/wav"}},
    )
    assert described(document, viewpoint="server").skipped == [Skipped("news", "its messages are binary (audio/wav)")]


def test_an_operation_without_messages_is_skipped() -> None:
    document = api({"ask": {"action": "receive", "messages": []}}, {"m": message("m")})
    assert described(document, viewpoint="server").skipped == [Skipped("ask", "it has no message")]


def test_a_message_without_a_kind_has_its_key_where_others_have_theirs() -> None:
    loose = {"payload": {"type": "object", "properties": {"type": TEXT, "x": TEXT}}}
    names = {"a": message("a"), "b": loose}
    document = api(
        {"a": {"action": "receive", "messages": of("a")}, "b": {"action": "receive", "messages": of("b")}}, names
    )
    assert call_of(imported(document, viewpoint="server"), "b")["message"] == {"type": "b", "x": "{{ args.x }}"}
    other = api(document["operations"], {**names, "a": message("c")})
    assert call_of(imported(other, viewpoint="server"), "b")["message"]["type"] == "{{ args.type }}"


# Whole documents


def test_a_description_has_the_endpoints_and_the_notes() -> None:
    document = api({"ask": {"action": "receive", "messages": of("m")}}, {"m": message("m")}, channel={"address": "/0"})
    for number in range(1, 5):
        document["channels"][f"c{number}"] = {"address": f"/{number}", "messages": {"m": message("m")}}
        document["operations"][f"ask{number}"] = {"action": "receive", "channel": {"$ref": f"#/channels/c{number}"}}
    result = described(document, viewpoint="server", preset="mine")
    assert (result.title, result.version) == ("Shop", "3.0.0")
    assert [*result.endpoints] == ["0", "1", "2", "3", "4"]
    assert result.endpoints["3"] == {"url": f"{URL}3", "preset": "mine", "response_format": "json"}
    assert result.notes == [
        f"Endpoints: {URL}0, {URL}1, {URL}2 and 2 more.",
        "Viewpoint: the document is written from the view of the server: as --viewpoint says.",
        "Correlation: no request has an ID that its reply repeats; calls take turns on a connection.",
    ]
    for number in (3, 4):
        del document["operations"][f"ask{number}"]
    three = described(document, viewpoint="client")
    assert three.notes[:2] == [
        f"Endpoints: {URL}0, {URL}1, {URL}2.",
        "Viewpoint: the document is written from the view of the client: as --viewpoint says.",
    ]
    assert "preset" not in three.endpoints["0"]


def test_one_endpoint_is_named_without_its_query() -> None:
    bindings = {"ws": {"query": {"properties": {"token": TEXT}, "required": ["token"]}}}
    channel = {"address": "/a", "bindings": bindings}
    result = described(api(ASK, {"ask": message("ask"), "replied": message("replied")}, channel=channel))
    assert [*result.endpoints] == ["a"]
    assert result.notes[0] == f"Endpoint: {URL}a."
    assert result.variables == {"SHOP_TOKEN": "the parameter token of the URL"}


def test_ids_of_one_endpoint_say_nothing_of_another() -> None:
    asks = {**ASK["ask"], "reply": {"messages": of("replied")}}
    messages = {"ask": message("ask", id=NUMBER), "replied": message("replied", id=NUMBER)}
    document = api({"ask": asks}, messages, channel={"address": "/a"})
    texts = {"ask": message("ask", id=TEXT), "replied": message("replied", id=TEXT)}
    document["channels"]["b"] = {"address": "/b", "messages": texts}
    refs = {name: [{"$ref": f"#/channels/b/messages/{name}"}] for name in texts}
    document["operations"]["other"] = {
        "action": "receive", "channel": {"$ref": "#/channels/b"}, "messages": refs["ask"],
        "reply": {"messages": refs["replied"]},
    }  # fmt: skip
    endpoints = described(document, viewpoint="server").endpoints
    assert [each.get("request_id") for each in endpoints.values()] == ["counter", None]
