"""AsyncAPI that is legal and odd: whole URLs as addresses, equal paths, base classes, cycles, texts, security."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from utcp_ws_mcp.importers.asyncapi.reader import read_api
from utcp_ws_mcp.importers.references import References

from .sides import entries, feeds, imported, problems_of, tools

TEXT = {"type": "string"}
ASK = {"type": "object", "properties": {"op": {"const": "ask"}, "id": {"type": "integer"}, "q": TEXT}}
FOUND = {"type": "object", "properties": {"op": {"const": "found"}, "id": {"type": "integer"}, "a": TEXT}}


def api(ask: Any = ASK, found: Any = FOUND, **others: Any) -> dict[str, Any]:
    """Return a document with one request and its reply, on the channel `main`."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Shop"},
        "servers": {"live": {"host": "a.example.com", "protocol": "wss", "pathname": "/ws"}},
        "channels": {"main": {"address": None, "messages": {"ask": {"payload": ask}, "found": {"payload": found}}}},
        "operations": {"ask": operation("main")},
        **others,
    }


def operation(channel: str) -> dict[str, Any]:
    def message(name: str) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/{channel}/messages/{name}"}]

    reply = {"messages": message("found")}
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": message("ask"),
        "reply": reply,
    }


def with_two_channels(**of_channels: Any) -> dict[str, Any]:
    """Return a document with the channels `main` and `other`, which differ in one field."""
    document = api()
    document["channels"]["other"] = deepcopy(document["channels"]["main"])
    document["operations"]["ask2"] = operation("other")
    for key, value in of_channels.items():
        document["channels"][key] |= value
    return document


def urls_of(document: dict[str, Any]) -> list[str]:
    return [each["url"] for each in entries(imported(document, url=None).manifest)]


def messages_of(document: dict[str, Any]) -> list[Any]:
    return [each["tool_call_template"]["message"] for each in tools(imported(document)).values()]


# Endpoints


def test_channels_with_equal_paths_at_different_hosts_are_different_endpoints(tmp_path: Any) -> None:
    document = with_two_channels(
        main={"servers": [{"$ref": "#/servers/live"}]}, other={"servers": [{"$ref": "#/servers/b"}]}
    )
    document["servers"]["b"] = {"host": "b.example.com", "protocol": "wss", "pathname": "/ws"}
    result = imported(document, url=None)
    listed = entries(result.manifest)
    assert [(each["url"], [tool["name"] for tool in each["tools"]]) for each in listed] == [
        ("wss://a.example.com/ws", ["ask"]),
        ("wss://b.example.com/ws", ["ask"]),
    ]
    assert len({each["name"] for each in listed}) == 2
    assert problems_of(result, tmp_path) == []


def test_channels_with_equal_paths_and_different_queries_are_different_endpoints() -> None:
    def query(name: str) -> dict[str, Any]:
        properties = {name: {"type": "string", "default": "1"}}
        return {"bindings": {"ws": {"query": {"type": "object", "properties": properties}}}}

    document = with_two_channels(main=query("x"), other=query("y"))
    assert len(urls_of(document)) == 2
    assert [each["query"] for each in entries(imported(document).manifest)] == [
        {"x": "{{ args.x }}"}, {"y": "{{ args.y }}"}
    ]  # fmt: skip


@pytest.mark.parametrize("bindings", [{}, {"bindings": {"ws": {}}}, {"bindings": {"ws": {"method": "GET"}}}], ids=str)
@pytest.mark.parametrize("servers", [{}, {"live": {"host": "a.example.com", "protocol": "wss"}}], ids=["none", "one"])
def test_the_address_of_a_channel_may_be_the_whole_url(bindings: dict[str, Any], servers: dict[str, Any]) -> None:
    document = api(servers=servers)
    document["channels"]["main"] |= {"address": "wss://a.example.com/ws/{room}", **bindings}
    assert urls_of(document) == ["wss://a.example.com/ws/{{ args.room }}"]


def test_the_host_of_a_whole_url_may_be_called_like_a_part_of_its_scheme() -> None:
    document = api(servers={})
    document["channels"]["main"]["address"] = "ws://ws/ws/chat?v=1"
    assert urls_of(document) == ["ws://ws/ws/chat?v=1"]


