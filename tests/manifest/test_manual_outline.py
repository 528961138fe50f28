"""What the tools of a manual from the network may cost together."""

from __future__ import annotations

import pytest

from tests.manifest.test_remote_manual import entry_of, read
from utcp_ws_mcp.manifest.manual_outline import (
    MANUAL_BUDGET,
    MAX_TOOL_BYTES,
    MAX_TOOL_EXPRESSIONS,
    MAX_TOOL_VALUES,
    outline_manual,
)
from utcp_ws_mcp.manifest.remote_manual import read_manual, read_manual_in_steps
from utcp_ws_mcp.manifest.steps import complete


def schema(**properties):
    return {"type": "object", "properties": properties}


TOOLS = {
    "bytes": {"inputs": schema(a={"enum": ["x" * 60_000]}), "outputs": schema(a={"enum": ["x" * 60_000]})},
    "values": {"inputs": schema(**{f"p{index}": {"type": "string", "title": "x"} for index in range(600)})},
    "patterns": {"inputs": schema(**{f"p{index}": {"type": "string", "pattern": "^a$"} for index in range(60)})},
    "expressions": {"tool_call_template": {"message": ["{{ args.a if args.b else args.c }}"] * 120}},
}


@pytest.mark.parametrize(("kind", "tool"), TOOLS.items(), ids=TOOLS)
def test_a_manual_whose_tools_cost_too_much_together_offers_the_first_of_them(kind, tool):
    alone, warnings = read({"name": "t", **tool})
    assert len(alone) == 1
    assert warnings == []

    tools, (warning,) = read(*({"name": f"t{index}", **tool} for index in range(128)))
    assert 0 < len(tools) < 128
    assert kind in warning
    assert f"Only the first {len(tools)} of its tools are offered. [manual-too-large]" in warning


def test_the_budget_of_a_manual_grows_with_the_tools_that_the_manifest_allows():
    listed = [{"name": f"t{index}", **TOOLS["values"]} for index in range(100)]

    few, _ = read(*listed)
    many, _ = read(*listed, max_tools=1000)

    assert len(few) < len(many) == 100


LARGE = {
    "bytes": {"message": "x" * MAX_TOOL_BYTES},
    "values": {"message": [0] * MAX_TOOL_VALUES},
    "expressions": {"message": ["{{ args.a + 1 }}"] * (MAX_TOOL_EXPRESSIONS // 40)},
}


@pytest.mark.parametrize("template", LARGE.values(), ids=LARGE)
def test_a_tool_that_is_too_large_is_skipped_and_the_others_are_offered(template):
    tools, (warning,) = read({"name": "large", "tool_call_template": template}, {"name": "t"})

    assert [tool.tool.name for tool in tools] == ["t"]
    assert "tools[0]: the tool has more than" in warning
    assert warning.endswith("Tool skipped. [remote-tool-invalid]")


def test_tools_that_are_skipped_count_for_the_budget_too():
    large = {"tool_call_template": LARGE["values"]}

    outline = complete(outline_manual({"tools": [{"name": f"t{index}", **large} for index in range(128)]}, entry_of()))

    assert len(outline.tools) <= 128 * MANUAL_BUDGET["values"] / MAX_TOOL_VALUES


def test_a_schema_that_refers_to_itself_very_often_is_refused_at_once():
    many = schema(**{f"p{index}": {"$ref": "#"} for index in range(600)})

    tools, (warning,) = read({"name": "t", "inputs": many})

    assert tools == []
    assert "[schema-too-complex]" in warning


def test_reading_that_takes_too_long_ends_with_the_tools_read_so_far():
    document = {"tools": [{"name": f"t{index}"} for index in range(5)]}
    steps = read_manual_in_steps(complete(outline_manual(document, entry_of())), entry_of())
    next(steps)
    steps.send(False)
    with pytest.raises(StopIteration) as done:
        steps.send(True)

    tools, (warning,) = done.value.value
    assert [tool.tool.name for tool in tools] == ["t0", "t1"]
    assert "it takes too long to read. Only the first 2 of its tools are offered. [manual-too-large]" in warning


def test_the_digest_of_a_manual_says_whether_it_must_be_read_again():
    def digest(*tools):
        return complete(outline_manual({"tools": list(tools)}, entry_of())).digest

    one, other = {"name": "a", "description": "x"}, {"name": "a", "description": "y"}
    assert digest(one) == digest(dict(reversed(one.items())))
    assert len({digest(one), digest(other), digest(one, one), digest()}) == 4


@pytest.mark.parametrize("document", [None, [], {}, {"tools": {}}, {"tools": [None, 1, [], "t"]}])
def test_a_document_of_any_shape_is_read_without_an_exception(document):
    tools, warnings = read_manual(document, entry_of())

    assert tools == []
    assert warnings
