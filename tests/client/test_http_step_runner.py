"""What an HTTP step sends, takes from the response, and reports, with responses that a test gives."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.client import http_steps
from utcp_ws_mcp.client.http_client import HttpRequest, HttpResponse
from utcp_ws_mcp.client.http_steps import MAX_CREDENTIALS, HttpStepRunner
from utcp_ws_mcp.client.manifest_files import load_text
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.http_steps import STEP_CODES
from utcp_ws_mcp.errors import ConnectError, ForbiddenURL
from utcp_ws_mcp.observability.events import HttpRequestFinished, MatchExplained

AMBIENT = Ambient(lambda: datetime(2026, 1, 1, tzinfo=UTC), bytes, lambda text: text.replace("t0ken", "[removed]"))


class Running:
    """A step, the requests that it makes, and what it observes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, trace: bool = False, url: str = "ws://127.0.0.1:9/") -> None:
        self.requests: list[HttpRequest] = []
        self.given: list[tuple[Any, ...]] = []
        self.observed: list[Any] = []
        self.tokens: list[list[str]] = []
        self.response: HttpResponse | Exception = HttpResponse(200, b"{}")
        self.contexts = 0
        self._trace, self._url = trace, url
        monkeypatch.setattr(http_steps, "send_request", self._send)

    async def _send(self, request: HttpRequest, *given: Any) -> HttpResponse:
        self.requests.append(request)
        self.given.append(given)
        if isinstance(self.response, Exception):
            raise self.response
        return self.response

    def _make_context(self) -> Any:
        self.contexts += 1
        return "context"

    async def run(self, http: dict[str, Any], values: dict[str, Any] | None = None, **step: Any) -> dict[str, Any]:
        document = {
            "name": "m",
            "url": self._url,
            "tools": [{"name": "t"}],
            "tls": {"server_name": "cert.example"},
            "network": {"allow": ["private"]},
            "on_connect": [{"http": http, **step}],
        }
        (tool,) = load_text(json.dumps(document), Path("m.json"), {}).tools["m"]
        handshake: Any = tool.compiled_template.handshake.constant
        runner = HttpStepRunner(
            handshake,
            None,  # type: ignore[arg-type]
            self.observed.append,
            self._make_context,
            lambda tokens: self.tokens.append([*tokens]),
            trace_rules=self._trace,
        )
        scope = Scope(AMBIENT, {"args": {}, "vars": {}, "session": {}, **(values or {})})
        (compiled,) = handshake.connection_rules.on_connect
        return await runner.run(compiled, scope, "on_connect[0]", STEP_CODES)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    return Running(monkeypatch)


URL = "http://127.0.0.1:9/x"


def response(status: int, body: Any = "", **headers: str) -> HttpResponse:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return HttpResponse(status, raw, {name.replace("_", "-"): value for name, value in headers.items()})


# Responses


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, " Check the credentials that the request sends."),
        (403, " Check the credentials that the request sends."),
        (404, ' Check "url".'),
        (405, ' Check "method".'),
        (400, ""),
        (402, ""),
        (406, ""),
        (500, ""),
    ],
)
async def test_a_rejection_is_reported_with_what_to_check(running: Running, status: int, hint: str) -> None:
    running.response = response(status, {"error": "no t0ken"})
    with pytest.raises(ConnectError) as failed:
        await running.run({"url": URL})
    error = failed.value
    assert (error.code, error.step, error.address) == ("http-step-failed", "on_connect[0]", "http://127.0.0.1:9/x")
    assert error.reason.startswith(f"the server answered HTTP {status}")
    assert ("Check" in error.reason) is bool(hint)
    assert error.reason.endswith(hint)
    assert "t0ken" not in error.reason
    assert "[removed]" in error.reason
    assert running.observed == [HttpRequestFinished("m", "GET", error.address, status)]


