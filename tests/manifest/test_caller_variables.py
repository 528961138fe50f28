"""`${caller:NAME}`: where a value of the caller may stand, and what it is without callers."""

from pathlib import PurePath

import pytest

from utcp_ws_mcp.errors import InvalidManifest
from utcp_ws_mcp.manifest.caller_variables import (
    ANY_CALLER,
    USABLE_VALUE,
    bind_caller_names,
    caller_names,
    without_header,
)
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import NO_CALLERS, CallerValues, VariableResolver

KEY = "${caller:KEY}"
VALUE = "key-of-ada"
ADA = CallerValues({"KEY": VALUE}.get)


def load(document, callers=ADA, **variables):
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **document}
    return load_document([entry], VariableResolver([variables], callers=callers), "m.json", PurePath("/m"))


ALLOWED = {
    "a header": {"headers": {"X-Key": f"Token {KEY}"}},
    "a subprotocol": {"protocol": [KEY]},
    "the query": {"url": f"wss://a.example/?key={KEY}"},
    "parameters of any name": {"query": {"url": KEY, "host": f"a {KEY}", "topic": [KEY], "set": "{{ vars.KEY }}"}},
    "a parameter of a tool": {"tools": [{"name": "t", "tool_call_template": {"query": {"host": KEY}}}]},
    "a parameter of a feed": {"feeds": [{"name": "f", "match": "true", "query": {"url": KEY}}]},
    "a parameter of a request": {"before_connect": [{"http": {"url": "https://a.example/", "query": {"url": KEY}}}]},
    "a credential": {"auth": {"auth_type": "api_key", "api_key": KEY}},
    "a user name": {"auth": {"auth_type": "basic", "username": KEY, "password": "p"}},
    "a message": {"message": {"description": [KEY]}},
    "a text message": {"message": f"LOGIN {KEY}"},
    "a message of a tool": {"tools": [{"name": "t", "tool_call_template": {"message": {"key": KEY}}}]},
    "a login": {"on_connect": [{"send": {"key": KEY}}]},
    "a request": {"before_connect": [{"http": {"url": "https://a.example/", "headers": {"X-Key": KEY}}}]},
    "a form": {"before_connect": [{"http": {"url": "https://a.example/", "form": {"key": KEY}}}]},
    "an expression that uses it": {
        "headers": {"X-Key": KEY},
        "message": {"proof": "{{ vars.KEY | upper }}"},
        "reply": {"match": "message.key == vars.KEY"},
    },
}


@pytest.mark.parametrize("document", ALLOWED.values(), ids=ALLOWED)
def test_a_value_of_the_caller_is_bound_where_only_the_endpoint_reads_it(document):
    (entry,) = load(document, KEY="of-the-operator").entries
    assert entry.variables == {"KEY": VALUE}
    assert entry.caller_variables == {"KEY"}
    assert not entry.awaits_caller


