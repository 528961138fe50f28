"""OpenRPC, and what endpoints without it say of their methods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.peer import peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.model import Description, Event, ImportOptions, Operation, Skipped, Status
from utcp_ws_mcp.importers.openrpc.importer import import_openrpc
from utcp_ws_mcp.importers.openrpc.subscriptions import notification
from utcp_ws_mcp.importers.references import References

from .sides import URL, feeds, imported, problems_of, tools


def document(*methods: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"openrpc": "1.3.2", "info": {"title": "Node"}, "methods": list(methods), **others}


def method(name: str, *params: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"name": name, "params": list(params), "result": {"name": "result"}, **others}


def param(name: str, kind: str = "string", **others: Any) -> dict[str, Any]:
    return {"name": name, "schema": {"type": kind}, **others}


def message_of(result: Any, name: str) -> Any:
    return tools(result)[name]["tool_call_template"]["message"]


def test_names_of_parameters_that_hosts_refuse_are_mapped_in_the_message(tmp_path: Any) -> None:
    each = method("say", param("the text", required=True), param("$top", "integer"), paramStructure="by-name")
    result = imported(document(each))
    assert tools(result)["say"]["inputs"]["required"] == ["the_text"]
    assert problems_of(result, tmp_path) == []
    assert message_of(result, "say")["params"] == {"the text": "{{ args.the_text }}", "$top": "{{ args.top }}"}


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({"a": "1"}, ["1"]),
        ({"a": "1", "c": "3"}, ["1", None, "3"]),
        ({"a": "1", "b": "2"}, ["1", "2"]),
        ({"a": "1", "b": "2", "c": "3"}, ["1", "2", "3"]),
    ],
)
async def test_a_missing_parameter_before_others_is_null_and_one_at_the_end_is_left_out(
    arguments: dict[str, Any], sent: list[Any], tmp_path: Any
) -> None:
    each = method("f", param("a", required=True), param("b"), param("c"), paramStructure="by-position")

    async def answer(_: Any, connection: Any, message: Any) -> None:
        await connection.send(f'{{"jsonrpc": "2.0", "id": {message["id"]}, "result": 1}}')

    async with peer(answer) as server:
        file = tmp_path / "m.json"
        assert problems_of(imported(document(each), url=server.url), tmp_path) == []
        file = tmp_path / "manifest.json"
        async with Bridge.open(file) as bridge:
            await bridge.call_tool("node.f", arguments)
    assert server.received[0]["params"] == sent


def test_the_way_of_parameters_is_what_the_method_says_then_the_option_then_its_style() -> None:
    said = method("a_x", param("p"), paramStructure="by-name")
    silent = method("a_y", param("p"))
    default = imported(document(said, silent))
    assert "tool_call_template" not in tools(default)["a_x"]
    assert message_of(default, "a_y")["params"] == ["{{ args.p }}"]
    chosen = imported(document(said, silent), params="name")
    assert "tool_call_template" not in tools(chosen)["a_y"]


def test_a_method_without_result_is_a_notification_which_nothing_answers() -> None:
    each = {"name": "log", "params": [param("text")]}
    template = tools(imported(document(each)))["log"]["tool_call_template"]
    assert template == {"message": {"jsonrpc": "2.0", "method": "log", "params": "{{ args }}"}, "reply": "none"}


def test_a_server_with_variables_has_their_defaults_and_asks_for_the_others() -> None:
    server = {"url": "wss://{host}/{tenant}/rpc", "variables": {"host": {"default": "a.example.com"}, "tenant": {}}}
    result = imported(document(method("f"), servers=[server]), url=None)
    assert result.manifest["url"] == "wss://a.example.com/${NODE_TENANT}/rpc"


@pytest.mark.parametrize(
    ("servers", "code"), [([], "server-missing"), ([{"url": "https://a.example.com"}], "server-not-websocket")]
)
def test_a_document_without_a_websocket_server_asks_for_the_url(servers: Any, code: str) -> None:
    with pytest.raises(ImportFailed) as failed:
        imported(document(method("f"), servers=servers), url=None)
    assert failed.value.code == code
    assert "--url" in str(failed.value)


def test_a_broken_reference_skips_its_method_only() -> None:
    broken = method("bad", {"name": "x", "schema": {"$ref": "#/components/schemas/Missing"}})
    result = imported(document(method("good"), broken))
    assert [*tools(result)] == ["good"]
    assert [(each.name, "leads nowhere" in each.reason) for each in result.description.skipped] == [("bad", True)]


def test_a_reference_to_itself_skips_its_method_only() -> None:
    schemas = {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}
    circular = method("bad", {"name": "x", "schema": {"$ref": "#/components/schemas/A"}})
    result = imported(document(method("good"), circular, components={"schemas": schemas}))
    assert [each.reason for each in result.description.skipped] == [
        "the reference '#/components/schemas/A' leads to itself"
    ]


def test_a_schema_that_contains_itself_stays_a_reference_to_a_definition(tmp_path: Any) -> None:
    tree = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#/components/schemas/T"}}},
    }
    each = method("plant", {"name": "tree", "required": True, "schema": {"$ref": "#/components/schemas/T"}})
    result = imported(document(each, components={"schemas": {"T": tree}}))
    inputs = tools(result)["plant"]["inputs"]
    assert inputs["properties"]["tree"] == {"$ref": "#/$defs/T"}
    assert inputs["$defs"]["T"]["properties"]["children"]["items"] == {"$ref": "#/$defs/T"}
    assert problems_of(result, tmp_path) == []


def test_methods_of_one_name_and_names_that_are_alike_do_not_hide_each_other() -> None:
    result = imported(document(method("a b"), method("a_b"), method("a b")))
    assert [*tools(result)] == ["a_b", "a_b_2"]
    assert message_of(result, "a_b")["method"] == "a b"
    assert message_of(result, "a_b_2")["method"] == "a_b"
    assert [each.name for each in result.description.skipped] == ["a b (again)"]


def test_the_texts_of_a_document_are_no_templates_and_no_variables(tmp_path: Any) -> None:
    name = "{{ vars.HOME }}${HOME}"
    each = method(name, param("x", description="${HOME} {{ 7 * 7 }}"), summary="${HOME}")
    key = method("f", param("{{ args.x }}"), paramStructure="by-name")
    result = imported(document(each, key))
    assert [skipped.name for skipped in result.description.skipped] == ["f"]
    assert problems_of(result, tmp_path) == []
    (tool,) = tools(result).values()
    assert tool["name"] == "vars.HOME_HOME"
    assert "{{ '" in tool["tool_call_template"]["message"]["method"]


def test_defaults_are_said_in_words_because_they_would_be_sent() -> None:
    each = method("f", {"name": "limit", "schema": {"type": "integer", "default": -1, "description": "At most."}})
    schema = tools(imported(document(each)))["f"]["inputs"]["properties"]["limit"]
    assert schema == {"type": "integer", "description": "At most. Default: -1."}


def events_of(result: Any, name: str) -> dict[str, Any]:
    return feeds(result)[name]


async def follow(server: Any, result: Any, feed: str, arguments: dict[str, Any], folder: Any) -> list[Any]:
    """Return the data of the events of a feed."""
    assert problems_of(result, folder) == []
    async with Bridge.open(folder / "manifest.json") as bridge:
        read = await bridge.call_tool(f"node.{feed}_events", {**arguments, "wait_seconds": 5})
    return [event["data"] for event in read["events"]]


SUBSCRIPTIONS: list[tuple[str, dict[str, Any], str, dict[str, Any], Any, Any, Any]] = [
    (  # Ethereum: the ID is the result, one method ends all subscriptions
        "ethereum",
        document(
            method("eth_subscribe", param("kind", required=True)),
            method("eth_unsubscribe", param("id", required=True)),
        ),
        "eth_subscribe",
        {"kind": "newHeads"},
        "0x1",
        {"method": "eth_subscription", "params": {"subscription": "0x1", "result": {"n": 1}}},
        ["0x1"],
    ),
    (  # jsonrpsee: a pair of methods for each subscription
        "jsonrpsee",
        document(method("subscribe_blocks"), method("unsubscribe_blocks", param("id", required=True))),
        "subscribe_blocks",
        {},
        7,
        {"method": "blocks", "params": {"subscription": 7, "result": {"n": 1}}},
        [7],
    ),
    (  # a word that occurs twice: only the first one becomes the opposite
        "twice",
        document(method("subscribe_subscribers"), method("unsubscribe_subscribers", param("id", required=True))),
        "subscribe_subscribers",
        {},
        7,
        {"method": "subscribers", "params": {"subscription": 7, "result": {"n": 1}}},
        [7],
    ),
    (  # Starknet: notifications are methods without a result
        "starknet",
        document(
            method("s_subscribeHeads", param("block")),
            {"name": "s_subscriptionHeads", "params": [param("subscription_id"), param("result")]},
            method("s_unsubscribe", param("subscription_id", required=True)),
        ),
        "s_subscribeHeads",
        {},
        "9",
        {"method": "s_subscriptionHeads", "params": {"subscription_id": "9", "result": {"n": 1}}},
        ["9"],
    ),
    (  # rpckit: subscriptions stand outside of the methods
        "rpckit",
        document(
            method("other"),
            **{
                "x-rpc-subscriptions": [
                    {
                        "name": "count",
                        "subscribe": "count.subscribe",
                        "unsubscribe": "count.unsubscribe",
                        "params": {"type": "object", "properties": {"start": {"type": "integer"}}},
                    }
                ]
            },
        ),
        "count",
        {"start": 1},
        {"subscriptionId": "s"},
        {"method": "count", "params": {"subscriptionId": "s", "payload": {"n": 1}}},
        {"subscriptionId": "s"},
    ),
]


@pytest.mark.parametrize(
    ("api", "feed", "arguments", "reply", "event", "ended"),
    [case[1:] for case in SUBSCRIPTIONS],
    ids=[case[0] for case in SUBSCRIPTIONS],
)
async def test_a_subscription_is_a_feed_that_begins_reads_and_ends_it(
    api: Any, feed: str, arguments: dict[str, Any], reply: Any, event: Any, ended: Any, tmp_path: Any
) -> None:
    import json

    async def answer(_: Any, connection: Any, message: Any) -> None:
        if "unsubscribe" in message["method"]:
            return
        foreign = json.loads(json.dumps(event).replace('"0x1"', '"0x2"').replace('"9"', '"8"').replace(": 7", ": 6"))
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": reply}))
        if foreign != event:
            await connection.send(json.dumps({"jsonrpc": "2.0", **foreign}))
        await connection.send(json.dumps({"jsonrpc": "2.0", **event}))

    async with peer(answer) as server:
        data = await follow(server, imported(api, url=server.url), feed, arguments, tmp_path)
        await server.until(lambda: len(server.received) == 2)
    assert data == [{"n": 1}]
    assert "unsubscribe" in server.received[1]["method"]
    assert server.received[1]["params"] == ended


def test_a_method_that_ends_a_subscription_is_assumed_where_the_document_has_none(tmp_path: Any) -> None:
    result = imported(document(method("eth_subscribe", param("kind", required=True))))
    assert feeds(result)["eth_subscribe"]["close"]["method"] == "eth_unsubscribe"
    assert any("does not have: eth_unsubscribe" in line for line in result.report)
    assert problems_of(result, tmp_path) == []


async def test_a_method_that_listens_is_a_feed_without_this_argument(tmp_path: Any) -> None:
    import json

    each = method("Device.onChanged", param("listen", "boolean", required=True))

    async def answer(_: Any, connection: Any, message: Any) -> None:
        for result in ({"listening": message["params"]["listen"], "event": "changed"}, {"volume": 3}):
            await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))

    async with peer(answer) as server:
        result = imported(document(each), url=server.url)
        assert "inputs" not in events_of(result, "Device.onChanged")
        data = await follow(server, result, "Device.onChanged", {}, tmp_path)
        await server.until(lambda: len(server.received) == 2)
    assert data == [{"volume": 3}]
    assert [message["params"] for message in server.received] == [{"listen": True}, {"listen": False}]


LARGE = {
    "Order": {
        "type": "object",
        "properties": {f"p{number}": {"$ref": f"#/components/schemas/P{number}"} for number in range(50)},
    },
    **{f"P{number}": {"type": "object", "properties": {"x": {"type": "string"}}} for number in range(48)},
    "P48": {"type": "string", "enum": ["a", "b"]},
    "P49": True,
}


def test_of_too_many_schemas_the_deeper_ones_only_say_their_type_and_their_fields(tmp_path: Any) -> None:
    order = {"name": "order", "required": True, "schema": {"$ref": "#/components/schemas/Order"}}
    result = imported(document(method("buy", order), components={"schemas": LARGE}))
    properties = tools(result)["buy"]["inputs"]["properties"]["order"]["properties"]
    assert properties["p0"] == {"type": "object", "description": "P0 with the fields x."}
    assert properties["p48"] == {"type": "string", "enum": ["a", "b"], "description": "P48."}
    assert properties["p49"] == {"description": "P49"}
    assert problems_of(result, tmp_path) == []


def test_events_can_be_streams_or_nothing() -> None:
    api = SUBSCRIPTIONS[0][1]
    stream = tools(imported(api, events="streams"))["eth_subscribe"]
    assert stream["tool_call_template"]["stream"]["cancel"]["method"] == "eth_unsubscribe"
    nothing = imported(document(*api["methods"], method("eth_call")), events="none")
    assert ([*tools(nothing)], feeds(nothing)) == (["eth_call"], {})


KODI = {
    "methods": {
        "Player.Stop": {"type": "method", "params": [{"name": "playerid", "required": True, "$ref": "Player.Id"}]},
        "Player.GetItem": {
            "permission": "ReadData",
            "params": [{"name": "limits", "type": [{"type": "integer", "minimum": 0}, {"type": "string"}]}],
        },
    },
    "types": {"Player.Id": {"id": "Player.Id", "type": "integer", "minimum": 0, "required": True}},
    "notifications": {"Player.OnStop": {}},
}
MOPIDY = {
    "core.get_version": {"description": "Get version.", "params": []},
    "core.mixer.set_volume": {
        "description": "Set volume.",
        "params": [{"name": "volume"}, {"name": "x", "default": 1}],
    },
}
TRUENAS = {
    "pool.query": {
        "description": "Pools.",
        "accepts": [{"_name_": "filters", "type": "array", "_required_": False}],
        "returns": [{}],
    },
    "pool.export": {"description": "Export.", "accepts": [{"_name_": "id", "type": "integer"}], "job": True},
}


def test_what_kodi_says_is_imported_with_its_old_schemas(tmp_path: Any) -> None:
    result = imported({"jsonrpc": "2.0", "id": 1, "result": KODI})
    assert tools(result)["Player.Stop"]["inputs"]["properties"]["playerid"] == {"type": "integer", "minimum": 0}
    limits = tools(result)["Player.GetItem"]["inputs"]["properties"]["limits"]
    assert limits == {"anyOf": [{"minimum": 0, "type": "integer"}, {"type": "string"}]}
    assert tools(result)["Player.GetItem"]["annotations"] == {"readOnlyHint": True}
    assert feeds(result)["notifications"]["match"] == "message.method == 'Player.OnStop'"
    assert problems_of(result, tmp_path) == []


def test_what_mopidy_says_is_imported_with_its_preset(tmp_path: Any) -> None:
    result = imported(MOPIDY)
    assert result.manifest["preset"] == "mopidy"
    assert tools(result)["core.mixer.set_volume"]["inputs"]["required"] == ["volume"]
    assert feeds(result)["mopidy"]["match"] == "message.event is defined"
    assert problems_of(result, tmp_path) == []


def test_what_truenas_says_is_imported_by_position(tmp_path: Any) -> None:
    result = imported(TRUENAS)
    assert message_of(result, "pool.query")["params"] == ["{{ args.filters }}"]
    assert tools(result)["pool.query"]["annotations"] == {"readOnlyHint": True}
    assert tools(result)["pool.export"]["inputs"]["required"] == ["id"]
    assert problems_of(result, tmp_path) == []


def test_an_openrpc_document_without_methods_is_refused() -> None:
    with pytest.raises(ImportFailed, match=r"no array \"methods\"") as failed:
        imported({"openrpc": "1.3.2"})
    assert failed.value.code == "not-a-description"


# Whole methods


def described(content: Any, others: Any = None, **options: Any) -> Description:
    given = ImportOptions(**{"url": URL, **options})
    return import_openrpc(content, References(content, others), given, "api.json")


def operations(*methods: Any, **others: Any) -> dict[str, Operation]:
    return {each.name: each for each in described(document(*methods, **others)).operations}


def tool_of(each: Any, **others: Any) -> dict[str, Any]:
    (operation,) = operations(each, **others).values()
    assert operation.tool is not None
    return operation.tool


def test_a_method_is_a_whole_tool() -> None:
    each = method("clearAll", param("x"), summary="Clears.", description="More.", tags=[{"name": "admin"}])
    assert operations(each)["clearAll"] == Operation(
        "clearAll",
        tool={
            "name": "clearAll",
            "description": "Clears.",
            "inputs": {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": False},
            "annotations": {"readOnlyHint": False, "destructiveHint": True},
            "tags": ["admin"],
        },
        tags=["admin"],
    )
    assert "tags" not in tool_of(method("clearAll"))
    assert tool_of(method("clearAll", description="More."))["description"] == "More."


def test_a_method_whose_name_hosts_refuse_is_called_by_its_own_name() -> None:
    tool = tool_of(method("a/b", param("x")))
    assert tool["name"] == "a_b"
    assert tool["tool_call_template"] == {
        "message": {"jsonrpc": "2.0", "id": "{{ request_id }}", "method": "a/b", "params": "{{ args }}"}
    }


def test_a_method_without_a_result_is_sent_without_an_id_in_the_form_of_its_parameters() -> None:
    each = {"name": "log", "params": [param("a b")]}
    assert tool_of(each)["tool_call_template"] == {
        "message": {"jsonrpc": "2.0", "method": "log", "params": ["{{ args.a_b }}"]},
        "reply": "none",
    }


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"name": "balance"}, "Returns: balance."),
        ({"name": "balance", "description": "The balance. Of it"}, "Returns: The balance. Of it."),
        ({"name": "balance", "summary": "It"}, "Returns: It."),
        ({"name": "balance", "schema": {"description": "The number."}}, "Returns: The number."),
        ({"name": "balance", "schema": {"title": "Number"}}, "Returns: Number."),
        ({"name": "balance", "schema": {"$ref": "#/x/s"}}, "Returns: Referred."),
        ({"$ref": "#/x/r"}, "Returns: Shared."),
        ({"name": "Result"}, ""),
        ({"name": "null"}, ""),
        ({"name": "None"}, ""),
        ({"name": ""}, ""),
        ({}, ""),
        ({"name": 3}, ""),
        ({"name": "balance", "schema": {"$ref": "#/nowhere"}}, ""),
        ({"$ref": "#/nowhere"}, ""),
        ("odd", ""),
        ({"schema": "odd"}, ""),
    ],
    ids=str,
)
def test_the_result_of_a_method_is_described_where_something_is_said_of_it(result: Any, said: str) -> None:
    shared = {"s": {"description": "Referred"}, "r": {"name": "r", "summary": "Shared"}}
    tool = tool_of(method("f", summary="Does.", result=result), x=shared)
    assert tool["description"] == f"Does. {said}".strip()


@pytest.mark.parametrize(
    ("others", "status"),
    [
        ({}, Status.STABLE),
        ({"deprecated": False}, Status.STABLE),
        ({"deprecated": "yes"}, Status.STABLE),
        ({"deprecated": True}, Status.DEPRECATED),
        ({"tags": ["Deprecated", "experimental"]}, Status.DEPRECATED),
        ({"tags": ["EXPERIMENTAL"]}, Status.EXPERIMENTAL),
    ],
    ids=str,
)
def test_the_status_of_a_method_is_said_by_a_field_or_a_tag(others: Any, status: Status) -> None:
    assert operations(method("f", **others))["f"].status is status


@pytest.mark.parametrize(
    ("others", "reads"),
    [
        ({}, False),
        ({"x-read-only": True}, True),
        ({"x-readonly": True}, True),
        ({"x-read-only": False, "summary": "Returns it."}, False),
        ({"x-read-only": "yes"}, False),
        ({"summary": "Returns it."}, True),
        ({"description": "Returns it."}, True),
        ({"tags": ["property:readonly"]}, True),
        ({"tags": ["property"]}, True),
        ({"tags": ["a:property"]}, False),
    ],
    ids=str,
)
def test_a_method_reads_if_a_field_a_tag_or_a_text_says_so(others: Any, reads: bool) -> None:
    operation = operations(method("f", **others))["f"]
    assert operation.read_only is reads
    assert operation.tool is not None
    assert operation.tool["annotations"]["readOnlyHint"] is reads


def test_tags_are_names_or_references_to_objects_with_names() -> None:
    tags = [{"name": "a"}, "b", {"$ref": "#/x/t"}, {"$ref": "#/nowhere"}, {"name": "${c}"}, {"name": 3}, 4, {}]
    assert operations(method("f", tags=tags), x={"t": {"name": "d"}})["f"].tags == ["a", "b", "d"]
    assert operations(method("f", tags="a"))["f"].tags == []


@pytest.mark.parametrize("tag", ["rpc-only", "internal"])
def test_a_method_that_is_not_for_callers_is_skipped(tag: str) -> None:
    result = described(document(method("f", tags=["x", tag]), method("g")))
    assert [each.name for each in result.operations] == ["g"]
    assert result.skipped == [Skipped("f", "its tag says that it is not for callers")]


def test_what_cannot_be_read_is_skipped_by_its_name_or_place() -> None:
    result = described(
        document(
            method("f"),
            {"name": ""},
            {"params": []},
            "odd",
            {"$ref": "#/nowhere"},
            {"name": "g", "params": [{"$ref": "#/nowhere"}]},
            {"name": 7},
            {"$ref": "#/x/m"},
            method("f"),
            {"name": "h", "result": {}, "params": {"a": 1}},
            x={"m": method("shared")},
        )
    )
    assert [each.name for each in result.operations] == ["f", "shared", "h"]
    assert [(each.name, each.reason) for each in result.skipped] == [
        ("methods[1]", "it has no name"),
        ("methods[2]", "it has no name"),
        ("methods[3]", "it has no name"),
        ("#/nowhere", "the reference '#/nowhere' leads nowhere"),
        ("g", "the reference '#/nowhere' leads nowhere"),
        ("7", "it has no name"),
        ("f (again)", "the document has it twice"),
    ]


def test_methods_and_messages_of_subscriptions_are_no_tools() -> None:
    result = described(
        document(
            method("eth_subscribe", param("kind", required=True), result={"name": "id", "schema": {"$ref": "#/x/s"}}),
            method("eth_unsubscribe", "odd", param("the id", required=True), param("x"), paramStructure="by-name"),
            {"name": "eth_subscription", "params": []},
            {"name": "net_event", "params": [], "deprecated": True, "tags": ["t"]},
            method("listen_a", param("listen", "boolean"), param("b"), tags=["t"], paramStructure="by-position"),
            x={"s": {"properties": {"id": {}}}},
        )
    )
    assert result.skipped == [
        Skipped("eth_unsubscribe", "feeds end their subscriptions by themselves"),
        Skipped("eth_subscription", "it is what the feeds of the subscriptions return"),
    ]
    subscribed, event, listening = result.operations
    assert (subscribed.name, subscribed.read_only, subscribed.tool) == ("eth_subscribe", True, None)
    assert subscribed.feed is not None
    assert subscribed.feed["close"] == {
        "jsonrpc": "2.0", "id": "{{ next_id() }}", "method": "eth_unsubscribe",
        "params": {"the id": "{{ reply.result.id }}"},
    }  # fmt: skip
    assert event == Operation(
        "net_event", event=notification("net_event"), tags=["t"], read_only=True, status=Status.DEPRECATED
    )
    assert (listening.name, listening.read_only, listening.tags) == ("listen_a", True, ["t"])
    assert listening.feed is not None
    assert listening.feed["open"][0]["send"]["params"] == {"b": "{{ args.b }}", "listen": True}


def test_arguments_of_feeds_are_none_of_those_that_every_feed_has() -> None:
    (operation,) = operations(method("subscribe", param("cursor"))).values()
    assert operation.feed is not None
    assert [*operation.feed["inputs"]["properties"]] == ["cursor_2"]


SUBSCRIBED = {"name": "count", "subscribe": "count.begin", "summary": "Counts.", "unsubscribe": "count.end"}


def test_a_subscription_outside_of_the_methods_is_a_whole_feed() -> None:
    inputs = {"type": "object", "properties": {"from": {"type": "integer"}, "to": {}}, "required": ["from"]}
    (operation,) = operations(**{"x-rpc-subscriptions": [{**SUBSCRIBED, "params": inputs}]}).values()
    assert (operation.name, operation.read_only, operation.tool) == ("count", True, None)
    assert operation.feed is not None
    assert operation.feed["name"] == "count"
    assert operation.feed["description"] == "Counts."
    assert operation.feed["inputs"] == {**inputs, "additionalProperties": False}
    assert operation.feed["open"][0]["send"] == {
        "jsonrpc": "2.0", "id": "{{ request_id }}", "method": "count.begin",
        "params": {"from": "{{ args.from }}", "to": "{{ args.to }}"},
    }  # fmt: skip
    assert operation.feed["close"] == {
        "jsonrpc": "2.0", "id": "{{ next_id() }}", "method": "count.end",
        "params": {"subscriptionId": "{{ reply.result.subscriptionId }}"},
    }  # fmt: skip


def test_a_subscription_outside_of_the_methods_may_only_say_how_it_begins() -> None:
    found = operations(**{"x-rpc-subscriptions": [{"subscribe": "begin", "unsubscribe": 3}]})
    assert found["begin"].feed is not None
    assert found["begin"].feed["close"]["method"] == "begin.unsubscribe"
    assert "inputs" not in found["begin"].feed


def test_a_subscription_that_is_a_method_as_well_is_read_once() -> None:
    result = described(document(method("count.begin"), **{"x-rpc-subscriptions": [SUBSCRIBED]}))
    assert [each.name for each in result.operations] == ["count.begin"]


def test_a_subscription_that_cannot_be_expressed_is_skipped() -> None:
    odd = {**SUBSCRIBED, "params": {"$ref": "#/nowhere"}}
    result = described(document(**{"x-rpc-subscriptions": [odd, {"subscribe": "other"}]}))
    assert [each.name for each in result.operations] == ["other"]
    assert [each.name for each in result.skipped] == ["count"]


def test_notifications_outside_of_the_methods_are_events() -> None:
    assert operations(notifications=[{"name": "changed"}])["changed"] == Operation(
        "changed", event=notification("changed"), read_only=True
    )


# Whole documents


def test_a_document_has_the_title_the_version_and_the_preset() -> None:
    result = described(document(method("f")))
    assert (result.title, result.version) == ("Node", "1.3.2")
    assert result.endpoints == {"": {"url": URL, "preset": "jsonrpc2"}}
    bare = described({"methods": [method("f")], "info": "odd"})
    assert (bare.title, bare.version) == ("api", "")
    preset = {**document(method("f")), "x-preset": "own"}
    assert described(preset).endpoints[""]["preset"] == "own"
    assert described(preset, preset="given").endpoints[""]["preset"] == "given"


@pytest.mark.parametrize(
    ("servers", "url"),
    [
        ([{"url": "https://a/"}, {"url": "wss://b/"}], "wss://b/"),
        ({"url": "wss://b/"}, "wss://b/"),
        (["odd", {"url": 3}, {"url": "b"}, {}, {"url": "wss://${host}/", "variables": {"host": {"default": "b"}}}], "wss://b/"),
        ([{"url": "wss://{host}/", "variables": {"host": {"$ref": "#/x/v"}}}], "wss://c/"),
    ],
    ids=str,
)  # fmt: skip
def test_the_first_websocket_server_is_the_endpoint(servers: Any, url: str) -> None:
    content = document(method("f"), servers=servers, x={"v": {"default": "c"}})
    assert described(content, url=None).endpoints[""]["url"] == url


def test_the_servers_of_methods_follow_those_of_the_document() -> None:
    content = document("odd", method("f", servers=[{"url": "wss://f/"}]))
    assert described(content, url=None).endpoints[""]["url"] == "wss://f/"
    assert described({**content, "servers": [{"url": "wss://a/"}]}, url=None).endpoints[""]["url"] == "wss://a/"


WHERE, CHANGES = "where the document does not say it", "--params changes it."
SILENT, SAID = method("f", param("a")), method("g", param("a"), paramStructure="by-name")


@pytest.mark.parametrize(
    ("methods", "option", "note"),
    [
        ([SAID], None, None),
        ([SAID, method("h", paramStructure="by-position")], None, None),
        ([], None, None),
        ([SILENT, SAID], None, f"name {WHERE}, because the specification allows it for every method; {CHANGES}"),
        ([method("f", param("a b"))], None, f"position {WHERE}, because 'a b' would be no usual name; {CHANGES}"),
        ([SILENT], "position", f"position {WHERE}, as --params says."),
        ([method("eth_f", param("a"))], "name", f"name {WHERE}, as --params says."),
    ],
    ids=str,
)  # fmt: skip
def test_the_way_of_parameters_is_noted_where_the_document_does_not_say_it(
    methods: Any, option: str | None, note: str | None
) -> None:
    notes = described(document(*methods), params=option).notes
    assert notes == [f"Endpoint: {URL}.", *([f"Parameters are sent by {note}"] if note else [])]


def test_methods_that_are_assumed_are_noted_once() -> None:
    content = document(method("a_subscribe", paramStructure="by-name"), method("subscribe_b", paramStructure="by-name"))
    assert described(content).notes[1:] == [
        "Subscriptions are ended by methods that the document does not have: a_unsubscribe, unsubscribe_b. Check close."
    ]
    (first, _) = described(content).operations
    assert first.feed is not None
    assert first.feed["close"]["params"] == {"subscription": "{{ reply.result }}"}
    by_position = described(content, params="position").operations[0].feed
    assert by_position is not None
    assert by_position["close"]["params"] == ["{{ reply.result }}"]


def test_the_events_of_mopidy_are_added_to_its_methods_only() -> None:
    mopidy = {**document(method("f")), "x-preset": "mopidy"}
    last = described(mopidy).operations[-1]
    assert last == Operation(
        "events",
        event=Event(
            "mopidy",
            "message.event is defined",
            None,
            {"description": "What Mopidy does, such as track_playback_started.", "item": "message"},
        ),
        read_only=True,
    )
    assert len(described(document(method("f"))).operations) == 1
