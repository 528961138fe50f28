"""What happens before the first request: the HTTP requests of `before_connect` and the login of `on_connect`."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import anyio

from ..core.codecs.message import Message, encode, excerpt, http_error_detail, parse_json
from ..core.connection_rules import CompiledHttpStep, CompiledLoginStep
from ..core.exchange.connection_state import ConnectionState
from ..core.exchange.result import as_text
from ..core.expressions.expression import Expression
from ..core.expressions.paths import UNDEFINED
from ..core.expressions.scope import Scope
from ..core.handshake_request import HandshakeRequest
from ..core.network_policy import check_header, parse_http_url
from ..core.templates.nodes import OMIT, RenderError, to_text
from ..errors import ConnectError, InvalidTemplate
from ..manifest.secret_names import secrets_in
from ..observability import events
from ..observability.events import Observer
from .close_info import CONNECTION_RESET
from .connection import Connection
from .dial import Resolver
from .http_client import HttpRequest, HttpResponse, send_request


async def run_before_connect(
    handshake: HandshakeRequest,
    state: ConnectionState,
    resolver: Resolver,
    observe: Observer,
    get_ssl_context: Callable[[], ssl.SSLContext],
) -> None:
    """Make the requests of `before_connect` in order, and capture values of the responses.

    Args:
        handshake: The opening handshake that comes next.
        state: The state of the connection that it will open.
        resolver: Resolves the hosts of the requests.
        observe: Gets an event for each response.
        get_ssl_context: Returns the TLS settings of the endpoint. They are used at no other server: a client
            certificate is a credential.

    Raises:
        ConnectError: where there is no response, its `fail` is true, or a captured value is missing.
        PolicyError: where a URL, an address or a header may not be used.
        InvalidTemplate: where a request cannot be rendered.
    """
    for number, step in enumerate(state.rules.before_connect, 1):
        label = f"before_connect step {number}"
        try:
            request = _build_http_request(step, state.scope().with_frozen_time())
        except (RenderError, ValueError) as error:
            raise InvalidTemplate(f"{handshake.manual}: {label}: {_error_reason(error)}") from None
        try:
            ssl_context = get_ssl_context() if request.url.secure and handshake.same_server_as(request.url) else None
            response = await send_request(request, handshake.template.network, resolver, step.timeout, ssl_context)
        except ConnectError as error:
            raise ConnectError(error.address, f"{error.reason} ({label})") from error
        observe(events.HttpRequestFinished(handshake.manual, request.method, request.url.address, response.status))
        _process_response(request, response, step, state, label)


def _process_response(
    request: HttpRequest, response: HttpResponse, step: CompiledHttpStep, state: ConnectionState, label: str
) -> None:
    """Raise if a response means a failure; capture values of it otherwise."""
    scope = state.scope(
        status=response.status, body=_parse_body(response), headers=response.headers, cookies=response.cookies
    )
    if step.fail.is_true(scope):
        text = _fail_message_text(step.fail_message, scope)
        reason = (
            _failure_reason(response, step.fail, scope.ambient.redact) if text is None else f"{response.status}: {text}"
        )
        raise ConnectError(request.url.address, f"{label} failed with HTTP {reason}")
    for name, expression in step.captures:
        value = expression.evaluate_or_undefined(scope)
        if value is UNDEFINED:
            missing = f"{label}: the answer has no {expression.source} to keep as session.{name}"
            raise ConnectError(request.url.address, missing)
        state.values[name] = value


def fetched_credentials(state: ConnectionState) -> Iterator[str]:
    """Yield what `before_connect` captured and no log or error may show: tickets, tokens, cookies."""
    for step in state.rules.before_connect:
        for name, expression in step.captures:
            yield from secrets_in(name, expression.source, state.values.get(name))


async def run_on_connect(connection: Connection) -> None:
    """Run the steps of `on_connect` in order.

    Raises:
        ConnectError: where a message does not come in time, `fail` is true, or the connection ends.
    """
    # Names that all steps share: an expecting step refers to the request id of the sending step before it.
    names: dict[str, Any] = {"counter": connection.dispatcher.count}
    for index, step in enumerate(connection.state.rules.on_connect):
        if step.allocates_request_id:
            names["request_id"] = connection.dispatcher.next_id()
        scope = connection.state.scope(**names)
        if connection.trace_rules and step.when is not None:
            from ..core.exchange.trace import explain_when  # only for --trace

            connection.emit_explanation(explain_when(step, index, scope))
        if connection.state.applies(step, scope):
            await _run_step(connection, step, index, names)


async def _run_step(connection: Connection, step: CompiledLoginStep, index: int, names: dict[str, Any]) -> None:
    label = f"on_connect step {index + 1}"
    try:
        with anyio.fail_after(step.timeout):
            if step.send is not None:
                went_well = await _send_message(connection, step, index, names)
            else:
                went_well = await _receive_message(connection, step, index, names)
    except TimeoutError:
        what = "the message could not be sent" if step.send else "no message matched"
        last = f"; the last that came was {connection.last_message}" if step.expect and connection.last_message else ""
        raise ConnectError(connection.address, f"{label}: {what} within {step.timeout:g} s{last}") from None
    except (RenderError, ValueError) as error:
        raise ConnectError(connection.address, f"{label}: {_error_reason(error)}") from None
    if not went_well:
        raise ConnectError(connection.address, f"{label}: {_close_reason(connection)}")


async def _send_message(connection: Connection, step: CompiledLoginStep, index: int, names: dict[str, Any]) -> bool:
    """Send the message of a step; return False where the connection has ended."""
    assert step.send is not None
    scope = connection.state.scope(**names).with_frozen_time()
    connection.state.capture(step.captures, scope)
    return await connection.send(connection.encode(step.send.render(scope)), f"on_connect[{index}]")


async def _receive_message(connection: Connection, step: CompiledLoginStep, index: int, names: dict[str, Any]) -> bool:
    """Wait for the message of a step; return False where the connection ends before it."""
    expectation = _Expectation(connection, step, index, names)
    arrived = await connection.receive_for_login(expectation)
    if expectation.error is not None:
        raise expectation.error
    return arrived


class _Expectation:
    """A step that waits for a message: the first for which `fail` or `expect` is true finishes it.

    It is evaluated inside the callback that receives the message, so that the next message already meets the next step;
    therefore an error is stored here, not raised.
    """

    def __init__(self, connection: Connection, step: CompiledLoginStep, index: int, names: dict[str, Any]) -> None:
        self.finished = False
        self.error: ConnectError | None = None
        self._connection = connection
        self._step = step
        self._index = index
        self._names = names

    def accept(self, message: Message) -> tuple[str, ...]:
        """Evaluate a message; return the explanation of the decision, if rules are traced."""
        connection, step = self._connection, self._step
        assert step.expect is not None
        scope = connection.state.scope(message=message.value, **self._names)
        explanation: tuple[str, ...] = ()
        if connection.trace_rules:
            from ..core.exchange.trace import explain_step  # only for --trace

            explanation = explain_step(step, self._index, scope)
        if step.fail is not None and step.fail.is_true(scope):
            text = _fail_message_text(step.fail_message, scope)
            reason = excerpt(message.for_display, redact=scope.ambient.redact) if text is None else text
            label = f"on_connect step {self._index + 1}"
            self.error = ConnectError(connection.address, f"{label}: the server refused: {reason}")
            self.finished = True
            return explanation
        self.finished = step.expect.is_true(scope)
        connection.dispatcher.note_login_message(message, expected=self.finished)
        if self.finished:
            connection.state.capture(step.captures, scope)
        return explanation


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


def _failure_reason(response: HttpResponse, fail: Expression, redact: Callable[[str], str]) -> str:
    """Return the status with what the server says of an error; for a success, why it counts as a failure."""
    if response.status < 300:
        return f'{response.status}: "fail" holds: {fail.source}'
    if 300 <= response.status < 400:
        hint = 'if a good login is answered so, write "fail": "status >= 400" into the step'
        return f"{response.status}, a redirect; {hint}"
    return f"{response.status}{http_error_detail(response.status, response.body, redact)}"


def _fail_message_text(fail_message: Expression | None, scope: Scope) -> str | None:
    """Return the text that `fail_message` selects, or None if it selects nothing."""
    value = UNDEFINED if fail_message is None else fail_message.evaluate_or_undefined(scope)
    return None if value is UNDEFINED or value is None else excerpt(as_text(value), redact=scope.ambient.redact)


def _error_reason(error: Exception) -> str:
    """Return why something cannot be sent."""
    is_utf8 = isinstance(error, UnicodeEncodeError)
    return "what it would send holds a character that UTF-8 cannot encode" if is_utf8 else str(error)


def _close_reason(connection: Connection) -> str:
    """Return how a connection ended during the login: a server may reject one without a word (RFC 6455 §7.1.7)."""
    reason = connection.close_info.reason
    return f"{reason}; a server may refuse a login so: check the credentials" if reason == CONNECTION_RESET else reason
