"""What happens before the first request: HTTP requests before the upgrade, login steps after it (section 4)."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import anyio

from ..core.codecs.message import encode, excerpt, http_error_detail, parse_json
from ..core.connection_rules import CompiledHttpStep, CompiledLoginStep
from ..core.exchange.connection_state import ConnectionState
from ..core.exchange.result import as_text
from ..core.expressions.expression import Expression
from ..core.expressions.paths import UNDEFINED
from ..core.expressions.scope import Scope
from ..core.handshake_request import HandshakeRequest
from ..core.network_policy import check_header
from ..core.requests import parse_http_url
from ..core.templates.nodes import OMIT, RenderError, to_text
from ..errors import ConnectError, InvalidTemplate
from ..manifest.secret_names import secrets_in
from ..observability import events
from ..observability.events import Observer
from .close_info import CONNECTION_RESET
from .connection import Connection, ConnectionClosed
from .dial import Resolver
from .http_client import HttpRequest, HttpResponse, send_request


async def run_before_connect(
    upgrade: HandshakeRequest,
    session: ConnectionState,
    resolver: Resolver,
    observe: Observer,
    get_ssl_context: Callable[[], ssl.SSLContext],
) -> None:
    """Make the requests of `before_connect` in order; `observe` hears of the answers.

    `context` gives the endpoint's own TLS, which is used at no other server.

    Raises:
        ConnectError: where one is not answered, or its `fail` holds.
        PolicyError: where its URL, address or a header may not be used.
    """
    for number, step in enumerate(session.rules.before_connect, 1):
        label = f"before_connect step {number}"
        try:
            request = _build_http_request(step, session.scope().with_frozen_time())
        except (RenderError, ValueError) as unfilled:
            raise InvalidTemplate(f"{upgrade.manual}: {label}: {_error_reason(unfilled)}") from None
        try:
            tls = get_ssl_context() if request.url.secure and upgrade.same_server_as(request.url) else None
            reply = await send_request(request, upgrade.template.network, resolver, step.timeout, tls)
        except ConnectError as failed:
            raise ConnectError(failed.address, f"{failed.reason} ({label})") from failed
        observe(events.HttpRequestFinished(upgrade.manual, request.method, request.url.address, reply.status))
        scope = session.scope(
            status=reply.status, body=_parse_body(reply), headers=reply.headers, cookies=reply.cookies
        )
        if step.fail.is_true(scope):
            said = _fail_message_text(step.fail_message, scope)
            why = _failure_reason(reply, step.fail, session.redact) if said is None else f"{reply.status}: {said}"
            raise ConnectError(request.url.address, f"{label} failed with HTTP {why}")
        for name, expression in step.captures:
            value = expression.evaluate_or_undefined(scope)
            if value is UNDEFINED:
                missing = f"{label}: the answer has no {expression.source} to keep as session.{name}"
                raise ConnectError(request.url.address, missing)
            session.values[name] = value


def fetched_credentials(session: ConnectionState) -> Iterator[str]:
    """What `before_connect` has kept and nobody should see: tickets, tokens, cookies."""
    for step in session.rules.before_connect:
        for name, expression in step.captures:
            yield from secrets_in(name, expression.source, session.values.get(name))


def _failure_reason(response: HttpResponse, fail: Expression, redact: Callable[[str], str]) -> str:
    """A status that was not wanted, with what the server says of an error; of a success, why it counts as none."""
    if response.status < 300:
        return f'{response.status}: "fail" holds: {fail.source}'
    if 300 <= response.status < 400:
        return f'{response.status}, a redirect; if a good login is answered so, write "fail": "status >= 400" into the step'
    return f"{response.status}{http_error_detail(response.status, response.body, redact)}"


def _error_reason(error: Exception) -> str:
    """Why something cannot be sent."""
    utf8 = isinstance(error, UnicodeEncodeError)
    return "what it would send holds a character that UTF-8 cannot encode" if utf8 else str(error)


def _fail_message_text(fail_message: Expression | None, scope: Scope) -> str | None:
    """What a manifest finds to say of a refusal, if it finds something."""
    value = UNDEFINED if fail_message is None else fail_message.evaluate_or_undefined(scope)
    return None if value is UNDEFINED or value is None else excerpt(as_text(value), redact=scope.ambient.redact)


def _build_http_request(step: CompiledHttpStep, scope: Scope) -> HttpRequest:
    url = parse_http_url(str(step.url.render(scope)))
    headers = {name: to_text(node.render(scope)) for name, node in step.headers}
    for name, value in headers.items():
        check_header(name, value)
    body: bytes | None = None
    if step.json is not None:
        body = json.dumps(step.json.render(scope), allow_nan=False).encode()
        headers.setdefault("Content-Type", "application/json")
    form = {} if step.form is None else step.form.render(scope)
    texts = {name: encode(to_text(value)) for name, value in form.items() if value is not OMIT}
    return HttpRequest(step.method, url, headers, texts, body)


def _parse_body(response: HttpResponse) -> Any:
    text = response.body.decode("utf-8", "replace")
    try:
        return parse_json(text)
    except ValueError:
        return text


async def run_on_connect(connection: Connection) -> None:
    """Do the steps of `on_connect` in order, before anything else reads from the connection.

    Raises:
        ConnectError: where a step's message does not come, its `fail` holds, or the connection ends.
    """
    names: dict[str, Any] = {"counter": connection.dispatcher.count}
    for number, step in enumerate(connection.session.rules.on_connect, 1):
        if step.allocates_request_id:
            names["request_id"] = connection.dispatcher.next_id()
        scope = connection.session.scope(**names)
        if connection.trace_rules and step.when is not None:
            from ..core.exchange.trace import explain_when

            connection.emit_explanation(explain_when(step, number - 1, scope))
        if connection.session.applies(step, scope):
            await _run_step(connection, step, number, names)


async def _run_step(connection: Connection, step: CompiledLoginStep, number: int, names: dict[str, Any]) -> None:
    address, label = connection.address, f"on_connect step {number}"
    try:
        with anyio.fail_after(step.timeout):
            if step.send is not None:
                scope = connection.session.scope(**names).with_frozen_time()
                connection.session.capture(step.captures, scope)
                request = connection.encode(step.send.render(scope))
                if not await connection.send(request, f"on_connect[{number - 1}]"):
                    raise ConnectError(address, f"{label}: {_close_reason(connection)}")
            else:
                await _wait_for_match(connection, step, number, names)
    except TimeoutError:
        what = "the message could not be sent" if step.send else "no message matched"
        last = f"; the last that came was {connection.last_message}" if step.expect and connection.last_message else ""
        raise ConnectError(address, f"{label}: {what} within {step.timeout:g} s{last}") from None
    except ConnectionClosed:
        raise ConnectError(address, f"{label}: {_close_reason(connection)}") from None
    except (RenderError, ValueError) as unfilled:
        raise ConnectError(address, f"{label}: {_error_reason(unfilled)}") from None


def _close_reason(connection: Connection) -> str:
    """How a connection ended during the login: a server that refuses one may say nothing (RFC 6455 §7.1.7)."""
    text = connection.close_info.reason
    return f"{text}; a server may refuse a login so: check the credentials" if text == CONNECTION_RESET else text


async def _wait_for_match(connection: Connection, step: CompiledLoginStep, number: int, names: dict[str, Any]) -> None:
    """Read until a message matches; others are skipped."""
    assert step.expect is not None
    while True:
        message = await connection.receive()
        scope = connection.session.scope(message=message.value, **names)
        if connection.trace_rules:
            from ..core.exchange.trace import explain_step

            connection.emit_explanation(explain_step(step, number - 1, scope))
        if step.fail is not None and step.fail.is_true(scope):
            said = _fail_message_text(step.fail_message, scope)
            why = excerpt(message.for_display, redact=scope.ambient.redact) if said is None else said
            raise ConnectError(connection.address, f"on_connect step {number}: the server refused: {why}")
        expected = step.expect.is_true(scope)
        connection.dispatcher.last_unmatched = None if expected else message
        if expected:
            connection.session.capture(step.captures, scope)
            return
