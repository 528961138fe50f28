from pathlib import PurePath
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.tools.catalog import compile_entry, compile_tools
from utcp_ws_mcp.errors import ForbiddenHeader, ForbiddenURL
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.remote_manual import read_manual
from utcp_ws_mcp.manifest.variables import VariableResolver

FUZZ = settings(max_examples=200, deadline=None, database=None)
URL = "wss://a.example/ws"
VARIABLES = {"HOST": "h.example", "TOKEN": "s3cret", "TRICKY": "UTCP_ARG_a_UTCP_ARG", "BAD": "h.example#x"}
A, B = "UTCP_ARG_a_UTCP_ARG", "UTCP_ARG_b_UTCP_ARG"


class Refused(Exception):
    """What makes a template impossible to use is found when it is compiled."""


def compile_(remote=(), name="m", **fields):
    own = {key: value for key, value in fields.items() if key not in remote}
    tool = {"name": "t", "tool_call_template": {key: fields[key] for key in remote}}
    document = [{"name": name, "url": URL, **own, "tools": [] if remote else [{"name": "t"}]}]
    (entry,) = load_document(document, VariableResolver([VARIABLES]), "m.json", PurePath("/m")).entries
    plans, problems = compile_tools(entry, read_manual({"tools": [tool]}, entry)[0]) if remote else compile_entry(entry)
    if problems:
        raise Refused("\n".join(map(str, problems)))
    return plans[0].compiled_template.handshake


def upgrade(args=None, **fields):
    scope = Scope(Ambient(None, None), {"args": args or {}, "vars": VARIABLES, "session": {}})
    return compile_(**fields).render(scope)


# --- the URL ---

URLS = {
    "a constant": ("wss://a.example/x?y=z", {}, "/x?y=z"),
    "a segment": (f"wss://a.example/x/{A}/y", {"a": "one"}, "/x/one/y"),
    "a part of a segment": (f"wss://a.example/x-{A}.json", {"a": "one"}, "/x-one.json"),
    "a value of the query": (f"wss://a.example/?q={A}&r=1", {"a": "one"}, "/?q=one&r=1"),
    "a slash": (f"wss://a.example/{A}/y", {"a": "../../etc"}, "/..%2F..%2Fetc/y"),
    "a question mark": (f"wss://a.example/{A}", {"a": "x?admin=1"}, "/x%3Fadmin%3D1"),
    "an ampersand": (f"wss://a.example/?q={A}", {"a": "x&admin=1"}, "/?q=x%26admin%3D1"),
    "a fragment": (f"wss://a.example/{A}", {"a": "x#y"}, "/x%23y"),
    "an encoded slash": (f"wss://a.example/{A}", {"a": "%2F"}, "/%252F"),
    "an at sign and a host": (f"wss://a.example/{A}", {"a": "@evil.example:80"}, "/%40evil.example%3A80"),
    "a line break": (f"wss://a.example/{A}", {"a": "\r\nHost: x"}, "/%0D%0AHost%3A%20x"),
    "letters beyond ASCII": (f"wss://a.example/{A}", {"a": "ü"}, "/%C3%BC"),
    "a number": (f"wss://a.example/{A}", {"a": 5}, "/5"),
    "an object": (f"wss://a.example/?q={A}", {"a": {"k": 1}}, "/?q=%7B%22k%22%3A%201%7D"),
    "an expression": ("wss://a.example/{{ args.a }}", {"a": "x/y"}, "/x%2Fy"),
    "a computed expression": ("wss://a.example/{{ args.a ~ '/' }}", {"a": "x"}, "/x%2F"),
    "text that looks like a placeholder": (f"wss://a.example/{A}", {"a": B}, f"/{B}"),
}


@pytest.mark.parametrize(("url", "args", "target"), URLS.values(), ids=URLS)
def test_an_argument_stays_inside_its_component(url, args, target):
    assert upgrade(args, url=url).url.target == target
    assert upgrade(args, url=url).url.origin == ("wss", "a.example", 443)


@pytest.mark.parametrize("dots", [".", ".."])
def test_a_segment_of_dots_is_refused(dots):
    with pytest.raises(RenderError, match="makes a segment of the URL's path") as rejected:
        upgrade({"a": dots}, url=f"wss://a.example/x/{A}/y")
    assert rejected.value.code == "invalid-url-argument"


DOTS = {
    "two arguments": (f"wss://a.example/x/{A}{B}", {"a": ".", "b": "."}),
    "an argument and a dot": (f"wss://a.example/x/.{A}", {"a": "."}),
    "nothing between dots": (f"wss://a.example/x/.{A}./y", {"a": ""}),
    "nothing behind a dot": (f"wss://a.example/x/.{A}?q", {"a": ""}),
}


