from pathlib import PurePath

import pytest

from utcp_ws_mcp.core.exchange.reply_rules import Concurrency
from utcp_ws_mcp.core.expressions.paths import UNDEFINED
from utcp_ws_mcp.core.expressions.scope import REQUEST_NAMES
from utcp_ws_mcp.core.tools.catalog import compile_entry, compile_tools
from utcp_ws_mcp.errors import InvalidArguments
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.remote_manual import read_manual
from utcp_ws_mcp.manifest.variables import VariableResolver

URL = "wss://a.example/ws"
INPUTS = {
    "type": "object",
    "properties": {
        "symbol": {"type": "string"},
        "count": {"type": "integer", "default": 10},
        "mode": {"type": "string"},
    },
    "required": ["symbol"],
}


def entry_of(*tools, variables=None, **fields):
    document = [{"name": "m", "url": URL, "tools": list(tools), **fields}]
    return load_document(document, VariableResolver([variables or {}]), "m.json", PurePath()).entries[0]


def compiled(tool=None, override=None, variables=None, **fields):
    overrides = {"tool_overrides": {"t": override}} if override else {}
    return compile_entry(entry_of({"name": "t", **(tool or {})}, variables=variables, **overrides, **fields))


def plan_of(*args, **fields):
    (plan,), problems = compiled(*args, **fields)
    assert problems == []
    return plan


def problem_of(*args, **fields):
    plans, (problem,) = compiled(*args, **fields)
    assert plans == []
    return problem


def compile_discovered(tool, variables=None, **fields):
    entry = entry_of(variables=variables, **fields)
    return compile_tools(entry, read_manual({"tools": [{"name": "t", **tool}]}, entry)[0])


def discovered(*args, **fields):
    (plan,), _ = compile_discovered(*args, **fields)
    return plan


def rendered(plan, variables=None, **args):
    values = {"args": plan.validate_arguments(args), "tool": plan.original_name, "request_id": 7}
    names = dict.fromkeys(REQUEST_NAMES, UNDEFINED) | values | {"vars": variables or {}}
    return plan.compiled_template.request[0].render(names)


def test_a_plan_is_what_the_manifest_says():
    plan = plan_of(
        {"description": "d", "tags": ["x"], "inputs": INPUTS, "idempotent": True, "annotations": {"title": "T"}}
    )

    assert (plan.full_name, plan.name, plan.original_name, plan.description) == ("m.t", "t", "t", "d")
    assert (plan.tags, plan.idempotent, plan.annotations.title) == (("x",), True, "T")
    assert plan.inputs == INPUTS
    assert plan.rules.cancel_stream is None
    assert plan.rules.concurrency is Concurrency.EXCLUSIVE


# --- arguments ---

COMPLETED = {
    "with a default": ({"symbol": "A"}, {"symbol": "A", "count": 10}),
    "instead of a default": ({"symbol": "A", "count": 5}, {"symbol": "A", "count": 5}),
    "with more than the schema knows": ({"symbol": "A", "x": 1}, {"symbol": "A", "count": 10, "x": 1}),
}


@pytest.mark.parametrize(("args", "completed"), COMPLETED.values(), ids=COMPLETED)
def test_arguments_are_completed_with_defaults(args, completed):
    assert plan_of({"inputs": INPUTS}).validate_arguments(args) == completed


WRONG = {
    "a missing one": ({}, 'm.t: invalid arguments: "symbol" is a required property. [invalid-arguments]'),
    "one of another type": (
        {"symbol": 5},
        'm.t: invalid arguments: symbol: 5 is not of type "string". [invalid-arguments]',
    ),
}


