from typing import Any

import pytest

from utcp_ws_mcp.manifest.models.call_template import CallTemplate
from utcp_ws_mcp.manifest.models.manual import ManualOptions, Tool
from utcp_ws_mcp.manifest.validation import (
    check_model,
    closest_match,
    join_path,
    strip_comments,
    unknown_key_message,
    unknown_keys,
)

MESSAGES = {
    "a missing field": ({}, "url: this field is required. [missing-key]"),
    "no string": ({"url": 5}, "url: expected a string. [wrong-type]"),
    "no boolean": ({"keep_alive": "perhaps"}, "keep_alive: expected true or false. [wrong-type]"),
    "no number": ({"timeout": "soon"}, "timeout: expected a number. [wrong-type]"),
    "too small a number": ({"timeout": 0}, "timeout: expected a number greater than 0. [invalid-value]"),
    "too great a number": ({"timeout": 1e6}, "timeout: expected a number of at most 86400. [invalid-value]"),
    "an infinite number": ({"timeout": float("inf")}, "timeout: expected a number of at most 86400. [invalid-value]"),
    "no choice": ({"response_format": "xml"}, "response_format: expected 'json', 'text' or 'raw'. [invalid-value]"),
    "no object": ({"reply": []}, "reply: expected an object. [wrong-type]"),
    "no dictionary": ({"headers": []}, "headers: expected an object. [wrong-type]"),
    "a query as text": ({"query": "a=b"}, "query: expected an object. [wrong-type]"),
    "no array": ({"header_fields": 5}, "header_fields: expected an array. [wrong-type]"),
    "in an array": ({"header_fields": ["a", 5]}, "header_fields[1]: expected a string. [wrong-type]"),
    "in an object": ({"headers": {"X-A": 5}}, "headers.X-A: expected a string. [wrong-type]"),
    "a whole number": (
        {"limits": {"max_connections": "x"}},
        "limits.max_connections: expected a whole number. [wrong-type]",
    ),
    "too small a whole number": (
        {"stream": {"max_items": 0}},
        "stream.max_items: expected a number of at least 1. [invalid-value]",
    ),
    "half a number": (
        {"stream": {"max_items": 1.5}},
        "stream.max_items: expected a whole number. [wrong-type]",
    ),
    "a slip": (
        {"repsonse_format": "json"},
        "repsonse_format: unknown key. Did you mean 'response_format'? [unknown-key]",
    ),
    "a slip below": ({"reply": {"mach": "x"}}, "reply.mach: unknown key. Did you mean 'match'? [unknown-key]"),
    "an unknown key below": (
        {"network": {"zzz": 1}},
        "network.zzz: unknown key. Known keys: allow, plaintext. [unknown-key]",
    ),
    "a message that is none": (
        {"message": 5},
        "message: expected a string, an object or an array. [invalid-message]",
    ),
    "a message that is false": (
        {"message": False},
        'message: cannot be false. Write "listen": true for a call that sends nothing. [invalid-message]',
    ),
    "no websocket": (
        {"allowed_communication_protocols": ["http"]},
        (
            "allowed_communication_protocols: the list excludes the tools of this call template. "
            'Add "websocket", or remove the list. [protocol-not-allowed]'
        ),
    ),
    "auth without its kind": (
        {"auth": {}},
        'auth: "auth_type" is required. Set it to "api_key", "basic" or "oauth2". [missing-key]',
    ),
    "auth of an unknown kind": (
        {"auth": {"auth_type": "digest"}},
        "auth: unknown auth_type. Expected 'api_key', 'basic', 'oauth2'. [invalid-value]",
    ),
    "auth without a field": (
        {"auth": {"auth_type": "basic", "username": "u"}},
        "auth.password: this field is required. [missing-key]",
    ),
    "auth with a slip": (
        {"auth": {"auth_type": "api_key", "api_key": "k", "varname": "x"}},
        "auth.varname: unknown key. Did you mean 'var_name'? [unknown-key]",
    ),
    "no HTTP method": (
        {"before_connect": [{"http": {"url": "https://a.example/", "method": "GET / HTTP/1.1\r\nX-Injected: 1\r\n"}}]},
        "before_connect[0].http.method: expected an HTTP method such as 'POST'. [invalid-value]",
    ),
    "a user name with a colon": (
        {"auth": {"auth_type": "basic", "username": "a:b", "password": "p"}},
        "auth.username: a user name cannot contain ':' (RFC 7617 §2). Use another user name. [invalid-user-name]",
    ),
    "what UTF-8 cannot encode": (
        {"auth": {"auth_type": "api_key", "api_key": "\ud800"}},
        (
            "auth.api_key: the text contains characters that UTF-8 cannot encode. Write it, or set its variable, in "
            "UTF-8. [invalid-encoding]"
        ),
    ),
    "a name of let with a hyphen": (
        {"let": {"a-b": "1"}},
        "let: 'a-b' cannot be written as let.a-b. Use only letters, digits and _. [invalid-let-name]",
    ),
    "a further message that is none": (
        {"then": [5]},
        "then: expected messages: strings, objects or arrays. [invalid-message]",
    ),
    "a disconnect message that is none": (
        {"on_disconnect": [{"send": 5}]},
        "on_disconnect[0].send: expected a message: a string, an object or an array. [invalid-message]",
    ),
    "a step that sends and expects": (
        {"on_connect": [{"send": "a", "expect": "true"}]},
        'on_connect[0]: a step has one of "send", "expect" and "http". Use a step for each. [step-not-exclusive]',
    ),
    "messages without an end": (
        {"framing": {"spans_messages": True}},
        (
            'framing: "spans_messages" requires a "separator" or a "length", which says where a message ends. Add one '
            "of them. [separator-required]"
        ),
    ),
    **{
        name: ({"framing": framing}, f"framing{path}: {message} [invalid-framing]")
        for name, (framing, path, message) in {
            "no length at all": (
                {"length": {"endian": "big"}},
                ".length",
                'a length has one of "size", "between" and "pattern". Write one of them.',
            ),
            "two lengths": (
                {"length": {"size": 4, "pattern": "(.)"}},
                ".length",
                'a length has one of "size", "between" and "pattern". Write one of them.',
            ),
            "a byte order in text": (
                {"length": {"pattern": "(.)", "endian": "big"}, "separator": "x"},
                ".length",
                "'endian' has no meaning for a length in text. Remove it.",
            ),
            "a trailer behind bytes": (
                {"length": {"size": 4, "trailer": "x"}},
                ".length",
                "'trailer' has no meaning for a binary length. Remove it.",
            ),
            "a varint inside a header": (
                {"length": {"size": "varint", "at": 2}},
                ".length",
                'a "varint" is directly behind the header and counts the body. Remove "at" and "counts".',
            ),
            "a header without an end": (
                {"length": {"pattern": "(.)"}},
                "",
                '"length.pattern" requires a "separator", which ends the header. Add one.',
            ),
            "two headers": (
                {"length": {"pattern": "(.)"}, "separator": "x", "header": 4},
                "",
                '"header" has no meaning with a length in text. Remove it.',
            ),
            "a separator and a length": (
                {"length": {"size": 4}, "separator": "x"},
                "",
                '"separator" excludes a binary "header" or "length". Remove one of them.',
            ),
            "a header too short": (
                {"length": {"size": 4, "at": 2}, "header": 5},
                "",
                '"header" has 5 bytes, too few for the length in it. Write 6 or more.',
            ),
            "nested without length": (
                {"compression": {"method": "zlib", "nested": True}},
                "",
                '"compression.nested" requires a binary "length", which separates the messages. Add one.',
            ),
            "Socket.IO in other layers": (
                {"codec": "socketio4", "compression": "gzip"},
                "",
                'the codec "socketio4" excludes "length", "header" and "compression". Remove them.',
            ),
            "protobuf without schema": (
                {"codec": "protobuf"},
                "",
                'the codec "protobuf" and the object "protobuf" (with "schema" and "receive") need each other.',
            ),
        }.items()
    },
}


