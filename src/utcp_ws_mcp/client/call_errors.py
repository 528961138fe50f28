"""The errors of one call that is waiting, and what is known of its request then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.exchange.exchange import Exchange
from ..core.login_demand import login_hint
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, CallTimeout, IncompleteStream, Outcome, TimeoutStage
from .call_http import CallRequests
from .close_info import error_of_lost_exchange
from .timeout_hint import hint_for, last_message_for, other_field_hint, passed_over_hint, undecoded_hint

if TYPE_CHECKING:
    from .connection import Connection


class CallErrors:
    """Makes the errors of one call.

    Args:
        tool: The tool that is called.
        requests: The HTTP requests of the call.
    """

    def __init__(self, tool: CompiledTool, requests: CallRequests) -> None:
        self._tool = tool
        self._requests = requests

    def no_connection(self, stage: TimeoutStage, detail: str) -> CallTimeout:
        """Return the error of a call that got no connection in time."""
        return self._timeout(stage, Outcome.NOT_SENT, detail=detail)

    def not_read(self, exchange: Exchange) -> CallTimeout:
        """Return the error of a request that has no reply, and that the peer did not read in time."""
        return self._timeout(TimeoutStage.SEND, self._outcome(exchange))

    def no_reply(self, connection: Connection, exchange: Exchange) -> CallTimeout:
        """Return the error of a call whose reply, or the end of whose stream, did not come in time."""
        rules = exchange.rules
        detail, stage = "", TimeoutStage.LISTEN if rules.listen_only else TimeoutStage.REPLY
        if exchange.in_stream and (exchange.item_count or not rules.listen_only):
            count = exchange.item_count
            stage, detail = TimeoutStage.STREAM, f"{count} {'item' if count == 1 else 'items'} came"
        message, fate = last_message_for(connection, exchange)
        hints = (
            hint_for(exchange, connection.state.failures),
            other_field_hint(exchange, message, fate),
            passed_over_hint(exchange),
            undecoded_hint(connection, message),
            login_hint(self._tool.template, [message]),
        )
        return self._timeout(
            stage,
            self._outcome(exchange),
            detail=detail,
            last_message=connection.excerpt(message),
            fate=fate,
            hint=" ".join(filter(None, hints)),
        )

    def incomplete(self, exchange: Exchange) -> IncompleteStream | None:
        """Return the error of a stream that must end by itself, if a bound has ended it."""
        stream = exchange.rules.stream
        if stream is None or not stream.bounds.require_end or exchange.is_complete:
            return None
        return IncompleteStream(self._tool.full_name, str(exchange.end), exchange.item_count, self._outcome(exchange))

    def lost(self, connection: Connection, exchange: Exchange) -> BridgeError | None:
        """Return the error of an exchange that its connection or session has ended; None if neither has."""
        return error_of_lost_exchange(connection, exchange, self._tool, self._outcome(exchange))

    def _timeout(self, stage: TimeoutStage, outcome: Outcome, *, detail: str = "", **last_message: str) -> CallTimeout:
        name, seconds = self._tool.full_name, self._tool.template.timeout
        return CallTimeout(name, seconds, stage, outcome, detail=detail, **last_message)

    def _outcome(self, exchange: Exchange) -> Outcome:
        """Return what is known of the request; a call that only listens has none, unless something of it was sent."""
        was_sent = self._requests.sent or not exchange.rules.listen_only or exchange.sent
        if was_sent or self._tool.compiled_template.handshake.uses_arguments:
            return Outcome.MAYBE_EXECUTED
        return Outcome.NOT_SENT
