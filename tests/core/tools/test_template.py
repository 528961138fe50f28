from pathlib import PurePath

import pytest

from utcp_ws_mcp.core.diagnostics import Diagnostics
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.core.tools.template import SharedParts, TemplateCompiler
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.models.call_template import CALL_FIELDS, CONNECTION_FIELDS, CONNECTION_SETTINGS, CallTemplate
from utcp_ws_mcp.manifest.remote_manual import read_manual
from utcp_ws_mcp.manifest.variables import VariableResolver


def entry_of(*tools, **fields):
    document = [{"name": "m", "url": "wss://a.example/ws", "tools": list(tools), **fields}]
    return load_document(document, VariableResolver([{}]), "m.json", PurePath()).entries[0]


def test_each_field_of_a_call_template_concerns_its_connection_or_one_call():
    assert set(CallTemplate.model_fields) == CONNECTION_FIELDS | CALL_FIELDS
    assert set() == CONNECTION_FIELDS & CALL_FIELDS
    assert set(CONNECTION_SETTINGS) <= CONNECTION_FIELDS


def test_what_the_network_wrote_shares_nothing_with_what_the_manifest_wrote():
    entry = entry_of({"name": "own"})
    remote, _ = read_manual({"tools": [{"name": "t", "tool_call_template": {"timeout": 5}}, {"name": "plain"}]}, entry)
    compiler, diagnostics = TemplateCompiler(entry), Diagnostics("")
    own, written, plain = (compiler.compile_template(tool, diagnostics) for tool in (*entry.tools, *remote))

    assert own.handshake is not written.handshake
    assert own is plain
    assert diagnostics.problems == []


def test_a_template_that_is_wrong_is_wrong_for_each_tool():
    entry = entry_of({"name": "a", "tool_call_template": {"message": "{{ nope }}"}})
    compiler = TemplateCompiler(entry)
    for _ in range(2):
        diagnostics = Diagnostics("t")
        compiler.compile_template(entry.tools[0], diagnostics)

        assert [problem.path for problem in diagnostics.problems] == ["t.message"]


def compiled_together(*entries):
    """Return the compiled tools of the entries of one manifest, and what is wrong with them."""
    manifest = load_document(list(entries), VariableResolver([{"A": "1", "B": "2"}]), "m.json", PurePath())
    shared = SharedParts()
    compiled = [compile_entry(entry, shared) for entry in manifest.entries]
    return [tools for tools, _ in compiled], [str(problem) for _, found in compiled for problem in found]


def entry(name, **fields):
    return {"name": name, "url": f"wss://{name}.example/ws", "tools": [{"name": "t"}], **fields}


def test_entries_that_differ_in_their_urls_share_everything_but_their_handshakes():
    rules = {"reply": {"match": "message.id == request_id"}, "fail_when": "message.bye"}
    ((one,), (two,)), problems = compiled_together(entry("one", **rules), entry("two", **rules))
    a, b = one.compiled_template, two.compiled_template

    assert problems == []
    assert (a.rules is b.rules, a.request is b.request) == (True, True)
    assert a.handshake.connection_rules is b.handshake.connection_rules
    assert [each.handshake.url.sample for each in (a, b)] == ["wss://one.example/ws", "wss://two.example/ws"]


STEP = {"http": {"method": "POST", "url": "https://one.example/login"}, "capture": {"t": "body.t"}}
DIFFERENT = {
    "another rule": ({"reply": {"match": "message.a"}}, {"reply": {"match": "message.b"}}),
    "another variable": ({"message": "{{ vars.A }}"}, {"message": "{{ vars.B }}"}),
    "steps over HTTP, which may go to the server of the URL": ({"before_message": [STEP]}, {"before_message": [STEP]}),
}


@pytest.mark.parametrize(("first", "second"), DIFFERENT.values(), ids=DIFFERENT)
def test_entries_share_nothing_with(first, second):
    ((one,), (two,)), _ = compiled_together(entry("one", **first), entry("two", **second))

    assert one.compiled_template.rules is not two.compiled_template.rules


def test_what_is_wrong_in_several_entries_is_reported_for_each():
    tools, problems = compiled_together(
        *(entry(name, message="{{ nope }}", reply={"match": "message.id =="}) for name in ("one", "two"))
    )

    assert tools == [[], []]
    assert [problem.partition(":")[0] for problem in problems] == [
        *("[0].message", "[0].reply.match"),
        *("[1].message", "[1].reply.match"),
    ]


INPUTS = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}, "m": {"type": "string"}}}


def test_tools_with_equal_inputs_share_the_compiled_schema():
    tools = [{"name": "a", "inputs": INPUTS}, {"name": "b", "inputs": INPUTS}, {"name": "c"}]
    hidden = {"b": {"hidden": ["m"]}}
    ((a, b, c), (d,)), problems = compiled_together(
        entry("one", tools=tools, tool_overrides=hidden), entry("two", tools=tools[:1])
    )

    assert problems == []
    assert a.argument_schema is d.argument_schema
    assert a.inputs is d.inputs
    assert [sorted(each.inputs.get("properties", {})) for each in (a, b, c)] == [["m", "n"], ["n"], []]
    assert [each.defaults for each in (a, b, c)] == [{"n": 1}, {"n": 1}, {}]


def test_inputs_that_are_wrong_are_reported_for_each_tool():
    tools = [{"name": name, "inputs": {"type": "nope"}} for name in ("a", "b")]
    _, problems = compiled_together(entry("one", tools=tools))

    assert [problem.partition(":")[0] for problem in problems] == ["[0].tools[0].inputs", "[0].tools[1].inputs"]


READS_TIME = {
    "a text": ("at {{ now }}", True),
    "a value": ({"at": "{{ now_ms }}"}, True),
    "deep inside": ({"rows": [{"$each": "{{ args.rows }}", "$template": {"at": "{{ now_s }}"}}]}, True),
    "an expression": ({"at": "{{ now_s + 60 }}"}, True),
    "a member of that name": ({"at": "{{ args.now }}"}, False),
    "no time": ({"id": "{{ request_id }}", "args": "{{ args }}"}, False),
}


@pytest.mark.parametrize(("message", "reads_time"), READS_TIME.values(), ids=READS_TIME)
def test_a_request_knows_whether_it_has_the_time_in_it(message, reads_time):
    ((tool,), problems) = compile_entry(entry_of({"name": "t"}, message=message))

    assert (list(problems), tool.compiled_template.reads_time) == ([], reads_time)


def test_a_further_message_of_a_request_may_have_the_time_in_it():
    ((tool,), _) = compile_entry(entry_of({"name": "t"}, message="a", then=["{{ now }}"]))

    assert tool.compiled_template.reads_time
