"""What happens before the first request: the HTTP requests of `before_connect` and the login of `on_connect`."""

from __future__ import annotations

from typing import Any, Final

import anyio

from ..core.captures import CaptureFoundNothing, select_values
from ..core.codecs.message import Message, excerpt
from ..core.connection_rules import CompiledLoginStep
from ..core.exchange.connection_state import ConnectionState
from ..core.expressions.expression import EvaluationError, Expression
from ..core.expressions.scope import Scope
from ..core.http_steps import STEP_CODES, CompiledHttpStep, StepCodes
from ..core.templates.nodes import RenderError, to_render_error
from ..errors import ConnectError, InvalidTemplate, end_sentence, quote_endpoint
from .close_info import CONNECTION_RESET
from .connection import Connection
from .http_steps import HttpStepRunner, fail_message_text
from .timeout_hint import undecoded_hint

REJECTING_CLOSE_CODES: Final = (1000, 1005, 1008)
"""Close codes that may mean a rejected login; others mean a failure or a restart of the server (RFC 6455 §7.4.1)."""
PRIVATE_CLOSE_CODES: Final = 3000
"""The first close code that applications define (RFC 6455 §7.4.2)."""
BEFORE_CONNECT_CODES: Final = StepCodes("before-connect-failed", "before-connect-value-missing")


async def run_before_connect(manual: str, state: ConnectionState, runner: HttpStepRunner) -> None:
    """Make the requests of `before_connect` in order, and capture values of the responses.

    Args:
        manual: The name of the manual.
        state: The state of the connection that comes next.
        runner: Sends the requests.

    Raises:
        ConnectError: where there is no response, its `fail` is true, or a captured value is missing.
        PolicyError: where a URL, an address or a header may not be used.
        InvalidTemplate: where a request cannot be rendered.
    """
    for index, step in enumerate(state.rules.before_connect):
        path, scope = f"before_connect[{index}]", state.scope()
        if not _applies(step, path, manual, scope):
            continue
        try:
            state.values.update(await runner.run(step, scope, path, BEFORE_CONNECT_CODES))
        except (RenderError, ValueError) as error:
            raise InvalidTemplate(f"{manual}: {path}: {to_render_error(error)}", code=_code(error)) from None


async def run_on_connect(connection: Connection, runner: HttpStepRunner) -> None:
    """Run the steps of `on_connect` in order; `runner` sends their HTTP requests.

    Raises:
        ConnectError: where a message does not come in time, `fail` is true, or the connection ends.
    """
    # Names that all steps share: an expecting step refers to the request id of the sending step before it.
    names: dict[str, Any] = dict(connection.dispatcher.ids.functions)
    for index, step in enumerate(connection.state.rules.on_connect):
        if step.allocates_request_id:
            names["request_id"] = connection.dispatcher.ids.next_id()
        scope = connection.state.scope(**names)
        if connection.trace_rules and step.when is not None:
            from ..core.exchange.trace import explain_when  # only for --trace

            connection.emit_explanation(explain_when(step, index, scope))
        if not _applies(step, f"on_connect[{index}]", connection.address, scope):
            continue
        if isinstance(step, CompiledHttpStep):
            await _run_http_step(connection, step, index, names, runner)
        else:
            await _run_step(connection, step, index, names)


def _applies(step: CompiledLoginStep | CompiledHttpStep, path: str, address: str, scope: Scope) -> bool:
    """Return whether the `when` of a step is true, or the step has none."""
    try:
        return step.when is None or step.when.decide(scope)
    except EvaluationError as error:
        raise _predicate_error(address, path, f"when: {error}") from None


async def _run_http_step(
    connection: Connection, step: CompiledHttpStep, index: int, names: dict[str, Any], runner: HttpStepRunner
) -> None:
    path, scope = f"on_connect[{index}]", connection.state.scope(**names)
    try:
        connection.state.values.update(await runner.run(step, scope, path, STEP_CODES))
    except (RenderError, ValueError) as error:
        raise ConnectError(connection.address, str(to_render_error(error)), code=_code(error), step=path) from None


async def _run_step(connection: Connection, step: CompiledLoginStep, index: int, names: dict[str, Any]) -> None:
    path, address = f"on_connect[{index}]", connection.address
    expectation = _Expectation(connection, step, index, names) if step.send is None else None
    try:
        with anyio.fail_after(step.timeout):
            if expectation is None:
                succeeded = await _send_message(connection, step, index, names)
            else:
                succeeded = await _receive_message(connection, expectation)
    except TimeoutError:
        what = f"no message matched {step.expect.source}" if step.expect else "the message could not be sent"
        last = connection.last_message if step.expect else ""
        received = f" The last message did not match; {end_sentence(quote_endpoint(last))}" if last else ""
        received += "".join(f" {failure}" for failure in expectation.failures.values()) if expectation else ""
        hint = undecoded_hint(connection, connection.dispatcher.messages.explains_close) if step.expect else ""
        received += f" {hint}" if hint else ""
        fix = ' Check "expect", and what the login sends before it.' if step.expect else ""
        reason = f"{what} within {step.timeout:g} s.{received}{fix}"
        raise ConnectError(address, reason, code="login-timeout", step=path) from None
    except (RenderError, ValueError) as error:
        raise ConnectError(address, str(to_render_error(error)), code=_code(error), step=path) from None
    if not succeeded:
        closed = connection.close_info.code
        raise ConnectError(address, _close_reason(connection), code="login-closed", step=path, close_code=closed)