@pytest.mark.parametrize(("url", "args"), DOTS.values(), ids=DOTS)
def test_a_segment_that_becomes_dots_is_refused(url, args):
    with pytest.raises(RenderError, match="makes a segment of the URL's path") as rejected:
        upgrade(args, url=url)
    assert rejected.value.code == "invalid-url-argument"


def test_dots_that_the_template_has_itself_may_stay():
    assert upgrade({"a": "x"}, url=f"wss://a.example/../{A}").url.target == "/../x"


def test_a_dot_in_a_query_is_only_a_dot():
    assert upgrade({"a": "."}, url=f"wss://a.example/?q={A}").url.target == "/?q=."


@pytest.mark.parametrize("url", [f"wss://a.example/{A}", f"wss://a.example/?q={A}", "wss://a.example/{{ args.a }}"])
def test_a_url_with_a_hole_in_it_is_never_used(url):
    with pytest.raises(RenderError, match="'a' is missing"):
        upgrade(url=url)


NOT_IN_FRONT = {
    "as the whole URL": A,
    "in the scheme": f"{A}://a.example/",
    "as the host": f"wss://{A}/",
    "in the host": f"wss://{A}.a.example/",
    "behind the host": f"wss://a.example{A}/",
    "in the port": f"wss://a.example:{A}/",
    "in the port, computed": "wss://a.example:{{ args.a }}/",
    "before the path": f"wss://a.example{A}",
    "in user information": f"wss://{A}@a.example/",
}


@pytest.mark.parametrize("url", NOT_IN_FRONT.values(), ids=NOT_IN_FRONT)
def test_an_argument_cannot_stand_before_the_path(url):
    with pytest.raises(Refused, match="an argument is in the scheme, host or port of the URL"):
        compile_(url=url)


BOUND = {
    "a host": ("wss://${HOST}/ws", "wss://h.example/ws"),
    "a host, computed": ("wss://{{ vars.HOST }}/ws", "wss://h.example/ws"),
    "a token in the query": ("wss://a.example/?t=${TOKEN}", "wss://a.example/?t=s3cret"),
    "a value that looks like a placeholder": ("wss://a.example/${TRICKY}", f"wss://a.example/{A}"),
}


@pytest.mark.parametrize(("url", "expected"), BOUND.values(), ids=BOUND)
def test_a_variable_may_stand_anywhere_in_a_local_url(url, expected):
    assert upgrade({"a": "x"}, url=url).url == parse_url(expected)


def test_an_argument_may_stand_behind_a_host_that_is_computed():
    assert upgrade({"a": "x"}, url=f"wss://{{{{ vars.HOST }}}}/{A}").url == parse_url("wss://h.example/x")


@pytest.mark.parametrize("url", ["wss://${BAD}/", "https://a.example", "wss://a.example/ x", "ws://a.example"])
def test_a_url_that_can_never_be_used_is_refused_when_it_is_compiled(url):
    with pytest.raises(Refused):
        compile_(url=url)


def test_a_url_that_a_variable_spoils_is_refused_when_it_is_rendered():
    with pytest.raises(ForbiddenURL):
        upgrade(url="wss://{{ vars.BAD }}/")


def test_plain_text_is_refused_unless_the_template_allows_it():
    assert upgrade(url="ws://a.example/", network={"plaintext": True}).url.scheme == "ws"
    assert upgrade(url="ws://localhost/").url.scheme == "ws"
    with pytest.raises(ForbiddenURL, match="plain text"):
        upgrade({"a": "x"}, url=f"ws://a.example/{A}")


@FUZZ
@given(
    st.text(st.characters(), max_size=12) | st.sampled_from([".", "..", "/..", "%2e", "//evil.example", "?", "#", "\\"])
)
def test_no_argument_changes_where_a_call_goes(argument):
    url = f"wss://a.example:444/one/{A}/two?q={A}&r=1"
    try:
        found = upgrade({"a": argument}, url=url).url
    except (RenderError, ValueError):
        return

    assert found.origin == ("wss", "a.example", 444)
    first, one, segment, two = found.path.split("/")
    assert (first, one, unquote(segment), two) == ("", "one", argument, "two")
    assert segment not in (".", "..")
    assert [unquote(pair.partition("=")[2]) for pair in found.query.split("&")] == [argument, "1"]


# --- headers and subprotocols ---

