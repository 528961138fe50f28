"""How documents of AsyncAPI are read, whose view they have, and which connections they need."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.asyncapi.connections import Connection, Connections
from utcp_ws_mcp.importers.asyncapi.model import Api, ApiOperation, ApiServer, Channel, Message
from utcp_ws_mcp.importers.asyncapi.reader import read_api
from utcp_ws_mcp.importers.asyncapi.viewpoint import Viewpoint, decide
from utcp_ws_mcp.importers.references import References

TEXT = {"type": "string"}


def read(version: str = "3.0.0", **fields: Any) -> Api:
    document = {"asyncapi": version, **fields}
    return read_api(document, References(document), "api.yaml")


def ref(path: str) -> dict[str, str]:
    return {"$ref": f"#/{path}"}


# Servers


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ({"host": "a.b", "protocol": "wss"}, "wss://a.b"),
        ({"host": "a.b", "protocol": "WSS", "pathname": "/x"}, "wss://a.b/x"),
        ({"host": "a.b", "protocol": "ws", "pathname": "x"}, "ws://a.b/x"),
        ({"url": "wss://a.b/{v}", "protocol": "ws", "variables": {"v": {"default": "1"}}}, "wss://a.b/1"),
        ({"url": "a.b", "protocol": "ws"}, "ws://a.b"),
        ({"host": "{h}.b", "protocol": "ws", "variables": {"h": {"$ref": "#/x/h"}}}, "ws://c.b"),
        ({"host": "{h}.b", "protocol": "ws"}, "ws://${API_H}.b"),
        ({"$ref": "#/x/s"}, "wss://shared"),
    ],
    ids=str,
)
def test_a_server_has_a_url_in_either_version(server: Any, url: str) -> None:
    shared = {"h": {"default": "c"}, "s": {"host": "shared", "protocol": "wss"}}
    (found,) = read(servers={"live": server}, x=shared).servers
    assert (found.key, found.url) == ("live", url)


def test_a_server_without_an_address_is_left_out_and_no_other() -> None:
    servers = {"a": {"protocol": "ws"}, "b": {"$ref": "#/nowhere"}, "c": {"host": "c", "protocol": "ws"}, "d": 3}
    assert [(each.key, each.protocol, each.security) for each in read(servers=servers).servers] == [("c", "ws", [])]


KEY, BASIC = {"type": "httpApiKey", "name": "k", "in": "query"}, {"type": "userPassword"}


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ([ref("components/securitySchemes/key")], [{"key": "key", **KEY}]),
        ([BASIC], [{"key": "userPassword", **BASIC}]),
        ([{"basic": [], "key": [], "missing": []}], [{"key": "basic", **BASIC}, {"key": "key", **KEY}]),
        ([{"key": []}, {"basic": []}], [{"key": "key", **KEY}, {"key": "basic", **BASIC}]),
        (["odd", ref("nowhere")], []),
        ({"key": []}, []),
        (None, []),
    ],
    ids=str,
)
def test_the_security_of_a_server_is_a_list_of_schemes_or_of_their_names(security: Any, expected: Any) -> None:
    server = {"host": "a", "protocol": "ws", "security": security}
    api = read(servers={"s": server}, components={"securitySchemes": {"key": KEY, "basic": BASIC, "odd": 3}})
    assert api.servers[0].security == expected
    assert api.schemes == {"key": KEY, "basic": BASIC, "odd": {}}


@pytest.mark.parametrize(
    ("info", "title"), [({"title": "Shop"}, "Shop"), ({"title": ""}, "api"), ({}, "api"), ("odd", "api"), (None, "api")]
)
def test_a_document_has_its_title(info: Any, title: str) -> None:
    api = read("2.6.0", info=info)
    assert (api.title, api.version, api.is_version_2) == (title, "2.6.0", True)
    assert read().is_version_2 is False


@pytest.mark.parametrize("version", ["1.2.0", "30.0", "2", "4.0.0"])
def test_another_version_is_refused_with_what_can_be_read(version: str) -> None:
    with pytest.raises(ImportFailed) as refused:
        read(version)
    assert refused.value.message == (
        f"api.yaml has the version {version} of AsyncAPI; 2 and 3 can be imported. Convert the document."
    )


# Messages and operations of version 3


def operation_3(operation: Any, channel: Any = None, **others: Any) -> ApiOperation:
    channels = {"main": {"messages": {"m": {"payload": {"type": "string"}}, "n": {}}, **(channel or {})}}
    given = {"channel": ref("channels/main"), **operation}
    api = read(channels=channels, operations={"op": given}, **others)
    assert api.problems == []
    return api.operations[0]


def message_3(message: Any, **others: Any) -> Message:
    return operation_3({}, {"messages": {"key": message}}, **others).messages[0]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({}, Message("key", {}, texts=[None] * 3, key="key", responses=[])),
        (
            {
                "name": "own", "messageId": "id", "payload": {"type": "string"}, "contentType": "text/plain",
                "summary": "S", "title": "T", "description": "D",
                "correlationId": {"location": "$message.payload#/id"},
            },
            Message(
                "own",
                TEXT,
                "$message.payload#/id",
                "text/plain",
                ["S", "T", "D"],
                key="key",
                responses=[],
                is_text=True,
            ),
        ),
        ({"messageId": "id"}, Message("id", {}, texts=[None] * 3, key="key", responses=[])),
        ({"correlationId": {"location": 3}}, Message("key", {}, texts=[None] * 3, key="key", responses=[])),
        (
            {"schemaFormat": "x", "payload": ref("x/multi")},
            Message("key", {"a": 1}, texts=[None] * 3, schema_format="avro", key="key", responses=[]),
        ),
        (
            {"schemaFormat": "x", "payload": {"schemaFormat": "avro"}},
            Message("key", {"schemaFormat": "avro"}, texts=[None] * 3, schema_format="x", key="key", responses=[]),
        ),
        ({"payload": {"schema": 1}}, Message("key", {"schema": 1}, texts=[None] * 3, key="key", responses=[])),
        ({"payload": True}, Message("key", True, texts=[None] * 3, key="key", responses=[])),
    ],
    ids=str,
)  # fmt: skip
def test_a_message_is_read_whole(message: Any, expected: Message) -> None:
    assert message_3(message, x={"multi": {"schemaFormat": "avro", "schema": {"a": 1}}}) == expected


def test_the_content_type_of_a_document_holds_for_messages_without_one() -> None:
    assert message_3({}, defaultContentType="a/b").content_type == "a/b"
    assert message_3({"contentType": "c/d"}, defaultContentType="a/b").content_type == "c/d"


def test_traits_are_merged_level_by_level_and_what_is_nearer_wins() -> None:
    traits = [{"contentType": "1", "correlationId": {"location": "a", "x": 1}}, {"contentType": "2", "summary": "S"}]
    message = {"traits": [*traits, ref("x/t")], "correlationId": {"location": "b"}, "title": "T"}
    found = message_3(message, x={"t": {"title": "U", "description": "D"}})
    assert (found.content_type, found.correlation, found.texts) == ("2", "b", ["S", "T", "D"])


def test_a_channel_is_read_whole_and_once() -> None:
    channel = {
        "address": "/a/{b}",
        "parameters": {"b": {"description": "B."}},
        "bindings": {"ws": {"query": {}}, "http": {}},
        "servers": [ref("servers/one"), 3],
        "summary": "S", "description": "D", "title": "T",
    }  # fmt: skip
    found = operation_3({}, channel).channel
    assert (found.key, found.address, found.parameters) == ("main", "/a/{b}", {"b": {"description": "B."}})
    assert (found.bindings, found.servers, found.texts) == ({"query": {}}, ["one"], ["S", "D", "T"])
    assert [*found.messages] == ["m", "n"]
    api = read(channels={"main": {}}, operations={name: {"channel": ref("channels/main")} for name in "ab"})
    assert api.operations[0].channel is api.operations[1].channel


def test_the_key_of_a_channel_may_be_an_escaped_path() -> None:
    api = read(channels={"/a~b": {"address": 3}}, operations={"op": {"channel": ref("channels/~1a~0b")}})
    assert (api.operations[0].channel.key, api.operations[0].channel.address) == ("/a~b", None)


@pytest.mark.parametrize(
    ("operation", "names"),
    [
        ({}, ["m", "n"]),
        ({"messages": [ref("channels/main/messages/n")]}, ["n"]),
        ({"messages": [ref("x/other")]}, ["other"]),
        ({"messages": [{"payload": {}}]}, ["message"]),
        ({"messages": []}, []),
        ({"messages": "odd"}, ["m", "n"]),
    ],
    ids=str,
)
def test_an_operation_has_the_messages_that_it_names_or_those_of_its_channel(operation: Any, names: Any) -> None:
    assert [each.name for each in operation_3(operation, x={"other": {}}).messages] == names


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        (None, None),
        ({}, []),
        ({"address": {}}, []),
        ({"messages": [ref("channels/main/messages/n")]}, ["n"]),
        ({"channel": ref("x/answers")}, ["a"]),
        ({"channel": ref("x/answers"), "messages": [ref("x/answers/messages/a")]}, ["a"]),
    ],
    ids=str,
)
def test_a_reply_has_the_messages_that_it_names_or_those_of_its_own_channel(reply: Any, names: Any) -> None:
    replies = operation_3({"reply": reply}, x={"answers": {"messages": {"a": {}}}}).replies
    assert (replies if replies is None else [each.name for each in replies]) == names


@pytest.mark.parametrize(
    ("operation", "receives", "deprecated"),
    [
        ({"action": "receive"}, True, False),
        ({"action": "send", "deprecated": True}, False, True),
        ({"x-deprecated": True}, True, True),
        ({"deprecated": "yes", "x-deprecated": 1}, True, False),
    ],
)
def test_an_operation_has_its_direction_and_status(operation: Any, receives: bool, deprecated: bool) -> None:
    texts = {"summary": "S", "title": "T", "description": "D"}
    tags = [{"name": "a"}, ref("x/t"), {"name": "$b"}, {"name": 3}, "odd"]
    found = operation_3({**operation, **texts, "tags": tags}, x={"t": {"name": "c"}})
    assert (found.receives, found.deprecated, found.texts) == (receives, deprecated, ["S", "T", "D"])
    assert found.tags == ["a", "c"]


def test_an_operation_that_cannot_be_read_is_a_problem_and_no_other() -> None:
    api = read(channels={"main": {}}, operations={"a": ref("nowhere"), "b": {"channel": ref("channels/main")}})
    assert [each.key for each in api.operations] == ["b"]
    assert api.problems == [("a", "the reference '#/nowhere' leads nowhere")]


def test_a_channel_without_operations_has_one_for_each_request_and_one_for_the_rest() -> None:
    messages = {name: {"name": name} for name in ("getA", "b", "cancelC", "statusD")}
    api = read(channels={"x/y": {"messages": messages}, "z": ref("nowhere"), "empty": {}})
    assert [(each.key, each.receives, [message.name for message in each.messages]) for each in api.operations] == [
        ("x/y getA", True, ["getA"]), ("x/y cancelC", True, ["cancelC"]), ("x/y", False, ["b", "statusD"])
    ]  # fmt: skip
    assert api.problems == [("z", "the reference '#/nowhere' leads nowhere")]


def test_a_document_is_read_in_the_form_that_it_has_whatever_version_it_says() -> None:
    two = {"a": {"publish": {"message": {"payload": {}}}}}
    three = {"go": {"action": "send", "channel": ref("channels/a")}}
    assert [each.key for each in read(channels=two).operations] == ["a publish"]
    newer = {"asyncapi": "2.6.0", "channels": {"a": {}}, "operations": three}
    assert [each.key for each in read_api(newer, References(newer), "document").operations] == ["go"]


@pytest.mark.parametrize(("bindings", "count"), [({"http": {}}, 0), ({"http": {}, "ws": {}}, 1), ({"kafka": {}}, 1)])
def test_a_channel_that_is_bound_to_http_only_is_none_of_a_websocket(bindings: Any, count: int) -> None:
    document = {"channels": {"main": {"bindings": bindings}}, "operations": {"a": {"channel": ref("channels/main")}}}
    assert len(read(**document).operations) == count


# Version 2


def operations_2(channel: Any, **others: Any) -> list[ApiOperation]:
    return list(read("2.6.0", channels={"/a": channel}, **others).operations)


def test_clients_publish_what_the_application_receives() -> None:
    channel = {
        "subscribe": {"message": {"payload": {"a": 1}}, "operationId": "own", "summary": "S"},
        "publish": {"message": ref("components/messages/said"), "deprecated": True},
        "description": "D",
        "servers": ["one", 3],
        "bindings": {"ws": {"query": {}}},
    }
    sent, received = operations_2(channel, components={"messages": {"said": {"payload": {}}}})
    assert [(each.key, each.receives) for each in (sent, received)] == [("/a publish", True), ("own", False)]
    assert [each.name for each in sent.messages] == ["said"]
    assert [(each.name, each.payload) for each in received.messages] == [("message", {"a": 1})]
    assert (sent.deprecated, received.texts, sent.replies) == (True, ["S", None, None], None)
    assert sent.channel == Channel(
        "/a", "/a", {"said": sent.messages[0]}, {}, {"query": {}}, ["one"], ["D"]
    )  # fmt: skip


def test_alternatives_of_messages_have_the_keys_of_their_references_or_numbers() -> None:
    listed = {"oneOf": [ref("components/messages/said"), {"name": "own"}, {}, {"$ref": "#/components/messages/said"}]}
    (operation,) = operations_2({"publish": {"message": listed}}, components={"messages": {"said": {}}})
    assert [(each.name, each.key) for each in operation.messages] == [
        ("said", "said"), ("own", "message_2"), ("message_3", "message_3"), ("said", "said")
    ]  # fmt: skip
    assert [*operation.channel.messages] == ["said", "own", "message_3"]


def test_an_operation_without_a_message_has_none() -> None:
    (operation,) = operations_2({"publish": {}})
    assert operation.messages == []


def test_parameters_have_their_schema_with_the_texts_beside_it() -> None:
    parameter = {
        "schema": {"type": "string", "description": "Old."},
        "description": "New.",
        "location": "$message",
        "x": 1,
    }
    (operation,) = operations_2({"publish": {}, "parameters": {"a": parameter, "b": {}}})
    assert operation.channel.parameters == {
        "a": {"type": "string", "description": "New.", "location": "$message"}, "b": {}
    }  # fmt: skip


@pytest.mark.parametrize("key", ["x-response", "x-reply"])
def test_an_extension_of_an_operation_names_its_replies(key: str) -> None:
    (operation,) = operations_2({"publish": {key: {"oneOf": [{"name": "a"}, {}]}}})
    assert operation.replies is not None
    assert [each.name for each in operation.replies] == ["a", "response_2"]


@pytest.mark.parametrize(
    ("response", "payload"),
    [({"payload": {"a": 1}}, {"a": 1}), ({"type": "object"}, {"type": "object"}), (ref("x/s"), ref("x/s"))],
)
def test_an_extension_of_a_message_names_its_response(response: Any, payload: Any) -> None:
    (operation,) = operations_2({"publish": {"message": {"x-response": response}}}, x={"s": {"type": "object"}})
    (found,) = operation.messages[0].responses
    assert (found.name, found.payload) == ("response", payload)


def test_a_channel_that_cannot_be_read_is_a_problem_and_no_other() -> None:
    channels = {"/a": {"publish": ref("nowhere"), "subscribe": {}}, "/b": ref("nowhere")}
    api = read("2.6.0", channels=channels)
    assert [each.key for each in api.operations] == ["/a subscribe"]
    nowhere = "the reference '#/nowhere' leads nowhere"
    assert api.problems == [("/a publish", nowhere), ("/b publish", nowhere), ("/b subscribe", nowhere)]


# Viewpoint


def operation(receives: bool, *names: str, text: str = "", **fields: Any) -> ApiOperation:
    messages = [Message(name, {}) for name in names]
    return ApiOperation("op", receives, fields.pop("channel", Channel("c", None, {})), messages, texts=[text], **fields)


def decided(*operations: ApiOperation, option: str = "auto", version: str = "3.0.0", servers: Any = ()) -> Viewpoint:
    return decide(Api("Shop", version, servers, operations, {}, is_version_2=version.startswith("2")), option)


NOTHING = "nothing in the document decides it, and --viewpoint changes it"


@pytest.mark.parametrize(
    ("version", "reason"),
    [("2.6.0", "as the specification says for version 2"), ("3.0.0", "as most documents are written")],
)
def test_a_document_that_says_nothing_has_the_view_of_the_server(version: str, reason: str) -> None:
    assert decided(version=version) == Viewpoint(True, f"{reason}; {NOTHING}")


@pytest.mark.parametrize(("option", "is_server"), [("server", True), ("client", False)])
def test_the_option_decides(option: str, is_server: bool) -> None:
    asked = operation(is_server is False, replies=[Message("m", {})])
    assert decided(asked, option=option) == Viewpoint(is_server, "as --viewpoint says")


BY_CLIENT = "its text says that clients send it"
BY_SERVER = "its text says that the server sends it"


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([operation(True, replies=[Message("m", {})])], Viewpoint(True, "op is received and has a reply")),
        ([operation(False, replies=[Message("m", {})])], Viewpoint(False, "op is sent and has a reply")),
        ([operation(True, replies=[])], Viewpoint(True, f"as most documents are written; {NOTHING}")),
        ([operation(True, text="Sent by the client.")], Viewpoint(True, f"op is received, and {BY_CLIENT}")),
        ([operation(False, text="Client sends.")], Viewpoint(False, f"op is sent, and {BY_CLIENT}")),
        ([operation(True, text="Sent from server.")], Viewpoint(False, f"op is received, and {BY_SERVER}")),
        ([operation(False, text="Pushed to clients.")], Viewpoint(True, f"op is sent, and {BY_SERVER}")),
        ([operation(True, "getThing")], Viewpoint(True, "the messages of op are called like requests")),
        ([operation(False, "thing_updated")], Viewpoint(True, "the messages of op are called like answers")),
        ([operation(True, "statusEvent")], Viewpoint(False, "the messages of op are called like answers")),
        ([operation(True, "thing")], Viewpoint(True, f"as most documents are written; {NOTHING}")),
        ([operation(True, "getThing", "event")], Viewpoint(True, f"as most documents are written; {NOTHING}")),
        ([operation(True, "getA", "event", "result")], Viewpoint(False, "the messages of op are called like answers")),
        # 3 of a reply against 2 of a text and 0.5 of a name
        ([operation(True, "event", text="Sent by the server.", replies=[Message("m", {})])],
         Viewpoint(True, "op is received and has a reply")),
        # 2 of a text against three times 0.5 of a name
        ([operation(True, text="Client sends."), *[operation(True, "event")] * 3],
         Viewpoint(True, f"op is received, and {BY_CLIENT}")),
        ([operation(True, text="Server sends."), *[operation(True, "getThing")] * 3],
         Viewpoint(False, f"op is received, and {BY_SERVER}")),
        # 2 of a text against 2 of another one
        ([operation(True, text="Client sends it; server messages are others.")],
         Viewpoint(True, f"as most documents are written; {NOTHING}")),
        # 1 of bindings against twice 0.5 of a name
        ([operation(True, "event", channel=Channel("c", "/", {}, bindings={"query": {}})), operation(True, "event")],
         Viewpoint(True, f"as most documents are written; {NOTHING}")),
        ([operation(False, channel=Channel("c", "/", {}, bindings={"query": {}}))],
         Viewpoint(True, "its channels have WebSocket bindings")),
    ],
    ids=str,
)  # fmt: skip
def test_the_document_is_asked_whose_view_it_has(operations: Any, expected: Viewpoint) -> None:
    assert decided(*operations) == expected


def test_a_public_server_counts_as_one_vote_for_the_server() -> None:
    servers = [
        ApiServer(key, f"{scheme}://{key}/", scheme) for key, scheme in (("a", "ws"), ("b", "wss"), ("c", "wss"))
    ]
    assert decided(servers=servers) == Viewpoint(True, "it has the public server wss://b/")
    assert decided(servers=servers[:1]).reason.startswith("as most documents")
    two = [operation(True, "event")] * 2
    assert decided(*two, servers=servers).reason.startswith("as most documents")


@pytest.mark.parametrize(("number", "more"), [(2, ""), (3, "; and 1 more reason"), (4, "; and 2 more reasons")])
def test_two_reasons_are_named_each_once(number: int, more: str) -> None:
    reply = [Message("m", {})]
    keys = [f"op{index}" for index in range(number)]
    listed = [ApiOperation(key, True, Channel("c", None, {}), [], reply) for key in (*keys, "op0")]
    against = ApiOperation("odd", True, Channel("c", None, {}), [], texts=["server sends"])
    reasons = "; ".join(f"{key} is received and has a reply" for key in keys[:2])
    assert decided(*listed, against).reason == f"{reasons}{more}"


# Connections


LIVE = ApiServer("live", "wss://live.example.com", "wss")
OTHER = ApiServer("other", "wss://other.example.com/v1/", "wss")
WEB = ApiServer("web", "https://web.example.com", "https")


def connections(*servers: ApiServer, url: str | None = None, schemes: Any = None) -> Connections:
    return Connections(Api("Shop", "3.0.0", servers or [LIVE], [], schemes or {}), url, "api.yaml")


def channel(address: str | None = None, **fields: Any) -> Channel:
    return Channel("c", address, {}, **fields)


def url_of(address: str | None, *servers: ApiServer, url: str | None = None, **fields: Any) -> tuple[str, bool]:
    found = connections(*servers, url=url).of(channel(address, **fields))
    assert found.fields["url"] == found.url
    return found.url, found.own_path


@pytest.mark.parametrize(
    ("address", "servers", "url", "expected"),
    [
        (None, [WEB, LIVE], None, ("wss://live.example.com", False)),
        ("/a", [LIVE], None, ("wss://live.example.com/a", True)),
        ("/", [LIVE], None, ("wss://live.example.com", False)),
        ("topic", [LIVE], None, ("wss://live.example.com", False)),
        ("/a", [OTHER], None, ("wss://other.example.com/v1/a", True)),
        ("/v1", [OTHER], None, ("wss://other.example.com/v1/", False)),
        ("/a", [LIVE], "wss://mine.example.com", ("wss://mine.example.com/a", True)),
        ("/a", [LIVE], "wss://mine.example.com/", ("wss://mine.example.com/a", True)),
        ("/a", [LIVE], "wss://mine.example.com/live", ("wss://mine.example.com/live", False)),
        ("/a", [LIVE], "wss://mine.example.com/a/", ("wss://mine.example.com/a/", False)),
    ],
)
def test_the_address_of_a_channel_is_the_path_of_its_url(address: Any, servers: Any, url: Any, expected: Any) -> None:
    assert url_of(address, *servers, url=url) == expected


def test_a_channel_uses_the_first_websocket_among_its_own_servers() -> None:
    servers = [LIVE, WEB, OTHER]
    assert url_of(None, *servers, servers=["web", "other"]) == ("wss://other.example.com/v1/", False)
    assert url_of(None, *servers, servers=["web", "missing"]) == ("wss://live.example.com", False)
    assert url_of("topic", *servers, bindings={"method": "GET"}) == ("wss://live.example.com/topic", True)


def test_parameters_of_the_address_are_arguments() -> None:
    parameters = {
        "a": {"description": "A.", "location": "x", "examples": ["e"]},
        "b c": {"default": "it's"},
        "cursor": {"type": "integer", "examples": [1], "default": 3},
    }
    found = connections().of(channel("/{a}/{b c}/{cursor}/{d}", parameters=parameters))
    assert found.url == (
        "wss://live.example.com/{{ args.a }}/{{ args.b_c | default('it\\'s') }}/{{ args.cursor_2 | default('3') }}/"
        "{{ args.d }}"
    )
    assert found.inputs == {
        "a": {"type": "string", "description": "A."},
        "b_c": {"type": "string", "default": "it's"},
        "cursor_2": {"type": "integer", "examples": [1], "default": 3},
        "d": {"type": "string"},
    }
    assert found.required == ["a", "d"]


def test_variables_of_the_server_are_no_parameters_of_the_address() -> None:
    server = ApiServer("live", "wss://${HOST}/", "wss")
    assert connections(server).of(channel("/{a}")).url == "wss://${HOST}/{{ args.a }}"
    assert connections(server).of(channel("topic/{a}")).inputs == {}


def properties(*required: str, **named: Any) -> dict[str, Any]:
    return {"properties": {name.replace("__", "-"): each for name, each in named.items()}, "required": [*required]}


def query_of(query: Any, **fields: Any) -> Connection:
    return connections(**fields).of(channel("/a", bindings={"query": query}))


def test_parameters_of_the_query_are_arguments_and_required_only_without_a_default() -> None:
    listed = {"type": "array", "items": TEXT}
    found = query_of(
        properties("a", "b", "wait_seconds", a=TEXT, b={"default": 5}, c=listed, wait_seconds=TEXT, **{"d[e]": TEXT})
    )
    assert found.url == "wss://live.example.com/a"
    assert found.fields["query"] == {
        "a": "{{ args.a }}",
        "b": "{{ args.b }}",
        "c": "{{ args.c }}",
        "wait_seconds": "{{ args.wait_seconds_2 }}",
        "d[e]": "{{ args.d_e }}",
    }
    assert found.required == ["a", "wait_seconds_2"]
    assert found.inputs == {"a": TEXT, "b": {"default": 5}, "c": listed, "wait_seconds_2": TEXT, "d_e": TEXT}
    assert found.variables == {}


def test_a_parameter_with_one_value_is_no_argument() -> None:
    found = query_of(properties("v", v={"const": 2}, t={"const": "{{ x }}"}, token={"const": "public"}))
    assert found.fields["query"] == {"v": 2, "t": "{{ '{{ x }}' }}", "token": "public"}
    assert (found.inputs, found.required, found.variables) == ({}, [], {})


@pytest.mark.parametrize(
    "query",
    [None, "odd", {}, {"properties": "odd"}, properties(**{"{{ x }}": TEXT, "": TEXT}), {"properties": {"a": 1}}],
)
def test_a_query_without_parameters_to_send_is_left_out(query: Any) -> None:
    assert query_of(query).fields == {"url": "wss://live.example.com/a"}


def test_a_query_follows_the_path_and_leaves_out_what_the_url_has() -> None:
    found = query_of(properties("a", a=TEXT, x=TEXT), url="wss://mine.example.com/?x=/1")
    assert (found.url, found.fields["query"]) == ("wss://mine.example.com/a?x=/1", {"a": "{{ args.a }}"})
    assert [*found.inputs] == ["a"]


def test_a_server_can_have_a_query_too() -> None:
    server = ApiServer("live", "wss://live.example.com", "wss", bindings={"query": properties(a=TEXT, b=TEXT)})
    found = connections(server).of(channel("/a", bindings={"query": properties(b=TEXT, c=TEXT)}))
    assert [*found.fields["query"]] == ["a", "b", "c"]


def test_a_key_that_the_credentials_send_is_no_parameter_beside_them() -> None:
    key = {**API_KEY, "in": "query", "name": "q"}
    server = ApiServer("live", "wss://live.example.com", "wss", [key])
    found = connections(server).of(channel("/a", bindings={"query": properties("q", "r", q=TEXT, r=TEXT)}))
    assert found.fields["auth"]["var_name"] == "q"
    assert (found.fields["query"], found.required) == ({"r": "{{ args.r }}"}, ["r"])
    cookie = ApiServer("live", "wss://live.example.com", "wss", [{**key, "in": "cookie"}])
    found = connections(cookie).of(channel("/a", bindings={"query": properties(q=TEXT)}))
    assert found.fields["query"] == {"q": "{{ args.q }}"}


BEARER = {"key": "token", "type": "http", "scheme": "bearer"}


def test_a_secret_of_the_query_is_a_variable_if_it_is_needed() -> None:
    found = query_of(properties("token", token={"description": " The\n token. "}, password=TEXT))
    assert found.fields["query"] == {"token": "${SHOP_TOKEN}", "password": "${SHOP_PASSWORD}"}
    assert found.variables == {"SHOP_TOKEN": "The token.", "SHOP_PASSWORD": "the parameter password of the URL"}
    assert found.inputs == {}


def test_optional_secrets_of_the_query_give_way_to_other_credentials() -> None:
    secured = ApiServer("live", "wss://live.example.com", "wss", [BEARER])
    both = properties("token", token=TEXT, password=TEXT)
    needed = {"token": "${SHOP_TOKEN}"}
    assert connections(secured).of(channel("/a", bindings={"query": both})).fields["query"] == needed
    headers = {"properties": {"X-Api-Key": TEXT}}
    beside = {"query": both, "headers": headers}
    assert connections().of(channel("/a", bindings=beside)).fields["query"] == needed


def test_headers_have_their_value_or_a_variable() -> None:
    headers = properties(
        "X-Needed", X__Const={"const": 1}, X__Default={"default": "d"}, X__Both={"const": "c", "default": "d"},
        X__Needed={"description": "Needed."}, X__Token=TEXT, X__Other=TEXT,
    )  # fmt: skip
    found = connections().of(channel("/a", bindings={"headers": headers}))
    assert found.fields["headers"] == {
        "X-Const": "1", "X-Default": "d", "X-Both": "c", "X-Needed": "${SHOP_X_NEEDED}", "X-Token": "${SHOP_X_TOKEN}"
    }  # fmt: skip
    assert found.variables == {"SHOP_X_NEEDED": "Needed.", "SHOP_X_TOKEN": "the header X-Token"}
    assert "headers" not in connections().of(channel("/a", bindings={"headers": properties(X=TEXT)})).fields


def credentials(*schemes: Any) -> tuple[dict[str, Any], Any]:
    """Return the fields and the variables for the security schemes of a server."""
    found = connections(ApiServer("live", "wss://live.example.com", "wss", schemes)).of(channel())
    return {key: value for key, value in found.fields.items() if key != "url"}, found.variables


BEARER_FIELDS = {"headers": {"Authorization": "Bearer ${SHOP_TOKEN}"}}
API_KEY = {"key": "k", "type": "httpApiKey"}


@pytest.mark.parametrize(
    ("scheme", "fields", "variables"),
    [
        (BEARER, BEARER_FIELDS, {"SHOP_TOKEN": "the bearer token"}),
        ({**BEARER, "description": "It."}, BEARER_FIELDS, {"SHOP_TOKEN": "It."}),
        ({"type": "oauth2"}, BEARER_FIELDS, {"SHOP_TOKEN": "the bearer token"}),
        (
            {"type": "openIdConnect", "key": "k"},
            {"headers": {"Authorization": "Bearer ${SHOP_K}"}},
            {"SHOP_K": "the bearer token"},
        ),
        (
            {**API_KEY, "in": "header", "name": "X-A"},
            {"headers": {"X-A": "${SHOP_K}"}},
            {"SHOP_K": "the header X-A"},
        ),
        (
            {**API_KEY, "in": "header", "name": "X-Token", "description": "It."},
            {"headers": {"X-Token": "${SHOP_X_TOKEN}"}},
            {"SHOP_X_TOKEN": "It."},
        ),
        (
            {**API_KEY, "in": "query", "name": "q"},
            {"auth": {"auth_type": "api_key", "api_key": "${SHOP_K}", "var_name": "q", "location": "query"}},
            {"SHOP_K": "the key q in the query"},
        ),
        (
            {**API_KEY, "in": "cookie", "name": "q", "description": "It."},
            {"auth": {"auth_type": "api_key", "api_key": "${SHOP_K}", "var_name": "q", "location": "cookie"}},
            {"SHOP_K": "It."},
        ),
        (
            {**API_KEY, "in": "header", "name": "Sec-WebSocket-Protocol"},
            {"protocol": ["${SHOP_K}"]},
            {"SHOP_K": "the token that is sent as a subprotocol"},
        ),
        (
            {**API_KEY, "in": "header", "name": "sec-websocket-protocol", "description": "It."},
            {"protocol": ["${SHOP_K}"]},
            {"SHOP_K": "It."},
        ),
        *(
            (
                scheme,
                {"auth": {"auth_type": "basic", "username": "${SHOP_USER}", "password": "${SHOP_PASSWORD}"}},
                {"SHOP_USER": "the name of the user", "SHOP_PASSWORD": "the password of the user"},
            )
            for scheme in ({"type": "userPassword"}, {"type": "HTTP", "scheme": "Basic"})
        ),
        ({"type": "X509"}, {}, {}),
        ({"type": "scramSha256", "name": "sec-websocket-protocol"}, {}, {}),
        ({}, {}, {}),
    ],
    ids=str,
)  # fmt: skip
def test_a_security_scheme_becomes_fields_and_variables(scheme: Any, fields: Any, variables: Any) -> None:
    assert credentials(scheme) == (fields, variables)
    assert credentials({"type": "X509"}, scheme, {"type": "oauth2", "key": "later"} if fields else {}) == (
        fields,
        variables,
    )


def test_the_headers_of_bindings_and_of_a_scheme_are_both_sent() -> None:
    server = ApiServer("live", "wss://live.example.com", "wss", [BEARER])
    found = connections(server).of(channel("/a", bindings={"headers": properties(X={"const": "y"})}))
    assert found.fields["headers"] == {"X": "y", "Authorization": "Bearer ${SHOP_TOKEN}"}


SCHEMES = {
    "basic": {"type": "userPassword"},
    "query": {"type": "httpApiKey", "in": "query", "name": "q"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "protocol": {"type": "httpApiKey", "in": "header", "name": "Sec-WebSocket-Protocol"},
}


def test_where_no_server_says_what_is_needed_a_scheme_is_optional() -> None:
    def fields(*names: str) -> Any:
        chosen = {name: SCHEMES[name] for name in names}
        found = connections(WEB, url="wss://mine.example.com/", schemes=chosen).of(channel())
        return {key: value for key, value in found.fields.items() if key != "url"}, [*found.variables]

    assert fields("basic", "query") == (
        {"query": {"q": "{{ vars.SHOP_QUERY | default(omit) }}"}}, ["SHOP_QUERY"]
    )  # fmt: skip
    assert fields("basic", "bearer", "protocol") == (
        {"protocol": ["{{ vars.SHOP_PROTOCOL | default(omit) }}"]}, ["SHOP_PROTOCOL"]
    )  # fmt: skip
    assert fields("query", "bearer") == (
        {"headers": {"Authorization": "Bearer {{ vars.SHOP_BEARER | default(omit) }}"}}, ["SHOP_BEARER"]
    )  # fmt: skip


def test_a_server_that_needs_nothing_gets_no_scheme_of_the_document() -> None:
    assert connections(LIVE, schemes=SCHEMES).of(channel()).fields == {"url": LIVE.url}


def test_an_endpoint_at_home_has_the_fields_that_it_needs() -> None:
    found = connections(ApiServer("live", "ws://hub.local/{{ x }}", "ws")).of(channel())
    assert found.fields["network"] == {"allow": ["private"], "plaintext": True}
