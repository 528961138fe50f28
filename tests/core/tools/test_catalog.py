import json
from pathlib import PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.expressions.paths import UNDEFINED
from utcp_ws_mcp.core.expressions.scope import MESSAGE_NAMES
from utcp_ws_mcp.core.tools.catalog import (
    DISCOVERY_TOOL_NAME,
    compile_discovery,
    compile_entry,
    compile_tools,
    compile_tools_in_steps,
    pin_settings,
)
from utcp_ws_mcp.manifest.inheritance import CALL_TEMPLATE_KEYS
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.remote_manual import read_manual
from utcp_ws_mcp.manifest.variables import VariableResolver

FUZZ = settings(max_examples=200, deadline=None, database=None)
URL = "wss://own.example/ws"
OTHER = "wss://other.example/ws"


def entry_of(variables=None, **fields):
    document = [{"name": "m", "url": URL, **fields}]
    return load_document(document, VariableResolver([variables or {}]), "m.json", PurePath()).entries[0]


def local(*names, **fields):
    plans, problems = compile_entry(entry_of(tools=[{"name": name} for name in names], **fields))
    return [plan.name for plan in plans], [str(problem) for problem in problems]


def discovered(*templates, variables=None, **fields):
    entry = entry_of(variables, **fields)
    tools = [{"name": f"t{number}", "tool_call_template": template} for number, template in enumerate(templates)]
    found, _ = read_manual({"tools": tools}, entry)
    plans, problems = compile_tools(entry, found)
    return plans, [str(problem) for problem in problems]


INCLUDED = {
    "all": ({}, ["get_a", "get_b", "set_a"]),
    "some": ({"include_tools": ["get_*"]}, ["get_a", "get_b"]),
    "some of two lists": ({"include_tools": ["get_a", "set_*"]}, ["get_a", "set_a"]),
    "none": ({"include_tools": []}, []),
    "not some": ({"exclude_tools": ["*_a"]}, ["get_b"]),
    "some of them not": ({"include_tools": ["get_*"], "exclude_tools": ["*_a"]}, ["get_b"]),
    "with regard to case": ({"include_tools": ["GET_*"]}, []),
}


@pytest.mark.parametrize(("options", "names"), INCLUDED.values(), ids=INCLUDED)
def test_tools_are_chosen_by_their_names(options, names):
    assert local("get_a", "get_b", "set_a", **options) == (names, [])


def test_tools_are_chosen_by_the_name_in_their_manual_and_renamed_then():
    options = {"include_tools": ["old"], "tool_overrides": {"old": {"name": "new"}}}

    assert local("old", "new", **options) == (["new"], [])


def test_tools_that_say_nothing_of_their_own_share_the_compiled_call_template():
    tools = [{"name": "a"}, {"name": "b"}, {"name": "c", "tool_call_template": {"message": "{{ args.text }}"}}]
    a, b, c = compile_entry(entry_of(tools=tools))[0]
    (d, e, f, g), _ = discovered({}, {}, {"url": f"{URL}/other"}, {"url": f"{URL}/other"})

    assert (a.compiled_template is b.compiled_template, a.compiled_template is c.compiled_template) == (True, False)
    assert (d.compiled_template is e.compiled_template, d.compiled_template is f.compiled_template) == (True, False)
    assert f.compiled_template is g.compiled_template


def test_discovered_tools_share_a_call_template_only_if_its_values_have_the_same_types():
    (number, boolean), _ = discovered({"message": {"a": 1}}, {"message": {"a": True}})

    assert number.compiled_template is not boolean.compiled_template


