"""Schemas from the network: what could hold the loop is left out, what is usual stays."""

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
ENDLESS = {
    "references that double with every step": about({"$ref": "#/$defs/a0"}, **{"$defs": {**DOUBLED, "a30": {}}}),
    "a property twice": recursive({"anyOf": [{"properties": {"l": HERE}}, {"properties": {"l": HERE}}]}),
    "a property by name and by pattern": recursive({"properties": {"l": HERE}, "patternProperties": {"l": HERE}}),
    "elements twice": recursive({"items": HERE, "contains": HERE}),
    "itself twice": recursive({"allOf": [HERE, HERE]}),
}
USUAL = {
    "a tree": recursive({"properties": {"left": HERE, "right": HERE}}),
    "any JSON": recursive({"anyOf": [{"items": HERE}, {"additionalProperties": HERE}, {"type": "string"}]}),
    "conditions": recursive({"anyOf": [{"properties": {key: {"items": HERE}}} for key in ("and", "or")]}),
    "a list in a list": recursive({"items": {"items": HERE}}),
    "the whole again": {"type": "object", "properties": {"child": {"$ref": "#"}}},
    "something used often": about({"allOf": [HERE] * 50}, **NODE),
}


@pytest.mark.parametrize("schema", ENDLESS.values(), ids=ENDLESS)
def test_a_schema_that_could_take_for_ever_is_left_out(schema: dict[str, object]) -> None:
    assert expansion_problem(schema) is not None


@pytest.mark.parametrize("schema", USUAL.values(), ids=USUAL)
def test_a_usual_schema_that_refers_to_itself_stays(schema: dict[str, object]) -> None:
    assert schema_problem(schema) is None


COSTLY = [r"(?<=(a|aa)+)b", r"(?!b)(a+)+$", r"(a*)\1", r"(\w{50}){19}", r"\p{L}{500}", r"\d{1001}", "a" * 513]


@pytest.mark.parametrize("pattern", COSTLY)
def test_a_pattern_that_could_take_long_is_left_out(pattern: str) -> None:
    assert schema_problem(about({"pattern": pattern})) is not None
    assert schema_problem(about({"patternProperties": {pattern: {}}})) is not None


@pytest.mark.parametrize(
    "pattern", [r"^(a+)+$", r"^[\w.+-]{1,64}@[\w-]{1,63}\.\w{2,}$", r"^\p{L}{1,64}$", r"\d{4}-\d{2}"]
)
def test_a_usual_pattern_stays(pattern: str) -> None:
    assert schema_problem(about({"pattern": pattern})) is None


def test_what_is_opened_is_noted_while_it_is_watched(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text("{}")
    watch = AuditRecorder()
    file.read_text()
    watch.enabled = True
    file.read_text()
    watch.enabled = False

    assert watch.opened == [f"open {str(file)!r}"]


@pytest.mark.parametrize("schema", [None, 5, "x", [], [{"$ref": "#"}]], ids=repr)
def test_what_is_no_object_refers_to_nothing(schema: object) -> None:
    assert expansion_problem(schema) is None