def test_credentials_of_a_server_do_not_go_to_another_host_that_is_the_address_of_a_channel() -> None:
    document = api(components={"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}})
    document["servers"]["live"]["security"] = [{"$ref": "#/components/securitySchemes/key"}]
    document["channels"]["main"]["address"] = "wss://b.example.com/ws"
    (entry,) = entries(imported(document, url=None).manifest)
    assert entry["url"] == "wss://b.example.com/ws"
    assert "headers" not in entry


def test_the_url_that_the_user_gives_replaces_the_host_of_a_whole_address() -> None:
    document = api()
    document["channels"]["main"]["address"] = "wss://a.example.com/ws"
    assert entries(imported(document, url="wss://mine.example.com").manifest)[0]["url"] == "wss://mine.example.com/ws"


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ({"host": "a.b/", "protocol": "ws", "pathname": "/x"}, "ws://a.b/x"),
        ({"host": "a.b", "protocol": "websocket"}, "ws://a.b"),
        ({"host": "a.b", "protocol": "WebSockets"}, "ws://a.b"),
        ({"host": "a.b", "protocol": "web-socket"}, "ws://a.b"),
        ({"host": "a.b", "protocol": "websocketx"}, "websocketx://a.b"),
    ],
    ids=str,
)
def test_a_server_is_understood_also_if_it_is_written_oddly(server: dict[str, Any], url: str) -> None:
    document = api(servers={"live": server})
    assert [each.url for each in read_api(document, References(document), "document").servers] == [url]


def test_a_variable_of_the_url_that_has_no_default_is_one_of_the_api_and_reported() -> None:
    document = api(servers={"live": {"host": "{user}.example.com", "protocol": "wss"}})
    result = imported(document, url=None)
    assert result.manifest["url"] == "wss://${SHOP_USER}.example.com"
    assert "Set SHOP_USER: a part of the URL" in result.report


# Schemas


def animals(**base: Any) -> dict[str, Any]:
    """Return a base class and two classes that are made of it and what is their own."""

    def animal(kind: str, **own: Any) -> dict[str, Any]:
        return {"allOf": [{"$ref": "#/components/schemas/Animal"}, {"properties": {"op": {"const": kind}, **own}}]}

    common = {"type": "object", "discriminator": "op", "properties": {"op": TEXT, "id": {"type": "integer"}}}
    cat, dog = animal("cat", lives=TEXT), animal("dog", bark=TEXT)
    return {"schemas": {"Animal": {**common, **base}, "Cat": cat, "Dog": dog}}