@pytest.mark.parametrize(("args", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_named(args, sentence):
    with pytest.raises(InvalidArguments) as invalid:
        plan_of({"inputs": INPUTS}).validate_arguments(args)

    assert str(invalid.value) == sentence


ANY_INPUTS = {
    "none": ({}, {"type": "object"}),
    "without a type": ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
    "with true for a schema": ({"properties": {"a": True}}, {"type": "object", "properties": {"a": True}}),
}


@pytest.mark.parametrize(("inputs", "shown"), ANY_INPUTS.values(), ids=ANY_INPUTS)
def test_inputs_are_always_an_object(inputs, shown):
    plan = plan_of({"inputs": inputs})

    assert plan.inputs == shown
    assert plan.validate_arguments({"a": 1, "b": 2}) == {"a": 1, "b": 2}


def test_the_arguments_of_a_call_are_not_changed():
    args = {"symbol": "A"}
    plan_of({"inputs": INPUTS}, {"defaults": {"mode": "x"}, "hidden": ["mode"]}).validate_arguments(args)

    assert args == {"symbol": "A"}


# --- overrides ---


def test_an_override_renames_and_describes():
    plan = plan_of({"description": "old"}, {"name": "quote", "description": "new"})

    assert (plan.full_name, plan.original_name, plan.description) == ("m.quote", "t", "new")


def test_expressions_see_the_name_that_the_tool_has_in_its_manual():
    assert rendered(plan_of(None, {"name": "quote"}, message={"m": "{{ tool }}"})) == {"m": "t"}


def test_an_override_changes_the_hints_that_it_names() -> None:
    tool = {"annotations": {"readOnlyHint": False, "openWorldHint": True}}
    plans, problems = compiled(tool, {"annotations": {"readOnlyHint": True}})
    assert problems == []
    assert (plans[0].annotations.read_only, plans[0].annotations.open_world) == (True, True)


def test_an_override_may_take_a_description_away():
    assert plan_of({"description": "old"}, {"description": ""}).description == ""


def test_an_override_may_bring_other_inputs():
    plan = plan_of({"inputs": INPUTS}, {"inputs": {"properties": {"n": {"default": 3}}}})

    assert plan.inputs == {"type": "object", "properties": {"n": {"default": 3}}}
    assert plan.validate_arguments({}) == {"n": 3}


def test_what_has_a_default_now_is_not_required_any_more():
    plan = plan_of({"inputs": INPUTS}, {"defaults": {"symbol": "ACME", "count": 3}})

    assert plan.inputs["required"] == []
    assert plan.inputs["properties"]["symbol"] == {"type": "string", "default": "ACME"}
    assert plan.validate_arguments({}) == {"symbol": "ACME", "count": 3}
    assert plan.validate_arguments({"symbol": "B"}) == {"symbol": "B", "count": 3}


def test_a_hidden_argument_is_fixed_and_not_shown():
    plan = plan_of({"inputs": INPUTS}, {"defaults": {"symbol": "ACME"}, "hidden": ["symbol"]})

    assert "symbol" not in plan.inputs["properties"]
    assert plan.validate_arguments({"symbol": "OTHER"}) == {"symbol": "ACME", "count": 10}


@pytest.mark.parametrize("hidden", ["mode", "count"])
def test_a_hidden_argument_cannot_be_set_by_a_call(hidden):
    plan = plan_of({"inputs": INPUTS}, {"hidden": [hidden]})
    value = {"mode": "evil", "count": 99}[hidden]
    try:
        completed = plan.validate_arguments({"symbol": "A", hidden: value})
    except InvalidArguments:
        return
    assert completed.get(hidden) != value


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param({"a": {}}, id="an object"),
        pytest.param(
            {"a": True},
            id="true",
        ),
    ],
)
def test_an_override_changes_any_schema(properties):
    plan = plan_of({"inputs": {"properties": properties}}, {"defaults": {"b": 1}})

    assert plan.validate_arguments({}) == {"b": 1}


@pytest.mark.parametrize(
    "inputs", [{"properties": []}, {"properties": {"a": 5}}, {"required": 5}], ids=["an array", "a number", "required"]
)
def test_an_override_of_a_wrong_schema_is_a_problem(inputs):
    assert problem_of({"inputs": inputs}, {"defaults": {"b": 1}})


# --- messages ---


