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
    "a missing field": ({}, "url: is required"),
    "no string": ({"url": 5}, "url: expected a string"),
    "no boolean": ({"keep_alive": "perhaps"}, "keep_alive: expected true or false"),
    "no number": ({"timeout": "soon"}, "timeout: expected a number"),
    "too small a number": ({"timeout": 0}, "timeout: expected a number greater than 0"),
    "too great a number": ({"timeout": 1e6}, "timeout: expected a number of at most 86400"),
    "an infinite number": ({"timeout": float("inf")}, "timeout: expected a number of at most 86400"),
    "no choice": ({"response_format": "xml"}, "response_format: expected 'json', 'text' or 'raw'"),
    "no object": ({"reply": []}, "reply: expected an object"),
    "no dictionary": ({"headers": []}, "headers: expected an object"),
    "no array": ({"header_fields": 5}, "header_fields: expected an array"),
    "in an array": ({"header_fields": ["a", 5]}, "header_fields[1]: expected a string"),
    "in an object": ({"headers": {"X-A": 5}}, "headers.X-A: expected a string"),
    "a whole number": ({"limits": {"max_connections": "x"}}, "limits.max_connections: expected a whole number"),
    "too small a whole number": ({"stream": {"max_items": 0}}, "stream.max_items: expected a number of at least 1"),
    "half a number": (
        {"stream": {"max_items": 1.5}},
        "stream.max_items: expected a valid integer, got a number with a fractional part",
    ),
    "a slip": ({"repsonse_format": "json"}, "repsonse_format: unknown key; did you mean 'response_format'?"),
    "a slip below": ({"reply": {"mach": "x"}}, "reply.mach: unknown key; did you mean 'match'?"),
    "an unknown key below": (
        {"network": {"zzz": 1}},
        "network.zzz: unknown key; known are allow, plaintext",
    ),
    "a message that is none": (
        {"message": 5},
        "message: expected a string, an object or an array",
    ),
    "a message that is false": (
        {"message": False},
        'message: cannot be false; write "listen": true for a call that sends nothing',
    ),
    "no websocket": (
        {"allowed_communication_protocols": ["http"]},
        'allowed_communication_protocols: must contain "websocket", or be left out',
    ),
    "auth without its kind": ({"auth": {}}, 'auth: needs "auth_type": "api_key", "basic" or "oauth2"'),
    "auth of an unknown kind": (
        {"auth": {"auth_type": "digest"}},
        "auth: unknown auth_type; expected 'api_key', 'basic', 'oauth2'",
    ),
    "auth without a field": (
        {"auth": {"auth_type": "basic", "username": "u"}},
        "auth.password: is required",
    ),
    "auth with a slip": (
        {"auth": {"auth_type": "api_key", "api_key": "k", "varname": "x"}},
        "auth.varname: unknown key; did you mean 'var_name'?",
    ),
    "no HTTP method": (
        {"before_connect": [{"http": {"url": "https://a.example/", "method": "GET / HTTP/1.1\r\nX-Injected: 1\r\n"}}]},
        "before_connect[0].http.method: expected an HTTP method such as 'POST'",
    ),
    "a user name with a colon": (
        {"auth": {"auth_type": "basic", "username": "a:b", "password": "p"}},
        "auth.username: a user name cannot contain ':' (RFC 7617 §2)",
    ),
}


def problems_of(raw, model=CallTemplate, path=""):
    return [str(problem) for problem in check_model(model, raw, path)[1]]


@pytest.mark.parametrize(("raw", "message"), MESSAGES.values(), ids=MESSAGES)
def test_a_problem_has_its_path_and_a_fix(raw, message):
    url = {} if raw == {} else {"url": "wss://a.example/"}

    assert problems_of(url | raw) == [message]


def test_a_missing_api_key_is_named():
    raw = {"url": "wss://a.example/", "auth": {"auth_type": "api_key"}}

    assert problems_of(raw) == ["auth.api_key: is required"]


def test_all_problems_are_reported_at_once_below_the_path_of_their_object():
    raw = {"timeout": -1, "reply": {"mach": "x"}, "stream": {"max_items": 0, "collect": "all"}}

    assert problems_of(raw, path="manual_call_templates[2]") == [
        "manual_call_templates[2].url: is required",
        "manual_call_templates[2].timeout: expected a number greater than 0",
        "manual_call_templates[2].reply.mach: unknown key; did you mean 'match'?",
        "manual_call_templates[2].stream.max_items: expected a number of at least 1",
        "manual_call_templates[2].stream.collect: expected 'list', 'last' or 'text'",
    ]


@pytest.mark.parametrize("raw", [None, 5, "x", [1]], ids=repr)
def test_a_value_that_is_no_object_is_one_problem(raw):
    assert problems_of(raw, Tool, "tools[0]") == ["tools[0]: expected an object"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"tools": {}}, "e.tools: expected an array"),
        ({"tools": [{}, 5]}, "e.tools[1]: expected an object"),
        ({"discovery": "other"}, "e.discovery: expected an object"),
        ({"tool_overrides": {"t": 5}}, "e.tool_overrides.t: expected an object"),
    ],
)
def test_options_of_a_manual_are_checked(raw, message):
    assert problems_of(raw, ManualOptions, "e") == [message]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"discovery": {"sned": 1}}, "e.discovery.sned: unknown key; did you mean 'send'?"),
        (
            {"tool_overrides": {"t": {"descripton": "x"}}},
            "e.tool_overrides.t.descripton: unknown key; did you mean 'description'?",
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
        "e.ulr: unknown key; did you mean 'url'?",
        "e.zzz: unknown key; known are name, url",
    ]


COMMENTS = {
    "everywhere": ([{"$comment": "a", "reply": {"$comment": "b", "match": "m"}}], [{"reply": {"match": "m"}}]),
    "not in a message": ({"message": {"$comment": "sent"}}, {"message": {"$comment": "sent"}}),
    "not in a schema": ({"inputs": {"$comment": "shown"}}, {"inputs": {"$comment": "shown"}}),
    "no others": ({"comment": "a", "$schema": "b"}, {"comment": "a", "$schema": "b"}),
}


@pytest.mark.parametrize(("document", "expected"), COMMENTS.values(), ids=COMMENTS)
def test_comments_are_removed_except_from_content(document, expected):
    assert strip_comments(document) == expected


def test_the_nearest_key_is_found_in_whatever_case_it_is_written():
    assert unknown_key_message("URL", ["url", "name"]) == "unknown key; did you mean 'url'?"
    assert unknown_key_message("inputSchema", ["inputs", "name"]) == "unknown key; did you mean 'inputs'?"


def test_what_is_known_is_listed_where_nothing_is_near():
    assert unknown_key_message("zzz", ["b", "a"]) == "unknown key; known are a, b"


@pytest.mark.parametrize(
    ("path", "key", "joined"), [("", "a", "a"), ("a", "b", "a.b"), ("a", 0, "a[0]"), ("", 1, "[1]")]
)
def test_a_json_path_grows_by_keys_and_indices(path, key, joined):
    assert join_path(path, key) == joined