def problems_of(raw, model=CallTemplate, path=""):
    return [str(problem) for problem in check_model(model, raw, path)[1]]


LEAST: dict[str, tuple[float, float]] = {
    "timeout": (0.001, 0),
    "limits.max_message_bytes": (1024, 1023),
    "limits.max_in_flight": (1, 0),
    "limits.max_connections": (1, 0),
    "limits.connect_timeout": (0.001, 0),
    "limits.ping_interval": (0, -0.001),
    "limits.ping_timeout": (0.001, 0),
    "limits.requests_per_second": (0.001, 0),
    "stream.max_items": (1, 0),
    "stream.max_bytes": (1, 0),
    "stream.max_seconds": (0.001, 0),
    "framing.header": (1, 0),
}
"""The least value of a field that has a minimum, and one that is too small."""


@pytest.mark.parametrize(("path", "values"), LEAST.items(), ids=LEAST)
def test_a_limit_takes_its_least_value_and_nothing_below(path: str, values: tuple[float, float]) -> None:
    least, too_small = ({"url": "wss://a.example/", **_nested(path, value)} for value in values)
    assert check_model(CallTemplate, least, "")[1] == []
    assert [problem.path for problem in check_model(CallTemplate, too_small, "")[1]] == [path]


def _nested(path: str, value: float) -> dict[str, Any]:
    key, _, below = path.partition(".")
    return {key: _nested(below, value) if below else value}


@pytest.mark.parametrize(("raw", "message"), MESSAGES.values(), ids=MESSAGES)
def test_a_problem_has_its_path_and_a_fix(raw, message):
    url = {} if raw == {} else {"url": "wss://a.example/"}

    assert problems_of(url | raw) == [message]


def test_a_missing_api_key_is_named():
    raw = {"url": "wss://a.example/", "auth": {"auth_type": "api_key"}}

    assert problems_of(raw) == ["auth.api_key: this field is required. [missing-key]"]


