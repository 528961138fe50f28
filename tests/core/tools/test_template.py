from pathlib import PurePath

import pytest

from utcp_ws_mcp.core.diagnostics import Diagnostics
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.core.tools.template import Memo, SharedParts, TemplateCompiler
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


def test_entries_that_differ_in_their_queries_have_their_own():
    step = {"http": {"url": "https://a.example/"}}
    for fields in ({}, {"before_connect": [step]}):
        tools, problems = compiled_together(
            *(entry("a", **fields) | {"name": name, "query": {"p": name}} for name in ("one", "two"))
        )
        assert problems == []
        compiled = [listed[0].compiled_template for listed in tools]
        assert compiled[0].rules is compiled[1].rules
        assert [each.handshake.constant.url.query for each in compiled] == ["p=one", "p=two"]


def test_a_tool_with_a_query_of_its_own_has_a_handshake_of_its_own():
    own = {"name": "own", "tool_call_template": {"query": {"p": "1"}}}
    ((inherited, other),), problems = compiled_together(entry("a", query={"p": "2"}, tools=[{"name": "t"}, own]))
    assert problems == []
    handshakes = [each.compiled_template.handshake.constant for each in (inherited, other)]
    assert [each.url.query for each in handshakes] == ["p=2", "p=1"]
    assert handshakes[0] != handshakes[1]


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


# --- what a call sends ---


def compiled(*tools, variables=None, **fields):
    document = [{"name": "m", "url": "wss://a.example/ws", "tools": list(tools) or [{"name": "t"}], **fields}]
    (found,) = load_document(document, VariableResolver([variables or {}]), "m.json", PurePath()).entries
    return compile_entry(found)


def template_of(**fields):
    (tool,), problems = compiled(**fields)
    assert problems == []
    return tool.compiled_template


def scope_of(**args):
    values = {"args": args, "vars": {"KEY": "12345678"}, "tool": "t", "request_id": 1}
    return Scope(Ambient(None, None), values)


def sent(template, **args):
    return [message.render(scope_of(**args)) for message in template.request]


def test_the_messages_of_then_follow_the_message():
    assert sent(template_of(message="a {{ args.x }}", then=["b {{ args.x }}", {"c": "{{ args.x }}"}]), x=1) == [
        "a 1",
        "b 1",
        {"c": 1},
    ]


def test_without_a_message_all_arguments_are_sent_before_those_of_then():
    assert sent(template_of(then=["go"], header_fields=["X-Key"]), x=1, **{"X-Key": 2}) == [{"x": 1}, "go"]


def test_requests_over_http_come_in_order_with_their_place():
    steps = [{"http": {"url": "https://a.example/1"}}, {"http": {"url": "https://a.example/2"}}]
    assert len(template_of(before_message=steps).http_steps) == 2
    _, problems = compiled(before_message=[*steps, {"http": {"url": "https://a.example/{{ nope }}"}}])
    assert [problem.path for problem in problems] == ["[0].before_message[2].http.url"]


CUT = {
    "in two messages": ({"message": "{{ args.a[0:4] }}", "then": ["{{ args.a[4:8] }}"]}, ["1234", "5678"]),
    "in one message": ({"message": ["{{ args.a[0:4] }}", "{{ args.a[4:8] }}"]}, [["1234", "5678"]]),
    "in those of then": (
        {"message": "x", "then": ["{{ args.a[0:4] }}", "{{ args.a[4:8] }}"]},
        ["x", "1234", "5678"],
    ),
    "with a filter": (
        {"message": "{{ args.a[0:4] | upper }}", "then": ["{{ args.a[4:8] | upper }}"]},
        ["1234", "5678"],
    ),
}


@pytest.mark.parametrize(("fields", "messages"), CUT.values(), ids=CUT)
def test_a_value_that_is_sent_in_slices_is_not_cut(fields, messages):
    template = template_of(**fields)
    assert sent(template, a="12345678") == messages
    with pytest.raises(RenderError, match="only the first 8") as refused:
        template.request[0].render(scope_of(a="123456789"))
    assert refused.value.code == "argument-cut"


def test_a_variable_may_be_sent_in_slices():
    fields = {"message": "{{ vars.KEY[0:4] }}", "then": ["{{ vars.KEY[4:8] }}"], "variables": {"KEY": "12345678"}}
    assert sent(template_of(**fields)) == ["1234", "5678"]


def test_a_wrong_message_does_not_hide_that_slices_follow():
    tools, problems = compiled(message="{{ nope }}", then=["{{ args.a[0:4] }}", "{{ args.a[4:8] }}"])
    assert tools == []
    assert [problem.path for problem in problems] == ["[0].message"]


def test_a_wrong_message_of_then_is_reported_at_its_place():
    assert [problem.path for problem in compiled(message="x", then=["a", "{{ nope }}"])[1]] == ["[0].then[1]"]


