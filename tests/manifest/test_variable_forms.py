"""What looks like a variable: defaults, arguments of UTCP's manuals, and texts that would be sent as they are."""

from pathlib import PurePath

import pytest

from utcp_ws_mcp.errors import InvalidManifest
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.remote_manual import read_manual
from utcp_ws_mcp.manifest.variable_forms import argument_names, as_placeholders, bind_arguments, find_malformed
from utcp_ws_mcp.manifest.variables import VariableResolver

INPUTS = {"type": "object", "properties": {"symbol": {"type": "string"}, "HOME": {"type": "string"}}}


def load(document, **variables):
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t", "inputs": INPUTS}], **document}
    return load_document([entry], VariableResolver([variables]), "m.json", PurePath("/m"))


def field(document, key, **variables):
    manifest = load(document, **variables)
    assert not manifest.disabled
    return manifest.entries[0].raw[key]


DEFAULTS = {
    "not set": ("wss://${HOST:-a.example}/", {}, "wss://a.example/"),
    "empty": ("wss://${HOST:-a.example}/", {"HOST": ""}, "wss://a.example/"),
    "set": ("wss://${HOST:-a.example}/", {"HOST": "b.example"}, "wss://${HOST}/"),
    "set for the manual": ("wss://${HOST:-a.example}/", {"m_HOST": "b.example"}, "wss://${HOST}/"),
    "an empty default": ("wss://a.example/${PATH_:-}", {}, "wss://a.example/"),
    "several": ("wss://${A:-a}.${B:-b.example}/", {"A": "x"}, "wss://${A}.b.example/"),
    "a default with a colon": ("${URL:-wss://a.example:1/x}", {}, "wss://a.example:1/x"),
    "what a host could not expand": ("wss://${HOST:-a.example}/", {"HOST": "${HOST}"}, "wss://a.example/"),
    "escaped": ("wss://a.example/?x=$${A:-b}", {}, "wss://a.example/?x=$${A:-b}"),
}


@pytest.mark.parametrize(("url", "variables", "expected"), DEFAULTS.values(), ids=DEFAULTS)
def test_a_variable_may_have_a_default(url, variables, expected):
    assert field({"url": url}, "url", **variables) == expected


def test_a_default_takes_the_place_of_a_number_and_of_a_setting():
    assert field({"timeout": "${SECONDS:-5}"}, "timeout") == "5"
    key = {"auth_type": "api_key", "api_key": "${KEY:-none-123}"}
    assert field({"auth": key}, "auth")["api_key"] == "none-123"
    assert field({"auth": key}, "auth", KEY="k")["api_key"] == "k"


NO_VARIABLES = [
    "${env:NAME}", "${env.NAME}", "${input:key}", "${NAME:?missing}", "${NAME:+x}", "${NAME-default}", "${a.b}",
    "${1A}", "${}", "${ NAME }", "${NAME",
    "Bearer ${env:NAME}", "${A:-${B}}", "${NAME:=x}", "${NAME|x}", "${user-name}",
]  # fmt: skip

PLACES = {
    "a message": lambda text: {"message": {"a": [text]}},
    "a header": lambda text: {"headers": {"X-A": text}},
    "a credential": lambda text: {"auth": {"auth_type": "api_key", "api_key": text}},
    "the URL": lambda text: {"url": f"wss://a.example/{text}"},
    "a step": lambda text: {"on_connect": [{"send": {"token": text}}]},
    "a request": lambda text: {"before_connect": [{"http": {"url": "https://a.example/", "json": {"k": text}}}]},
    "an expression": lambda text: {"reply": {"match": f"message.a == '{text}'"}},
    "a tool": lambda text: {"tools": [{"name": "t", "tool_call_template": {"message": text}}]},
    "a default of an override": lambda text: {"tool_overrides": {"t": {"defaults": {"a": text}}}},
}


@pytest.mark.parametrize("text", NO_VARIABLES)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_what_looks_like_a_variable_and_is_none_is_refused(text, place):
    with pytest.raises(InvalidManifest, match=r"looks like a variable and is none.*\[invalid-variable\]"):
        load(place(text), NAME="x", A="x", B="x")


def test_the_prefix_of_another_program_is_named():
    with pytest.raises(InvalidManifest, match=r"headers\.X: '\$\{env:NAME\}' looks like .* Write \$\{NAME\}; for"):
        load({"headers": {"X": "${env:NAME}"}})


@pytest.mark.parametrize("text", ["$${env:NAME}", "costs $5", "a $ b", "$", "100$"])
def test_a_dollar_that_means_itself_is_kept(text):
    assert field({"message": {"a": text}}, "message") == {"a": text}


