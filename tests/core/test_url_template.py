"""Every URL of a manifest that a placeholder can be in: what an argument cannot change of it."""

from __future__ import annotations

from pathlib import PurePath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.core.url_template import UrlTemplate, session_values_from_arguments
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.models.call_template import CallTemplate
from utcp_ws_mcp.manifest.variables import VariableResolver

FUZZ = settings(max_examples=150, deadline=None, database=None)
A = "UTCP_ARG_a_UTCP_ARG"
VARIABLES = {"HOST": "h.example", "WSS_BASE": "wss://b.example", "HTTPS_BASE": "https://b.example"}
CAPTURE = {"own": "body.ticket", "given": "'' ~ args.a", "again": "session.given ~ '/x'"}


def document(field, url):
    first = {"http": {"url": "https://a.example/first"}, "capture": CAPTURE}
    steps = {
        "before_connect": {"before_connect": [first, {"http": {"url": url}}]},
        "on_connect": {"before_connect": [first], "on_connect": [{"http": {"url": url}}]},
        "before_message": {"before_connect": [first], "before_message": [{"http": {"url": url}}]},
        "url": {"before_connect": [first], "url": url},
    }
    oauth = {"auth_type": "oauth2", "client_id": "i", "client_secret": "s", "token_url": url}
    others = {"proxy": {"proxy": url}, "token_url": {"auth": oauth}}
    template = {**steps, **others}[field]
    return {"name": "m", "url": "wss://a.example/ws", "tools": [{"name": "t"}], **template}


def compile_field(field, url) -> tuple[UrlTemplate | None, str]:
    """Return the compiled URL of a field, or None and the problems."""
    loaded = load_document([document(field, url)], VariableResolver([VARIABLES]), "m.json", PurePath("/m"))
    tools, problems = compile_entry(loaded.entries[0])
    if problems:
        return None, "\n".join(map(str, problems))
    compiled = tools[0].compiled_template
    rules = compiled.handshake.connection_rules
    found = {
        "url": lambda: compiled.handshake.url,
        "before_connect": lambda: rules.before_connect[1].url,
        "on_connect": lambda: rules.on_connect[0].url,
        "before_message": lambda: compiled.http_steps[0].url,
    }
    return found[field](), ""


def scheme_of(field):
    return "wss" if field == "url" else "https"


def render(url, argument, **session):
    values = {"given": argument, "again": f"{argument}/x", "own": "t-1", **session}
    names = {"args": {"a": argument}, "session": values, "vars": VARIABLES, "tool": "t", "let": {}}
    return url.render(Scope(Ambient(None, None), names))


FILLED = ["url", "before_connect", "on_connect", "before_message"]
"""Fields with a URL that has placeholders."""

CONSTANT = ["proxy", "token_url"]
"""Fields with a URL that has none."""

HOLES = {
    "an argument": A,
    "an argument in an expression": "{{ args.a }}",
    "a computed argument": "{{ args.a | upper }}",
    "an argument that was captured": "{{ session.given }}",
    "a captured value that uses another": "{{ session.again }}",
    "session as a whole": "{{ session['given'] }}",
}
HOSTILE = [
    "x&role=admin",
    "../../admin/keys?x=",
    "a/b",
    "x#y",
    "@evil.example",
    "%2e%2e",
    "\r\nHost: x",
    "a b",
    "ü",
    "\\",
]


@pytest.mark.parametrize("field", FILLED)
@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
@pytest.mark.parametrize("argument", HOSTILE)
def test_no_argument_changes_path_or_query_of_any_url(field, hole, argument):
    url, problems = compile_field(field, f"{scheme_of(field)}://a.example:444/one/{hole}/two?q={hole}&r=1")
    assert url is not None, problems
    found = urlsplit(render(url, argument))
    assert (found.netloc, found.fragment) == ("a.example:444", "")
    assert len(found.path.split("/")) == 4
    assert found.path.split("/")[::3] == ["", "two"]
    assert [pair.partition("=")[0] for pair in found.query.split("&")] == ["q", "r"]


@pytest.mark.parametrize("field", FILLED)
@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
@pytest.mark.parametrize(
    "place",
    ["{0}", "{0}://a.example/", "{s}://{0}/", "{s}://{0}.a.example/", "{s}://a.example{0}/", "{s}://a.example:{0}/x",
     "{s}://a.example{0}", "{s}://{0}@a.example/", "{{{{ session.own }}}}{0}", "{{{{ session.own }}}}.{0}/",
     "{s}://{{{{ vars.HOST }}}}{0}/", "{s}://{{{{ vars.HOST }}}}:{0}/"],
)  # fmt: skip
def test_no_argument_stands_in_the_scheme_host_or_port_of_any_url(field, hole, place):
    url, problems = compile_field(field, place.format(hole, s=scheme_of(field)))
    assert url is None
    assert "in the scheme, host or port of the URL" in problems
    assert "[argument-in-host]" in problems


