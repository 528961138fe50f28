"""References of a schema: their targets, and those that have none."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.tools.mcp_schema import host_schema
from utcp_ws_mcp.core.tools.schema_references import REFERENCES, References

NULL, TEXT = {"type": "null"}, {"type": "string"}
ROOT: dict[str, Any] = {
    "$id": "https://here.example/schema#",
    "anyOf": [NULL, TEXT],
    "$defs": {
        "yes": True,
        "a/b~c": TEXT,
        "a b": NULL,
        "named": {"$anchor": "anchor", **NULL},
        "older": {"id": "#older", **TEXT},
        "dynamic": {"$dynamicAnchor": "dynamic", **TEXT},
        "list": [{"$anchor": "in-a-list", **NULL}],
    },
    "title": "text",
}
TARGETS: dict[str, Any] = {
    "#": ROOT,
    "https://here.example/schema#/anyOf/0": NULL,
    "#/anyOf/0": NULL,
    "#/anyOf/1": TEXT,
    "#/$defs/yes": True,
    "#/$defs/a~1b~0c": TEXT,
    "#/$defs/a%20b": NULL,
    "#anchor": {"$anchor": "anchor", **NULL},
    "#older": {"id": "#older", **TEXT},
    "#dynamic": {"$dynamicAnchor": "dynamic", **TEXT},
    "#in-a-list": {"$anchor": "in-a-list", **NULL},
}
NOWHERE = [
    "#/anyOf/2",
    "#/anyOf/7",
    "#/anyOf/-1",
    "#/anyOf/x",
    "#/anyOf/²",
    "#/anyOf",
    "#/title",
    "#/title/0",
    "#/none/0",
]
NOWHERE += ["#nothing", "https://other.example/schema", "https://other.example/schema#/anyOf/0", "other.json#anchor"]


@pytest.mark.parametrize(("reference", "target"), TARGETS.items())
def test_a_reference_has_its_target_each_time(reference: str, target: Any) -> None:
    references = References(ROOT)
    assert references.target(reference) == target
    assert references.target(reference) == target


@pytest.mark.parametrize("reference", NOWHERE)
def test_a_reference_without_a_target_gives_none(reference: str) -> None:
    assert References(ROOT).target(reference) is None


@pytest.mark.parametrize("reference", NOWHERE)
def test_hosts_get_a_schema_also_with_a_reference_that_leads_nowhere(reference: str) -> None:
    shown = host_schema({**ROOT, "type": "object", "properties": {"a": {"$ref": reference}}})
    assert "$ref" not in str(shown.schema["properties"])


@pytest.mark.parametrize("keyword", REFERENCES)
def test_every_keyword_of_references_is_known(keyword: str) -> None:
    assert References(ROOT).of({keyword: "#"}) == "#"
    assert References(ROOT).of({keyword: 5}) is None
    assert References(ROOT).of({}) is None
