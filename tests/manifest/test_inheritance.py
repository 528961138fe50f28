import copy

import pytest

from utcp_ws_mcp.errors import Problem
from utcp_ws_mcp.manifest.inheritance import (
    EXTENDED_KEYS,
    apply_preset,
    check_fields,
    merge,
    merge_tool,
    normalize,
)
from utcp_ws_mcp.manifest.models.call_template import CallTemplate
from utcp_ws_mcp.manifest.presets import preset_names, read_preset
from utcp_ws_mcp.manifest.validation import check_model

MERGED = {
    "nothing": ({"a": 1}, {}, {"a": 1}),
    "a new value": ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    "another value": ({"a": 1}, {"a": 2}, {"a": 2}),
    "null takes away": ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    "null takes nothing away": ({"b": 2}, {"a": None}, {"b": 2}),
    "null takes a nested object away": ({"reply": {"match": "x"}}, {"reply": None}, {}),
    "reply, key by key": (
        {"reply": {"match": "m", "result": "r"}},
        {"reply": {"result": "r2", "error": "e"}},
        {"reply": {"match": "m", "result": "r2", "error": "e"}},
    ),
    "stream, key by key": (
        {"stream": {"on": False, "until": "u"}},
        {"stream": {"on": True}},
        {"stream": {"on": True, "until": "u"}},
    ),
    "limits, key by key": ({"limits": {"a": 1}}, {"limits": {"b": 2}}, {"limits": {"a": 1, "b": 2}}),
    "network, key by key": ({"network": {"a": 1}}, {"network": {"b": 2}}, {"network": {"a": 1, "b": 2}}),
    "tls, key by key": ({"tls": {"a": 1}}, {"tls": {"b": 2}}, {"tls": {"a": 1, "b": 2}}),
    "headers as a whole": ({"headers": {"A": "1"}}, {"headers": {"B": "2"}}, {"headers": {"B": "2"}}),
    "auth as a whole": (
        {"auth": {"auth_type": "basic"}},
        {"auth": {"auth_type": "api_key"}},
        {"auth": {"auth_type": "api_key"}},
    ),
    "a message as a whole": ({"message": {"a": 1}}, {"message": {"b": 2}}, {"message": {"b": 2}}),
    "steps before and behind": (
        {"on_connect": [1, 2]},
        {"on_connect": [0, "...", 3]},
        {"on_connect": [0, 1, 2, 3]},
    ),
    "steps behind nothing": ({}, {"on_connect": ["...", 3]}, {"on_connect": [3]}),
    "a list instead": ({"on_connect": [1, 2]}, {"on_connect": [3]}, {"on_connect": [3]}),
    "predicates behind one": ({"ignore": "a"}, {"ignore": ["...", "b"]}, {"ignore": ["a", "b"]}),
    "a message of three dots": ({"then": ["a"]}, {"then": ["...", "b"]}, {"then": ["...", "b"]}),
    "a nested object over something else": ({"reply": 5}, {"reply": {"match": "m"}}, {"reply": {"match": "m"}}),
    "something else over a nested object": ({"reply": {"match": "m"}}, {"reply": 5}, {"reply": 5}),
}


@pytest.mark.parametrize(("base", "over", "expected"), MERGED.values(), ids=MERGED)
def test_one_document_goes_on_top_of_another(base, over, expected):
    before = copy.deepcopy((base, over))

    assert merge(base, over) == expected
    assert (base, over) == before


def test_null_takes_a_single_limit_away():
    assert merge({"limits": {"a": 1, "b": 2}}, {"limits": {"a": None}}) == {"limits": {"b": 2}}


def test_null_takes_a_single_reply_rule_away():
    merged = merge({"url": "wss://a.example/", "reply": {"match": "m", "result": "r"}}, {"reply": {"match": None}})

    template, problems = check_model(CallTemplate, merged, "")

    assert problems == []
    assert (template.reply.match, template.reply.result) == (None, "r")