async def _send_message(connection: Connection, step: CompiledLoginStep, index: int, names: dict[str, Any]) -> bool:
    """Send the message of a step; return False where the connection has ended."""
    assert step.send is not None
    scope = connection.state.scope(**names).with_frozen_time()
    try:
        if explanation := _capture(connection, step, index, scope):
            connection.emit_explanation(explanation)
    except CaptureFoundNothing as missing:
        raise _capture_error(connection, missing, index) from None
    return await connection.send(connection.encode(step.send.render(scope)), f"on_connect[{index}]")


async def _receive_message(connection: Connection, expectation: _Expectation) -> bool:
    """Wait for the message of a step; return False where the connection ends before it."""
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
        self.failures: dict[str, str] = {}
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
        rejects = self._decide("fail", step.fail, scope)
        if rejects:
            text = fail_message_text(step.fail_message, scope)
            shown = excerpt(message.for_display, redact=scope.ambient.redact) if text is None else text
            reason = f"the server rejected the login; {end_sentence(quote_endpoint(shown))} {_check_login(connection)}"
            step_path = f"on_connect[{self._index}]"
            self.error = ConnectError(connection.address, reason, code="login-rejected", step=step_path)
            self.finished = True
            return explanation
        self.finished = self._decide("expect", step.expect, scope) is True
        if self.finished and rejects is None:
            self.error = _predicate_error(connection.address, f"on_connect[{self._index}]", self.failures["fail"])
        connection.dispatcher.messages.note_login_message(message, expected=self.finished)
        if self.finished and self.error is None:
            try:
                explanation += _capture(connection, step, self._index, scope)
            except CaptureFoundNothing as missing:
                self.error = _capture_error(connection, missing, self._index)
        return explanation

    def _decide(self, field: str, predicate: Expression | None, scope: Scope) -> bool | None:
        """Return whether a predicate is true; None, and a note of the reason, where it cannot be evaluated."""
        if predicate is None:
            return False
        try:
            return predicate.decide(scope)
        except EvaluationError as error:
            self.failures[field] = f"{field}: {error}"
            return None


def _predicate_error(address: str, path: str, why: str) -> ConnectError:
    return ConnectError(address, why, code="predicate-failed", step=path)


def _capture(connection: Connection, step: CompiledLoginStep, index: int, scope: Scope) -> tuple[str, ...]:
    """Save the values of a step; return the explanation, if rules are traced.

    Raises:
        CaptureFoundNothing: where there is no value.
    """
    saved = select_values(step.captures, scope, step.optional)
    connection.state.values.update(saved)
    if not connection.trace_rules:
        return ()
    from ..core.exchange.trace import explain_captures  # only for --trace

    return explain_captures(step.captures, f"on_connect[{index}]", scope, saved)


def _capture_error(connection: Connection, missing: CaptureFoundNothing, index: int) -> ConnectError:
    return ConnectError(connection.address, str(missing), code="capture-found-nothing", step=f"on_connect[{index}]")


def _code(error: RenderError | ValueError) -> str:
    """Return the code of a message that cannot be rendered or encoded; a missing value has one of its own here."""
    missing = isinstance(error, UnicodeEncodeError)  # a captured value that is not text
    code = to_render_error(error).code
    return "login-value-missing" if missing or code in ("argument-missing", "value-missing") else code


def _close_reason(connection: Connection) -> str:
    """Return how a connection ended during the login: a server may reject one without a word (RFC 6455 §7.1.7)."""
    info = connection.close_info
    rejects = info.reason == CONNECTION_RESET or info.code in REJECTING_CLOSE_CODES or info.code >= PRIVATE_CLOSE_CODES
    hint = f" A server may reject a login this way. {_check_login(connection)}" if rejects else ""
    return end_sentence(info.reason) + hint


def _check_login(connection: Connection) -> str:
    """Return what to check where a server rejects a login, with the optional variables that are not set."""
    unset = connection.state.rules.unset_variables
    named = f"; not set: {', '.join(unset)}" if unset else ""
    return f"Check the credentials and other values that the login sends{named}."
