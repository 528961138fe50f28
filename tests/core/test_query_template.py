"""The field `query` of call templates and HTTP steps: which parameters a URL gets."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.limits import MAX_URL_LENGTH
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.tools.catalog import compile_entry, compile_tools
from utcp_ws_mcp.core.url_template import UrlTemplate
from utcp_ws_mcp.errors import ForbiddenURL
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.remote_manual import read_manual
from utcp_ws_mcp.manifest.variables import VariableResolver

FUZZ = settings(max_examples=150, deadline=None, database=None)
VARIABLES = {"TOKEN": "a b&c", "TRICKY": "UTCP_ARG_a_UTCP_ARG{{ x }}"}
A = "UTCP_ARG_a_UTCP_ARG"
FIELDS = ["url", "before_connect", "on_connect", "before_message"]
"""Where a URL may have a query."""


def document(field: str, query: Any, url: str) -> dict[str, Any]:
    first = {"http": {"url": "https://a.example/first"}, "capture": {"own": "body.t", "page": "body.page"}}
    step = {"http": {"url": url, "query": query}}
    fields = {
        "url": {"url": url, "query": query, "before_connect": [first]},
        "before_connect": {"before_connect": [first, step]},
        "on_connect": {"before_connect": [first], "on_connect": [step]},
        "before_message": {"before_connect": [first], "before_message": [step]},
    }
    return {"name": "m", "url": "wss://a.example/ws", "tools": [{"name": "t"}], **fields[field]}


def compile_field(field: str, query: Any, url: str = "") -> tuple[UrlTemplate, list[str]]:
    """Return the compiled URL of a field, and what is wrong with it."""
    url = url or f"{'wss' if field == 'url' else 'https'}://a.example/x"
    loaded = load_document([document(field, query, url)], VariableResolver([VARIABLES]), "m.json", PurePath("/m"))
    tools, problems = compile_entry(loaded.entries[0])
    if problems:
        return UrlTemplate(), [str(each) for each in problems]
    compiled = tools[0].compiled_template
    rules = compiled.handshake.connection_rules
    found: dict[str, Any] = {
        "url": lambda: compiled.handshake.url,
        "before_connect": lambda: rules.before_connect[1].url,
        "on_connect": lambda: rules.on_connect[0].url,
        "before_message": lambda: compiled.http_steps[0].url,
    }
    return found[field](), []


def render(url: UrlTemplate, **values: Any) -> str:
    names = {"args": {}, "session": {"own": "t-1"}, "vars": VARIABLES, "tool": "t", "let": {}, **values}
    return url.render(Scope(Ambient(None, None), names))  # type: ignore[arg-type]


def query_of(query: Any, args: Any = None, field: str = "url", url: str = "") -> str:
    compiled, problems = compile_field(field, query, url)
    assert problems == []
    return urlsplit(render(compiled, args=args or {})).query


VALUES: dict[str, tuple[Any, Any, str]] = {
    "a text": ("one", {}, "p=one"),
    "an empty text": ("", {}, "p="),
    "a number": (5, {}, "p=5"),
    "a fraction": (1.5, {}, "p=1.5"),
    "true": (True, {}, "p=true"),
    "false": (False, {}, "p=false"),
    "null": (None, {}, ""),
    "signs": ("a b&c=d+e/ü%", {}, "p=a%20b%26c%3Dd%2Be%2F%C3%BC%25"),
    "a list": (["a", 2, True], {}, "p=a&p=2&p=true"),
    "a list with null": (["a", None], {}, "p=a"),
    "an empty list": ([], {}, ""),
    "a variable": ("${TOKEN}", {}, "p=a%20b%26c"),
    "a variable as the whole value": ("$TOKEN", {}, "p=a%20b%26c"),
    "a variable in an expression": ("{{ vars.TOKEN }}", {}, "p=a%20b%26c"),
    "a variable that looks like a template": ("${TRICKY}", {}, "p=UTCP_ARG_a_UTCP_ARG%7B%7B%20x%20%7D%7D"),
    "an argument": ("{{ args.a }}", {"a": "x&y"}, "p=x%26y"),
    "a placeholder": (A, {"a": "x&y"}, "p=x%26y"),
    "a number of a placeholder": (A, {"a": 5}, "p=5"),
    "a flag of an argument": ("{{ args.a }}", {"a": False}, "p=false"),
    "a list of an argument": ("{{ args.a }}", {"a": ["x", "y z", 3]}, "p=x&p=y%20z&p=3"),
    "a list of a placeholder": (A, {"a": ["x", "y"]}, "p=x&p=y"),
    "an empty list of an argument": ("{{ args.a }}", {"a": []}, ""),
    "null of an argument": ("{{ args.a }}", {"a": None}, ""),
    "null of a placeholder": (A, {"a": None}, ""),
    "a missing argument": ("{{ args.a }}", {}, ""),
    "a missing argument of a placeholder": (A, {}, ""),
    "a missing argument with a filter": ("{{ args.a | upper }}", {}, ""),
    "a missing argument in a list": (["x", "{{ args.a }}"], {}, "p=x"),
    "a default": ("{{ args.a | default('d') }}", {}, "p=d"),
    "omit": ("{{ args.a | default(omit) }}", {}, ""),
    "omit inside a text": ("<{{ args.a | default(omit) }}>", {}, ""),
    "an argument inside a text": ("<{{ args.a }}>", {"a": 5}, "p=%3C5%3E"),
    "a list of lists' elements": ("{{ args.a[0] }}", {"a": [["x", "y"]]}, "p=x&p=y"),
    "one for each element": ({"$each": A, "$template": "s:{{ item }}"}, {"a": ["x", "y"]}, "p=s%3Ax&p=s%3Ay"),
    "none for each of nothing": ({"$each": "{{ args.a }}", "$template": "s:{{ item }}"}, {}, ""),
    "more elements": (["x", {"$each": A}], {"a": ["y", "z"]}, "p=x&p=y&p=z"),
    "JSON as text": ("{{ args.a | to_json }}", {"a": {"k": "v"}}, "p=%7B%22k%22%3A%22v%22%7D"),
    "JSON that is filled": ('{"k": "{{ args.a }}"}', {"a": 'q"'}, "p=%7B%22k%22%3A%20%22q%5C%22%22%7D"),
    "an argument that looks like a placeholder": (A, {"a": A}, "p=UTCP_ARG_a_UTCP_ARG"),
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("value", "args", "query"), VALUES.values(), ids=VALUES)
def test_a_value_becomes_parameters(field: str, value: Any, args: Any, query: str) -> None:
    assert query_of({"p": value}, args, field) == query


def test_parameters_have_the_order_of_the_manifest_and_encoded_names() -> None:
    assert query_of({"b": 1, "a b": 2, "k[]": ["x", "y"]}) == "b=1&a%20b=2&k%5B%5D=x&k%5B%5D=y"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("wss://a.example", "wss://a.example?p=1"),
        ("wss://a.example/", "wss://a.example/?p=1"),
        ("wss://a.example/?", "wss://a.example/?p=1"),
        ("wss://a.example/?v=2", "wss://a.example/?v=2&p=1"),
        ("wss://a.example/?v=2&", "wss://a.example/?v=2&p=1"),
        ("wss://a.example/?v={{ args.a }}", "wss://a.example/?v=x%26&p=1"),
        ("wss://a.example/{{ args.a }}", "wss://a.example/x%26?p=1"),
    ],
)
def test_parameters_follow_those_of_the_url(url: str, target: str) -> None:
    compiled, problems = compile_field("url", {"p": 1, "q": "{{ args.b }}"}, url)
    assert problems == []
    assert render(compiled, args={"a": "x&"}) == target


@pytest.mark.parametrize("own", ["", "?v=2"])
def test_a_url_whose_parameters_are_all_left_out_stays_as_it_is(own: str) -> None:
    compiled, _ = compile_field("url", {"p": "{{ args.a }}", "q": None}, f"wss://a.example/{own}")
    assert render(compiled) == f"wss://a.example/{own}"


def test_a_url_of_the_endpoint_gets_parameters_too() -> None:
    compiled, problems = compile_field("url", {"p": "{{ args.a }}"}, "{{ session.own }}")
    assert problems == []
    returned = "wss://b.example/x?ticket=a%2Fb"
    assert render(compiled, session={"own": returned}, args={"a": "1"}) == f"{returned}&p=1"
    assert render(compiled, session={"own": returned}) == returned


# What is wrong


DUPLICATES = {
    "a text": "?p=1",
    "behind others": "?v=1&p=1",
    "without a value": "?p",
    "an encoded name": "?%70=1",
    "an argument as its value": f"?p={A}",
    "behind an argument": "?v={{ args.b }}&p=1",
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("own", DUPLICATES.values(), ids=DUPLICATES)
def test_a_name_that_the_url_has_is_a_problem_of_the_parameter(field: str, own: str) -> None:
    scheme = "wss" if field == "url" else "https"
    _, problems = compile_field(field, {"p": "{{ args.a }}"}, f"{scheme}://a.example/{own}")
    (problem,) = problems
    assert "query.p: the URL has the parameter 'p' already" in problem
    assert problem.endswith('Write it either into "url" or into "query". [duplicate-parameter]')


def test_a_name_that_only_an_argument_could_be_is_no_duplicate() -> None:
    compiled, problems = compile_field("url", {"x": "{{ args.b }}", "": 1}, f"wss://a.example/?{A}=1")
    assert problems == []
    with pytest.raises(RenderError) as refused:
        render(compiled, args={"a": "x", "b": 1})
    assert refused.value.code == "duplicate-parameter"
    assert render(compiled, args={"a": "y", "b": 1}) == "wss://a.example/?y=1&x=1&=1"


def test_a_name_that_the_url_of_the_endpoint_has_is_an_error_where_both_are_sent() -> None:
    compiled, _ = compile_field("url", {"p": "{{ args.a }}"}, "{{ session.own }}")
    session = {"own": "wss://b.example/?p=1"}
    with pytest.raises(RenderError, match="the URL has the parameter 'p' already") as refused:
        render(compiled, session=session, args={"a": "2"})
    assert refused.value.code == "duplicate-parameter"
    assert render(compiled, session=session) == "wss://b.example/?p=1"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an object": ({"p": {"k": 1}}, "query.p: the value is an object, which has no form in a query."),
    "an object with an argument": ({"p": {"k": A}}, "query.p: the value is an object"),
    "an object in a list": ({"p": [1, {"k": 1}]}, "query.p: the value is an object"),
    "a list in a list": ({"p": [[1]]}, "query.p: the value is a list in a list"),
    "a list in a list with an argument": ({"p": [[A]]}, "query.p: the value is a list in a list"),
    "bytes": ({"p": {"$base64": "AAA="}}, "query.p: the value is an object"),
    "a file": ({"p": {"$file": "x"}}, "query.p: the value is an object"),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("query", "said"), WRONG.values(), ids=WRONG)
def test_a_value_that_can_never_be_sent_is_found_when_the_manifest_is_loaded(field: str, query: Any, said: str) -> None:
    _, (problem,) = compile_field(field, query)
    assert said in problem
    assert problem.endswith("[invalid-query-value]")


@pytest.mark.parametrize(
    ("query", "said", "code"),
    [
        ({A: 1}, f"the name {A!r} contains a placeholder", "placeholder-in-key"),
        ({"{{ args.a }}": 1}, "contains a placeholder", "placeholder-in-key"),
        ({"p": "{{ nope }}"}, "unknown name 'nope'", "unknown-name"),
        ({"p": "{{ args.a | nope }}"}, "query.p: ", "invalid-expression"),
        ({"p": "\ud800"}, "'p' contains a character that UTF-8 cannot encode", "invalid-query-value"),
        ({"\ud800": "x"}, "contains a character that UTF-8 cannot encode", "invalid-query-value"),
        ({"\ud800": A}, "contains a character that UTF-8 cannot encode", "invalid-query-value"),
        ({"p": float("nan")}, "cannot be written as JSON", "not-json"),
        ({"p": "x" * MAX_URL_LENGTH}, f"query: the URL has more than {MAX_URL_LENGTH} characters", "invalid-url"),
    ],
)
@pytest.mark.parametrize("field", ["url", "before_connect"])
def test_a_query_that_cannot_be_used_is_a_problem(field: str, query: Any, said: str, code: str) -> None:
    _, problems = compile_field(field, query)
    assert [said in each and each.endswith(f"[{code}]") for each in problems] == [True]


REFUSED: dict[str, tuple[Any, Any, str, str]] = {
    "an object": ("{{ args.a }}", {"k": 1}, "is an object, which has no form in a query. Write a parameter for each",
                  "invalid-query-value"),
    "an object of a placeholder": (A, {"k": 1}, "is an object", "invalid-query-value"),
    "an object in a list": ("{{ args.a }}", [1, {"k": 1}], "is an object", "invalid-query-value"),
    "a list in a list": ("{{ args.a }}", [["x"]], "is a list in a list", "invalid-query-value"),
    "half of a pair": (A, "\ud800", "contains a character that UTF-8 cannot encode", "invalid-query-value"),
    "bytes": ("{{ args.a | unbase64 }}", "AAA=", "binary data", "binary-in-text"),
    "an infinite number": ("{{ args.a }}", float("inf"), "cannot be written as JSON", "not-json"),
    "no list for each": ({"$each": "{{ args.a }}"}, 5, "is no list", "invalid-each"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "argument", "said", "code"), REFUSED.values(), ids=REFUSED)
def test_a_value_without_a_form_in_a_query_is_refused(value: Any, argument: Any, said: str, code: str) -> None:
    compiled, problems = compile_field("url", {"p": value})
    assert problems == []
    with pytest.raises(RenderError, match=said) as refused:
        render(compiled, args={"a": argument})
    assert refused.value.code == code


def test_a_missing_argument_inside_a_text_is_an_error() -> None:
    compiled, _ = compile_field("url", {"p": "<{{ args.a }}>"})
    with pytest.raises(RenderError, match="'a' is missing") as refused:
        render(compiled)
    assert refused.value.code == "argument-missing"


def test_a_missing_value_of_the_session_is_an_error() -> None:
    compiled, _ = compile_field("url", {"p": "{{ session.page }}", "q": "{{ session.own | default(omit) }}"})
    with pytest.raises(RenderError, match=r"session\.page }} has no value"):
        render(compiled, session={})
    assert render(compiled, session={"page": 2}) == "wss://a.example/x?p=2"


# What no argument can change


TEXTS = st.text(max_size=12)
ARGUMENTS = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(), lambda each: st.lists(each, max_size=3), max_leaves=4
)


@FUZZ
@given(st.sampled_from(FIELDS), st.text(min_size=1, max_size=6), ARGUMENTS, TEXTS)
def test_whatever_an_argument_is_it_stays_the_value_of_its_parameter(
    field: str, name: str, value: Any, other: str
) -> None:
    scheme = "wss" if field == "url" else "https"
    query = {name: "{{ args.a }}", f"{name}2": "x{{ args.b }}"}
    try:
        compiled, problems = compile_field(field, query, f"{scheme}://a.example:444/one/?first=1")
        found = urlsplit(render(compiled, args={"a": value, "b": other})) if not problems else None
    except RenderError:
        return
    if found is None:
        return
    assert (found.netloc, found.path, found.fragment) == ("a.example:444", "/one/", "")
    pairs = parse_qsl(found.query, keep_blank_values=True, strict_parsing=True)
    assert pairs[0] == ("first", "1")
    assert {each for each, _ in pairs[1:]} <= {name, f"{name}2"}
    assert pairs[-1] == (f"{name}2", f"x{other}")


# The handshake


def handshake(remote: tuple[str, ...] = (), **fields: Any) -> Any:
    own = {key: value for key, value in fields.items() if key not in remote}
    tool = {"name": "t", "tool_call_template": {key: fields[key] for key in remote}}
    entry = {"name": "m", "url": "wss://a.example/ws", **own, "tools": [tool]}
    loaded = load_document([entry], VariableResolver([VARIABLES]), "m.json", PurePath("/m"))
    tools, problems = compile_entry(loaded.entries[0])
    assert problems == []
    return tools[0].compiled_template.handshake


def upgrade(args: Any = None, **fields: Any) -> Any:
    names = {"args": args or {}, "vars": VARIABLES, "session": {}, "tool": "t"}
    return handshake(**fields).render(Scope(Ambient(None, None), names))  # type: ignore[arg-type]


def test_a_handshake_whose_query_no_call_changes_is_rendered_once() -> None:
    compiled = handshake(query={"p": "${TOKEN}", "q": ["a", "b"]})
    assert compiled.render({}) is compiled.render({})
    assert compiled.constant.url.target == "/ws?p=a%20b%26c&q=a&q=b"


def test_calls_share_a_connection_where_their_parameters_agree() -> None:
    query = {"p": "{{ args.a }}"}
    one, same, other, none = (upgrade(args, query=query) for args in ({"a": 1}, {"a": 1, "b": 2}, {"a": 2}, {}))
    assert one == same
    assert len({each.key for each in (one, other, none)}) == 3
    assert none == upgrade({"a": None}, query=query)
    assert none.url == upgrade().url


def test_a_value_of_the_session_makes_the_handshake_wait_and_keys_it_by_its_query() -> None:
    step = {"http": {"url": "https://a.example/"}, "capture": {"t": "body.t"}}
    fields = {"before_connect": [step], "url": "wss://a.example"}
    waiting = {**fields, "query": {"t": "{{ session.t }}", "p": "{{ args.a }}"}}
    one, same, other = (upgrade({"a": value, "x": value}, **waiting) for value in (1, 1, 2))
    assert one.url is None
    assert one.server is not None
    assert (one.server.host, one.server.port) == ("a.example", 443)
    assert (one.key == same.key, one.key == other.key) == (True, False)
    more = upgrade({"a": 1}, **{**waiting, "query": {**waiting["query"], "q": 1}})
    assert more.key != one.key
    scope = Scope(Ambient(None, None), {"args": {"a": 1}, "vars": {}, "session": {"t": "x/y"}, "tool": ""})  # type: ignore[arg-type]
    assert one.deferred.render_parts(scope)[0].target == "/?t=x%2Fy&p=1"


def test_the_name_of_the_tool_needs_a_handshake_without_session() -> None:
    assert upgrade(query={"p": "{{ tool }}"}).url.target == "/ws?p=t"
    step = {"http": {"url": "https://a.example/"}, "capture": {"t": "body.t"}}
    entry = {
        "name": "m", "url": "wss://a.example/{{ session.t }}", "query": {"p": "{{ tool }}"}, "before_connect": [step],
        "tools": [{"name": "t"}],
    }  # fmt: skip
    loaded = load_document([entry], VariableResolver([VARIABLES]), "m.json", PurePath("/m"))
    _, problems = compile_entry(loaded.entries[0])
    assert [each.path for each in problems] == ["[0].query.p"]


def test_a_long_argument_makes_a_url_that_is_refused() -> None:
    with pytest.raises(ForbiddenURL, match="more than 4096 characters"):
        upgrade({"a": ["x" * 100] * 50}, query={"p": "{{ args.a }}"})


def test_a_key_in_the_query_follows_the_parameters_and_has_a_name_of_its_own() -> None:
    key = {"auth_type": "api_key", "api_key": "k&y", "location": "query", "var_name": "key"}
    assert upgrade({"a": 1}, query={"p": "{{ args.a }}"}, auth=key).target() == "/ws?p=1&key=k%26y"
    entry = {"name": "m", "url": "wss://a.example/", "query": {"key": "x"}, "auth": key, "tools": [{"name": "t"}]}
    loaded = load_document([entry], VariableResolver([VARIABLES]), "m.json", PurePath("/m"))
    _, problems = compile_entry(loaded.entries[0])
    assert [str(each) for each in problems] == [
        "[0].query.key: \"auth\" adds the parameter 'key', too. Remove it from one of them. [duplicate-parameter]"
    ]
    header = {**key, "location": "header"}
    assert upgrade(query={"key": "x"}, auth=header).target() == "/ws?key=x"


def test_a_request_shows_no_parameter() -> None:
    compiled = handshake(query={"p": "${TOKEN}", "q": "{{ args.a }}"})
    shown = repr((compiled, upgrade({"a": "s3cret"}, query={"q": "{{ args.a }}", "p": "${TOKEN}"})))
    assert "s3cret" not in shown
    assert "a b&c" not in shown
    assert "a%20b" not in shown


# From the network


def discovered(**template: Any) -> tuple[Any, list[str]]:
    """Return the handshake of a tool that an endpoint announces, and why it is not offered."""
    entry = {"name": "m", "url": "wss://a.example/ws", "query": {"key": "${TOKEN}"}, "discovery": "handshake"}
    (own,) = load_document([entry], VariableResolver([VARIABLES]), "m.json", PurePath("/m")).entries
    resolved, _ = read_manual({"tools": [{"name": "t", "tool_call_template": template}]}, own)
    tools, problems = compile_tools(own, resolved)
    return tools[0].compiled_template.handshake if tools else None, [str(each) for each in problems]


def target_of(compiled: Any, **args: Any) -> str:
    names = {"args": args, "vars": VARIABLES, "session": {}, "tool": "t"}
    target: str = compiled.render(Scope(Ambient(None, None), names)).url.target  # type: ignore[arg-type]
    return target


def test_a_discovered_tool_inherits_the_query_at_the_origin_of_its_manual_only() -> None:
    compiled, problems = discovered(url="wss://a.example/other")
    assert (target_of(compiled), problems) == ("/other?key=a%20b%26c", [])
    entry = {
        "name": "m", "url": "wss://a.example/ws", "query": {"key": "${TOKEN}"}, "discovery": "handshake",
        "allow_origins": ["wss://b.example"],
    }  # fmt: skip
    (own,) = load_document([entry], VariableResolver([VARIABLES]), "m.json", PurePath("/m")).entries
    template = {"url": "wss://b.example/ws"}
    tools, problems = compile_tools(
        own, read_manual({"tools": [{"name": "t", "tool_call_template": template}]}, own)[0]
    )
    assert (target_of(tools[0].compiled_template.handshake), problems) == ("/ws", [])


def test_a_discovered_tool_may_have_placeholders_in_its_query_and_no_variables() -> None:
    compiled, problems = discovered(query={"p": A, "q": ["x", f"<{A}>"], "v": "${TOKEN}", "w": "$TOKEN", "n": 1})
    assert problems == []
    assert target_of(compiled, a=["1", "2"]) == (
        "/ws?p=1&p=2&q=x&q=%3C%5B%221%22%2C%20%222%22%5D%3E&v=%24%7BTOKEN%7D&w=%24TOKEN&n=1"
    )


@pytest.mark.parametrize("value", ["{{ args.a }}", ["x{{ session.t }}"], "{{ vars.TOKEN }}", {"$each": A}])
def test_a_discovered_tool_has_no_expression_in_its_query(value: Any) -> None:
    compiled, problems = discovered(query={"p": value})
    assert compiled is None
    assert len(problems) == 1
    assert "a b&c" not in problems[0]


@pytest.mark.parametrize("fields", [{"headers": {"X": "{{ args.a }}"}}, {"query": {"p": "{{ args.a }}"}}], ids=str)
def test_a_url_that_is_written_as_text_is_checked_when_the_manifest_is_loaded(fields: Any) -> None:
    entry = {"name": "m", "url": "ws://a.example/", "tools": [{"name": "t"}], **fields}
    loaded = load_document([entry], VariableResolver([VARIABLES]), "m.json", PurePath("/m"))
    _, problems = compile_entry(loaded.entries[0])
    assert [(each.path, each.code) for each in problems] == [("[0].url", "plaintext-not-allowed")]
