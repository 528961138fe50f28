"""Send the HTTP request of a step, and take from its response what the step captures."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..core.backoff import parse_retry_after
from ..core.captures import CaptureFoundNothing, select_values
from ..core.codecs.message import encode, excerpt, http_error_detail, parse_json
from ..core.exchange.result import as_text
from ..core.expressions.expression import EvaluationError, Expression
from ..core.expressions.paths import UNDEFINED
from ..core.expressions.scope import Scope
from ..core.handshake_request import HandshakeRequest
from ..core.header_policy import check_header
from ..core.http_steps import CompiledHttpStep, StepCodes
from ..core.network_policy import parse_http_url
from ..core.templates.header_rule import render_header
from ..core.templates.nodes import OMIT, quote_json, to_text
from ..errors import ConnectError, ForbiddenURL, end_sentence, quote_endpoint
from ..manifest.models.network import Network
from ..manifest.secret_names import secrets_in
from ..observability import events
from ..observability.events import Observer
from ..records import Record
from .dial import Resolver
from .http_client import HttpRequest, HttpResponse, TlsSettings, send_request

MAX_CREDENTIALS: Final = 16
"""Texts of one captured value that count as credentials: each is searched for in all that is shown."""
_STATUS_HINTS: Final = {
    401: " Check the credentials that the request sends.",
    403: " Check the credentials that the request sends.",
    404: ' Check "url".',
    405: ' Check "method".',
}
"""What to check if a request is rejected with a status."""


class HttpStepRunner:
    """Sends the HTTP requests that belong to one connection.

    Args:
        handshake: The opening handshake of the connection: its network policy and its TLS settings hold for requests.
        resolver: Resolves the hosts of the requests.
        observe: Gets an event for each response.
        get_ssl_context: Returns the TLS settings of the endpoint. They are used at no other server: a client
            certificate is a credential.
        on_tokens: Gets the credentials of a captured value, so that logs and errors can hide them.
        trace_rules: Whether events explain what each response means.
    """

    def __init__(
        self,
        handshake: HandshakeRequest,
        resolver: Resolver,
        observe: Observer,
        get_ssl_context: Callable[[], ssl.SSLContext],
        on_tokens: Callable[[Sequence[str]], None],
        *,
        trace_rules: bool = False,
    ) -> None:
        self._handshake = handshake
        self._resolver = resolver
        self._observe = observe
        self._get_ssl_context = get_ssl_context
        self._on_tokens = on_tokens
        self._trace_rules = trace_rules

    async def run(
        self,
        step: CompiledHttpStep,
        scope: Scope,
        path: str,
        codes: StepCodes,
        owner: str = "session",
        on_sent: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Send the request of a step, and return the values that it captures.

        Args:
            step: The step.
            scope: The names for its templates and expressions.
            path: Where the step is in the manifest, for errors.
            codes: The codes of its errors.
            owner: What the captured values become members of.
            on_sent: Called when sending begins.

        Raises:
            ConnectError: where there is no response, its `fail` is true, or a captured value is missing.
            PolicyError: where a URL, an address or a header may not be used.
            RenderError, ValueError: where a request cannot be rendered.
        """
        network = self._handshake.template.network
        request = _build_request(step, scope.with_frozen_time(), network)
        if self._trace_rules:
            from ..core.exchange.trace import explain_query  # only for --trace

            if lines := explain_query(f"{path}.http.query", request.url.query, scope.ambient.redact):
                self._observe(events.MatchExplained(self._handshake.manual, lines))
        try:
            response = await send_request(
                request, network, self._resolver, step.timeout, self._tls_for(request), self._endpoint_host, on_sent
            )
            self._observe(
                events.HttpRequestFinished(self._handshake.manual, request.method, request.url.address, response.status)
            )
            return self._process(response, step, scope, _Place(request.url.address, path, codes, owner))
        except ConnectError as error:
            if error.step:
                raise
            raise ConnectError(error.address, error.reason, code=codes.failed, step=path) from error

    @property
    def _endpoint_host(self) -> str | None:
        server = self._handshake.server
        return server.host if server else None

    def _tls_for(self, request: HttpRequest) -> TlsSettings | None:
        if not (request.url.secure and self._handshake.same_server_as(request.url)):
            return None
        return TlsSettings(self._get_ssl_context(), self._handshake.template.tls.server_name)

    def _process(self, response: HttpResponse, step: CompiledHttpStep, scope: Scope, place: _Place) -> dict[str, Any]:
        """Raise if a response means a failure; return the values that the step captures otherwise."""
        scope = scope.with_values(
            status=response.status, body=_parse_body(response), headers=response.headers, cookies=response.cookies
        )
        if self._trace_rules:
            from ..core.exchange.trace import explain_http_step  # only for --trace

            self._observe(events.MatchExplained(self._handshake.manual, explain_http_step(step, place.path, scope)))
        if _is_failure(step, scope, place):
            retry_after = parse_retry_after(response.headers.get("retry-after"), scope.ambient.now())
            text = fail_message_text(step.fail_message, scope)
            detail = (
                _failure_detail(response, step.fail, scope.ambient.redact)
                if text is None
                else f"; {end_sentence(quote_endpoint(text))}"
            )
            reason = f"the server answered HTTP {response.status}{detail}{_STATUS_HINTS.get(response.status, '')}"
            raise ConnectError(place.address, reason, code=place.codes.failed, step=place.path, retry_after=retry_after)
        try:
            values = select_values(step.captures, scope, step.optional, place.owner)
        except CaptureFoundNothing as missing:
            reason = f"the response is not as expected: {missing}"
            raise ConnectError(place.address, reason, code=place.codes.found_nothing, step=place.path) from None
        for name, expression in step.captures:
            self._hide(name, expression.source, values.get(name), place)
        return values

    def _hide(self, name: str, source: str, value: Any, place: _Place) -> None:
        """Announce the credentials in a captured value."""
        credentials = list(dict.fromkeys(secrets_in(name, source, value)))
        if len(credentials) > MAX_CREDENTIALS:
            reason = (
                f"{source} holds {len(credentials)} texts that may be credentials; at most {MAX_CREDENTIALS} can be "
                "hidden. Capture the one that is needed."
            )
            raise ConnectError(place.address, reason, code=place.codes.failed, step=place.path)
        self._on_tokens(credentials)