FORMS = {
    "stream on": ({"stream": True}, {"stream": {"on": True}}),
    "stream off": ({"stream": False}, {"stream": {"on": False}}),
    "a stream's settings turn it on": ({"stream": {"max_items": 3}}, {"stream": {"on": True, "max_items": 3}}),
    "a stream's settings may leave it off": ({"stream": {"on": False}}, {"stream": {"on": False}}),
    "the older JSON": ({"request_data_format": "json"}, {"preset": "utcp"}),
    "the older JSON with its unused template": (
        {"request_data_format": "json", "request_data_template": "x"},
        {"preset": "utcp"},
    ),
    "the older JSON beside a preset": ({"request_data_format": "json", "preset": "jsonrpc2"}, {"preset": "jsonrpc2"}),
    "the older text": (
        {"request_data_format": "text", "request_data_template": "hi UTCP_ARG_a_UTCP_ARG"},
        {"message": "hi UTCP_ARG_a_UTCP_ARG"},
    ),
    "the older text beside a message": (
        {"request_data_format": "text", "request_data_template": "old", "message": "new"},
        {"message": "new"},
    ),
}


@pytest.mark.parametrize(("raw", "expected"), FORMS.values(), ids=FORMS)
def test_short_forms_and_the_older_dialect_have_one_full_form(raw, expected):
    before = copy.deepcopy(raw)

    assert normalize(raw) == expected
    assert raw == before
    assert normalize(normalize(raw)) == expected


def test_an_entry_wins_over_its_preset_key_by_key():
    merged = apply_preset(normalize({"preset": "jsonrpc2", "request_id": "uuid", "reply": {"result": "message.r"}}))

    assert merged["request_id"] == "uuid"
    assert merged["reply"] == {**read_preset("jsonrpc2")["reply"], "result": "message.r"}
    assert merged["message"] == read_preset("jsonrpc2")["message"]


@pytest.mark.parametrize("preset", ["nonesuch", 5, "../utcp"])
def test_a_preset_that_does_not_exist_adds_nothing(preset):
    assert apply_preset({"preset": preset, "url": "x"}) == {"preset": preset, "url": "x"}


INHERITED = {
    "everything that it does not set": ({"url": "u", "timeout": 5}, {"timeout": 6}, {"url": "u", "timeout": 6}),
    "not the manual's own keys": ({"url": "u", "name": "m", "tools": [], "allow_origins": []}, {}, {"url": "u"}),
    "not a name of its own": ({"url": "u"}, {"name": "n"}, {"url": "u"}),
    "less what it takes away": ({"url": "u", "auth": {"auth_type": "basic"}}, {"auth": None}, {"url": "u"}),
    "a stream that it turns off": (
        {"stream": {"on": True, "until": "u"}},
        {"stream": False},
        {"stream": {"on": False, "until": "u"}},
    ),
    "the older dialect": (
        {"message": "m"},
        {"request_data_format": "text", "request_data_template": "t"},
        {"message": "t"},
    ),
}


@pytest.mark.parametrize(("entry", "tool", "expected"), INHERITED.values(), ids=INHERITED)
def test_a_tool_inherits_from_its_entry(entry, tool, expected):
    assert merge_tool(entry, tool) == expected


def test_a_preset_of_a_tool_is_merged_between_its_entry_and_itself():
    entry = {"url": "u", "message": "of the entry", "reply": {"skip": "of the entry", "result": "of the entry"}}

    merged = merge_tool(entry, {"preset": "jsonrpc2", "reply": {"result": "of the tool"}})

    assert merged["message"] == read_preset("jsonrpc2")["message"]
    assert merged["reply"] == {
        **read_preset("jsonrpc2")["reply"],
        "skip": "of the entry",
        "result": "of the tool",
    }


KNOWN_PRESETS = ", ".join(sorted(preset_names()))
WRONG = {
    "a preset with a slip": (
        {"preset": "jsonrpc"},
        [Problem("e.preset", "there is no preset 'jsonrpc'. Did you mean 'jsonrpc2'?", code="unknown-preset")],
    ),
    "an unknown preset": (
        {"preset": "zzz"},
        [Problem("e.preset", f"there is no preset 'zzz'. Known presets: {KNOWN_PRESETS}.", code="unknown-preset")],
    ),
    "an unknown format": (
        {"request_data_format": "xml"},
        [Problem("e.request_data_format", "expected 'json' or 'text'.", code="invalid-value")],
    ),
    "text without its template": (
        {"request_data_format": "text"},
        [
            Problem(
                "e.request_data_template",
                'this field is required with "request_data_format": "text".',
                code="missing-key",
            )
        ],
    ),
    "a template without its format": (
        {"request_data_template": "x"},
        [
            Problem(
                "e.request_data_template",
                'no effect without "request_data_format": "text". Add that, or write the template as "message".',
                code="field-needs-format",
            )
        ],
    ),
    "nothing": ({"url": "u", "preset": "utcp", "request_data_format": "json"}, []),
}


