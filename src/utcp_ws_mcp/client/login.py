"""What happens before the first request: HTTP requests before the upgrade, login steps after it (section 4)."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import anyio

from ..core.codecs.message import encode, excerpt, parse_json, told
from ..core.connection_rules import HttpPlan, StepPlan
from ..core.exchange.connection_state import Session
from ..core.exchange.result import text_of
from ..core.expressions.expression import Expression
from ..core.expressions.paths import UNDEFINED
from ..core.expressions.scope import Scope
from ..core.handshake_request import Upgrade
from ..core.network_policy import check_header
from ..core.requests import parse_http_url
from ..core.templates.nodes import OMIT, Unfilled, to_text
from ..errors import ConnectFailed, InvalidTemplate
from ..manifest.secret_names import tickets
from ..observability import events
from ..observability.events import Observer
from .close_info import CUT
from .connection import Connection, ConnectionClosed
from .dial import Resolver
from .http_client import HttpReply, HttpRequest, send_request


async def ask_before(
    upgrade: Upgrade, session: Session, resolver: Resolver, observe: Observer, context: Callable[[], ssl.SSLContext]
) -> None:
    """Make the requests of `before_connect` in order; `observe` hears of the answers.

    `context` gives the endpoint's own TLS, which is used at no other server.

    Raises:
        ConnectFailed: where one is not answered, or its `fail` holds.
        PolicyError: where its URL, address or a header may not be used.
    """
    for number, step in enumerate(session.conduct.before, 1):
        label = f"before_connect step {number}"
        try:
            request = _http_request(step, session.scope().at_once())
        except (Unfilled, ValueError) as unfilled:
            raise InvalidTemplate(f"{upgrade.manual}: {label}: {_why(unfilled)}") from None
        try:
            tls = context() if request.url.secure and upgrade.is_at(request.url) else None
            reply = await send_request(request, upgrade.template.network, resolver, step.timeout, tls)
        except ConnectFailed as failed:
            raise ConnectFailed(failed.address, f"{failed.why} ({label})") from failed
        observe(events.Asked(upgrade.manual, request.method, request.url.address, reply.status))
        scope = session.scope(status=reply.status, body=_body(reply), headers=reply.headers, cookies=reply.cookies)
        if step.fail.holds(scope):
            said = _told(step.fail_message, scope)
            why = _refusal(reply, step.fail) if said is None else f"{reply.status}: {said}"
            raise ConnectFailed(request.url.address, f"{label} failed with HTTP {why}")
        for name, expression in step.captures:
            value = expression.find(scope)
            if value is UNDEFINED:
                missing = f"{label}: the answer has no {expression.source} to keep as session.{name}"
                raise ConnectFailed(request.url.address, missing)
            session.values[name] = value


def fetched_credentials(session: Session) -> Iterator[str]:
    """What `before_connect` has kept and nobody should see: tickets, tokens, cookies."""
    for step in session.conduct.before:
        for name, expression in step.captures:
            yield from tickets(name, expression.source, session.values.get(name))


def _refusal(reply: HttpReply, fail: Expression) -> str:
    """A status that was not wanted, with what the server says of an error; of a success, why it counts as none."""
    if reply.status < 300:
        return f'{reply.status}: "fail" holds: {fail.source}'
    if 300 <= reply.status < 400:
        return (
            f'{reply.status}, a redirect; if a good login is answered so, write "fail": "status >= 400" into the step'
        )
    return f"{reply.status}{told(reply.status, reply.body)}"


def _why(unsendable: Exception) -> str:
    """Why something cannot be sent."""
    utf8 = isinstance(unsendable, UnicodeEncodeError)
    return "what it would send holds a character that UTF-8 cannot encode" if utf8 else str(unsendable)


def _told(fail_message: Expression | None, scope: Scope) -> str | None:
    """What a manifest finds to say of a refusal, if it finds something."""
    value = UNDEFINED if fail_message is None else fail_message.find(scope)
    return None if value is UNDEFINED or value is None else excerpt(text_of(value))


def _http_request(step: HttpPlan, scope: Scope) -> HttpRequest:
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


def _body(reply: HttpReply) -> Any:
    text = reply.body.decode("utf-8", "replace")
    try:
        return parse_json(text)
    except ValueError:
        return text


async def log_in(connection: Connection) -> None:
    """Do the steps of `on_connect` in order, before anything else reads from the connection.

    Raises:
        ConnectFailed: where a step's message does not come, its `fail` holds, or the connection ends.
    """
    names: dict[str, Any] = {"counter": connection.exchanges.count}
    for number, step in enumerate(connection.session.conduct.steps, 1):
        if step.takes_id:
            names["request_id"] = connection.exchanges.next_id()
        scope = connection.session.scope(**names)
        if connection.explains and step.when is not None:
            from ..core.exchange.trace import explain_when

            connection.explain(explain_when(step, number - 1, scope))
        if connection.session.wants(step, scope):
            await _do(connection, step, number, names)


async def _do(connection: Connection, step: StepPlan, number: int, names: dict[str, Any]) -> None:
    address, label = connection.address, f"on_connect step {number}"
    try:
        with anyio.fail_after(step.timeout):
            if step.send is not None:
                scope = connection.session.scope(**names).at_once()
                connection.session.capture(step.captures, scope)
                request = connection.encode(step.send.render(scope))
                if not await connection.send(request, f"on_connect[{number - 1}]"):
                    raise ConnectFailed(address, f"{label}: {_ending(connection)}")
            else:
                await _expect(connection, step, number, names)
    except TimeoutError:
        what = "the message could not be sent" if step.send else "no message matched"
        last = f"; the last that came was {connection.last_words}" if step.expect and connection.last_words else ""
        raise ConnectFailed(address, f"{label}: {what} within {step.timeout:g} s{last}") from None
    except ConnectionClosed:
        raise ConnectFailed(address, f"{label}: {_ending(connection)}") from None
    except (Unfilled, ValueError) as unfilled:
        raise ConnectFailed(address, f"{label}: {_why(unfilled)}") from None


def _ending(connection: Connection) -> str:
    """How a connection ended during the login: a server that refuses one may say nothing (RFC 6455 §7.1.7)."""
    text = connection.ending.text
    return f"{text}; a server may refuse a login so: check the credentials" if text == CUT else text


async def _expect(connection: Connection, step: StepPlan, number: int, names: dict[str, Any]) -> None:
    """Read until a message matches; others are skipped."""
    assert step.expect is not None
    while True:
        message = await connection.receive()
        scope = connection.session.scope(message=message.value, **names)
        if connection.explains:
            from ..core.exchange.trace import explain_step

            connection.explain(explain_step(step, number - 1, scope))
        if step.fail is not None and step.fail.holds(scope):
            said = _told(step.fail_message, scope)
            why = excerpt(message.shown) if said is None else said
            raise ConnectFailed(connection.address, f"on_connect step {number}: the server refused: {why}")
        expected = step.expect.holds(scope)
        connection.exchanges.unclaimed = None if expected else message
        if expected:
            connection.session.capture(step.captures, scope)
            return