class _Place(Record):
    """Where a response came from, for errors: the address, the step, its codes, and the owner of its values."""

    address: str
    path: str
    codes: StepCodes
    owner: str


def _is_failure(step: CompiledHttpStep, scope: Scope, place: _Place) -> bool:
    try:
        return step.fail.decide(scope)
    except EvaluationError as error:
        raise ConnectError(place.address, f"fail: {error}", code="predicate-failed", step=place.path) from None


def fail_message_text(fail_message: Expression | None, scope: Scope) -> str | None:
    """Return the text that `fail_message` selects, or None if it selects nothing."""
    value = UNDEFINED if fail_message is None else fail_message.evaluate_or_undefined(scope)
    nothing = value is UNDEFINED or value is None or value == ""
    return None if nothing else excerpt(as_text(value), redact=scope.ambient.redact)


def _build_request(step: CompiledHttpStep, scope: Scope, network: Network) -> HttpRequest:
    url = parse_http_url(step.url.render(scope), network)
    if step.url.begins_with_value and (url.host, url.port) not in step.servers:
        raise ForbiddenURL(
            f"{url.address}: request blocked because the endpoint returned this URL, and the manifest names no such "
            "server: the request could carry a credential there. Write the server into the URL of the step.",
            code="origin-not-allowed",
        )
    headers = {name: text for name, parts in step.headers if (text := render_header(parts, scope)) is not None}
    for name, value in headers.items():
        check_header(name, value, may_set_host=True)  # compiling refuses it where the network wrote it
    body: bytes | None = None
    if step.json is not None and (value := step.json.render(scope)) is not OMIT:
        body = quote_json(value).encode()
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