HEADERS = {
    "a constant": ({"headers": {"X-A": "1"}}, {}, (("X-A", "1"),)),
    "a variable": ({"headers": {"X-A": "Bearer ${TOKEN}"}}, {}, (("X-A", "Bearer s3cret"),)),
    "a variable as the whole value": ({"headers": {"X-A": "$TOKEN"}}, {}, (("X-A", "s3cret"),)),
    "an expression": ({"headers": {"X-A": "t {{ vars.TOKEN }}"}}, {}, (("X-A", "t s3cret"),)),
    "an argument": ({"headers": {"X-A": f"<{A}>"}}, {"a": 5}, (("X-A", "<5>"),)),
    "an argument of its name": ({"header_fields": ["X-B"]}, {"X-B": "v", "other": 1}, (("X-B", "v"),)),
    "a number of its name": ({"header_fields": ["X-B"]}, {"X-B": 5}, (("X-B", "5"),)),
    "a missing argument of its name": ({"header_fields": ["X-B"]}, {}, ()),
    "both": ({"headers": {"X-A": "1"}, "header_fields": ["X-B"]}, {"X-B": "2"}, (("X-A", "1"), ("X-B", "2"))),
}


@pytest.mark.parametrize(("fields", "args", "headers"), HEADERS.values(), ids=HEADERS)
def test_headers_are_filled(fields, args, headers):
    assert upgrade(args, **fields).headers == headers


INJECTED = ["x\r\nHost: evil", "x\nY: z", "", " x", "ü", "x\x00"]


@pytest.mark.parametrize("value", INJECTED, ids=repr)
@pytest.mark.parametrize(
    "fields", [{"header_fields": ["a"]}, {"headers": {"X-A": A}}], ids=["by its name", "in a value"]
)
def test_an_argument_cannot_add_a_header(fields, value):
    with pytest.raises(ForbiddenHeader):
        upgrade({"a": value}, **fields)


HANDSHAKE = [{"headers": {"Connection": "x"}}, {"header_fields": ["Sec-WebSocket-Key"]}, {"headers": {"Upgrade": A}}]


@pytest.mark.parametrize("fields", HANDSHAKE[:2], ids=["as a header", "as an argument"])
def test_a_header_of_the_handshake_is_refused_when_it_is_compiled(fields):
    with pytest.raises(Refused, match="belongs to the handshake"):
        compile_(**fields)


@pytest.mark.parametrize("value", INJECTED, ids=repr)
def test_a_constant_header_that_cannot_be_sent_is_a_problem_of_its_field(value):
    with pytest.raises(Refused, match=r"headers\.X-A"):
        compile_(headers={"X-A": value})


def test_a_header_of_the_handshake_is_refused_at_the_latest_when_it_is_filled():
    with pytest.raises((Refused, ForbiddenHeader), match="belongs to the handshake"):
        upgrade({"a": "x"}, **HANDSHAKE[2])


def test_a_header_with_a_hole_in_it_is_never_sent():
    with pytest.raises(RenderError, match="argument 'a' is missing"):
        upgrade(headers={"X-A": A})


def test_subprotocols_are_offered_in_order():
    assert upgrade({"a": "v2"}, protocol=["v1.${TOKEN}", f"x-{A}"]).subprotocols == ("v1.s3cret", "x-v2")
    assert upgrade(protocol="v1").subprotocols == ("v1",)


@pytest.mark.parametrize("argument", ["a b", "a,b", "", "a\r\nb"], ids=repr)
def test_a_subprotocol_stays_a_token(argument):
    with pytest.raises(ForbiddenHeader):
        upgrade({"a": argument}, protocol=A)


def test_an_unknown_network_is_refused():
    with pytest.raises(Refused, match=r"network\.allow: 'intranet'"):
        compile_(network={"allow": ["intranet"]})


@pytest.mark.parametrize("field", ["{{ message.id }}", "{{ request_id }}", "{{ counter() }}", "{{ nope }}"])
def test_what_there_is_not_yet_cannot_be_used(field):
    with pytest.raises(Refused):
        compile_(headers={"X-A": field})


# --- from the network ---


NO_VARIABLES = [
    {"url": "wss://a.example/?k=${TOKEN}"},
    {"url": "$TOKEN"},
    {"url": "wss://a.example/{{ args.a }}"},
    {"url": "wss://a.example/{{ vars.TOKEN }}"},
    {"headers": {"X-A": "{{ vars.TOKEN }}"}},
    {"headers": {"X-A": "{{ args.a | upper }}"}},
    {"protocol": "{{ vars.TOKEN }}"},
    pytest.param(
        {"protocol": "v1.${TOKEN}"},
    ),
]


@pytest.mark.parametrize("fields", NO_VARIABLES)
def test_what_the_network_wrote_gets_no_variables(fields):
    with pytest.raises(Refused) as refused:
        compile_(remote=list(fields), **fields)

    assert "s3cret" not in str(refused.value)


