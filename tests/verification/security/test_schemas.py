"""Schemas from the network: expensive schemas and patterns are rejected, usual ones are accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from utcp_ws_mcp.manifest.sanitize import schema_problem
from utcp_ws_mcp.manifest.schema_limits import expansion_problem
from verification.security.hostile_schemas import AuditRecorder
from verification.security.schemas import about

HERE = {"$ref": "#/$defs/n"}
NODE = {"$defs": {"n": {}}}


def recursive(schema: object) -> dict[str, object]:
    return about(HERE, **{"$defs": {"n": schema}})


DOUBLED = {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(30)}
EXPENSIVE_SCHEMAS = {
    "references that double at each level": about({"$ref": "#/$defs/a0"}, **{"$defs": {**DOUBLED, "a30": {}}}),
    "a property twice": recursive({"anyOf": [{"properties": {"l": HERE}}, {"properties": {"l": HERE}}]}),
    "a property by name and by pattern": recursive({"properties": {"l": HERE}, "patternProperties": {"l": HERE}}),
    "elements twice": recursive({"items": HERE, "contains": HERE}),
    "two references to itself": recursive({"allOf": [HERE, HERE]}),
}
USUAL_SCHEMAS = {
    "a tree": recursive({"properties": {"left": HERE, "right": HERE}}),
    "any JSON": recursive({"anyOf": [{"items": HERE}, {"additionalProperties": HERE}, {"type": "string"}]}),
    "conditions": recursive({"anyOf": [{"properties": {key: {"items": HERE}}} for key in ("and", "or")]}),
    "a list in a list": recursive({"items": {"items": HERE}}),
    "a reference to the root": {"type": "object", "properties": {"child": {"$ref": "#"}}},
    "something used often": about({"allOf": [HERE] * 50}, **NODE),
}


@pytest.mark.parametrize("schema", EXPENSIVE_SCHEMAS.values(), ids=EXPENSIVE_SCHEMAS)
def test_a_schema_with_an_exponential_expansion_is_rejected(schema: dict[str, object]) -> None:
    assert expansion_problem(schema) is not None


@pytest.mark.parametrize("schema", USUAL_SCHEMAS.values(), ids=USUAL_SCHEMAS)
def test_a_usual_recursive_schema_is_accepted(schema: dict[str, object]) -> None:
    assert schema_problem(schema) is None


EXPENSIVE_PATTERNS = [
    r"(?<=(a|aa)+)b",
    r"(?!b)(a+)+$",
    r"(a*)\1",
    r"(\w{50}){19}",
    r"\p{L}{500}",
    r"\d{1001}",
    "a" * 513,
]


@pytest.mark.parametrize("pattern", EXPENSIVE_PATTERNS)
def test_an_expensive_pattern_is_rejected(pattern: str) -> None:
    assert schema_problem(about({"pattern": pattern})) is not None
    assert schema_problem(about({"patternProperties": {pattern: {}}})) is not None


@pytest.mark.parametrize(
    "pattern", [r"^(a+)+$", r"^[\w.+-]{1,64}@[\w-]{1,63}\.\w{2,}$", r"^\p{L}{1,64}$", r"\d{4}-\d{2}"]
)
def test_a_usual_pattern_is_accepted(pattern: str) -> None:
    assert schema_problem(about({"pattern": pattern})) is None


def test_files_are_recorded_only_while_the_recorder_is_enabled(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text("{}")
    recorder = AuditRecorder()
    file.read_text()
    recorder.enabled = True
    file.read_text()
    recorder.enabled = False

    assert recorder.opened == [f"open {str(file)!r}"]


@pytest.mark.parametrize("schema", [None, 5, "x", [], [{"$ref": "#"}]], ids=repr)
def test_a_schema_that_is_not_an_object_has_no_references(schema: object) -> None:
    assert expansion_problem(schema) is None
