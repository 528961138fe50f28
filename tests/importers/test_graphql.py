"""GraphQL: custom scalars, unions, interfaces, input objects, defaults, deprecated fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphql import build_schema, introspection_from_schema

from tests.peer import peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.graphql import selections
from utcp_ws_mcp.importers.graphql.importer import import_graphql
from utcp_ws_mcp.importers.model import Description, ImportOptions, Operation, Skipped, Status

from .sides import URL, feeds, imported, problems_of, tools

SCHEMA = '''
"""A moment."""
scalar DateTime
scalar JSON
scalar Upload
enum Order { ASC DESC }
interface Node { id: ID! }
type Person implements Node { id: ID!, name: String!, friends: [Person!]!, born: DateTime }
type Robot implements Node { id: ID!, model: String }
union Being = Person | Robot
type Connection { edges: [Edge!]!, pageInfo: Page! }
type Edge { node: Person!, cursor: String }
type Page { hasNextPage: Boolean! }
input Filter { name: String, any: [Filter!], since: DateTime = "2020", order: Order! }
type Query {
  "One person."
  person(id: ID!): Person
  people(first: Int! = 10, filter: Filter): Connection!
  beings: [Being!]!
  node(id: ID!): Node
  raw(data: JSON): JSON
  old: String @deprecated(reason: "use raw")
}
type Mutation { rename(id: ID!, name: String!): Person, upload(file: Upload!): Boolean }
type Subscription { born(where: String): Person! }
'''


def query_of(result: Any, name: str) -> str:
    return str(tools(result)[name]["tool_call_template"]["message"]["payload"]["query"])


def test_queries_are_imported_and_mutations_only_if_asked_for(tmp_path: Any) -> None:
    result = imported(SCHEMA)
    assert {*tools(result)} == {"person", "people", "beings", "node", "raw", "old"}
    assert tools(result)["person"]["annotations"] == {"readOnlyHint": True}
    assert tools(result)["person"]["description"] == "One person. Returns Person."
    assert problems_of(result, tmp_path) == []
    assert "--all imports those as well; --include GLOB or --tag NAME imports only what it names." in result.report
    assert {*tools(imported(SCHEMA, tags=["mutation"]))} == {"rename"}
    assert {"rename", "person"} <= {*tools(imported(SCHEMA, everything=True))}
    assert [each.name for each in result.description.skipped] == ["upload"]


def test_an_argument_with_a_default_can_be_left_out() -> None:
    result = imported(SCHEMA)
    assert query_of(result, "people").startswith("query ($first: Int, $filter: Filter) { people(first: $first, ")
    assert "required" not in tools(result)["people"]["inputs"]


def test_input_objects_enums_and_scalars_are_schemas() -> None:
    inputs = tools(imported(SCHEMA))["people"]["inputs"]
    assert inputs["properties"]["filter"] == {"$ref": "#/$defs/Filter"}
    definition = inputs["$defs"]["Filter"]
    assert definition["required"] == ["order"]
    assert definition["properties"]["order"] == {"type": "string", "enum": ["ASC", "DESC"]}
    assert definition["properties"]["since"] == {"type": "string", "description": "A moment."}
    assert definition["properties"]["any"] == {"type": "array", "items": {"$ref": "#/$defs/Filter"}}


def test_the_selection_has_values_and_deeper_levels_if_asked_for() -> None:
    assert query_of(imported(SCHEMA), "person").endswith("{ person(id: $id) { id name born } }")
    deep = query_of(imported(SCHEMA, depth=2), "person")
    assert deep.endswith("{ person(id: $id) { id name born friends { id name born } } }")
    assert query_of(imported(SCHEMA), "raw") == "query ($data: JSON) { raw(data: $data) }"


def test_without_levels_a_query_asks_only_for_values() -> None:
    assert query_of(imported(SCHEMA, depth=0), "person").endswith("{ person(id: $id) { id name born } }")
    assert query_of(imported(SCHEMA, depth=0), "people").endswith("filter: $filter) { __typename } }")


def test_a_selection_that_would_be_too_long_has_fewer_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selections, "MAX_SELECTION", 60)
    deep = query_of(imported(SCHEMA, depth=9), "person")
    assert deep.endswith("{ person(id: $id) { id name born friends { id name born } } }")


def test_the_levels_of_a_connection_are_none() -> None:
    assert "edges { cursor node { id name born } } pageInfo { hasNextPage }" in query_of(imported(SCHEMA), "people")


def test_unions_and_interfaces_select_what_each_type_has() -> None:
    result = imported(SCHEMA)
    assert "{ __typename ... on Person { id name born } ... on Robot { id model } }" in query_of(result, "beings")
    assert "{ __typename id ... on Person { name born } ... on Robot { model } }" in query_of(result, "node")


def test_every_query_is_valid_for_its_schema() -> None:
    from graphql import parse, validate

    schema = build_schema(SCHEMA)
    for depth in range(4):
        result = imported(SCHEMA, depth=depth, everything=True)
        queries = [query_of(result, name) for name in tools(result)]
        queries += [feed["open"][0]["send"]["payload"]["query"] for feed in feeds(result).values()]
        assert [error for query in queries for error in validate(schema, parse(query))] == []


def test_an_answer_to_the_introspection_query_is_the_same_as_the_text() -> None:
    answer = introspection_from_schema(build_schema(SCHEMA))
    assert tools(imported({"data": answer})) == tools(imported(dict(answer)))
    assert {*tools(imported({"data": answer}))} == {*tools(imported(SCHEMA))}


async def test_a_subscription_is_a_feed_and_ends_with_complete(tmp_path: Any) -> None:
    async def answer(_: Any, connection: Any, message: Any) -> None:
        if message["type"] == "connection_init":
            await connection.send(json.dumps({"type": "connection_ack"}))
        elif message["type"] == "subscribe":
            for name in ("Ada", "Bob"):
                data = {"data": {"born": {"name": name}}}
                await connection.send(json.dumps({"id": message["id"], "type": "next", "payload": data}))

    async with peer(answer, subprotocols=["graphql-transport-ws"]) as server:
        result = imported(SCHEMA, url=server.url)
        assert [*feeds(result)["born"]["inputs"]["properties"]] == ["where_2"]  # `where` is an argument of every feed
        assert problems_of(result, tmp_path) == []
        async with Bridge.open(tmp_path / "manifest.json") as bridge:
            name = result.manifest["name"]
            read = await bridge.call_tool(f"{name}.born_events", {"where_2": "x", "wait_seconds": 5})
        await server.until(lambda: server.received[-1]["type"] == "complete")
    assert [event["data"] for event in read["events"]] == [{"name": "Ada"}, {"name": "Bob"}]
    assert server.received[1]["payload"]["variables"] == {"where": "x"}


def test_a_subscription_as_a_stream_keeps_its_end() -> None:
    stream = tools(imported(SCHEMA, events="streams"))["born"]["tool_call_template"]
    assert stream["stream"] == {"max_items": 20, "max_seconds": 20}


@pytest.mark.parametrize("text", ["type Query { a: Missing }", "type Query {", "type Query { a(: Int }"])
def test_a_schema_that_cannot_be_read_says_why(text: str) -> None:
    with pytest.raises(ImportFailed) as failed:
        imported(text)
    assert failed.value.code == "description-not-readable"


@pytest.mark.parametrize("name", ["", "no name", 3])
def test_an_introspection_with_a_name_that_is_none_is_refused(name: Any) -> None:
    kind = {"kind": "ENUM", "name": "Kind", "enumValues": [{"name": name}]}
    query = {"kind": "OBJECT", "name": "Query", "fields": [], "interfaces": []}
    document = {"data": {"__schema": {"queryType": {"name": "Query"}, "types": [query, kind], "directives": []}}}
    with pytest.raises(ImportFailed) as failed:
        import_graphql(document, ImportOptions(url="wss://a.example"), "api.json")
    assert failed.value.code == "description-not-readable"


def test_an_input_of_which_one_field_is_given_says_so() -> None:
    result = imported("input By @oneOf { id: ID, name: String }\ntype Query { person(by: By!): Int }")
    one_of = tools(result)["person"]["inputs"]["properties"]["by"]
    assert (one_of["minProperties"], one_of["maxProperties"]) == (1, 1)


# Whole operations


def described(schema: Any, source: str = "https://a/shop.graphql.json", **options: Any) -> Description:
    return import_graphql(schema, ImportOptions(**{"url": URL, **options}), source)


def operations(fields: str, types: str = "", kind: str = "Query", **options: Any) -> dict[str, Operation]:
    base = "" if kind == "Query" else "type Query { a: Int }\n"
    found = described(f"{base}type {kind} {{ {fields} }}\n{types}", **options).operations
    return {each.name: each for each in found}


def tool_of(fields: str, types: str = "", **options: Any) -> dict[str, Any]:
    (operation,) = operations(fields, types, **options).values()
    assert operation.tool is not None
    return operation.tool


def query(fields: str, types: str = "", **options: Any) -> str:
    tool = tool_of(fields, types, **options)
    return str(tool["tool_call_template"]["message"]["payload"]["query"])


def test_a_query_is_a_whole_tool() -> None:
    assert operations("find(what: String!, limit: Int): Int")["find"] == Operation(
        "find",
        tool={
            "name": "find",
            "description": "Find. Returns Int.",
            "inputs": {
                "type": "object",
                "properties": {"what": {"type": "string"}, "limit": {"type": "integer"}},
                "required": ["what"],
                "additionalProperties": False,
            },
            "annotations": {"readOnlyHint": True},
            "tags": ["query"],
            "tool_call_template": {
                "message": {
                    "id": "{{ request_id }}",
                    "type": "subscribe",
                    "payload": {
                        "query": "query ($what: String!, $limit: Int) { find(what: $what, limit: $limit) }",
                        "variables": {"what": "{{ args.what }}", "limit": "{{ args.limit }}"},
                    },
                },
                "reply": {
                    "result": "message.payload if message.payload.errors is defined else message.payload.data.find"
                },
            },
        },
        tags=["query"],
        read_only=True,
    )


def test_a_mutation_changes_something_and_is_imported_only_if_asked_for() -> None:
    found = operations('"Removes all." removeAll: Int @deprecated(reason: "")', kind="Mutation")["removeAll"]
    assert found.tool is not None
    assert found.tool["annotations"] == {"readOnlyHint": False, "destructiveHint": True}
    assert found.tool["description"] == "Removes all. Returns Int."
    payload = {"query": "mutation { removeAll }"}
    assert found.tool["tool_call_template"]["message"]["payload"] == payload
    assert "stream" not in found.tool["tool_call_template"]
    assert (found.read_only, found.only_if_asked, found.tags) == (False, True, ["mutation"])
    assert found.status is Status.DEPRECATED


def test_a_subscription_is_a_whole_feed() -> None:
    found = operations("news(cursor: Int!): Int", kind="Subscription")["news"]
    message = {
        "id": "{{ request_id }}",
        "type": "subscribe",
        "payload": {
            "query": "subscription ($cursor: Int!) { news(cursor: $cursor) }",
            "variables": {"cursor": "{{ args.cursor_2 }}"},
        },
    }
    assert found == Operation(
        "news",
        feed={
            "name": "news",
            "description": "News. Returns Int.",
            "inputs": {
                "type": "object",
                "properties": {"cursor_2": {"type": "integer"}},
                "required": ["cursor_2"],
                "additionalProperties": False,
            },
            "open": [{"send": message}],
            "match": "message.id == request_id and message.type == 'next'",
            "item": "message.payload.data.news | default(message.payload)",
            "close": {"id": "{{ request_id }}", "type": "complete"},
        },
        tags=["subscription"],
        read_only=True,
    )
    plain = operations("news: Int", kind="Subscription")["news"].feed
    assert plain is not None
    assert "inputs" not in plain


def test_a_subscription_as_a_stream_is_a_tool_that_reads() -> None:
    found = operations("news: Int", kind="Subscription", events="streams")["news"]
    assert (found.feed, found.read_only, found.only_if_asked) == (None, True, False)
    assert found.tool is not None
    assert found.tool["tool_call_template"]["stream"] == {"max_items": 20, "max_seconds": 20}
    assert found.tool["annotations"] == {"readOnlyHint": True}


def test_operations_of_one_name_have_the_name_of_their_kind() -> None:
    schema = "type Query { a: Int } type Mutation { a: Int } type Subscription { a: Int }"
    found = described(schema).operations
    assert [each.name for each in found] == ["a", "mutation a", "subscription a"]
    assert [(each.tool or each.feed or {})["name"] for each in found] == ["a", "a_2", "a_3"]


def test_a_required_file_cannot_be_sent_and_an_optional_one_is_left_out() -> None:
    fields = "a(e: Upload, f: Upload!): Int b(f: Upload, g: [Upload], c: Int): Int d(f: [Upload!]!, g: Upload!): Int"
    schema = f"scalar Upload type Query {{ {fields} }}"
    result = described(schema)
    assert [each.name for each in result.operations] == ["b"]
    assert result.skipped == [Skipped("a", "its argument 'f' is a file"), Skipped("d", "its argument 'f' is a file")]
    assert result.operations[0].tool is not None
    assert [*result.operations[0].tool["inputs"]["properties"]] == ["c"]


# Arguments


def argument(kind: str, types: str = "") -> Any:
    inputs = tool_of(f"f(a: {kind}): Int", types)["inputs"]
    return inputs["properties"]["a"]


@pytest.mark.parametrize(
    ("kind", "types", "schema"),
    [
        ("Int", "", {"type": "integer"}),
        ("Float", "", {"type": "number"}),
        ("ID", "", {"type": "string"}),
        ("Boolean!", "", {"type": "boolean"}),
        ("[[Int!]!]", "", {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
        ("E", '"Which." enum E { A B }', {"type": "string", "enum": ["A", "B"], "description": "Which."}),
        ("S", "scalar S", {"type": "string", "description": "S"}),
        ("S", '"A\\n moment." scalar S', {"type": "string", "description": "A moment."}),
        ("BigInt", "scalar BigInt", {"type": ["number", "string"], "description": "BigInt"}),
        *(
            (name, f"scalar {name}", {"type": ["number", "string"], "description": name})
            for name in ("int64", "Long", "Decimal", "Number", "Bignum", "Float8", "Double", "Timestamp")
        ),
        ("Interval", "scalar Interval", {"type": "string", "description": "Interval"}),
        *((name, f"scalar {name}", {"description": name}) for name in ("JSON5", "Map", "AnyValue", "Dict", "object")),
        ("Mapping", "scalar Mapping", {"type": "string", "description": "Mapping"}),
        ("S", '"' + "x" * 301 + '" scalar S', {"type": "string", "description": "x" * 300}),
        (
            "I",
            '"An input." input I { "It." a: Int! b: E = A c: [I!] } enum E { A }',
            None,
        ),
    ],
    ids=str,
)  # fmt: skip
def test_the_type_of_an_argument_is_a_schema(kind: str, types: str, schema: Any) -> None:
    if schema is not None:
        assert argument(kind, types) == schema
        return
    inputs = tool_of("f(a: I): Int", types)["inputs"]
    assert inputs["$defs"]["I"] == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "description": "It."},
            "b": {"type": "string", "enum": ["A"]},
            "c": {"type": "array", "items": {"$ref": "#/$defs/I"}},
        },
        "additionalProperties": False,
        "required": ["a"],
        "description": "An input.",
    }


def test_an_input_without_required_fields_has_none() -> None:
    assert argument("I", "input I { a: Int }") == {
        "type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False
    }  # fmt: skip
    assert tool_of('f("It." a: Int): Int')["inputs"]["properties"]["a"]["description"] == "It."


@pytest.mark.parametrize(
    ("arguments", "declared"),
    [
        ("a: Int!", "$a: Int!"),
        ("a: Int! = 1", "$a: Int"),
        ("a: [Int!]! = []", "$a: [Int!]"),
        ("a: Int = 1", "$a: Int"),
        ("a: [Int]", "$a: [Int]"),
    ],
)
def test_an_argument_with_a_default_is_declared_as_one_that_may_be_missing(arguments: str, declared: str) -> None:
    assert query(f"f({arguments}): Int") == f"query ({declared}) {{ f(a: $a) }}"


# Selections


TREE = "type T { v: Int old: Int @deprecated with(a: Int!): Int t: T u: U } type U { w: Int t: T }"


@pytest.mark.parametrize(
    ("depth", "selected"),
    [
        (0, "{ v }"),
        (1, "{ v }"),
        (2, "{ v t { v } u { w } }"),
        (3, "{ v t { v } u { w t { v } } }"),
    ],
)
def test_a_selection_has_the_levels_that_are_asked_for(depth: int, selected: str) -> None:
    assert query("f: T", TREE, depth=depth) == f"query {{ f {selected} }}"


@pytest.mark.parametrize(
    ("types", "depth", "selected"),
    [
        ("type T { nodes: [N] } type N { v: Int }", 0, "{ __typename }"),
        ("type T { nodes: [N] } type N { v: Int }", 1, "{ nodes { v } }"),
        ("type T { a: A } type A { b: B } type B { c: C } type C { v: Int }", 1, "{ __typename }"),
        ("type T { a: A } type A { b: B } type B { v: Int }", 1, "{ a { b { v } } }"),
        ("type T { a: A } type A { b: B } type B { c: C } type C { v: Int }", 2, "{ a { b { c { v } } } }"),
        ("type T { v: Int node: N edges: N } type N { w: Int }", 1, "{ v node { w } edges { w } }"),
        ("type T { v: Int other: N } type N { w: Int }", 1, "{ v }"),
        ("type T { v(a: Int!): Int }", 1, "{ __typename }"),
        ("type T { v(a: Int! = 1): Int }", 1, "{ v }"),
    ],
)  # fmt: skip
def test_objects_that_only_lead_to_others_are_no_level(types: str, depth: int, selected: str) -> None:
    assert query("f: T", types, depth=depth) == f"query {{ f {selected} }}"


def test_up_to_12_types_of_a_union_are_selected() -> None:
    def types(number: int) -> str:
        members = "".join(f"type M{index} {{ v: Int }}\n" for index in range(number))
        return members + "union T = " + " | ".join(f"M{index}" for index in range(number))

    assert query("f: T", types(12)).count("... on") == 12
    assert query("f: T", types(13)).count("... on") == 12


def test_the_types_of_a_union_have_at_most_one_level_of_their_own() -> None:
    types = "union T = A type A { v: Int b: B } type B { w: Int }"
    assert query("f: T", types, depth=3) == "query { f { __typename ... on A { v } } }"
    empty = "union T = A type A { b(x: Int!): Int }"
    assert query("f: T", empty) == "query { f { __typename } }"


def test_an_interface_selects_its_own_fields_once() -> None:
    types = "interface T { v: Int b: B } type A implements T { v: Int b: B w: Int } type B { x: Int }"
    assert query("f: T", types) == "query { f { __typename v ... on A { w } } }"
    assert query("f: T", types, depth=2) == "query { f { __typename v b { x } ... on A { w } } }"


def test_a_selection_may_have_20000_characters() -> None:
    names = [f"{'x' * 197}{number}" for number in range(10, 99)]
    fields = " ".join(f"{name}: Int" for name in names)
    assert selections.MAX_SELECTION == 20_000
    below = f"type B {{ {fields} }}"
    assert "b {" in query("f: T", f"type T {{ v: Int b: B }} {below}", depth=2)
    two = query("f: T", f"type T {{ v: Int b: B c: B }} {below}", depth=2)
    assert two == "query { f { v } }"
    wide = " ".join(f"{name}: Int" for name in [*names, *(f"{name}y" for name in names)])
    assert query("f: T", f"type T {{ v: Int nodes: [B] }} type B {{ {wide} }}") == "query { f { v } }"
    assert len(query("f: T", f"type T {{ {wide} }}")) > selections.MAX_SELECTION


# Descriptions


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("wss://api.shop.example.com/graphql", "example"),
        ("wss://shop.com:8443/", "shop"),
        ("wss://api.graphql.com/", "graphql"),
        ("wss://localhost/", "graphql"),
        ("ws://127.0.0.1:9/", "graphql"),
        ("wss://1.shop.com/", "shop"),
        ("wss://9.com/", "9"),
    ],
)
def test_an_endpoint_has_the_name_of_its_host(url: str, title: str) -> None:
    result = described("type Query { a: Int }", url=url)
    assert result.title == title
    assert result.endpoints[""]["url"] == url
    assert result.endpoints[""]["preset"] == "graphql-transport-ws"


@pytest.mark.parametrize(("depth", "levels"), [(0, "0 levels"), (1, "1 level"), (2, "2 levels")])
def test_the_levels_of_results_are_noted(depth: int, levels: str) -> None:
    result = described("type Query { a: Int }", depth=depth, preset="mine")
    assert result.notes == [f"Endpoint: {URL}.", f"Results have {levels} of fields; --depth selects more."]
    assert result.endpoints[""]["preset"] == "mine"


def test_a_directive_that_a_schema_does_not_define_is_ignored() -> None:
    assert [*operations("a: Int @unknown")] == ["a"]


def test_a_schema_without_a_url_asks_for_one() -> None:
    with pytest.raises(ImportFailed) as refused:
        described("type Query { a: Int }", url=None)
    assert refused.value.code == "server-missing"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("type Query {", "Syntax Error"),
        ({"__schema": {"types": [{"kind": "ODD", "name": "A"}]}}, "A"),
        ({"__schema": None}, ""),
        ({"data": 3}, ""),
    ],
)
def test_what_is_no_schema_says_why_in_one_line(document: Any, reason: str) -> None:
    with pytest.raises(ImportFailed) as refused:
        described(document)
    assert refused.value.code == "description-not-readable"
    assert "shop.graphql.json is no GraphQL schema that can be read: " in refused.value.message
    assert refused.value.message.endswith(". Correct it.")
    assert reason in refused.value.message
    assert "\n" not in refused.value.message
    assert ".." not in refused.value.message