def test_a_variable_in_a_header_from_the_network_is_text():
    found = upgrade(remote=["headers"], headers={"X-A": "${TOKEN}", "X-B": "$TOKEN"})

    assert found.headers == (("X-A", "${TOKEN}"), ("X-B", "$TOKEN"))


def test_a_placeholder_in_a_url_from_the_network_is_filled():
    assert upgrade({"a": "x/y"}, remote=["url"], url=f"wss://a.example/{A}").url.target == "/x%2Fy"


def test_what_the_manifest_wrote_keeps_its_variables_beside_what_the_network_wrote():
    found = upgrade(remote=["url"], url="wss://a.example/other", headers={"X-A": "${TOKEN}"})

    assert found.headers == (("X-A", "s3cret"),)


# --- credentials ---

KEY = {"auth_type": "api_key", "api_key": "k&y =1"}
REQUESTS = {
    "no credentials": ({}, None, "/ws", ()),
    "a key in a header": ({"auth": KEY}, None, "/ws", (("X-Api-Key", "k&y =1"),)),
    "a key in the query": (
        {"auth": KEY | {"location": "query", "var_name": "api key"}},
        None,
        "/ws?api%20key=k%26y%20%3D1",
        (),
    ),
    "a key behind a query": (
        {"url": f"{URL}?a=b", "auth": KEY | {"location": "query", "var_name": "k"}},
        None,
        "/ws?a=b&k=k%26y%20%3D1",
        (),
    ),
    "a key in a cookie": (
        {"auth": KEY | {"location": "cookie", "var_name": "s"}},
        None,
        "/ws",
        (("Cookie", "s=k&y =1"),),
    ),
    "behind other headers": (
        {"auth": KEY, "headers": {"X-A": "1"}},
        None,
        "/ws",
        (("X-A", "1"), ("X-Api-Key", "k&y =1")),
    ),
    "a token": (
        {"auth": {"auth_type": "oauth2", "token_url": "https://a.example/t", "client_id": "i", "client_secret": "s"}},
        "tok",
        "/ws",
        (("Authorization", "Bearer tok"),),
    ),
}


@pytest.mark.parametrize(("fields", "token", "target", "headers"), REQUESTS.values(), ids=REQUESTS)
def test_the_request_carries_the_credentials(fields, token, target, headers):
    found = upgrade(**fields)

    assert (found.target(), found.headers_with_auth(token)) == (target, headers)


BAD_CREDENTIALS = [
    {"auth_type": "api_key", "api_key": "s3cret\r\nHost: x"},
    {"auth_type": "api_key", "api_key": "s3cret", "var_name": "Host"},
    {"auth_type": "api_key", "api_key": "s3crét"},
    {"auth_type": "api_key", "api_key": ""},
]


@pytest.mark.parametrize("auth", BAD_CREDENTIALS, ids=["a line break", "a handshake header", "beyond ASCII", "nothing"])
def test_a_credential_that_cannot_be_a_header_is_refused_and_not_shown(auth):
    with pytest.raises(ForbiddenHeader) as forbidden:
        upgrade(auth=auth).headers_with_auth()

    assert "s3cr" not in str(forbidden.value)


def test_a_token_that_cannot_be_a_header_is_refused():
    auth = {"auth_type": "oauth2", "token_url": "https://a.example/t", "client_id": "i", "client_secret": "s"}

    with pytest.raises(ForbiddenHeader):
        upgrade(auth=auth).headers_with_auth("tok\r\nX: y")


def test_an_upgrade_shows_no_secrets():
    found = upgrade(headers={"X-A": "s3cret"}, auth=KEY | {"api_key": "s3cret"}, url=f"{URL}?a=b")

    assert "s3cret" not in repr(found)


# --- who may share a connection ---

DIFFERENT = {
    "the URL": {"url": "wss://a.example/other"},
    "the query": {"url": f"{URL}?a=1"},
    "a header": {"headers": {"X-A": "1"}},
    "the subprotocol": {"protocol": "v1"},
    "credentials": {"auth": KEY},
    "the network": {"network": {"allow": ["private"]}},
    "TLS": {"tls": {"insecure": True}},
    "limits": {"limits": {"max_connections": 1}},
    "ids": {"request_id": "counter"},
    "keep_alive": {"keep_alive": False},
}


@pytest.mark.parametrize("fields", DIFFERENT.values(), ids=DIFFERENT)
def test_calls_that_differ_do_not_share_a_connection(fields):
    assert upgrade(**fields) != upgrade()
    assert upgrade(**fields) == upgrade(**fields)
    assert hash(upgrade(**fields)) == hash(upgrade(**fields))