@pytest.mark.parametrize(
    ("status", "fail", "detail"),
    [
        (200, "body.ok == false", ', and "fail" holds: body.ok == false.'),
        (299, "status == 299", ', and "fail" holds: status == 299.'),
        (300, None, ", a redirect. If a successful login is answered with it"),
        (399, None, ", a redirect. If a successful login"),
        (400, None, "; "),
    ],
)
async def test_why_a_response_counts_as_a_failure_is_reported(
    running: Running, status: int, fail: str | None, detail: str
) -> None:
    running.response = response(status, {"ok": False})
    with pytest.raises(ConnectError) as failed:
        await running.run({"url": URL}, **({} if fail is None else {"fail": fail}))
    assert failed.value.reason.startswith(f"the server answered HTTP {status}{detail}")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"why": "too many t0kens"}, "too many [removed]s"),
        ({"why": 7}, "7"),
        ({"why": ""}, None),
        ({"why": None}, None),
        ({}, None),
    ],
    ids=str,
)
async def test_the_text_of_a_failure_is_what_the_manifest_selects(
    running: Running, body: Any, shown: str | None
) -> None:
    running.response = response(500, body)
    with pytest.raises(ConnectError) as failed:
        await running.run({"url": URL}, fail_message="body.why")
    assert (f"the endpoint said: “{shown}”." in failed.value.reason) is (shown is not None)
    assert "too many t0kens" not in failed.value.reason


async def test_a_failure_says_when_the_server_wants_to_be_asked_again(running: Running) -> None:
    running.response = response(503, retry_after="30")
    with pytest.raises(ConnectError) as failed:
        await running.run({"url": URL})
    assert failed.value.retry_after is not None
    assert failed.value.retry_after.seconds == 30


async def test_a_condition_that_cannot_be_evaluated_is_an_error_of_the_step(running: Running) -> None:
    running.response = response(200, "5")
    with pytest.raises(ConnectError) as failed:
        await running.run({"url": URL}, fail="1 in body")
    assert (failed.value.code, failed.value.step) == ("predicate-failed", "on_connect[0]")
    assert failed.value.reason.startswith("fail: ")


@pytest.mark.parametrize(
    ("body", "value"),
    [(b'{"a": 1}', 1), (b"plain", None), (b"\xff", None), (b'{"a": [1]}', [1])],
)
async def test_a_body_is_read_as_json_or_text(running: Running, body: bytes, value: Any) -> None:
    running.response = response(200, body)
    found = await running.run({"url": URL}, capture={"a": "body.a | default(none)", "all": "body"})
    assert found["a"] == value
    assert isinstance(found["all"], dict if value is not None else str)


async def test_status_headers_and_cookies_can_be_captured(running: Running) -> None:
    running.response = HttpResponse(201, b"", {"x-a": "1"}, {"sid": "s"})
    found = await running.run({"url": URL}, capture={"s": "status", "h": "headers['x-a']", "c": "cookies.sid"})
    assert found == {"s": 201, "h": "1", "c": "s"}


async def test_a_value_that_is_missing_is_an_error_unless_it_is_optional(running: Running) -> None:
    running.response = response(200, {"a": 1})
    with pytest.raises(ConnectError) as failed:
        await running.run({"url": URL}, capture={"t": "body.token"})
    assert (failed.value.code, failed.value.step) == (STEP_CODES.found_nothing, "on_connect[0]")
    assert failed.value.reason.startswith("the response is not as expected: ")
    capture = {"t": "body.token | default(omit)", "a": "body.a"}
    assert (await running.run({"url": URL}, capture=capture))["a"] == 1


@pytest.mark.parametrize("count", [MAX_CREDENTIALS, MAX_CREDENTIALS + 1])
async def test_up_to_sixteen_credentials_of_a_value_are_hidden(running: Running, count: int) -> None:
    secrets = [f"secret-number-{number:04}" for number in range(count)]
    running.response = response(200, {"tokens": secrets})
    assert MAX_CREDENTIALS == 16
    if count <= MAX_CREDENTIALS:
        await running.run({"url": URL}, capture={"token": "body.tokens"})
        assert sorted(running.tokens[0]) == secrets
        return
    with pytest.raises(ConnectError) as failed:
        await running.run({"url": URL}, capture={"token": "body.tokens"})
    assert failed.value.code == "http-step-failed"
    assert "body.tokens holds 17 texts that may be credentials; at most 16 can be hidden." in failed.value.reason


# Failures of the request


async def test_a_request_that_fails_is_a_failure_of_the_step(running: Running) -> None:
    running.response = ConnectError("http://h/", "no connection.", code="http-request-failed")
    with pytest.raises(ConnectError) as failed:
        await running.run({"url": URL})
    error = failed.value
    assert (error.address, error.reason, error.code, error.step) == (
        "http://h/",
        "no connection.",
        "http-step-failed",
        "on_connect[0]",
    )
    assert running.observed == []