REFUSED = {
    "the host": {"url": f"wss://{KEY}.a.example/", "name": "m"},
    "the path": {"url": f"wss://a.example/{KEY}/"},
    "the host by an expression": {"url": "wss://{{ vars.KEY }}.a.example/", "headers": {"X-Key": KEY}},
    "the host of a request": {"before_connect": [{"http": {"url": f"https://{KEY}/"}}]},
    "the token endpoint": {
        "auth": {"auth_type": "oauth2", "token_url": f"https://{KEY}/", "client_id": "i", "client_secret": "s"}
    },
    "the name of a header": {"auth": {"auth_type": "api_key", "api_key": "k", "var_name": KEY}},
    "the header Host": {"headers": {"Host": KEY}},
    "a proxy": {"proxy": f"http://{KEY}:1"},
    "an expression": {"reply": {"match": f"message.key == '{KEY}'"}},
    "a setting": {"timeout": KEY},
    "a file": {"message": {"data": {"$file": KEY}}},
    "a topic": {"message": {"topic": f"a/{KEY}"}},
    "a topic below a key like that of a field": {"message": {"query": {"topic": f"a/{KEY}"}}},
    "the name of a tool that is called like a field": {"tool_overrides": {"query": {"name": KEY}}},
    "a captured value": {"headers": {"X-Key": KEY}, "capture": [{"match": "true", "set": {"url": "vars.KEY"}}]},
    "a captured value by its name": {
        "headers": {"X-Key": KEY},
        "capture": [{"match": "true", "set": {"url": "vars['KEY']"}}],
    },
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("callers", [ADA, None, ANY_CALLER], ids=["a caller", "no callers", "stand-ins"])
def test_a_value_of_the_caller_is_refused_where_it_would_choose_something(document, callers):
    with pytest.raises(InvalidManifest, match=r"a value of the caller would .*\[caller-variable-not-allowed\]"):
        load(document, callers, KEY="x")


@pytest.mark.parametrize("text", ["${KEY}", "$KEY", "a ${KEY} b"])
def test_one_name_is_either_the_callers_or_the_operators(text):
    with pytest.raises(InvalidManifest, match=r"message\.a: KEY is a variable of the caller elsewhere.*ambiguous"):
        load({"headers": {"X-Key": KEY}, "message": {"a": text}})


def test_other_variables_may_stand_where_those_of_callers_may_not():
    document = {
        "url": "wss://{{ vars.HOST }}/${PATH_NAME}",
        "headers": {"X-Key": KEY},
        "capture": [{"match": "true", "set": {"url": "vars.HOST"}}],
        "reply": {"match": "message.key == '$${caller:KEY}'"},
    }
    (entry,) = load(document, HOST="a.example", PATH_NAME="p").entries
    assert entry.variables == {"HOST": "a.example", "PATH_NAME": "p", "KEY": VALUE}


def test_every_key_of_a_message_is_data():
    message = {"description": [KEY, {"outputs": f"$${{caller:KEY}} {KEY}"}]}
    (entry,) = load({"message": message, "tool_overrides": {"t": {"description": f"Needs {KEY}."}}}).entries
    assert entry.raw["message"] == {"description": ["${KEY}", {"outputs": "$${caller:KEY} ${KEY}"}]}
    assert entry.options.tool_overrides["t"].description == f"Needs {KEY}."


@pytest.mark.parametrize("name", ["query", "message", "description"])
def test_a_tool_may_be_called_like_a_field_with_templates(name):
    override = {"description": f"Needs {KEY}.", "defaults": {"a": "b"}}
    document = {"headers": {"X-Key": KEY}, "tools": [{"name": name}], "tool_overrides": {name: override}}
    (entry,) = load(document).entries
    assert entry.options.tool_overrides[name].description == f"Needs {KEY}."
    assert entry.variables == {"KEY": VALUE}


def test_another_call_template_may_use_the_name_for_a_variable_of_the_operator():
    documents = [
        {"name": name, "url": "wss://a.example/", "tools": [{"name": "t"}], "headers": {"X-Key": text}}
        for name, text in (("of_caller", KEY), ("of_operator", "${KEY}"))
    ]
    resolver = VariableResolver([{"KEY": "operators", "of_caller_KEY": "operators"}], callers=ADA)
    entries = load_document(documents, resolver, "m.json", PurePath("/m")).entries
    assert [entry.variables["KEY"] for entry in entries] == [VALUE, "operators"]


def test_an_argument_of_the_same_name_stays_an_argument():
    inputs = {"type": "object", "properties": {"KEY": {"type": "string"}}}
    (entry,) = load({"message": {"a": "${KEY}", "b": KEY}, "tools": [{"name": "t", "inputs": inputs}]}).entries
    assert entry.raw["message"] == {"a": "UTCP_ARG_KEY_UTCP_ARG", "b": "${KEY}"}


def test_tools_cannot_be_discovered_with_a_value_of_the_caller():
    for document in ({"tools": None}, {"discovery": {"send": "list"}}):
        with pytest.raises(InvalidManifest, match=r"\[caller-variable-with-discovery\]"):
            load({"headers": {"X-Key": KEY}, **document})


def test_without_callers_the_value_is_a_variable_like_others():
    (entry,) = load({"headers": {"X-Key": KEY}}, None, KEY="of-the-user").entries
    assert entry.variables == {"KEY": "of-the-user"}
    assert not entry.awaits_caller
    assert [each.missing for each in load({"headers": {"X-Key": KEY}}, None).disabled] == [("KEY",)]


def test_a_name_without_a_header_is_named_with_the_option():
    with pytest.raises(InvalidManifest, match=r"Start with --caller-variable KEY=HEADER.*without-header"):
        load({"headers": {"X-Key": KEY}}, NO_CALLERS, KEY="x")


def test_a_stand_in_makes_the_tools_known_and_nothing_more():
    (entry,) = load({"headers": {"X-Key": KEY}}, ANY_CALLER, KEY="x").entries
    assert entry.awaits_caller
    assert entry.variables == {"KEY": "caller.KEY"}


@pytest.mark.parametrize("text", ["${caller:KEY:-none}", "${caller:}", "${caller:a.b}", "${caller:KEY"])
def test_a_value_of_the_caller_has_no_default_and_no_other_form(text):
    with pytest.raises(InvalidManifest, match=r"Write \$\{caller:NAME\}, without a default. \[invalid-variable\]"):
        load({"headers": {"X-Key": text}})


def test_an_escaped_one_is_text():
    (entry,) = load({"message": {"a": "$${caller:KEY}"}}, None).entries
    assert entry.variables == {}


def test_documentation_may_mention_it():
    (entry,) = load({"tools": [{"name": "t", "description": f"Needs {KEY}."}]}, None).entries
    assert entry.tools[0].tool.description == f"Needs {KEY}."


@pytest.mark.parametrize(
    "text",
    ["", "short", "a b c d e f", "key\r\nX: y", "key-of-ada\n", "a;b;c;d", 'say"so"', "wörter", "x" * 4097, "a&b=cd"],
)
def test_a_value_that_could_end_its_place_is_not_usable(text):
    assert not USABLE_VALUE.fullmatch(text)


@pytest.mark.parametrize(
    "text", ["eyJhbGciOi.eyJzdWIi.c2ln-_", "dXNlcjpwYXNz+/==", "123456:ABC-DEF", "ada@example.com"]
)
def test_tokens_of_all_usual_forms_are_usable(text):
    assert USABLE_VALUE.fullmatch(text)


REASONS = {
    "choose the server or the path": [
        ({"url": "wss://${caller:K}/"}, "url"), ({"url": "wss://a/{{ vars.K }}?x=1"}, "url"),
        ({"tools": [{"tool_call_template": {"url": "wss://${caller:K}/?a=b"}}]}, "tools[0].tool_call_template.url"),
    ],
    "choose a file or a topic": [
        ({"message": {"$file": "${caller:K}"}}, "message.$file"), ({"message": {"topic": ["{{ vars.K }}"]}},
            "message.topic[0]"),
        ({"message": {"topics": "${caller:K}"}}, "message.topics"),
    ],
    "become a value of session, which can be a URL": [
        ({"on_connect": [{"capture": {"a": "vars.K"}}]}, "on_connect[0].capture.a"),
        ({"capture": [{"set": {"a": "vars.K"}}]}, "capture[0].set.a"),
    ],
    "choose the server": [({"headers": {"HOST": "${caller:K}"}}, "headers.HOST")],
    "be a part of a setting or an expression": [
        ({"timeout": "${caller:K}"}, "timeout"), ({"auth": {"var_name": "${caller:K}"}}, "auth.var_name"),
        ({"x": {"api_key": "${caller:K}"}}, "x.api_key"), ({"api_key": "${caller:K}"}, "api_key"),
        ({"reply": {"match": "a == '${caller:K}'"}}, "reply.match"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "document", "path"), [(reason, *case) for reason, cases in REASONS.items() for case in cases]
)
def test_what_a_value_would_do_is_said_at_its_place(reason, document, path):
    _, (problem,) = bind_caller_names(document, frozenset({"K"}))
    assert (problem.path, problem.code) == (path, "caller-variable-not-allowed")
    assert problem.message == (
        f"a value of the caller would {reason}. It may stand in headers, auth, the query of a URL, messages."
    )


UNREFUSED = [
    {"url": "wss://a/?k=${caller:K}&l={{ vars.K }}"}, {"url": "wss://a/$${caller:K}"}, {"timeout": "$${caller:K}"},
    {"reply": {"match": "message.a == vars.K"}}, {"auth": {"api_key": "${caller:K}", "client_secret": "${caller:K}"}},
    {"url": "wss://{{ vars.OTHER }}/"}, {"description": "${caller:K}", "inputs": {"url": "${caller:K}"}},
    {"message": {"description": "${caller:K}"}}, {"headers": {"X-Host": "${caller:K}"}},
]  # fmt: skip


@pytest.mark.parametrize("document", UNREFUSED, ids=str)
def test_where_a_value_does_no_harm_it_may_stand(document):
    _, problems = bind_caller_names(document, frozenset({"K"}))
    assert problems == []


def test_each_reference_of_a_caller_is_a_variable_afterwards():
    document = {
        "headers": {"A": "a ${caller:K} $${caller:K}"},
        "description": "${caller:K}",
        "message": {"inputs": ["${caller:K}", 5]},
    }
    assert bind_caller_names(document, frozenset({"K"}))[0] == {
        "headers": {"A": "a ${K} $${caller:K}"}, "description": "${caller:K}", "message": {"inputs": ["${K}", 5]},
    }  # fmt: skip
    assert caller_names(document) == {"K"}
    assert caller_names({"a": "$${caller:K} ${L} caller:M"}) == frozenset()


def test_the_values_that_no_header_brings_are_named_in_order():
    problems = without_header(frozenset("CAB"), CallerValues({"B": "b"}.get), "p")
    assert [(problem.path, problem.message) for problem in problems] == [
        ("p", "${caller:A} comes from no header. Start with --caller-variable A=HEADER."),
        ("p", "${caller:C} comes from no header. Start with --caller-variable C=HEADER."),
    ]


def test_the_bounds_of_a_value_are_those_of_the_documentation():
    assert [bool(USABLE_VALUE.fullmatch("a" * length)) for length in (5, 6, 4096, 4097)] == [False, True, True, False]
    assert (NO_CALLERS.get("A"), NO_CALLERS.are_stand_ins) == (None, True)
    assert (ANY_CALLER.get("A"), ANY_CALLER.are_stand_ins, ADA.are_stand_ins) == ("caller.A", True, False)