CHILDREN = {"oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}]}
CAT = {"op": "cat", "id": "{{ request_id }}", "lives": "{{ args.lives }}"}
DOG = {"op": "dog", "id": "{{ request_id }}", "bark": "{{ args.bark }}"}


def test_a_base_class_whose_alternatives_are_made_of_it_is_one_tool_for_each() -> None:
    document = api({"$ref": "#/components/schemas/Animal"}, components=animals(**CHILDREN))
    assert messages_of(document) == [CAT, DOG]


def test_a_class_whose_base_class_has_it_as_an_alternative_is_one_tool() -> None:
    assert messages_of(api({"$ref": "#/components/schemas/Cat"}, components=animals(**CHILDREN))) == [CAT]


@pytest.mark.parametrize(
    "keyword",
    [{}, {"additionalProperties": False}, {"x-internal": 1}, {"example": {"op": "x"}}, {"$comment": "c"}],
    ids=str,
)
def test_what_is_beside_the_properties_of_a_base_class_does_not_lose_them(keyword: dict[str, Any]) -> None:
    assert messages_of(api({"$ref": "#/components/schemas/Cat"}, components=animals(**keyword))) == [CAT]


@pytest.mark.parametrize("keyword", ["allOf", "oneOf", "anyOf"])
def test_a_schema_that_is_made_of_itself_takes_no_other_operation_with_it(keyword: str) -> None:
    loop = {keyword: [{"$ref": "#/components/schemas/Loop"}, {"type": "object", "properties": {"op": {"const": "x"}}}]}
    document = api(components={"schemas": {"Loop": loop}})
    document["channels"]["main"]["messages"]["loop"] = {"payload": {"$ref": "#/components/schemas/Loop"}}
    document["operations"]["loop"] = {
        "action": "receive",
        "channel": {"$ref": "#/channels/main"},
        "messages": [{"$ref": "#/channels/main/messages/loop"}],
    }
    assert messages_of(document) == [{"op": "ask", "id": "{{ request_id }}", "q": "{{ args.q }}"}, {"op": "x"}]


# Texts


def test_an_endpoint_of_texts_has_text_replies(tmp_path: Any) -> None:
    result = imported(api(TEXT, TEXT))
    assert result.manifest["response_format"] == "text"
    assert problems_of(result, tmp_path) == []


def test_a_tool_whose_reply_is_a_text_among_others_has_it_by_itself() -> None:
    document = api(ASK, TEXT)
    result = imported(document)
    assert result.manifest["response_format"] == "json"
    assert tools(result)["ask"]["tool_call_template"]["response_format"] == "text"


def test_a_text_that_the_document_calls_json_is_json() -> None:
    result = imported(api(TEXT, TEXT, defaultContentType="application/json"))
    assert result.manifest["response_format"] == "json"


# Security


@pytest.mark.parametrize(
    "scheme", [{"type": "X509"}, {"type": "apiKey", "in": "user"}, {"type": "http", "scheme": "Digest"}], ids=str
)
def test_security_that_a_manifest_cannot_be_given_is_reported(scheme: dict[str, Any]) -> None:
    document = api(components={"securitySchemes": {"mine": scheme}})
    document["servers"]["live"]["security"] = [{"$ref": "#/components/securitySchemes/mine"}]
    result = imported(document, url=None)
    said = f"Not expressed: the security schemes mine ({scheme['type']}). If the endpoint requires one of them, add it"
    assert any(line.startswith(said) for line in result.report)
    assert "headers" not in result.manifest


@pytest.mark.parametrize("key", ["token", "authorization_key"])
def test_a_variable_that_nothing_uses_is_not_asked_for(key: str) -> None:
    document = api(components={"securitySchemes": {key: {"type": "http", "scheme": "bearer"}}})
    document["servers"]["live"]["security"] = [{"$ref": f"#/components/securitySchemes/{key}"}]
    header = {"type": "object", "properties": {"Authorization": {"type": "string"}}}
    document["channels"]["main"]["bindings"] = {"ws": {"headers": header}}
    report = imported(document, url=None).report
    assert [line for line in report if line.startswith("Set ")] == [f"Set SHOP_{key.upper()}: the bearer token"]


# Viewpoint


def test_the_reason_for_the_viewpoint_is_that_of_the_form_which_is_read() -> None:
    document = api(asyncapi="2.6.0", servers={"live": {"host": "localhost:1", "protocol": "ws"}})
    document["operations"] = {"hi": {"action": "receive", "channel": {"$ref": "#/channels/main"}}}
    document["channels"]["main"]["messages"] = {"hi": {"payload": TEXT}}
    (viewpoint,) = (line for line in imported(document, url=None).report if line.startswith("Viewpoint: "))
    assert "as most documents are written" in viewpoint


def test_what_is_received_from_the_server_is_written_from_the_view_of_the_client() -> None:
    document = api()
    del document["operations"]["ask"]["reply"]
    document["operations"]["ask"] |= {"action": "send", "description": "Send a question to the server."}
    document["operations"]["news"] = {
        "action": "receive",
        "channel": {"$ref": "#/channels/main"},
        "messages": [{"$ref": "#/channels/main/messages/found"}],
        "description": "Receive what is new from the server.",
    }
    assert [*tools(imported(document, url=None))] == ["ask"]


# What a document says and a manifest does not


def spoken(**changed: Any) -> Any:
    """A document in which a chat is sent and received."""
    listed = {
        "say": {"type": "object", "properties": {"type": {"const": "say"}, "cid": {"type": "string"}, "text": {}}},
        "said": {"type": "object", "properties": {"type": {"const": "said"}, "text": {"type": "string"}}},
        "error": {
            "type": "object",
            "properties": {"type": {"const": "error"}, "cid": {"type": "string"}, "reason": {"type": "string"}},
        },
    }
    messages = {name: {"payload": schema} for name, schema in listed.items()}
    references = [{"$ref": f"#/components/messages/{name}"} for name in listed]
    channel = {"publish": {"message": references[0]}, "subscribe": {"message": {"oneOf": references[1:]}}}
    document = {
        "asyncapi": "2.6.0",
        "info": {"title": "Chat", "version": "1"},
        "servers": {"live": {"url": "wss://chat.example.com/", "protocol": "wss"}},
        "channels": {"chat": channel},
        "components": {"messages": messages},
    }
    return {**document, **changed}


def test_a_request_that_only_a_failure_answers_is_not_waited_for() -> None:
    template = tools(imported(spoken(), url=None))["say"]["tool_call_template"]
    assert template["reply"] == "none"


def test_servers_that_are_not_chosen_are_named() -> None:
    servers = {
        "live": {"url": "wss://chat.example.com/", "protocol": "wss"},
        "test": {"url": "wss://test.example.com/", "protocol": "wss"},
        "broker": {"url": "mqtt://broker.example.com/", "protocol": "mqtt"},
    }
    note = "Other servers: test (wss://test.example.com/). --url chooses one of them."
    assert note in imported(spoken(servers=servers), url=None).report
    assert not any("Other servers" in line for line in imported(spoken(servers=servers)).report)
    assert not any("Other servers" in line for line in imported(spoken(), url=None).report)


def test_parameters_of_an_address_that_is_no_path_are_named() -> None:
    channel = {**spoken()["channels"]["chat"], "parameters": {"room": {"schema": {"type": "string"}}}}
    topic = imported(spoken(channels={"chat/{room}": channel}), url=None)
    assert topic.report[-1].startswith("Not expressed: room in the address chat/{room}, which is read as a name")
    path = imported(spoken(channels={"/chat/{room}": channel}), url=None)
    assert path.manifest["url"] == "wss://chat.example.com/chat/{{ args.room }}"
    assert not any("Not expressed" in line for line in path.report)
    located = {**channel, "parameters": {"room": {"location": "$message.payload#/text"}}}
    payload = imported(spoken(channels={"chat/{room}": located}), url=None)
    assert not any("Not expressed" in line for line in payload.report)


def test_headers_of_messages_are_named() -> None:
    document = spoken()
    document["components"]["messages"]["say"]["headers"] = {"type": "object", "properties": {"trace": {}}}
    note = "Not expressed: the headers of say. A message of a WebSocket has none."
    assert note in imported(document, url=None).report
    assert not any("headers" in line for line in imported(spoken(), url=None).report)


def test_feeds_that_a_tool_subscribes_are_named() -> None:
    document = spoken()
    document["components"]["messages"]["say"]["payload"]["properties"]["type"] = {"const": "subscribe"}
    note = (
        "Feeds do not subscribe by themselves: if the endpoint sends events only after subscribe, copy the message of "
        "that tool into `open` of the feed."
    )
    assert note in imported(document, url=None).report
    assert not any("Feeds do not" in line for line in imported(spoken(), url=None).report)
    document["components"]["messages"]["say"]["payload"]["properties"]["type"] = {"const": "unsubscribe"}
    assert not any("Feeds do not" in line for line in imported(document, url=None).report)


def answered(**reply: Any) -> Any:
    """A document in which `start` is answered by a message with these properties."""
    document = spoken()
    request = {"type": "object", "properties": {"kind": {"const": "start"}, "reqId": {"type": "string"}}}
    response = {"type": "object", "properties": {"reqId": {"type": "string"}, **reply}}
    operation = {"x-response": {"payload": response}, "payload": request}
    document["channels"] = {"root": {"publish": {"message": operation}}}
    return tools(imported(document, url=None))["start"]["tool_call_template"]["reply"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["ok", "failed"], "message.status == 'failed'"),
        (["success", "error", "rejected"], "message.status in ['error', 'rejected']"),
        (["start", "error"], "message.status == 'error'"),
        (["running", "failed"], "message.error"),
        (["ok", "success"], "message.error"),
        (["error"], "message.error"),
    ],
)
def test_a_status_that_is_a_success_or_a_failure_decides(values: list[str], expected: str) -> None:
    rules = answered(status={"enum": values}, detail={"type": "string"})
    assert rules["error"].split(" or ")[-1] == expected
    if expected != "message.error":
        assert rules["error_message"] == "message.detail"


def test_the_feed_of_a_channel_has_its_name_without_accents_and_names_numbered_events() -> None:
    document = spoken()
    for number, name in enumerate(("say", "said", "error")):
        document["components"]["messages"][name]["payload"]["properties"]["type"] = {"const": number}
    document["channels"] = {"gerät": document["channels"]["chat"]}
    (feed,) = feeds(imported(document, url=None)).values()
    assert (feed["name"], feed["match"]) == ("gerat", "message.type in [1, 2]")
    assert feed["description"].endswith("Events: said (1), error (2).")
