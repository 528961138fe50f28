"""One call: lease a connection, open an exchange, send the request, receive what answers it, release the connection."""

from __future__ import annotations

from functools import cached_property
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from ..core.codecs.message import Message
from ..core.exchange.exchange import Exchange
from ..core.exchange.reply_rules import Concurrency
from ..core.exchange.stream_rules import StreamEnd
from ..core.expressions.scope import Ambient, Scope
from ..core.handshake_request import HandshakeRequest
from ..core.templates.nodes import RenderError
from ..core.tools.tool import CompiledTool
from ..errors import Outcome, SessionLost
from .call_errors import CallErrors
from .call_http import CallRequests
from .cancel import send_cancel_messages
from .close_info import lost_connection, unidentifiable_reply
from .eager import ensure_task
from .pool.entry import LeaseMode, LeaseRequest
from .pool.lease import Lease
from .pool.pool import ConnectionPool
from .wakeup import Wakeup, current_time

if TYPE_CHECKING:
    from .connection import Connection

MAX_CONNECTION_ATTEMPTS: Final = 3
"""Connections that may end, one after the other, before the request could be sent over them."""


class Call:
    """A call in progress: `async with` sends its request, `receive` returns what answers it.

    Leaving the block ends the exchange in every case: the messages that cancel it are sent, and the connection is
    released to the pool. At `deadline` (the clock of anyio; by default the tool's `timeout` from now) all methods raise
    CallTimeout.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        ambient: Ambient,
        tool: CompiledTool,
        arguments: dict[str, Any],
        deadline: float | None = None,
    ) -> None:
        self.tool = tool
        self._rules = tool.rules
        self._pool = pool
        self._deadline = current_time() + tool.template.timeout if deadline is None else deadline
        self._scope = Scope(
            ambient, {"args": arguments, "tool": tool.original_name, "vars": tool.variables, "session": {}}
        )
        self._lease: Lease | None = None
        self._exchange: Exchange | None = None
        self._wakeup = Wakeup()
        self._stream_started_at: float | None = None

    @cached_property
    def _requests(self) -> CallRequests:
        return CallRequests(self.tool, self._deadline)

    @cached_property
    def _errors(self) -> CallErrors:
        return CallErrors(self.tool, self._requests)

    @property
    def exchange(self) -> Exchange:
        """The exchange; it exists once the request was sent."""
        assert self._exchange is not None
        return self._exchange

    @property
    def address(self) -> str:
        """The address of the connection, which is leased until the block ends."""
        assert self._lease is not None
        return self._lease.connection.address

    async def __aenter__(self) -> Self:
        """Send the request; a connection that ends before it could be sent is replaced."""
        try:
            request = LeaseRequest(self._render_handshake(), self._lease_mode(), self._scope["args"])
            # Most calls find an open connection with room: they never wait, and need no task or cancel scope.
            self._lease = self._pool.try_lease(request)
            if self._lease is None or not self._try_send(request):
                await self._wait_and_send(request)
            if self._rules.sends_http:
                await self._send_http()
            if self._rules.no_reply:
                await self._drain()
        except BaseException:
            self._finish()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._lease is not None and self._exchange is not None:
                connection = self._lease.connection
                if due := connection.dispatcher.cancellations.end(self._exchange):
                    await send_cancel_messages(connection, due)
        finally:
            self._finish()

    async def receive(self) -> Message | None:
        """Return the next message of the exchange, or None if a stream has ended; then `exchange.end` says how.

        Raises:
            CallTimeout: if no reply arrives in time, or the stream does not end in time.
            IncompleteStream: if a bound ends a stream that must end by itself.
            ConnectionLost, SessionLost, MessageTooBig: if the connection or its session ends before the exchange.
        """
        exchange = self._exchange
        assert exchange is not None
        while not exchange.received:
            if exchange.finished:
                self._raise_if_lost()
                self._raise_if_incomplete()
                return None
            deadline, end = self._next_deadline(exchange)
            if not await self._wakeup.wait(deadline):
                if end is None:
                    assert self._lease is not None
                    raise self._errors.no_reply(self._lease.connection, exchange)
                exchange.end = end
                self._raise_if_incomplete()
                return None
        return exchange.received.popleft()

    # Sending the request

    def _render_handshake(self) -> HandshakeRequest:
        template = self.tool.compiled_template.handshake
        try:
            return template.constant or template.render(self._scope.with_frozen_time())
        except (RenderError, ValueError) as error:
            raise self._requests.argument_error(error) from None

    def _lease_mode(self) -> LeaseMode:
        rules = self._rules
        exclusive = rules.concurrency is Concurrency.EXCLUSIVE
        alone = exclusive or not self.tool.template.keep_alive
        if rules.listen_only:
            return LeaseMode.FRESH if alone else LeaseMode.PASSIVE
        if not alone:
            return LeaseMode.SHARED
        return LeaseMode.EXCLUSIVE if exclusive else LeaseMode.SINGLE_USE

    async def _wait_and_send(self, request: LeaseRequest) -> None:
        """Wait for a connection that accepts the request."""
        await ensure_task()
        for attempt in count(1):
            self._finish()
            self._lease = await self._pool.lease(request, self._deadline)
            # A connection whose peer does not read accepts nothing: sending into its buffer would use memory without
            # a bound, and the call would not notice that it waits.
            if self._lease is None or not await self._wait_until_writable(self._lease.connection):
                break
            # A fresh connection is used even if it has ended: what the endpoint sent before may be all that is wanted.
            is_usable = self._lease.start_reading is not None or self._lease.connection.is_available
            if is_usable and self._try_send(request):
                return
            self._check_connection_attempts(self._lease.connection, attempt)
        stage, detail = self._pool.wait_reason(request)
        raise self._errors.no_connection(stage, detail)

    def _check_connection_attempts(self, connection: Connection, attempt: int) -> None:
        """Raise if one connection after the other ends before the request can be sent."""
        if attempt >= MAX_CONNECTION_ATTEMPTS and not connection.is_open:
            info = connection.close_info
            raise lost_connection(connection, info, Outcome.NOT_SENT, self.tool.template)

    def _try_send(self, request: LeaseRequest) -> bool:
        """Send the request if the connection, which is available, accepts it now; return whether it was sent."""
        assert self._lease is not None
        connection = self._lease.connection
        if self._lease.start_reading is None:
            if not connection.can_write and not self._rules.listen_only:
                return False
            if self._rules.takes_first_message and not self._can_identify_reply(connection, request):
                return False
        self._send(connection)
        return True

    def _can_identify_reply(self, connection: Connection, request: LeaseRequest) -> bool:
        """Return whether the first message is the reply; False if it would be over another connection.

        Raises:
            UnidentifiableReply: if the endpoint sends unsolicited messages, and the tool names neither those
                nor its reply.
        """
        if self._rules.is_unproven_reply and (talking := self._pool.find_talking(request.key)) is not None:
            raise unidentifiable_reply(talking, self.tool, Outcome.NOT_SENT)
        unsolicited = connection.dispatcher.unsolicited
        if unsolicited.is_suspect or unsolicited.last is not None:
            connection.availability.retire()
        return connection.is_available

    async def _drain(self) -> None:
        """Wait until the peer has read a request that has no reply: this is the only sign that it arrived."""
        assert self._lease is not None
        if not await self._wait_until_writable(self._lease.connection):
            raise self._errors.not_read(self.exchange)

    async def _wait_until_writable(self, connection: Connection) -> bool:
        """Wait until the peer keeps up with what is sent; return False at the deadline."""
        if connection.can_write:
            return True
        await ensure_task()
        with anyio.move_on_after(self._deadline - anyio.current_time()) as scope:
            await connection.drain()
        return not scope.cancelled_caught

    def _send(self, connection: Connection) -> None:
        """Open the exchange and send. There is no await here, so ids are sent in the order of their assignment."""
        assert self._lease is not None
        if self._lease.start_reading is not None:
            self._lease.start_reading()
        if (reason := connection.take_session_loss()) is not None:
            raise SessionLost(connection.address, reason, Outcome.NOT_SENT)
        self._scope["session"] = connection.state.values
        try:
            exchange = self._exchange = connection.dispatcher.open(self._rules, self._scope)
        except (RenderError, ValueError) as error:
            raise self._requests.argument_error(error) from None
        exchange.wake = self._wakeup.set
        if not self._rules.sends_http:
            self._send_messages(connection, exchange)

    def _send_messages(self, connection: Connection, exchange: Exchange) -> None:
        """Send the messages of the request over a connection that was just found to be open."""
        if self._rules.listen_only:
            return
        try:
            messages = self._encode(connection, exchange)
        except (RenderError, ValueError) as error:
            # Nothing was sent, so nothing can still arrive: without this the connection would count as unusable.
            connection.dispatcher.take_back(exchange)
            raise self._requests.argument_error(error) from None
        connection.transmit(messages)
        if self._rules.no_reply:
            connection.dispatcher.discard(exchange)

    async def _send_http(self) -> None:
        """Send the HTTP requests of `before_message`, then the messages."""
        assert self._lease is not None
        connection = self._lease.connection
        values = await self._requests.send(connection, self.exchange)
        try:
            connection.dispatcher.release(self.exchange, values)
        except (RenderError, ValueError) as error:
            raise self._requests.argument_error(error) from None
        if self.exchange.finished:  # by what arrived meanwhile, or by the end of the connection
            self._raise_if_lost()
            return
        if connection.availability.session_ended and not self._rules.listen_only:
            connection.dispatcher.discard(self.exchange)  # nothing was sent
            raise SessionLost(connection.address, connection.availability.unusable_reason, self._requests.outcome)
        if not self._rules.listen_only and not connection.is_open:
            info = connection.close_info
            raise lost_connection(connection, info, self._requests.outcome, self.tool.template)
        self._send_messages(connection, self.exchange)

    def _encode(self, connection: Connection, exchange: Exchange) -> list[str | bytes]:
        template = self.tool.compiled_template
        scope = exchange.scope.with_frozen_time() if template.reads_time else exchange.scope
        # All are rendered before the first is encoded: an encoder may have a state that what is sent must agree with.
        values = [node.render(scope) for node in template.request]
        exchange.request = values[0]
        messages: list[str | bytes] = []
        for value in values:
            messages += connection.encode(value)
        if not messages:
            raise RenderError('there is nothing to send: the list of "$each" is empty.', code="nothing-to-send")
        return messages

    # Receiving

    def _next_deadline(self, exchange: Exchange) -> tuple[float, StreamEnd | None]:
        """Return until when to wait, and how the stream ends then; None if the call times out instead."""
        stream, limits = self._rules.stream, exchange.limits
        if stream is None or limits is None or not exchange.in_stream:
            return self._deadline, None
        now = current_time()
        self._stream_started_at = now if self._stream_started_at is None else self._stream_started_at
        return limits.next_deadline(now, self._stream_started_at, self._deadline, stream.end_at_timeout)

    def _raise_if_incomplete(self) -> None:
        """Raise if a bound has ended a stream that must end by itself."""
        if error := self._errors.incomplete(self.exchange):
            raise error

    def _raise_if_lost(self) -> None:
        """Raise if the connection or its session ended before the exchange did."""
        if self._lease is not None and (error := self._errors.lost(self._lease.connection, self.exchange)):
            raise error

    # Ending

    def _finish(self) -> None:
        """Cancel the exchange and release the connection; the pool closes it if it cannot be used again."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        if self._exchange is not None:
            self._exchange.wake = lambda: None
            lease.connection.dispatcher.cancel(self._exchange)
        lease.release()