def test_all_problems_are_reported_at_once_below_the_path_of_their_object():
    raw = {"timeout": -1, "reply": {"mach": "x"}, "stream": {"max_items": 0, "collect": "all"}}

    assert problems_of(raw, path="manual_call_templates[2]") == [
        "manual_call_templates[2].url: this field is required. [missing-key]",
        "manual_call_templates[2].timeout: expected a number greater than 0. [invalid-value]",
        "manual_call_templates[2].reply.mach: unknown key. Did you mean 'match'? [unknown-key]",
        "manual_call_templates[2].stream.max_items: expected a number of at least 1. [invalid-value]",
        "manual_call_templates[2].stream.collect: expected 'list', 'flat', 'last', 'text' or 'bytes'. [invalid-value]",
    ]


@pytest.mark.parametrize("raw", [None, 5, "x", [1]], ids=repr)
def test_a_value_that_is_no_object_is_one_problem(raw):
    assert problems_of(raw, Tool, "tools[0]") == ["tools[0]: expected an object. [wrong-type]"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"tools": {}}, "e.tools: expected an array. [wrong-type]"),
        ({"tools": [{}, 5]}, "e.tools[1]: expected an object. [wrong-type]"),
        ({"discovery": "other"}, "e.discovery: expected an object. [wrong-type]"),
        ({"tool_overrides": {"t": 5}}, "e.tool_overrides.t: expected an object. [wrong-type]"),
    ],
)
def test_options_of_a_manual_are_checked(raw, message):
    assert problems_of(raw, ManualOptions, "e") == [message]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"discovery": {"sned": 1}}, "e.discovery.sned: unknown key. Did you mean 'send'? [unknown-key]"),
        (
            {"tool_overrides": {"t": {"descripton": "x"}}},
            "e.tool_overrides.t.descripton: unknown key. Did you mean 'description'? [unknown-key]",
        ),
    ],
)
def test_a_slip_deep_in_the_options_gets_a_suggestion(raw, message):
    assert problems_of(raw, ManualOptions, "e") == [message]


def test_a_problem_never_repeats_a_secret():
    raw = {"url": ["s3cret"], "auth": {"auth_type": "api_key", "api_key": ["s3cret"]}, "timeout": "s3cret"}

    assert "s3cret" not in "".join(problems_of(raw))


NEAREST = {
    "a slip": ("repsonse", ["response", "request"], "response"),
    "itself": ("url", ["url"], "url"),
    "nothing alike": ("zzz", ["url", "name"], None),
    "nothing known": ("url", [], None),
}


@pytest.mark.parametrize(("name", "known", "expected"), NEAREST.values(), ids=NEAREST)
def test_the_nearest_name_is_suggested(name, known, expected):
    assert closest_match(name, known) == expected


def test_unknown_keys_are_reported():
    problems = unknown_keys({"url": 1, "ulr": 2, "zzz": 3}, {"url", "name"}, "e")

    assert [str(problem) for problem in problems] == [
        "e.ulr: unknown key. Did you mean 'url'? [unknown-key]",
        "e.zzz: unknown key. Known keys: name, url. [unknown-key]",
    ]


COMMENTS = {
    "everywhere": ([{"$comment": "a", "reply": {"$comment": "b", "match": "m"}}], [{"reply": {"match": "m"}}]),
    "not in a message": ({"message": {"$comment": "sent"}}, {"message": {"$comment": "sent"}}),
    "not in a schema": ({"inputs": {"$comment": "shown"}}, {"inputs": {"$comment": "shown"}}),
    "in an override of any name": (
        {"tool_overrides": {"$comment": "a", "query": {"$comment": "b", "name": "n"}}},
        {"tool_overrides": {"query": {"name": "n"}}},
    ),
    "beside a lone surrogate": ({"$comment": "a", "name": "\ud800"}, {"name": "\ud800"}),
    "no others": ({"comment": "a", "$schema": "b"}, {"comment": "a", "$schema": "b"}),
}


@pytest.mark.parametrize(("document", "expected"), COMMENTS.values(), ids=COMMENTS)
def test_comments_are_removed_except_from_content(document, expected):
    assert strip_comments(document) == expected


def test_the_nearest_key_is_found_in_whatever_case_it_is_written():
    assert unknown_key_message("URL", ["url", "name"]) == "unknown key. Did you mean 'url'?"
    assert unknown_key_message("inputSchema", ["inputs", "name"]) == "unknown key. Did you mean 'inputs'?"


def test_what_is_known_is_listed_where_nothing_is_near():
    assert unknown_key_message("zzz", ["b", "a"]) == "unknown key. Known keys: a, b."


@pytest.mark.parametrize(
    ("path", "key", "joined"), [("", "a", "a"), ("a", "b", "a.b"), ("a", 0, "a[0]"), ("", 1, "[1]")]
)
def test_a_json_path_grows_by_keys_and_indices(path, key, joined):
    assert join_path(path, key) == joined