def test_a_message_is_filled_with_completed_arguments():
    plan = plan_of(
        {"inputs": INPUTS},
        message={
            "get": "{{ args.symbol }}",
            "n": "{{ args.count }}",
            "mode": "UTCP_ARG_mode_UTCP_ARG",
            "t": "${TOKEN}",
        },
        variables={"TOKEN": "s3cret"},
    )

    assert rendered(plan, symbol="A") == {"get": "A", "n": 10, "t": "s3cret"}


def test_arguments_of_an_expression_cannot_replace_the_correlation_id():
    plan = plan_of(preset="jsonrpc2")

    assert rendered(plan, id=99, request_id=99) == {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "t",
        "params": {"id": 99, "request_id": 99},
    }


def test_without_a_message_header_fields_stay_out_of_it():
    assert rendered(plan_of(header_fields=["X-Key"]), **{"X-Key": "k", "a": 1}) == {"a": 1}


def test_typed_arguments_are_for_a_whole_template():
    assert rendered(plan_of(message={"a": "UTCP_ARG_a_UTCP_ARG"}, typed_arguments=True), a=5) == {"a": 5}
    assert rendered(plan_of(message={"a": "UTCP_ARG_a_UTCP_ARG"}), a=5) == {"a": "5"}


def test_a_stream_is_cancelled_with_its_id():
    plan = plan_of(stream={"until": "message.done", "cancel": {"stop": "{{ request_id }}"}})

    assert plan.rules.cancel_stream.render(dict.fromkeys(REQUEST_NAMES, UNDEFINED) | {"request_id": 7}) == {"stop": 7}


KEYS = {
    "a dollar": ({"$type": "x"}, {"$type": "x"}),
    "the name of a variable": ({"$TOKEN": "x"}, {"$TOKEN": "x"}),
}


@pytest.mark.parametrize(("message", "sent"), KEYS.values(), ids=KEYS)
def test_a_key_of_a_message_is_only_a_key(message, sent):
    assert rendered(plan_of(message=message, variables={"TOKEN": "s3cret"})) == sent


@pytest.mark.parametrize(
    "message", [{"description": "${TOKEN}"}, {"inputs": ["$TOKEN"]}], ids=["description", "inputs"]
)
def test_a_variable_is_bound_in_a_message_whatever_its_keys_are_called(message):
    assert "s3cret" in repr(rendered(plan_of(message=message, variables={"TOKEN": "s3cret"})))


# --- problems ---

PROBLEMS = {
    "a message": ({"message": "{{ arg.x }}"}, "unknown name 'arg'"),
    "a reply": ({"reply": {"match": "mesage.id"}}, "unknown name 'mesage'"),
    "a URL": ({"url": "https://a.example"}, "expected a URL of the form"),
    "a header": ({"headers": {"Upgrade": "x"}}, "header 'Upgrade': this header belongs to the handshake"),
    "a cancel": ({"stream": {"cancel": "{{ nope }}"}}, "unknown name 'nope'"),
    "a network": ({"network": {"allow": ["x"]}}, "'x' is not 'private'"),
}


