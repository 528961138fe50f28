"""Names that a connection does not have: what it sends by itself knows no tool and no reply."""

from pathlib import PurePath

import pytest

from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver


def problems_of(**fields):
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}
    loaded = load_document([entry], VariableResolver([{}]), "m.json", PurePath("/m"))
    return [str(problem) for problem in compile_entry(loaded.entries[0])[1]]


def http(**request):
    return {"http": {"url": "https://a.example/", **request}}


FIELDS = {
    "on_connect": lambda source: {"on_connect": [{"send": {"a": f"{{{{ {source} }}}}"}}]},
    "when": lambda source: {"on_connect": [{"send": "a", "when": f"{source} == 't'"}]},
    "expect": lambda source: {"on_connect": [{"expect": f"message == {source}"}]},
    "fail": lambda source: {"on_connect": [{"expect": "message", "fail": f"{source} == 't'"}]},
    "capture of a step": lambda source: {"on_connect": [{"expect": "message", "capture": {"a": source}}]},
    "on_disconnect": lambda source: {"on_disconnect": [{"send": {"a": f"{{{{ {source} }}}}"}}]},
    "when of on_disconnect": lambda source: {"on_disconnect": [{"send": "a", "when": f"{source} == 't'"}]},
    "auto_reply": lambda source: {"auto_reply": [{"match": "message.a", "send": {"a": f"{{{{ {source} }}}}"}}]},
    "match of auto_reply": lambda source: {"auto_reply": [{"match": f"message.a == {source}", "send": "a"}]},
    "capture": lambda source: {"capture": [{"match": "message.a", "set": {"a": source}}]},
    "match of capture": lambda source: {"capture": [{"match": f"message.a == {source}", "set": {"a": "message.b"}}]},
    "fail_when": lambda source: {"fail_when": f"message.a == {source}"},
    "fail_message": lambda source: {"fail_when": "message.a", "fail_message": source},
    "reconnect_when": lambda source: {"reconnect_when": f"message.a == {source}"},
    "heartbeat": lambda source: {"heartbeat": {"every": 5, "send": {"a": f"{{{{ {source} }}}}"}}},
    "URL of before_connect": lambda source: {"before_connect": [http(url=f"https://a.example/{{{{ {source} }}}}")]},
    "header of before_connect": lambda source: {"before_connect": [http(headers={"X": f"{{{{ {source} }}}}"})]},
    "body of before_connect": lambda source: {"before_connect": [http(json={"a": f"{{{{ {source} }}}}"})]},
    "HTTP step of on_connect": lambda source: {"on_connect": [http(json={"a": f"{{{{ {source} }}}}"})]},
}


@pytest.mark.parametrize("name", ["tool", "reply", "let.x"])
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_a_connection_has_no_name_of_one_call(field, name):
    (problem,) = problems_of(**field(name))
    assert f"unknown name '{name.partition('.')[0]}'" in problem
    if name == "tool":
        assert "A connection is shared by tools" in problem


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_a_connection_has_the_names_of_the_call_that_opens_it(field):
    assert problems_of(**field("args.x")) == []


@pytest.mark.parametrize("name", ["request_id", "counter()", "next_id()"])
def test_before_a_connection_there_are_no_ids(name):
    assert problems_of(**FIELDS["body of before_connect"](name))
    assert problems_of(**FIELDS["HTTP step of on_connect"](name)) == []


IDS = {"request_id", "counter()", "next_id()"}
IDS_OF = {
    "on_connect": IDS,
    "when": IDS,
    "on_disconnect": IDS,
    "heartbeat": IDS,
    "auto_reply": IDS - {"request_id"},
    "match of auto_reply": set(),
    "capture": set(),
    "match of capture": set(),
    "fail_when": set(),
    "fail_message": set(),
    "reconnect_when": set(),
}


@pytest.mark.parametrize("name", sorted(IDS))
@pytest.mark.parametrize(("field", "known"), IDS_OF.items(), ids=IDS_OF)
def test_only_what_is_sent_has_ids(field, known, name):
    problems = problems_of(**FIELDS[field](name))
    assert (problems == []) is (name in known)
    assert all(f"unknown name '{name.removesuffix('()')}'" in problem for problem in problems)


def test_an_answer_with_the_id_of_a_call_is_refused_with_what_makes_a_new_one():
    (problem,) = problems_of(**FIELDS["auto_reply"]("request_id"))
    assert "Write next_id(), which makes a new one." in problem


def test_the_handshake_knows_the_tool_only_where_it_is_rendered_for_one():
    assert problems_of(headers={"X-Tool": "{{ tool }}"}) == []
    step = http() | {"capture": {"ticket": "body.ticket"}}
    (problem,) = problems_of(before_connect=[step], url="wss://a.example/{{ session.ticket }}?t={{ tool }}")
    assert "tool and session cannot be used together" in problem