@pytest.mark.parametrize("field", FILLED)
@pytest.mark.parametrize("place", ["{s}://{0}/", "{s}://a.example:{0}/x", "{s}://a.example{0}"])
def test_the_endpoint_announces_a_whole_url_or_no_part_of_its_server(field, place):
    url, problems = compile_field(field, place.format("{{ session.own }}", s=scheme_of(field)))
    assert url is None
    assert "begin with it" in problems


@pytest.mark.parametrize("field", FILLED)
@pytest.mark.parametrize("segment", [".", ".."])
@pytest.mark.parametrize("path", ["{0}", "{0}/x", "x/{0}?y=1"])
@pytest.mark.parametrize("hole", ["{{ session.given }}", A])
def test_no_argument_is_a_dot_segment_of_any_url(field, segment, path, hole):
    url, problems = compile_field(field, f"{scheme_of(field)}://a.example/{path.format(hole)}")
    assert url is not None, problems
    with pytest.raises(RenderError, match="makes a segment of the URL's path"):
        render(url, segment)


@pytest.mark.parametrize("field", FILLED)
def test_a_dot_beside_an_argument_makes_no_dot_segment(field):
    url, problems = compile_field(field, f"{scheme_of(field)}://a.example/.{A}")
    assert url is not None, problems
    with pytest.raises(RenderError):
        render(url, ".")


@pytest.mark.parametrize("field", FILLED)
def test_a_value_of_the_endpoint_is_encoded_once(field):
    plain, _ = compile_field(field, f"{scheme_of(field)}://a.example/?t={{{{ session.own }}}}")
    encoded, _ = compile_field(field, f"{scheme_of(field)}://a.example/?t={{{{ session.own | urlencode }}}}")
    for url in (plain, encoded):
        assert render(url, "x", own="a+b/c=&d").endswith("/?t=a%2Bb%2Fc%3D%26d")


@pytest.mark.parametrize("field", FILLED)
def test_a_url_of_the_endpoint_is_used_as_it_is(field):
    returned = f"{scheme_of(field)}://b.example/x?ticket=a%2Fb"
    url, problems = compile_field(field, "{{ session.own }}")
    assert url is not None, problems
    assert render(url, "x", own=returned) == returned
    url, problems = compile_field(field, f"{{{{ session.own }}}}&r={A}")
    assert render(url, "&x", own=returned) == f"{returned}&r=%26x"


@pytest.mark.parametrize("field", FILLED)
def test_a_variable_may_be_any_part_of_a_url_that_an_argument_follows(field):
    scheme = scheme_of(field)
    whole, problems = compile_field(field, f"{{{{ vars.{scheme.upper()}_BASE }}}}/x?q={A}")
    assert whole is not None, problems
    assert render(whole, "a&b") == f"{scheme}://b.example/x?q=a%26b"
    host, problems = compile_field(field, f"{scheme}://{{{{ vars.HOST }}}}/{A}")
    assert host is not None, problems
    assert render(host, "a/b") == f"{scheme}://h.example/a%2Fb"


@pytest.mark.parametrize("field", CONSTANT)
@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
def test_a_url_without_placeholders_refuses_them(field, hole):
    _, problems = compile_field(field, f"https://a.example/{hole}")
    assert "[placeholder-not-allowed]" in problems


@FUZZ
@given(st.sampled_from(FILLED), st.sampled_from([*HOLES.values()]), st.text(max_size=12))
def test_whatever_an_argument_is_it_stays_one_segment_and_one_value(field, hole, argument):
    url, _ = compile_field(field, f"{scheme_of(field)}://a.example/one/{hole}/two?q={hole}")
    try:
        found = urlsplit(render(url, argument))
    except (RenderError, ValueError):
        return
    first, one, segment, two = found.path.split("/")
    assert (found.netloc, first, one, two) == ("a.example", "", "one", "two")
    assert unquote(segment) == unquote(found.query.removeprefix("q="))


def test_values_of_the_session_that_depend_on_arguments_are_found_through_each_other():
    template = CallTemplate(
        url="wss://a.example/",
        before_connect=[{"http": {"url": "https://a.example/"}, "capture": {"first": "body.x if args.k else body.y"}}],
        on_connect=[
            {"expect": "message", "capture": {"third": "session.second", "own": "message.z"}},
            {"expect": "message", "capture": {"all": "session | to_json"}},
            {"expect": "message", "capture": {"second": "session.first ~ message.y"}},
        ],
        capture=[{"match": "message.x", "set": {"later": "session.third", "free": "session.own"}}],
    )
    assert session_values_from_arguments(template) == {"first", "second", "third", "all", "later"}
    untouched = CallTemplate(url="wss://a.example/", capture=[{"match": "message", "set": {"a": "session | to_json"}}])
    assert session_values_from_arguments(untouched) == set()
