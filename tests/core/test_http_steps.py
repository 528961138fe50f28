"""What is compiled of a step that sends an HTTP request, and what is refused in one."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from utcp_ws_mcp.core.http_steps import CompiledHttpStep
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver

VARIABLES = {"BASE": "https://v.example", "BAD": "https://v.example#x"}


def compiled(**fields: Any) -> Any:
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}
    loaded = load_document([entry], VariableResolver([VARIABLES]), "m.json", PurePath("/m"))
    assert not loaded.disabled
    tools, problems = compile_entry(loaded.entries[0])
    assert problems == []
    return tools[0].compiled_template


def problem_of(**fields: Any) -> str:
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}
    loaded = load_document([entry], VariableResolver([VARIABLES]), "m.json", PurePath("/m"))
    (problem,) = compile_entry(loaded.entries[0])[1]
    return str(problem)


def before_connect(**http: Any) -> CompiledHttpStep:
    template = compiled(before_connect=[{"http": {"url": "https://b.example/", **http}}])
    steps: tuple[CompiledHttpStep, ...] = template.handshake.connection_rules.before_connect
    return steps[0]


def test_a_step_has_its_defaults() -> None:
    step = before_connect()
    assert (step.method, step.json, step.form, step.when, step.fail_message) == ("GET", None, None, None, None)
    assert step.fail.source == "status >= 300"
    assert step.headers == ()
    assert step.captures == ()
    assert not step.allocates_request_id


def test_a_step_has_what_is_written() -> None:
    template = compiled(
        before_connect=[
            {
                "http": {
                    "method": "post",
                    "url": "https://b.example/{{ args.a }}",
                    "headers": {"X-A": "{{ args.a }}"},
                    "json": {"k": "{{ args.a }}"},
                },
                "when": "args.a == 1",
                "fail": "status == 500",
                "fail_message": "body.error",
                "capture": {"ticket": "body.ticket"},
                "timeout": 3,
            }
        ]
    )
    (step,) = template.handshake.connection_rules.before_connect
    scope = {"args": {"a": 1}}
    assert (step.method, step.url.render(scope), step.timeout) == ("POST", "https://b.example/1", 3)
    assert [name for name, _ in step.headers] == ["X-A"]
    assert step.json.render(scope) == {"k": 1}
    assert (step.when.source, step.fail.source, step.fail_message.source) == (
        "args.a == 1",
        "status == 500",
        "body.error",
    )
    assert [(name, expression.source) for name, expression in step.captures] == [("ticket", "body.ticket")]


def test_a_form_is_compiled() -> None:
    step = before_connect(method="POST", form={"a": "x"})
    assert step.form is not None
    assert step.form.render({"args": {}}) == {"a": "x"}


SERVERS: dict[str, tuple[dict[str, Any], set[tuple[str, int]]]] = {
    "the endpoint and the step": ({}, {("a.example", 443), ("b.example", 443)}),
    "ports": ({"url": "wss://a.example:1/x"}, {("a.example", 1), ("b.example", 443)}),
    "another step": (
        {"on_connect": [{"send": "x"}, {"http": {"url": "https://c.example:8443/y?z={{ args.a }}"}}]},
        {("a.example", 443), ("b.example", 443), ("c.example", 8443)},
    ),
    "a step before a message": (
        {"before_message": [{"http": {"url": "http://localhost:9/"}}]},
        {("a.example", 443), ("b.example", 443), ("localhost", 9)},
    ),
    "a variable": (
        {"on_connect": [{"http": {"url": "${BASE}/x"}}, {"http": {"url": "{{ vars.BASE }}/x"}}]},
        {("a.example", 443), ("b.example", 443)},
    ),
    "a token": (
        {
            "auth": {
                "auth_type": "oauth2",
                "token_url": "https://t.example/token",
                "client_id": "i",
                "client_secret": "s",
            }
        },
        {("a.example", 443), ("b.example", 443), ("t.example", 443)},
    ),
}


@pytest.mark.parametrize(("fields", "servers"), SERVERS.values(), ids=SERVERS)
def test_the_servers_that_the_manifest_writes_are_known(fields: dict[str, Any], servers: set[tuple[str, int]]) -> None:
    template = compiled(before_connect=[{"http": {"url": "https://b.example/"}}], **fields)
    (step,) = template.handshake.connection_rules.before_connect
    assert step.servers == servers


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "plain text": ({"url": "http://b.example/"}, "[0].before_connect[0].http.url: http://b.example/: request blocked"),
    "plain text to a server with a path that varies": (
        {"url": "http://b.example/{{ args.a }}"},
        "[0].before_connect[0].http.url: http://b.example/: request blocked",
    ),
    "a port that is none": (
        {"url": "https://b.example:0/{{ args.a }}"},
        "[0].before_connect[0].http.url: the URL has the port 0.",
    ),
    "WebSocket": ({"url": "wss://b.example/"}, "[0].before_connect[0].http.url: expected a URL of the form https://"),
    "a header of the handshake": ({"headers": {"Upgrade": "x"}}, "[0].before_connect[0].http.headers.Upgrade: "),
    "a host that a call changes": ({"headers": {"Host": "{{ args.a }}"}}, "[0].before_connect[0].http.headers.Host: "),
    "an unknown name in JSON": ({"json": {"a": "{{ nonsense.a }}"}}, "[0].before_connect[0].http.json: unknown name"),
    "an unknown name in a form": ({"form": {"a": "{{ nonsense.a }}"}}, "[0].before_connect[0].http.form: unknown name"),
}


@pytest.mark.parametrize(("http", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_with_a_request_is_reported_at_its_place(http: dict[str, Any], problem: str) -> None:
    request = {"url": "https://b.example/", "method": "POST", **http}
    assert problem_of(before_connect=[{"http": request}]).startswith(problem)


@pytest.mark.parametrize("key", ["when", "fail", "fail_message"])
def test_an_expression_of_a_step_is_reported_at_its_place(key: str) -> None:
    step = {"http": {"url": "https://b.example/"}, key: "nonsense.a"}
    assert f"before_connect[0].{key}: unknown name 'nonsense'" in problem_of(before_connect=[step])


def test_the_response_is_known_only_behind_the_request() -> None:
    step = {"http": {"url": "https://b.example/"}, "when": "status == 200"}
    assert "unknown name 'status'" in problem_of(before_connect=[step])
    compiled(before_connect=[{"http": {"url": "https://b.example/"}, "fail": "status == 1 or headers.a or cookies.b"}])


def test_plain_text_is_sent_where_the_manifest_allows_it_or_to_loopback() -> None:
    compiled(network={"plaintext": True}, before_connect=[{"http": {"url": "http://b.example/"}}])
    for url in (
        "http://localhost/",
        "http://localhost/{{ args.a }}",
        "https://b.example/?x={{ args.a }}",
        "{{ vars.BASE }}",
    ):
        compiled(before_connect=[{"http": {"url": url}}])