def test_texts_for_models_are_no_templates():
    texts = {"description": "use ${x.y}", "inputs": {"title": "${a.b}"}}
    (entry,) = load({"tools": [{"name": "t", **texts}]}).entries
    assert entry.tools[0].tool.model_dump(include=texts.keys()) == texts


MESSAGES = {
    "an object": ({"symbol": "${symbol}"}, {"symbol": "UTCP_ARG_symbol_UTCP_ARG"}),
    "the whole text": ({"symbol": "$symbol"}, {"symbol": "UTCP_ARG_symbol_UTCP_ARG"}),
    "a text": ("GET ${symbol}!", "GET UTCP_ARG_symbol_UTCP_ARG!"),
    "a name that the environment has": ({"dir": "${HOME}"}, {"dir": "UTCP_ARG_HOME_UTCP_ARG"}),
    "another variable": ({"a": "${symbol}", "k": "${KEY}"}, {"a": "UTCP_ARG_symbol_UTCP_ARG", "k": "${KEY}"}),
    "escaped": ({"a": "$${symbol}"}, {"a": "$${symbol}"}),
}
ENVIRONMENT = {"HOME": "/root", "symbol": "environment", "KEY": "k"}


@pytest.mark.parametrize(("message", "expected"), MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("own", [False, True], ids=["of the entry", "of the tool"])
def test_a_name_of_an_argument_is_the_argument_and_never_the_environment(message, expected, own):
    tool = {"name": "t", "inputs": INPUTS, "tool_call_template": {"message": message}}
    document = {"tools": [tool]} if own else {"message": message}
    manifest = load(document, **ENVIRONMENT)
    assert manifest.entries[0].tools[0].template.message == expected
    assert load({**document}, KEY="k").disabled == ()


def test_the_older_form_of_utcp_has_arguments_too():
    tool = {"name": "t", "inputs": INPUTS}
    text = {"request_data_format": "text", "request_data_template": "GO ${symbol}"}
    manifest = load({"tools": [{**tool, "tool_call_template": text}]}, **ENVIRONMENT)
    assert manifest.entries[0].tools[0].template.message == "GO UTCP_ARG_symbol_UTCP_ARG"


def test_a_header_is_never_an_argument():
    assert field({"headers": {"X-A": "${symbol}"}}, "headers", symbol="variable") == {"X-A": "${symbol}"}


def test_a_message_that_tools_share_has_one_meaning():
    tools = [{"name": "t", "inputs": INPUTS}, {"name": "u"}]
    with pytest.raises(InvalidManifest, match=r"message: \$\{symbol\} is an argument of some.*\[ambiguous-variable\]"):
        load({"message": {"a": "${symbol}"}, "tools": tools}, symbol="x")
    tools[1]["tool_call_template"] = {"message": {"other": 1}}
    load({"message": {"a": "${symbol}"}, "tools": tools})


def test_a_manual_from_the_network_names_its_arguments_in_the_same_way():
    entry = load({}, **ENVIRONMENT).entries[0]
    tool = {"name": "quote", "inputs": INPUTS, "tool_call_template": {"message": {"s": "${symbol}", "k": "${KEY}"}}}
    tools, _ = read_manual({"tools": [tool]}, entry)
    assert tools[0].template.message == {"s": "UTCP_ARG_symbol_UTCP_ARG", "k": "${KEY}"}


MALFORMED = {
    "a text": ("${a-b}", [("p", "${a-b}")]),
    "two in a text": ("${a-b} ${c d}", [("p", "${a-b}"), ("p", "${c d}")]),
    "below keys and indices": ({"a": [1, {"b": "${1}"}]}, [("p.a[1].b", "${1}")]),
    "in documentation": ({"description": "${1}", "inputs": {"a": "${1}"}, "outputs": "${1}", "$comment": "${1}"}, []),
    "in defaults, whatever the key is": ({"defaults": {"description": "${1}"}}, [("p.defaults.description", "${1}")]),
    "in defaults, at any depth": (
        {"defaults": {"a": {"inputs": ["${1}"]}}}, [("p.defaults.a.inputs[0]", "${1}")],
    ),
    "beside defaults": ({"defaults": {"a": 1}, "b": {"description": "${1}"}}, []),
    "a variable": ("${A} ${_a1} $A", []),
    "an escape": ("$${a-b}", []),
    "without an end": ("${abc", [("p", "${abc")]),
    "a long text": ("${" + "a " * 40, [("p", "${" + "a " * 30)]),
}  # fmt: skip


@pytest.mark.parametrize(("value", "found"), MALFORMED.values(), ids=MALFORMED)
def test_each_text_that_looks_like_a_variable_and_is_none_has_its_place(value, found):
    problems = list(find_malformed(value, "p"))
    assert [problem.path for problem in problems] == [path for path, _ in found]
    assert all(repr(text) in problem.message for problem, (_, text) in zip(problems, found, strict=True))
    assert {problem.code for problem in problems} <= {"invalid-variable"}


NONE = "looks like a variable and is none. Write"
SAID = {
    "${a-b}": f"'${{a-b}}' {NONE} ${{NAME}} or ${{NAME:-default}}, with letters, digits and _; for the text itself, "
    "write $${a-b}.",
    "${env:KEY}": f"'${{env:KEY}}' {NONE} ${{KEY}}; for the text itself, write $${{env:KEY}}.",
    "${input:KEY}": f"'${{input:KEY}}' {NONE} ${{KEY}}; for the text itself, write $${{input:KEY}}.",
    "${secrets.KEY}": f"'${{secrets.KEY}}' {NONE} ${{KEY}}; for the text itself, write $${{secrets.KEY}}.",
    "${caller:KEY:-a}": "'${caller:KEY:-a}' is no variable of the caller. Write ${caller:NAME}, without a default.",
}


@pytest.mark.parametrize(("text", "message"), SAID.items())
def test_what_is_meant_is_said(text, message):
    assert [problem.message for problem in find_malformed(text, "")] == [message]


PLACEHOLDERS = {
    "in a text": ("a ${x} $x", "a UTCP_ARG_x_UTCP_ARG $x"),
    "as the whole text": ("$x", "UTCP_ARG_x_UTCP_ARG"),
    "another name": ("${y} ${x}", "${y} UTCP_ARG_x_UTCP_ARG"),
    "another whole text": ("$y", "$y"),
    "escaped": ("$${x}", "$${x}"),
    "in lists and objects": ({"description": ["${x}"], "k": {"inputs": "$x"}}, {
        "description": ["UTCP_ARG_x_UTCP_ARG"], "k": {"inputs": "UTCP_ARG_x_UTCP_ARG"},
    }),
    "in a key": ({"${x}": 1}, {"${x}": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("value", "result"), PLACEHOLDERS.values(), ids=PLACEHOLDERS)
def test_an_argument_becomes_a_placeholder_at_any_depth(value, result):
    assert as_placeholders(value, {"x"}) == result
    assert as_placeholders(value, ()) == value


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ({"inputs": {"properties": {"a": {}, "b": {}}}}, {"a", "b"}), ({"inputs": {"properties": ["a"]}}, set()),
        ({"inputs": {}}, set()), ({"inputs": "a"}, set()), ({}, set()),
    ],
)  # fmt: skip
def test_the_arguments_of_a_tool_are_its_properties(tool, names):
    assert argument_names(tool) == names


def test_a_name_that_only_some_tools_have_is_ambiguous_unless_the_others_have_a_message_of_their_own():
    tools = [{"name": "t", "inputs": {"properties": {"x": {}}}}, {"name": "u"}]
    bound, (problem,) = bind_arguments({"message": {"a": "${x}"}, "tools": tools})
    assert bound["message"] == {"a": "${x}"}
    assert (problem.path, problem.code) == ("message", "ambiguous-variable")
    assert problem.message == (
        "${x} is an argument of some tools, and a variable for the others. Write UTCP_ARG_x_UTCP_ARG for the argument, "
        "or {{ vars.x }} for the variable."
    )
    other = {"name": "u", "tool_call_template": {"message": "$x"}}
    bound, problems = bind_arguments({"message": {"a": "${x}"}, "tools": [tools[0], other, 5]})
    assert problems == []
    assert bound["message"] == {"a": "UTCP_ARG_x_UTCP_ARG"}
    assert bound["tools"][1:] == [other, 5]


def test_only_the_fields_of_a_message_have_arguments():
    inputs = {"properties": {"x": {}}}
    fields = ("url", "message", "then", "before_message", "request_data_template", "stream")
    own = dict.fromkeys((*fields, "headers"), "$x")
    in_tool, problems = bind_arguments({"tools": [{"inputs": inputs, "tool_call_template": own}]})
    in_entry, more = bind_arguments({"tools": [{"inputs": inputs}], **own})
    assert problems == more == []
    for document in (in_entry, in_tool["tools"][0]["tool_call_template"]):
        assert {key for key in own if document[key] == "UTCP_ARG_x_UTCP_ARG"} == set(fields)
    assert bind_arguments({"message": "$x"}) == ({"message": "$x"}, [])
    assert bind_arguments({"message": "$x", "tools": 5}) == ({"message": "$x", "tools": 5}, [])
