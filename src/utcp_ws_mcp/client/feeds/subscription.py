"""One life of a feed: lease a connection, run `open`, and yield the events until the connection ends."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

import anyio
from anyio.lowlevel import checkpoint

from ...core.codecs.message import encode_json
from ...core.exchange.exchange import EarlyMessages, Exchange
from ...core.exchange.reply_rules import ReplyRules
from ...core.expressions.scope import Ambient, Scope
from ...core.feeds.feed import CompiledFeed, FeedMessage, FeedRequest
from ...core.handshake_request import ConnectionKey, HandshakeRequest
from ...core.query_template import check_new
from ...core.templates.nodes import RenderError, to_render_error
from ...errors import CallTimeout, ConnectionLost, InvalidTemplate, Outcome, TimeoutStage, ToolError
from ..cancel import send_cancel_messages
from ..pool.entry import LeaseMode, LeaseRequest
from ..pool.lease import Lease
from ..pool.pool import ConnectionPool
from ..pool.refused_logins import RefusedLogins
from ..timeout_hint import passed_over_hint, undecoded_hint
from ..wakeup import Wakeup

FOREVER: Final = 1e9
"""Seconds that stand for a wait without a deadline."""


class FeedSubscription:
    """A feed on one connection: `async with` opens it, `next_message` returns its events.

    Leaving the block sends `close`, and releases the connection. A feed with a query has a new connection for itself;
    else it is shared with calls, and the feed does not count in `limits.max_in_flight`.

    Args:
        pool: The connections of the manual.
        logins: Its refused logins.
        ambient: Time and randomness.
        feed: The feed.
        arguments: Its arguments.
        variables: The variables of the manual.
        position: The last position that an earlier life has read: `query` has it, and `resume` runs after `open`.

    Attributes:
        resumed: Whether the endpoint was asked for what came after the position.
        resume_error: Why it does not send it; empty if it does.
        overflowed: How many messages came before the feed was open, and exceeded its size.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        logins: RefusedLogins,
        ambient: Ambient,
        feed: CompiledFeed,
        arguments: dict[str, Any],
        variables: dict[str, str],
        position: Any = None,
    ) -> None:
        self._pool = pool
        self._logins = logins
        self._key: ConnectionKey | None = None
        self._feed = feed
        self._arguments = arguments
        self._position = position
        self._scope = Scope(
            ambient, {"args": arguments, "tool": feed.definition.name, "vars": variables, "session": {}}
        )
        self.resumed = False
        self.resume_error = ""
        self.overflowed = 0
        self._overflowed_bytes = 0
        self._wakeup = Wakeup()
        self._lease: Lease | None = None
        self._exchange: Exchange | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._finish()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._finish()

    def login_pause(self) -> float:
        """Return for how many seconds the endpoint may not be asked because it has refused a login."""
        return 0.0 if self._key is None else self._logins.pause(self._key, anyio.current_time())

    async def next_message(self) -> FeedMessage:
        """Return the events of the next message.

        Raises:
            ConnectionLost: if the connection has ended, or a message says that its session has.
            ToolError: if the endpoint reports an error instead of an event.
            InvalidReply: if the data of a message cannot be computed; the feed goes on.
        """
        exchange = self._exchange
        assert exchange is not None
        while not exchange.received:
            self._raise_if_finished(exchange)
            await self._wakeup.wait(anyio.current_time() + FOREVER)
        message = exchange.received.popleft()
        if message is exchange.error:
            raise self._tool_error(exchange)
        found = self._feed.read_message(exchange, message)
        while found.rest is not None:
            await self.give_way()
            found = self._feed.read_rest(found)
        return found

    async def give_way(self) -> None:
        """Let everything else have its turn. What arrives waits meanwhile, as it may be more than is added."""
        assert self._lease is not None
        turn = self._lease.connection.turn
        turn.hold()
        try:
            await checkpoint()
            await checkpoint()  # a whole turn of the event loop, as a call elsewhere needs several
        finally:
            turn.release()

    # Opening

    async def _open(self) -> None:
        self._lease = await self._lease_connection()
        if self._lease.start_reading is not None:
            self._lease.start_reading()  # a task, which begins when the first exchange is open
        for request in self._feed.opening:
            self._scope = self._scope.with_values(reply=await self._ask(request))
        self._exchange = exchange = self._send(self._feed.subscription, self._feed.subscription.rules)
        definition = self._feed.definition
        early = exchange.early_messages = EarlyMessages(definition.size, definition.max_bytes)
        exchange.wake = self._note_arrival
        if exchange.rules.has_subscribe_reply:
            await self._wait_until_open(exchange, self._feed.subscription.timeout)
        if self._position is not None and self._feed.resume and not self.resume_error:
            await self._resume(exchange)
        self.overflowed += early.dropped
        exchange.wake = self._wakeup.set

    def _note_arrival(self) -> None:
        """Keep no more of the events that come before the feed is open than it will keep."""
        exchange, definition = self._exchange, self._feed.definition
        assert exchange is not None
        events = exchange.received
        while len(events) > 1 and (
            len(events) > definition.size or exchange.byte_count - self._overflowed_bytes > definition.max_bytes
        ):
            self._overflowed_bytes += events.popleft().size
            self.overflowed += 1
        self._wakeup.set()

    async def _resume(self, exchange: Exchange) -> None:
        """Ask for what was missed. An endpoint that refuses, or does not answer, does not keep the feed closed."""
        self._scope = exchange.scope.with_values(position=self._position)
        try:
            for request in self._feed.resume:
                await self._ask(request)
            self.resumed = True
        except (ToolError, CallTimeout) as error:
            self.resumed, self.resume_error = False, error.cause

    def _render_handshake(self) -> HandshakeRequest:
        handshake, query, scope = self._feed.handshake, self._feed.query, self._scope.with_frozen_time()
        try:
            rendered = handshake.constant or handshake.render(scope)
            if query is None:
                return rendered
            parameters = query.render(scope, self._position)
            if rendered.url is not None:
                check_new(parameters.text, rendered.url.target)
        except (RenderError, ValueError) as error:
            raise self._render_error(error) from None
        self.resumed, self.resume_error = parameters.resumes, parameters.problem
        return rendered.for_feed(f"{self._feed.full_name} {encode_json(self._arguments)}", parameters.text)

    async def _lease_connection(self) -> Lease:
        rendered = self._render_handshake()
        # What the endpoint sends at once are events already, and it sends them to a new connection only.
        mode = LeaseMode.PASSIVE if self._feed.query is None else LeaseMode.FRESH
        request = LeaseRequest(rendered, mode, self._arguments)
        timeout, now = rendered.template.timeout, anyio.current_time()
        lease = self._pool.try_lease(request)
        if lease is None:
            self._key = rendered.key
            self._logins.take_turn(self._key, now)
            lease = await self._pool.lease(request, now + timeout)
        if lease is None:
            stage, detail = self._pool.wait_reason(request)
            raise CallTimeout(self._feed.full_name, timeout, stage, Outcome.NOT_SENT, detail=detail)
        return lease

    async def _ask(self, request: FeedRequest) -> Any:
        """Send a request; return the value of its reply, or None if none is expected."""
        exchange = self._send(request, request.rules)
        if request.rules.no_reply:
            return None
        assert self._lease is not None
        try:
            await self._wait_for(exchange, request.timeout, lambda: bool(exchange.received))
        finally:
            self._lease.connection.dispatcher.cancel(exchange)
        if exchange.error is not None:
            raise self._tool_error(exchange)
        return exchange.received.popleft().value

    async def _wait_until_open(self, exchange: Exchange, timeout: float) -> None:
        await self._wait_for(exchange, timeout, lambda: exchange.replied)
        if exchange.error is not None:
            raise self._tool_error(exchange)

    async def _wait_for(self, exchange: Exchange, timeout: float, condition: Any) -> None:
        deadline = anyio.current_time() + timeout
        while not condition():
            if exchange.error is not None:
                return
            self._raise_if_finished(exchange)
            if not await self._wakeup.wait(deadline):
                raise self._timed_out(exchange, timeout)

    def _send(self, request: FeedRequest, rules: ReplyRules) -> Exchange:
        assert self._lease is not None
        connection = self._lease.connection
        scope = self._scope.with_values(session=connection.state.values)
        exchange = connection.dispatcher.open(rules, scope)
        exchange.wake = self._wakeup.set
        values = exchange.scope.with_frozen_time()
        try:
            messages = [part for node in request.messages for part in connection.encode(node.render(values))]
        except (RenderError, ValueError) as error:
            connection.dispatcher.discard(exchange)
            raise self._render_error(error) from None
        connection.send_nowait(messages)
        if rules.no_reply:
            connection.dispatcher.discard(exchange)
        return exchange

    # Errors

    def _raise_if_finished(self, exchange: Exchange) -> None:
        assert self._lease is not None
        connection = self._lease.connection
        availability = connection.availability
        if not exchange.finished and not availability.feeds_must_leave:
            return
        if not exchange.finished:
            reason = availability.unusable_reason
            raise ConnectionLost(connection.address, reason, Outcome.MAYBE_EXECUTED, close_code=1000)
        if exchange.end == "until":
            raise ToolError(self._feed.full_name, "the endpoint has ended the subscription", None)
        lost = exchange.close_info or connection.close_info  # a normal close is the end of a stream, but not of a feed
        reason = exchange.failure or lost.reason
        raise ConnectionLost(connection.address, reason, Outcome.MAYBE_EXECUTED, close_code=lost.code)

    def _timed_out(self, exchange: Exchange, timeout: float) -> CallTimeout:
        assert self._lease is not None
        connection = self._lease.connection
        hints = (
            passed_over_hint(exchange, of_feed=True),
            undecoded_hint(connection, connection.dispatcher.messages.explains_close),
        )
        return CallTimeout(
            self._feed.full_name,
            timeout,
            TimeoutStage.REPLY,
            Outcome.MAYBE_EXECUTED,
            last_message=connection.last_message,
            hint=" ".join(filter(None, hints)),
        )

    def _tool_error(self, exchange: Exchange) -> ToolError:
        message = exchange.error
        assert message is not None
        text = exchange.rules.error_text(exchange.scope_for(message))
        shown = text if isinstance(text, str) else message.for_display if text is None else str(text)
        return ToolError(self._feed.full_name, str(shown), message.value)

    def _render_error(self, error: RenderError | ValueError) -> InvalidTemplate:
        failure = to_render_error(error)
        return InvalidTemplate(f"{self._feed.full_name}: {failure}", code=failure.code)

    # Ending

    async def _finish(self) -> None:
        """Send `close`, and release the connection."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            if self._exchange is not None:
                self._exchange.wake = lambda: None
                if due := lease.connection.dispatcher.cancellations.end(self._exchange):
                    await send_cancel_messages(lease.connection, due)
        finally:
            if self._exchange is not None:
                lease.connection.dispatcher.cancel(self._exchange)
            lease.release()