def test_tools_share_the_upgrade_where_they_ask_for_the_same_connection():
    own = {"a": {"message": "{{ args.text }}"}, "b": {"reply": {"none": True}}, "c": {"headers": {"X-A": "1"}}}
    own |= {"d": {"limits": {"max_in_flight": 1}}, "e": {"on_connect": [{"send": "hello"}]}}
    tools = [{"name": name, "tool_call_template": template} for name, template in own.items()]
    plain, *others = compile_entry(entry_of(tools=[{"name": "plain"}, *tools]))[0]

    assert [plan.compiled_template.handshake is plain.compiled_template.handshake for plan in others] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_two_tools_of_one_name_are_a_problem():
    assert local("a", "b", tool_overrides={"b": {"name": "a"}}) == (
        ["a"],
        ["[0].tools[1].name: another tool is also named 'a'. Rename one of them. [duplicate-tool]"],
    )


OVERRIDES = {
    "a slip": (
        "qoute",
        [
            "[0].tool_overrides.qoute: there is no tool of this name. Did you mean 'quote'? [unknown-tool-override]",
        ],
    ),
    "a stranger": ("zzz", ["[0].tool_overrides.zzz: there is no tool of this name. [unknown-tool-override]"]),
    "a tool": ("quote", []),
}


@pytest.mark.parametrize(("name", "problems"), OVERRIDES.values(), ids=OVERRIDES)
def test_an_override_of_no_tool_is_a_problem_where_all_tools_are_known(name, problems):
    assert local("quote", tool_overrides={name: {}})[1] == problems
    assert local("quote", tool_overrides={name: {}}, discovery="handshake")[1] == []


def test_every_tool_that_cannot_be_called_is_a_problem_and_the_others_are_compiled():
    tools = [
        {"name": "a", "tool_call_template": {"message": "{{ nope }}"}},
        {"name": "b"},
        {"name": "c", "inputs": {"type": "objekt"}},
    ]
    plans, problems = compile_entry(entry_of(tools=tools))

    assert [plan.name for plan in plans] == ["b"]
    assert [problem.path[:12] for problem in problems] == ["[0].tools[0]", "[0].tools[2]"]


