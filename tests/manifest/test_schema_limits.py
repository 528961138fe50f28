"""How far the references of a schema from the network are followed."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.manifest.schema_limits import MAX_EXPANDED_PARTS, expansion_problem

TWICE = {
    "the whole schema": ("#", "several ways"),
    "a definition": ("#/$defs/a", "several ways"),
    "another document": ("other.json/$defs/a", None),
    "another place of the schema": ("#/properties/a", None),
    "a definition with another spelling": ("#/%24defs/a", None),
}


@pytest.mark.parametrize(("reference", "problem"), TWICE.values(), ids=TWICE)
def test_only_references_to_definitions_and_the_whole_schema_are_followed(reference: str, problem: str | None) -> None:
    twice: dict[str, Any] = {"allOf": [{"$ref": reference}, {"$ref": reference}]}
    found = expansion_problem({"$defs": {"a": twice}, "properties": {"a": twice}, "anyOf": [twice]})
    assert found is None if problem is None else problem in str(found)


def test_the_parts_of_a_schema_are_counted_up_to_the_limit() -> None:
    assert expansion_problem({"anyOf": [{}] * (MAX_EXPANDED_PARTS - 1)}) is None
    assert "more than 10,000 parts" in str(expansion_problem({"anyOf": [{}] * MAX_EXPANDED_PARTS}))
