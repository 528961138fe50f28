"""What happens before the first request: the HTTP requests of `before_connect` and the login of `on_connect`."""

from __future__ import annotations

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
from ..core.templates.nodes import OMIT, RenderError, quote_json, to_render_error, to_text
from ..errors import ConnectError, InvalidTemplate, end_sentence
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
    *,
    trace_rules: bool = False,
) -> None:
    """Make the requests of `before_connect` in order, and capture values of the responses.

    Args:
        handshake: The opening handshake that comes next.
        state: The state of the connection that it will open.
        resolver: Resolves the hosts of the requests.
        observe: Gets an event for each response.
        get_ssl_context: Returns the TLS settings of the endpoint. They are used at no other server: a client
            certificate is a credential.
        trace_rules: Whether events explain what each response means.

    Raises:
        ConnectError: where there is no response, its `fail` is true, or a captured value is missing.
        PolicyError: where a URL, an address or a header may not be used.
        InvalidTemplate: where a request cannot be rendered.
    """
    for index, step in enumerate(state.rules.before_connect):
        path = f"before_connect[{index}]"
        try:
            request = _build_http_request(step, state.scope().with_frozen_time())
        except (RenderError, ValueError) as error:
            raise InvalidTemplate(f"{handshake.manual}: {path}: {to_render_error(error)}", code=_code(error)) from None
        try:
            ssl_context = get_ssl_context() if request.url.secure and handshake.same_server_as(request.url) else None
            response = await send_request(request, handshake.template.network, resolver, step.timeout, ssl_context)
        except ConnectError as error:
            raise ConnectError(error.address, error.reason, code="before-connect-failed", step=path) from error
        observe(events.HttpRequestFinished(handshake.manual, request.method, request.url.address, response.status))
        scope = state.scope(
            status=response.status, body=_parse_body(response), headers=response.headers, cookies=response.cookies
        )
        if trace_rules:
            from ..core.exchange.trace import explain_http_step  # only for --trace

            observe(events.MatchExplained(handshake.manual, explain_http_step(step, path, scope)))
        _process_response(request, response, step, state, path, scope)


def _process_response(
    request: HttpRequest,
    response: HttpResponse,
    step: CompiledHttpStep,
    state: ConnectionState,
    path: str,
    scope: Scope,
) -> None:
    """Raise if a response means a failure; capture values of it otherwise. `scope` has the parts of the response."""
    if step.fail.is_true(scope):
        text = _fail_message_text(step.fail_message, scope)
        detail = (
            _failure_detail(response, step.fail, scope.ambient.redact) if text is None else f": {end_sentence(text)}"
        )
        reason = f"the server answered HTTP {response.status}{detail}"
        raise ConnectError(request.url.address, reason, code="before-connect-failed", step=path)
    for name, expression in step.captures:
        value = expression.evaluate_or_undefined(scope)
        if value is UNDEFINED:
            reason = f"{expression.source}, which capture stores as session.{name}, is missing from the response."
            raise ConnectError(request.url.address, reason, code="before-connect-value-missing", step=path)
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
    path, address = f"on_connect[{index}]", connection.address
    try:
        with anyio.fail_after(step.timeout):
            if step.send is not None:
                succeeded = await _send_message(connection, step, index, names)
            else:
                succeeded = await _receive_message(connection, step, index, names)
    except TimeoutError:
        what = f"no message matched {step.expect.source}" if step.expect else "the message could not be sent"
        last = connection.last_message if step.expect else ""
        received = f" Last message received: {end_sentence(last)}" if last else ""
        reason = f"{what} within {step.timeout:g} s.{received}"
        raise ConnectError(address, reason, code="login-timeout", step=path) from None
    except (RenderError, ValueError) as error:
        raise ConnectError(address, str(to_render_error(error)), code=_code(error), step=path) from None
    if not succeeded:
        raise ConnectError(address, _close_reason(connection), code="login-closed", step=path)


async def _send_message(connection: Connection, step: CompiledLoginStep, index: int, names: dict[str, Any]) -> bool:
    """Send the message of a step; return False where the connection has ended."""
    assert step.send is not None
    scope = connection.state.scope(**names).with_frozen_time()
    if connection.trace_rules and step.captures:
        from ..core.exchange.trace import explain_captures  # only for --trace

        connection.emit_explanation(explain_captures(step.captures, f"on_connect[{index}]", scope))
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
            shown = end_sentence(excerpt(message.for_display, redact=scope.ambient.redact) if text is None else text)
            reason = f"the server rejected the login: {shown}"
            step_path = f"on_connect[{self._index}]"
            self.error = ConnectError(connection.address, reason, code="login-rejected", step=step_path)
            self.finished = True
            return explanation
        self.finished = step.expect.is_true(scope)
        connection.dispatcher.messages.note_login_message(message, expected=self.finished)
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
        body = quote_json(step.json.render(scope)).encode()
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


def _failure_detail(response: HttpResponse, fail: Expression, redact: Callable[[str], str]) -> str:
    """Return what follows the status: the server's own text of an error; for a success, why it counts as a failure."""
    if response.status < 300:
        return f', and "fail" holds: {fail.source}.'
    if 300 <= response.status < 400:
        return ', a redirect. If a successful login is answered with it, add "fail": "status >= 400" to the step.'
    return end_sentence(http_error_detail(response.status, response.body, redact))


def _fail_message_text(fail_message: Expression | None, scope: Scope) -> str | None:
    """Return the text that `fail_message` selects, or None if it selects nothing."""
    value = UNDEFINED if fail_message is None else fail_message.evaluate_or_undefined(scope)
    return (
        None
        if value is UNDEFINED or value is None or value == ""
        else excerpt(as_text(value), redact=scope.ambient.redact)
    )


def _code(error: RenderError | ValueError) -> str:
    """Return the code of a message that cannot be rendered or encoded; a missing value has one of its own here."""
    missing = isinstance(error, UnicodeEncodeError)  # a captured value that is not text
    code = to_render_error(error).code
    return "login-value-missing" if missing or code in ("argument-missing", "value-missing") else code


def _close_reason(connection: Connection) -> str:
    """Return how a connection ended during the login: a server may reject one without a word (RFC 6455 §7.1.7)."""
    reason = connection.close_info.reason
    hint = " A server may reject a login this way: check the credentials." if reason == CONNECTION_RESET else ""
    return end_sentence(reason) + hint