BROKEN = {
    "the URL": {"url": "wss://own.example/#x"},
    "a header": {"headers": {"Upgrade": "x"}},
    "an unknown variable": {"message": "{{ nope }}", "tools": [{"name": "t"}]},
    "the question for the manual": {"discovery": {"send": "{{ nope }}"}},
    "the answer to it": {"discovery": {"match": "mesage.tools"}},
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
def test_an_entry_that_can_never_be_used_is_a_problem_when_it_is_loaded(fields):
    plans, problems = compile_entry(entry_of(**fields))

    assert plans == []
    assert problems


# --- discovery ---


def answers(entry, value):
    plan = compile_discovery(entry)
    message = decode(json.dumps(value) if not isinstance(value, str) else value)
    scope = dict.fromkeys(MESSAGE_NAMES, UNDEFINED) | {"message": message.value}
    return plan.rules.extract(lambda each: scope, message) if plan.rules.match.is_true(scope) else None


MANUAL = {"utcp_version": "1.0", "tools": [{"name": "t"}]}
MANUALS = {
    "a manual": ({}, MANUAL, MANUAL),
    "a manual without tools": ({}, {"tools": []}, {"tools": []}),
    "a greeting": ({}, "hello", None),
    "another message": ({}, {"type": "hello"}, None),
    "tools that are no list": ({}, {"tools": "many"}, None),
    "an array": ({}, [MANUAL], None),
    "inside an answer": ({"manual": "message.result"}, {"result": MANUAL}, MANUAL),
    "not inside an answer": ({"manual": "message.result"}, MANUAL, None),
    "of a certain kind": ({"match": "message.kind == 'manual'"}, {"kind": "manual"}, {"kind": "manual"}),
    "of another kind": ({"match": "message.kind == 'manual'"}, MANUAL, None),
}


@pytest.mark.parametrize(("discovery", "value", "manual"), MANUALS.values(), ids=MANUALS)
def test_the_manual_is_the_first_message_that_is_one(discovery, value, manual):
    assert answers(entry_of(discovery=discovery), value) == manual


@pytest.mark.parametrize(
    ("fields", "question"),
    [({}, {"type": "utcp"}), ({"discovery": {"send": "manual"}}, "manual"), ({"preset": "jsonrpc2"}, {"type": "utcp"})],
    ids=["by default", "as configured", "beside a preset"],
)
def test_the_endpoint_is_asked(fields, question):
    plan = compile_discovery(entry_of(**fields))

    assert plan.compiled_template.request[0].render({"args": {}}) == question
    assert plan.rules.stream is None
    assert plan.rules.error is None
    assert plan.full_name == f"m.{DISCOVERY_TOOL_NAME}"


def test_a_manual_is_found_although_its_messages_are_ignored_elsewhere():
    assert answers(entry_of(ignore="message.tools is defined"), MANUAL) == MANUAL


def test_discovery_uses_the_connection_of_the_entry():
    entry = entry_of(
        headers={"X-A": "1"}, header_fields=["X-B"], timeout=5, tools=[{"name": "t"}], discovery="handshake"
    )
    plan = compile_discovery(entry)

    assert plan.compiled_template.handshake.constant.headers == (("X-A", "1"),)
    assert plan.template.timeout == 5


# --- where discovered tools may go ---

ORIGINS = {
    "its own URL": ({}, {"url": URL}, True),
    "another path": ({}, {"url": "wss://own.example/other?a=b"}, True),
    "no URL": ({}, {"message": "x"}, True),
    "an argument in the path": ({}, {"url": "wss://own.example/UTCP_ARG_a_UTCP_ARG"}, True),
    "another host": ({}, {"url": OTHER}, False),
    "another port": ({}, {"url": "wss://own.example:444/ws"}, False),
    "the same port, written": ({}, {"url": "wss://own.example:443/ws"}, True),
    "plain text": ({}, {"url": "ws://localhost/ws"}, False),
    "another host that is listed": ({"allow_origins": [OTHER]}, {"url": OTHER}, True),
    "another path of a listed host": ({"allow_origins": ["wss://other.example"]}, {"url": OTHER}, True),
    "another port of a listed host": ({"allow_origins": [OTHER]}, {"url": "wss://other.example:444"}, False),
    "a third host": ({"allow_origins": [OTHER]}, {"url": "wss://third.example"}, False),
    "a malformed one": ({}, {"url": "wss://own.example#@other.example"}, False),
}


@pytest.mark.parametrize(("fields", "template", "allowed"), ORIGINS.values(), ids=ORIGINS)
def test_a_discovered_tool_stays_at_its_origin_or_goes_where_the_manifest_allows(fields, template, allowed):
    plans, problems = discovered(template, {"message": "good"}, **fields)

    assert [plan.name for plan in plans] == (["t0", "t1"] if allowed else ["t1"])
    assert bool(problems) is not allowed


def test_a_refused_origin_is_named():
    assert discovered({"url": OTHER})[1] == [
        (
            "tools[0]: the discovered tool uses another origin than its manual: wss://other.example:443. "
            'To allow it, add the origin to "allow_origins". [origin-not-allowed]'
        )
    ]


def test_a_local_tool_may_go_anywhere():
    plans, problems = compile_entry(entry_of(tools=[{"name": "t", "tool_call_template": {"url": OTHER}}]))

    assert [plan.compiled_template.handshake.constant.url.host for plan in plans] == ["other.example"]
    assert problems == []


@pytest.mark.parametrize("url", ["${WS_URL}", "$WS_URL", "wss://${HOST}/ws", "wss://own.example:${PORT}/ws"])
def test_a_discovered_tool_stays_at_an_origin_that_a_variable_names(url):
    variables = {"WS_URL": URL, "HOST": "own.example", "PORT": "443"}
    plans, problems = discovered({"message": "x"}, {"url": URL}, variables=variables, url=url)

    assert problems == []
    assert [plan.name for plan in plans] == ["t0", "t1"]


@pytest.mark.parametrize("origin", ["other.example", "", "other"])
def test_an_allowed_origin_that_is_no_url_is_a_problem_when_the_manifest_loads(origin):
    assert compile_entry(entry_of(allow_origins=[origin]))[1]


def test_an_allowed_origin_that_is_no_url_does_not_stop_discovery():
    plans, _ = discovered({"message": "x"}, allow_origins=["other.example"])

    assert [plan.name for plan in plans] in (["t0"], [])


SECRETS = {
    "in the message": {"message": {"token": "${TOKEN}"}},
    "in the subprotocol": {"protocol": "bearer.${TOKEN}"},
    "in a cancel": {"stream": {"cancel": "${TOKEN}"}},
    "in a cancel of the reply": {"reply": {"cancel": "${TOKEN}"}},
    "in a header": {"headers": {"X-A": "${TOKEN}"}},
    "in auth": {"auth": {"auth_type": "api_key", "api_key": "${TOKEN}"}},
}


@pytest.mark.parametrize("fields", SECRETS.values(), ids=SECRETS)
def test_a_discovered_tool_takes_no_secret_of_the_manifest_to_another_origin(fields):
    plans, _ = discovered({"url": OTHER}, variables={"TOKEN": "s3cret"}, allow_origins=[OTHER], **fields)

    for plan in plans:
        wire, auth = plan.compiled_template, plan.template.auth
        cancels = [cancel for cancel in (plan.rules.cancel_stream, plan.rules.cancel_reply) if cancel]
        sent = [message.render({"args": {}}) for message in (wire.request[0], *cancels)]
        sent += [wire.handshake.constant.headers, wire.handshake.constant.subprotocols]
        sent += [auth and auth.api_key.get_secret_value()]
        assert "s3cret" not in repr(sent)


def nested(depth):
    value = "inmost"
    for _ in range(depth):
        value = [value]
    return value


def test_a_message_from_the_network_that_is_nested_too_deeply_leaves_its_tool_out():
    document = json.loads(json.dumps({"message": nested(90)}))
    plans, problems = discovered(document, {"message": "good"})

    assert [plan.name for plan in plans] == ["t1"]
    assert problems


@pytest.mark.parametrize(
    "template", [{"ignore": "'\ud800'"}, {"message": "{{ '\ud800' }}"}], ids=["a rule", "a message"]
)
def test_an_expression_from_the_network_that_is_no_unicode_leaves_its_tool_out(template):
    plans, problems = discovered(json.loads(json.dumps(template)), {"message": "good"})

    assert [plan.name for plan in plans] == ["t1"]
    assert problems


def test_a_subprotocol_from_the_network_that_is_no_token_leaves_its_tool_out():
    plans, problems = discovered({"protocol": "no token"}, {"message": "good"})

    assert [plan.name for plan in plans] == ["t1"]
    assert problems


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
texts = st.sampled_from(
    [
        *(URL, OTHER, "wss:", "//x", "${K}", "$K", "{{ args.a }}", "{{ vars.K }}", "UTCP_ARG_a_UTCP_ARG"),
        *("message.id == request_id", "Host", "message", "message | x", "json", "utcp", "a b"),
    ]
)
rules = st.dictionaries(
    st.sampled_from(["match", "error", "error_message", "result", "skip", "until", "item", "cancel", "max_items"]),
    texts,
)
headers = st.dictionaries(texts, texts, max_size=2)
fields = st.sampled_from(sorted(CALL_TEMPLATE_KEYS - {"preset", "protocol"}))
templates = st.dictionaries(fields, texts | rules | headers | st.lists(texts, max_size=2) | anything, max_size=4)
likely = st.fixed_dictionaries(
    {},
    optional={
        "url": texts,
        "message": texts | headers | anything,
        "reply": rules,
        "stream": rules | st.booleans(),
        "headers": headers,
        "header_fields": st.lists(texts, max_size=2),
        "ignore": texts,
    },
)


@FUZZ
@given(st.lists(templates | likely, max_size=4))
def test_any_tools_from_the_network_are_compiled_or_problems(found):
    plans, problems = discovered(*found, variables={"K": "s3cret", "m_K": "s3cret"})

    assert len(plans) <= len(found)
    assert all(plan.compiled_template.handshake.url.sample.startswith("wss://own.example") for plan in plans)
    assert "s3cret" not in "".join(problems)


# --- feeds beside tools ---

FEED = {"name": "said", "match": "message.said", "key": "message.said"}


def test_the_tools_of_feeds_follow_those_of_the_manifest_and_are_chosen_like_them():
    assert local("t", feeds=[FEED])[0] == ["t", "said_events", "said_latest"]
    assert local("t", feeds=[FEED], exclude_tools=["*_latest"])[0] == ["t", "said_events"]
    assert local("t", feeds=[])[0] == ["t"]


@pytest.mark.parametrize(
    ("fields", "count"),
    [({"tools": [{"name": "said_events"}], "feeds": [FEED]}, 1), ({"feeds": [FEED, {**FEED, "key": None}]}, 1)],
    ids=["a tool", "another feed"],
)
def test_a_tool_of_a_feed_whose_name_is_in_use_is_a_problem(fields, count):
    found = [str(problem) for problem in compile_entry(entry_of(**fields))[1]]

    assert (
        found
        == ["[0].feeds: another tool is also named 'said_events'. Rename the feed or the tool. [duplicate-tool]"]
        * count
    )


def test_an_entry_without_a_call_template_has_no_feeds():
    tools = [{"name": "t", "tool_call_template": {"call_template_type": "websocket", "url": URL}}]
    document = {"utcp_version": "1.0.1", "manual_version": "1.0.0", "tools": tools}
    (entry,) = load_document(document, VariableResolver([{}]), "m.json", PurePath()).entries
    compiled, problems = compile_entry(entry)

    assert (entry.template, [tool.name for tool in compiled], problems) == (None, ["t"], [])


# --- in steps ---


def test_a_manual_that_takes_too_long_is_compiled_up_to_there():
    entry = entry_of(tools=[{"name": name} for name in "abcd"])
    steps = compile_tools_in_steps(entry, entry.tools)
    next(steps)
    steps.send(False)
    with pytest.raises(StopIteration) as done:
        steps.send(True)
    compiled, (problem,) = done.value.value

    assert [tool.name for tool in compiled] == ["a", "b"]
    assert (problem.path, problem.code) == ("[0].tools[2]", "manual-too-large")
    assert problem.message == (
        "its manual takes too long to compile, so that this tool and those after it are left out."
    )


# --- where a manual is pinned for ---

PINS = {
    "another host": ({"url": "wss://own.example:444/ws?a=b"}, ("wss://own.example:444", "tofu")),
    "the usual port": ({"url": "wss://own.example/ws"}, ("wss://own.example", "tofu")),
    "loopback": ({"url": "ws://127.0.0.1:8765/ws"}, ("ws://127.0.0.1:8765", "off")),
    "loopback in IPv6": ({"url": "ws://[::1]:8765/"}, ("ws://[::1]:8765", "off")),
    "loopback, as the manifest says": ({"url": "ws://127.0.0.1:8765/", "pin": "tofu"}, ("ws://127.0.0.1:8765", "tofu")),
    "another host, as the manifest says": ({"url": "wss://own.example/", "pin": "off"}, ("wss://own.example", "off")),
    "arguments in the path": ({"url": "wss://own.example/{{ args.a }}"}, ("wss://own.example", "tofu")),
}


@pytest.mark.parametrize(("fields", "settings"), PINS.values(), ids=PINS)
def test_tools_are_pinned_for_the_origin_of_their_manual(fields, settings):
    assert pin_settings(entry_of(**fields)) == settings


@pytest.mark.parametrize(("value", "manual"), [({"result": MANUAL}, MANUAL), (MANUAL, MANUAL), ({"result": 1}, None)])
def test_the_expression_of_a_manual_may_be_a_condition(value, manual):
    expression = "message.result if message.result is defined else message"

    assert answers(entry_of(discovery={"manual": expression}), value) == manual