@pytest.mark.parametrize(("fields", "text"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_tool_that_can_never_be_called_is_a_problem_at_its_path(fields, text):
    problem = problem_of({"tool_call_template": fields})

    assert problem.path.startswith("[0].tools[0]")
    assert text in problem.message


@pytest.mark.parametrize("key", ["inputs", "outputs"])
def test_a_schema_that_is_none_is_a_problem(key):
    problem = problem_of({key: {"properties": {"a": {"type": "objekt"}}}})

    assert problem.path.startswith("[0].tools[0]")
    assert "not a usable JSON Schema" in problem.message
    assert problem.code == "invalid-schema"


def test_results_are_checked_where_the_tool_says_what_they_are():
    assert plan_of().result_schema is None
    assert plan_of({"outputs": {"type": "integer"}}).result_schema.check("x") is not None


# --- from the network ---


def test_a_tool_from_the_network_is_not_idempotent_because_it_says_so():
    assert not discovered({"idempotent": True, "tool_call_template": {"timeout": 5}}).idempotent


def test_a_tool_from_the_network_without_a_template_is_not_idempotent_either():
    assert not discovered({"idempotent": True}).idempotent


def test_what_the_manifest_wrote_keeps_its_variables_in_a_tool_from_the_network():
    plan = discovered(
        {"tool_call_template": {"timeout": 5}},
        {"TOKEN": "s3cret"},
        message={"t": "${TOKEN}", "a": "{{ args | tojson }}"},
    )

    assert rendered(plan, a=1) == {"t": "s3cret", "a": '{"a": 1}'}


@pytest.mark.parametrize(
    "template",
    [
        {"message": "{{ vars.TOKEN }}"},
        {"message": "{{ args | length }}"},
        {"reply": {"match": "vars.TOKEN == message.id"}},
        {"reply": {"result": "message | length"}},
        {"ignore": "message.upper()"},
        {"stream": {"cancel": "{{ vars.TOKEN }}"}},
        {"stream": {"item": "message ~ message"}},
    ],
)
def test_a_tool_from_the_network_may_neither_see_variables_nor_compute(template):
    plans, problems = compile_discovered({"tool_call_template": template}, {"TOKEN": "s3cret"}, message="${TOKEN}")

    assert plans == []
    assert problems


def test_variables_in_a_message_from_the_network_are_text():
    plan = discovered({"tool_call_template": {"message": {"t": "${TOKEN}"}}}, {"TOKEN": "s3cret", "m_TOKEN": "s3cret"})

    assert rendered(plan) == {"t": "${TOKEN}"}


def test_a_plan_shows_no_secrets():
    plan = plan_of(message="${TOKEN}", headers={"X-A": "${TOKEN}"}, variables={"TOKEN": "s3cret"})

    assert "s3cret" not in repr(plan)


def test_inputs_without_an_object_at_the_root_are_a_problem():
    problem = problem_of({"inputs": {"type": "array"}})

    assert problem.code == "schema-root-not-object"
    assert problem.message.startswith('the root of the schema is of type \'array\'. Write "type": "object"')


ROOTS = {
    "an object": ({"type": "object"}, None),
    "an object or null": ({"type": ["object", "null"]}, None),
    "no type": ({}, None),
    "an array": ({"type": "array"}, "schema-root-not-object"),
    "an array or null": ({"type": ["array", "null"]}, "schema-root-not-object"),
    "a text that contains the word": ({"type": "objects"}, "schema-root-not-object"),
    "a number for a type": ({"type": 5}, "invalid-schema"),
    "an object for a type": ({"type": {"object": 1}}, "invalid-schema"),
}


@pytest.mark.parametrize(("inputs", "code"), ROOTS.values(), ids=ROOTS)
def test_the_root_of_the_inputs_is_an_object(inputs, code):
    plans, problems = compiled({"inputs": inputs})

    assert [problem.code for problem in problems] == ([] if code is None else [code])
    assert [plan.inputs for plan in plans] == ([{"type": "object"}] if code is None else [])


def test_what_was_required_stays_so_beside_a_new_default():
    plan = plan_of({"inputs": INPUTS}, {"defaults": {"count": 3}})

    assert plan.inputs["required"] == ["symbol"]
    assert plan.argument_schema.check({}) == '"symbol" is a required property'


def test_a_schema_of_an_override_that_cannot_be_used_is_reported():
    problem = problem_of({"inputs": {"properties": {"a": {}}}}, {"hidden": ["b"], "inputs": {"properties": {"a": 5}}})

    assert problem.code == "invalid-schema"


def test_a_tool_is_idempotent_only_if_its_manifest_says_so():
    assert plan_of().idempotent is False
    assert plan_of({"idempotent": True}).idempotent is True


def test_a_tool_can_be_called_with_another_timeout():
    plan = plan_of({"description": "d"}, timeout=5)

    assert (plan.with_timeout(0.5).template.timeout, plan.template.timeout) == (0.5, 5)
    assert plan.with_timeout(0.5).description == "d"


# --- the form of arguments ---

TYPED = {"properties": {"n": {"type": "integer"}, "list": {"type": "array", "items": {"type": "integer"}}}}
FORMS = {
    "right": ({"n": 1}, {"n": 1}, 0),
    "a whole number as a fraction": ({"n": 5.0}, {"n": 5}, 0),
    "a text": ({"n": "5"}, {"n": 5}, 1),
    "a list in a text": ({"list": "[1, 2.0]"}, {"list": [1, 2]}, 1),
    "several texts": ({"n": "5", "list": "[1]"}, {"n": 5, "list": [1]}, 1),
    "what the schema does not know": ({"x": "5"}, {"x": "5"}, 0),
}


@pytest.mark.parametrize(("args", "fitted", "texts"), FORMS.values(), ids=FORMS)
def test_arguments_get_the_form_of_the_schema_and_texts_that_are_read_are_noted(args, fitted, texts):
    noted = []
    found = plan_of({"inputs": TYPED}).validate_arguments(args, lambda: noted.append(1))

    assert (repr(found), len(noted)) == (repr(fitted), texts)


def test_a_text_that_is_read_and_still_wrong_is_reported_as_it_was_read():
    noted = []
    with pytest.raises(InvalidArguments, match=r'list\.0: "a" is not of type "integer"'):
        plan_of({"inputs": TYPED}).validate_arguments({"list": '["a"]'}, lambda: noted.append(1))
    with pytest.raises(InvalidArguments, match='n: "five" is not of type "integer"'):
        plan_of({"inputs": TYPED}).validate_arguments({"n": "five"}, lambda: noted.append(1))

    assert noted == []


def test_a_default_gets_the_form_of_the_schema_too():
    assert repr(plan_of({"inputs": TYPED}, {"defaults": {"n": 5.0}}).validate_arguments({})) == "{'n': 5}"


# --- results ---

PARSED = {
    "the whole message": ({"reply": {"match": "message.a"}}, True),
    "a part": ({"reply": {"result": "message.a.b"}}, True),
    "the message itself": ({"reply": {"result": "message"}}, True),
    "a value of the session": ({"reply": {"result": "session.message"}}, False),
    "a computed value": ({"reply": {"result": "message.a + 1"}}, False),
    "an argument": ({"reply": {"result": "args.a"}}, False),
    "another codec": ({"reply": {"match": "message.a"}, "framing": {"codec": "cbor"}}, False),
    "a header before the JSON": ({"reply": {"match": "message.a"}, "framing": {"header": 4}}, False),
    "an item": ({"stream": {"match": "message.n", "item": "message.n"}}, True),
    "an item that is computed": ({"stream": {"match": "message.n", "item": "[message.n]"}}, False),
}


@pytest.mark.parametrize(("fields", "parsed"), PARSED.values(), ids=PARSED)
def test_a_result_that_is_a_part_of_a_json_message_is_known_to_be_json(fields, parsed):
    assert plan_of(**fields).returns_parsed_json is parsed


def test_a_tool_of_utcp_is_called_as_a_stream():
    plan = plan_of()
    stream = plan.with_utcp_framing()

    assert (plan.rules.stream, stream.rules.stream is not None) == (None, True)
    assert (stream.rules.error, stream.full_name) == (plan.rules.error, "m.t")
    assert stream.with_utcp_framing().rules.stream is not None


@pytest.mark.parametrize("fields", [{"stream": True}, {"reply": {"match": "message.a"}}, {"reply": {"none": True}}])
def test_a_tool_with_rules_of_its_own_stays_as_it_is(fields):
    plan = plan_of(**fields)

    assert plan.with_utcp_framing() is plan


def test_a_problem_of_discovery_is_at_the_place_where_it_is_written():
    (problem,) = compile_entry(entry_of(discovery={"send": "{{ nope }}"}))[1]

    assert problem.path == "[0].discovery.message"
