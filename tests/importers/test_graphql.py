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

from .sides import feeds, imported, problems_of, tools

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


def test_an_input_of_which_one_field_is_given_says_so() -> None:
    result = imported("input By @oneOf { id: ID, name: String }\ntype Query { person(by: By!): Int }")
    one_of = tools(result)["person"]["inputs"]["properties"]["by"]
    assert (one_of["minProperties"], one_of["maxProperties"]) == (1, 1)