async def test_an_error_that_names_its_step_stays_as_it_is(running: Running) -> None:
    running.response = ConnectError("http://h/", "x.", code="other", step="before")
    with pytest.raises(ConnectError) as failed:
        await running.run({"url": URL})
    assert failed.value is running.response


# Requests


@pytest.mark.parametrize(
    ("http", "method", "headers", "form", "body"),
    [
        ({}, "GET", {}, {}, None),
        ({"method": "DELETE"}, "DELETE", {}, {}, None),
        ({"method": "POST", "json": {"a": [1]}}, "POST", {"Content-Type": "application/json"}, {}, {"a": [1]}),
        (
            {"method": "POST", "json": 1, "headers": {"Content-Type": "x/y", "A": "b"}},
            "POST",
            {"Content-Type": "x/y", "A": "b"},
            {},
            1,
        ),
        ({"method": "POST", "json": "{{ session.none | default(omit) }}"}, "POST", {}, {}, None),
        (
            {"method": "POST", "form": {"a": "1", "b": 2, "c": "{{ session.none | default(omit) }}"}},
            "POST",
            {},
            {"a": "1", "b": "2"},
            None,
        ),
        ({"headers": {"A": "{{ session.none | default(omit) }}", "B": "1"}}, "GET", {"B": "1"}, {}, None),
    ],
    ids=str,
)
async def test_a_request_is_what_the_manifest_says(
    running: Running, http: Any, method: str, headers: Any, form: Any, body: Any
) -> None:
    await running.run({"url": URL, **http})
    (request,) = running.requests
    assert (request.method, dict(request.headers), dict(request.form)) == (method, headers, form)
    assert (None if request.body is None else json.loads(request.body)) == body
    assert request.url.target == "/x"


@pytest.mark.parametrize(
    ("endpoint", "url", "has_settings"),
    [
        ("wss://127.0.0.1:9/", "https://127.0.0.1:9/x", True),
        ("wss://127.0.0.1:9/", "https://127.0.0.1:8/x", False),
        ("ws://127.0.0.1:9/", "http://127.0.0.1:9/x", False),
    ],
)
async def test_the_settings_of_tls_are_used_at_the_server_of_the_endpoint_only(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, url: str, has_settings: bool
) -> None:
    running = Running(monkeypatch, url=endpoint)
    await running.run({"url": url}, timeout=3)
    network, _, timeout, settings, host, _ = running.given[0]
    assert (network.allow, timeout, host) == (("private",), 3, "127.0.0.1")
    assert (settings is not None) is has_settings
    assert running.contexts == has_settings
    if settings is not None:
        assert (settings.context, settings.server_name) == ("context", "cert.example")


@pytest.mark.parametrize(
    ("given", "is_sent"),
    [("http://127.0.0.1:9/y", True), ("http://127.0.0.1:8/y", False), ("http://127.0.0.2:9/y", False)],
)
async def test_a_url_that_the_endpoint_returned_leads_to_a_server_of_the_manifest_only(
    running: Running, given: str, is_sent: bool
) -> None:
    values = {"session": {"url": given}}
    if is_sent:
        await running.run({"url": "{{ session.url }}"}, values)
        assert running.requests[0].url.target == "/y"
        return
    with pytest.raises(ForbiddenURL) as refused:
        await running.run({"url": "{{ session.url }}"}, values)
    assert refused.value.code == "origin-not-allowed"
    assert "the manifest names no such server" in str(refused.value)


@pytest.mark.parametrize("trace", [True, False])
async def test_query_parameters_are_shown_without_secrets_if_they_are_traced(
    monkeypatch: pytest.MonkeyPatch, trace: bool
) -> None:
    running = Running(monkeypatch, trace=trace)
    await running.run({"url": f"{URL}?a=1", "query": {"tag": ["x", "y z"], "api_key": "0123456789abcdef"}})
    explained = [event.reasons for event in running.observed if isinstance(event, MatchExplained)]
    shown = """on_connect[0].http.query is {"a":"1","tag":["x","y z"],"api_key":"***"}"""
    assert [lines for lines in explained if "query" in str(lines)] == ([(shown,)] if trace else [])


@pytest.mark.parametrize("trace", [True, False])
async def test_rules_are_explained_if_they_are_traced(monkeypatch: pytest.MonkeyPatch, trace: bool) -> None:
    running = Running(monkeypatch, trace=trace)
    await running.run({"url": URL})
    explained = [event for event in running.observed if isinstance(event, MatchExplained)]
    assert len(explained) == trace
    assert all(event.manual == "m" for event in explained)
