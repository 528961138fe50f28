"""The HTTP requests that a call sends before its message (`before_message`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from ..core.exchange.exchange import Exchange
from ..core.expressions.expression import EvaluationError
from ..core.expressions.scope import Scope
from ..core.http_steps import STEP_CODES, CompiledHttpStep
from ..core.templates.nodes import RenderError, to_render_error
from ..core.tools.tool import CompiledTool
from ..errors import (
    CallTimeout,
    ConnectError,
    HttpStepFailed,
    InvalidArguments,
    Outcome,
    PolicyError,
    TimeoutStage,
)

if TYPE_CHECKING:
    from .connection import Connection


class CallRequests:
    """The HTTP requests of one call.

    Attributes:
        sent: Whether sending one has begun: from then on the call may have been executed.
    """

    def __init__(self, tool: CompiledTool, deadline: float) -> None:
        self.sent = False
        self._tool = tool
        self._deadline = deadline

    @property
    def outcome(self) -> Outcome:
        """Return what is known of the requests."""
        return Outcome.MAYBE_EXECUTED if self.sent else Outcome.NOT_SENT

    async def send(self, connection: Connection, exchange: Exchange) -> dict[str, Any]:
        """Send the requests in order, until the exchange has finished; return the values that they capture.

        Raises:
            HttpStepFailed: where a request fails.
            CallTimeout: at the deadline of the call.
            InvalidArguments: where a request cannot be made of the arguments.
            PolicyError: where a URL, an address or a header may not be used.
        """
        values: dict[str, Any] = {}
        for index, step in enumerate(self._tool.compiled_template.http_steps):
            if exchange.finished:
                break
            scope = exchange.scope.with_values(let={**(exchange.scope["let"] or {}), **values})
            path = f"before_message[{index}]"
            if self._applies(step, scope, path):
                values |= await self._send_one(connection, step, scope, path)
        return values

    def _applies(self, step: CompiledHttpStep, scope: Scope, path: str) -> bool:
        try:
            return step.when is None or step.when.decide(scope)
        except EvaluationError as error:
            raise self.argument_error(RenderError(f"when: {error}", code=error.code), f"{path}: ") from None

    async def _send_one(
        self, connection: Connection, step: CompiledHttpStep, scope: Scope, path: str
    ) -> dict[str, Any]:
        name = self._tool.full_name
        try:
            with anyio.fail_after(self._deadline - anyio.current_time()):
                return await connection.http.run(step, scope, path, STEP_CODES, "let", self._note_sent)
        except TimeoutError:
            raise CallTimeout(name, self._tool.template.timeout, TimeoutStage.HTTP, self.outcome) from None
        except ConnectError as error:
            raise HttpStepFailed(name, error, self.outcome) from error
        except PolicyError as error:
            error.outcome = self.outcome
            raise
        except (RenderError, ValueError) as error:
            raise self.argument_error(error, f"{path}: ") from None

    def argument_error(self, error: RenderError | ValueError, prefix: str = "") -> InvalidArguments:
        """Return the error of a request or message that cannot be made of the arguments; earlier ones may be sent."""
        failure = to_render_error(error)
        known = f" {self.outcome.value}" if self.sent else ""
        invalid = InvalidArguments(self._tool.full_name, f"{prefix}{failure}{known}", code=failure.code)
        invalid.outcome = self.outcome
        return invalid

    def _note_sent(self) -> None:
        self.sent = True