@pytest.mark.parametrize(("raw", "problems"), WRONG.values(), ids=WRONG)
def test_what_only_the_written_form_shows_is_checked_there(raw, problems):
    assert check_fields(raw, "e") == problems


@pytest.mark.parametrize("preset", [[], {}], ids=["an array", "an object"])
def test_a_preset_that_is_no_name_is_a_problem(preset):
    assert [problem.path for problem in check_fields({"preset": preset}, "e")] == ["e.preset"]


@pytest.mark.parametrize("name", sorted(preset_names()))
def test_a_preset_is_a_call_template_without_its_url(name):
    preset = read_preset(name)

    template, problems = check_model(CallTemplate, {**preset, "url": "wss://a.example/"}, name)

    assert problems == []
    assert template is not None
    assert check_fields(preset, name) == []
    assert not {"url", "auth", "network", "tls"} & preset.keys()


LISTENING = {
    "a tool that listens removes the message of its entry": ({"message": "a"}, {"listen": True}, (None, True)),
    "a tool with a message removes listen of its entry": ({"listen": True}, {"message": "b"}, ("b", False)),
    "a tool that turns listen off sends its arguments": ({"listen": True}, {"listen": False}, (None, False)),
    "a tool without either inherits listen": ({"listen": True}, {"timeout": 5}, (None, True)),
    "a variable in place of true": ({"message": "a"}, {"listen": "true"}, (None, True)),
}


@pytest.mark.parametrize(("entry", "tool", "expected"), LISTENING.values(), ids=LISTENING)
def test_message_and_listen_exclude_each_other_when_they_are_inherited(entry, tool, expected):
    template = CallTemplate.model_validate(merge_tool({"url": "wss://a.example/", **entry}, tool))
    assert (template.message, template.listen) == expected


def test_a_tool_that_listens_removes_the_message_of_its_preset():
    template = CallTemplate.model_validate(
        merge_tool(apply_preset({"url": "wss://a.example/", "preset": "jsonrpc2"}), {"listen": True})
    )
    assert (template.message, template.listen) == (None, True)


def test_message_and_listen_in_one_object_contradict_each_other():
    why = 'excludes "message": a call that only listens sends nothing. Remove one of them.'
    assert check_fields({"message": "a", "listen": True}, "e") == [Problem("e.listen", why, code="invalid-value")]
    assert check_fields({"message": "a", "listen": False}, "e") == []


def test_feeds_have_the_fields_of_feed_defaults_unless_they_say_otherwise() -> None:
    document = {
        "preset": "mopidy",
        "feed_defaults": {"item": "message.a", "size": 7},
        "feeds": [{"name": "a"}, {"name": "b", "item": None, "size": 8}],
    }
    match = read_preset("mopidy")["feed_defaults"]["match"]
    assert apply_preset(document)["feeds"] == [
        {"name": "a", "match": match, "item": "message.a", "size": 7},
        {"name": "b", "match": match, "size": 8},
    ]


def test_a_tool_inherits_no_feeds() -> None:
    entry = apply_preset({"preset": "mopidy", "url": "wss://a.example/", "feeds": [{"name": "a"}]})
    assert not {"feeds", "feed_defaults"} & merge_tool(entry, {}).keys()


@pytest.mark.parametrize("key", sorted(EXTENDED_KEYS - {"feeds"}))  # a tool has no feeds of its own
def test_every_list_of_steps_can_be_extended(key):
    assert merge_tool({key: ["a"]}, {key: ["b", "..."]})[key] == ["b", "a"]
    assert key in CallTemplate.model_fields


def test_the_steps_of_a_preset_stay_between_those_of_a_manifest():
    own = [{"send": "first"}, "...", {"send": "last"}]
    steps = apply_preset({"preset": "homeassistant", "url": "wss://a.example/", "on_connect": own})["on_connect"]
    assert steps == [{"send": "first"}, *read_preset("homeassistant")["on_connect"], {"send": "last"}]
