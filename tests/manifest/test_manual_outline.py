"""What the tools of a manual from the network may cost together."""

from __future__ import annotations

import pytest

from tests.manifest.test_remote_manual import entry_of, read
from utcp_ws_mcp.manifest.manual_outline import outline_manual
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
    "bytes": {"message": "x" * (256 << 10)},
    "values": {"message": [0] * 5000},
    "expressions": {"message": ["{{ args.a + 1 }}"] * 250},
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

    assert len(outline.tools) <= 128 * 400 / 5000


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


def outline_of(*tools, **fields):
    return complete(outline_manual({"tools": list(tools)}, entry_of(**fields)))


def nested(depth):
    return {"a": nested(depth - 1)} if depth else 1


VALUES = "the tool has more than 5,000 values, or too many or too long expressions."
AT_A_LIMIT = {
    # A tool has the values name, template, message and the list itself beside those that are counted.
    "values": (lambda count: {"name": "t", "tool_call_template": {"message": [0] * (count - 4)}}, 5000, VALUES),
    # An expression costs 40 beside its characters.
    "expressions": (
        lambda count: {"name": "t", "tool_call_template": {"message": ["{{" + "a" * 10 + "}}"] * (count // 50)}},
            10_000,
        VALUES,
    ),
    "levels": (lambda depth: {"inputs": nested(depth - 1)}, 128, "the tool is nested more than 128 levels deep."),
}  # fmt: skip


@pytest.mark.parametrize(("build", "limit", "said"), AT_A_LIMIT.values(), ids=AT_A_LIMIT)
def test_a_tool_at_a_limit_is_read_and_one_above_is_not(build, limit, said):
    (kept,) = outline_of(build(limit)).tools
    assert kept.problem is None
    assert kept.raw == build(limit)
    (skipped,) = outline_of(build(limit + (50 if said == VALUES and limit == 10_000 else 1))).tools
    assert (skipped.raw, str(skipped.problem)) == (None, f"{said} [remote-tool-invalid]")


def test_a_tool_of_too_many_bytes_is_not_read():
    (kept,) = outline_of({"name": "x" * (255 << 10)}).tools
    assert kept.problem is None
    (skipped,) = outline_of({"name": "x" * (257 << 10)}).tools
    assert str(skipped.problem) == "the tool has more than 256 KiB. [remote-tool-invalid]"
    assert "xx" not in repr(kept)


@pytest.mark.parametrize("tool", [None, 1, "t", ["t"]])
def test_what_is_no_object_is_no_tool(tool):
    (skipped,) = outline_of(tool).tools
    assert str(skipped.problem) == "expected a tool (an object). [remote-tool-invalid]"


def test_only_the_first_tools_of_a_manual_are_offered():
    tools = [{"name": f"t{index}"} for index in range(4)]
    assert outline_of(*tools[:3], max_tools=3).warnings == ()
    outline = outline_of(*tools, max_tools=3)
    assert [tool.raw["name"] for tool in outline.tools] == ["t0", "t1", "t2"]
    assert outline.warnings == (
        'my_api: the manual has 4 tools; only the first 3 are offered. Raise "max_tools" for more. [too-many-tools]',
    )


COSTS = {
    # What all tools may have together: 128 times the budget of one.
    "bytes": ({"name": "t", "description": "x" * 200_000}, 128 * (32 << 10) // 200_031),
    "values": ({"tool_call_template": {"message": [0] * 3997}}, 128 * 400 // 4000),
    "patterns": ({"inputs": {"anyOf": [{"pattern": "a"}] * 100}}, 128 * 8 // 100),
    "characters of expressions": (
        {"tool_call_template": {"message": ["{{" + "a" * 10 + "}}"] * 100}}, 128 * 1000 // 5000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", COSTS)
@pytest.mark.parametrize("max_tools", [64, 128, 256])
def test_the_tools_of_a_manual_have_a_budget_together(kind, max_tools):
    tool, count = COSTS[kind]
    offered = count * max_tools // 128 if max_tools > 128 else count
    outline = outline_of(*[tool] * 64, max_tools=max_tools)
    assert len(outline.tools) in ((min(offered, 64),) if max_tools <= 128 else (min(offered, 64), min(offered + 1, 64)))
    if offered < 63:
        said = f"it has too many {kind}. Only the first {len(outline.tools)} of its tools are offered."
        assert outline.warnings == (f"my_api: the manual is too large: {said} [manual-too-large]",)


def test_reading_ends_when_it_takes_too_long():
    steps = outline_manual({"tools": [{"name": "a"}, {"name": "b"}]}, entry_of())
    next(steps)
    with pytest.raises(StopIteration) as done:
        steps.send(True)
    assert [tool.raw["name"] for tool in done.value.value.tools] == ["a"]
    said = "it takes too long to read. Only the first 1 of its tools are offered."
    assert done.value.value.warnings == (f"my_api: the manual is too large: {said} [manual-too-large]",)


def test_equal_tools_have_equal_digests():
    first, second, third = outline_of({"name": "a", "x": 1}, {"x": 1, "name": "a"}, {"name": "b"}).tools
    assert first.digest == second.digest != third.digest
    assert outline_of({"name": "a"}).digest != outline_of({"name": "b"}).digest
    assert complete(outline_manual(None, entry_of())).digest == ""