def test_an_argument_cannot_contain_the_separator_of_messages():
    template = template_of(message="say {{ args.x }}", framing={"separator": ";"})
    assert sent(template, x="hi") == ["say hi"]
    with pytest.raises(RenderError):
        sent(template, x="hi;quit")
    assert sent(template_of(message="say {{ args.x }}"), x="hi;quit") == ["say hi;quit"]


def test_an_argument_keeps_its_type_where_the_manifest_says_so():
    assert sent(template_of(message={"a": "UTCP_ARG_x_UTCP_ARG"}, typed_arguments=True), x=5) == [{"a": 5}]


CANCELS = {
    "a stream": ({"stream": {"until": "message.done", "cancel": "stop"}}, True),
    "a stream that is off": ({"stream": {"on": False, "until": "message.done", "cancel": "stop"}}, False),
    "a stream that only listens": ({"listen": True, "stream": {"match": "message.a", "cancel": "stop"}}, False),
    "one with a connection of its own": (
        {"listen": True, "keep_alive": False, "stream": {"match": "message.a", "cancel": "stop"}},
        True,
    ),
    "a stream of a connection that is not kept": (
        {"keep_alive": False, "stream": {"until": "message.done", "cancel": "stop"}},
        True,
    ),
    "a stream without a message": ({"stream": {"until": "message.done"}}, False),
}


@pytest.mark.parametrize(("fields", "cancels"), CANCELS.values(), ids=CANCELS)
def test_a_stream_is_cancelled_where_a_call_began_something(fields, cancels):
    rules = template_of(**fields).rules
    assert (rules.cancel_stream is not None) is cancels
    assert rules.cancel_reply is None


def test_a_wrong_cancel_message_is_reported_at_its_place():
    fields = {"reply": {"cancel": "{{ nope }}"}, "stream": {"until": "message.done", "cancel": "{{ nope }}"}}
    assert [problem.path for problem in compiled(**fields)[1]] == ["[0].stream.cancel", "[0].reply.cancel"]


# --- what tools share ---

PING = {"match": "message.ping", "send": "pong"}


def test_what_the_entry_answers_holds_on_its_connections_and_what_a_tool_adds_in_its_calls():
    tools = [
        {"name": "plain"},
        {"name": "same", "tool_call_template": {"message": "x", "auto_reply": [PING]}},
        {"name": "more", "tool_call_template": {"auto_reply": [PING, {"match": "message.ask", "send": "yes"}]}},
    ]
    compiled_tools, problems = compiled(*tools, auto_reply=[PING])
    assert problems == []
    assert [len(tool.rules.auto_replies) for tool in compiled_tools] == [0, 0, 2]
    rules = [tool.compiled_template.handshake.connection_rules for tool in compiled_tools]
    assert [len(each.auto_replies) for each in rules] == [1, 1, 1]


def test_tools_with_call_templates_of_their_own_share_no_message():
    tools = [
        {"name": name, "tool_call_template": {"url": f"wss://{name}.example/", "message": name}} for name in ("a", "b")
    ]
    found, problems = compiled({"name": "plain"}, *tools, message="entry")
    assert problems == []
    assert [sent(tool.compiled_template) for tool in found] == [["entry"], ["a"], ["b"]]


def test_each_tool_of_a_manual_without_a_call_template_has_its_own():
    template = {
        "call_template_type": "websocket",
        "url": "wss://b.example/",
        "message": "{{ tool }}",
        "auto_reply": [PING],
    }
    tools = [{"name": name, "tool_call_template": {**template, "url": f"wss://{name}.example/"}} for name in ("a", "b")]
    document = {"utcp_version": "1.0.1", "manual_version": "1.0.0", "tools": tools}
    (found,) = load_document(document, VariableResolver([{}]), "m.json", PurePath()).entries
    assert found.template is None
    compiled_tools, problems = compile_entry(found)
    assert problems == []
    assert [tool.compiled_template.handshake.url.sample for tool in compiled_tools] == [
        "wss://a.example/",
        "wss://b.example/",
    ]
    rules = [tool.compiled_template.handshake.connection_rules for tool in compiled_tools]
    assert [len(each.auto_replies) for each in rules] == [1, 1]
    assert [tool.rules.auto_replies for tool in compiled_tools] == [(), ()]


def test_a_part_that_is_no_unicode_is_compiled_each_time():
    memo, diagnostics, calls = Memo(), Diagnostics(""), []

    def compile_part(found):
        assert found is diagnostics
        calls.append(1)
        return len(calls)

    assert [memo.get({"a": "\ud800"}, compile_part, diagnostics) for _ in range(2)] == [1, 2]
    assert [memo.get({"a": "b"}, compile_part, diagnostics) for _ in range(2)] == [3, 3]


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