def test_other_credentials_are_another_upgrade():
    assert upgrade(auth=KEY) != upgrade(auth=KEY | {"api_key": "other"})


def test_manuals_do_not_share_connections():
    assert upgrade(name="a") != upgrade(name="b")
    assert upgrade(name="a") == upgrade(name="a")


@pytest.mark.parametrize(
    "fields", [{"header_fields": ["X-B"]}, {"url": f"{URL}/{A}"}], ids=["in a header", "in the URL"]
)
def test_calls_share_a_connection_where_their_arguments_agree(fields):
    one, same, other = (upgrade({"X-B": value, "a": value}, **fields) for value in ("1", "1", "2"))

    assert one == same
    assert one != other


def test_what_a_call_does_not_change_shares_a_connection():
    assert upgrade({"x": 1}) == upgrade({"x": 2})
    assert compile_(message={"m": 1}, timeout=5).render({}) == compile_(message={"m": 2}, timeout=6).render({})


def test_an_upgrade_without_holes_is_rendered_once():
    compiled = compile_(headers={"X-A": "${TOKEN}"})

    assert compiled.render({}) is compiled.render({})


def test_a_request_is_found_by_its_key():
    one, same, other = upgrade({"a": 1}, headers={"X-A": A}), upgrade({"a": 1}, headers={"X-A": A}), upgrade()

    assert {one.key: 1}[same.key] == 1
    assert other.key not in {one.key: 1}
    assert (hash(one), one) == (hash(one.key), same)


def test_arguments_that_are_equal_in_python_only_do_not_share_a_connection():
    requests = [upgrade({"a": value}, on_connect=[{"send": {"a": "{{ args.a }}"}}]) for value in (1, 1.0, True)]

    assert len({request.key for request in requests}) == 3


def test_a_request_that_waits_for_its_session_is_keyed_by_its_template_and_arguments():
    fields = {
        "before_connect": [{"http": {"url": "https://a.example/"}, "capture": {"t": "body.t"}}],
        "url": f"wss://a.example/{A}?t={{{{ session.t }}}}",
    }
    one, same, other = (upgrade({"a": value, "x": value}, **fields) for value in ("1", "1", "2"))

    assert (one.url, one.deferred is not None) == (None, True)
    assert one.key == same.key
    assert one.key != other.key


# --- what is known of the server, and which requests are equal ---


def test_requests_are_equal_by_what_their_connections_agree_on():
    assert upgrade() == upgrade()
    assert hash(upgrade()) == hash(upgrade())
    assert upgrade() != upgrade(url="wss://b.example/")
    assert upgrade() != "wss://a.example/ws"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("wss://a.example/ws", "wss://a.example"),
        (f"wss://a.example:81/{A}", "wss://a.example:81"),
        (f"ws://localhost?q={A}", "ws://localhost"),
        ("wss://{{ vars.HOST }}/ws", None),
        ("{{ vars.HOST }}", None),
    ],
)
def test_the_server_is_known_where_it_is_written(url, server):
    assert compile_(url=url).server == (None if server is None else parse_url(server))


def test_a_request_belongs_to_the_server_of_its_url():
    request = upgrade(url="wss://a.example:81/x")
    assert request.same_server_as(parse_url("ws://a.example:81/y"))
    assert not request.same_server_as(parse_url("wss://a.example:82/x"))
    assert not request.same_server_as(parse_url("wss://b.example:81/x"))
    step = {"http": {"url": "https://a.example/"}, "capture": {"t": "body.t"}}
    later = upgrade(before_connect=[step], url="wss://a.example/{{ session.t }}")
    assert later.url is None
    assert later.same_server_as(parse_url("wss://a.example/x"))
    assert not later.same_server_as(parse_url("wss://b.example/x"))
    unknown = upgrade(before_connect=[step], url="{{ session.t }}")
    assert not unknown.same_server_as(parse_url("wss://a.example/x"))
    assert unknown.address == "the endpoint of m"


def test_whether_a_connection_sends_arguments_is_known():
    assert not compile_().uses_arguments
    for fields in (
        {"url": f"wss://a.example/{A}"},
        {"headers": {"X": A}},
        {"header_fields": ["X-A"]},
        {"on_connect": [{"send": A}]},
    ):
        assert compile_(**fields).uses_arguments


def test_a_host_that_is_none_is_refused_also_where_the_url_varies():
    with pytest.raises(Refused, match="not a host name"):
        compile_(url=f"wss://a.example/{A}", headers={"Host": "a/b"})
