"""One call: it leases a connection, opens an exchange, sends the request and takes what answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio

from ..core.codecs.message import Message
from ..core.exchange.exchange import Exchange, StreamEnd
from ..core.exchange.reply_rules import Concurrency
from ..core.expressions.scope import Ambient, Scope
from ..core.handshake_request import HandshakeRequest
from ..core.templates.nodes import Node, RenderError
from ..core.tools.tool import CompiledTool
from ..errors import CallTimeout, ConnectionLost, InvalidArguments, MessageTooBig, Outcome
from .pool.manager import Lease, PoolHandle
from .pool.wish import LeaseRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connection import Connection

T = TypeVar("T")

MAX_CONNECTION_ATTEMPTS: Final = 3
"""Connections that may end, one after the other, before a request could be sent over them."""

CANCEL_TIMEOUT: Final = 1.0
"""Seconds for the message that tells an endpoint to end a stream."""


class Call:
    """A call under way: `async with` sends its request, `receive` gives what answers it.

    Leaving the block ends the exchange, whatever has happened: the endpoint of an unfinished stream is told, and the
    connection goes back to the pool. At `deadline` (the clock of anyio; the tool's `timeout` from now, if it is not
    given) everything raises CallTimeout.
    """

    def __init__(
        self,
        pool_handle: PoolHandle,
        ambient: Ambient,
        tool: CompiledTool,
        arguments: dict[str, Any],
        deadline: float | None = None,
    ) -> None:
        self.tool = tool
        self._pool_handle = pool_handle
        self._timeout = tool.template.timeout
        self._deadline = anyio.current_time() + self._timeout if deadline is None else deadline
        self._scope = Scope(
            ambient, {"args": arguments, "tool": tool.original_name, "vars": tool.variables, "session": {}}
        )
        self._lease: Lease | None = None
        self._exchange: Exchange | None = None
        self._wakeup: asyncio.Future[bool] | None = None
        self._stream_started_at: float | None = None

    @property
    def exchange(self) -> Exchange:
        """The exchange; it exists once the request was sent."""
        assert self._exchange is not None
        return self._exchange

    @property
    def address(self) -> str:
        """The address of the connection; it is leased while the block lasts."""
        assert self._lease is not None
        return self._lease.connection.address

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            self._finish()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._needs_cancel():
                await self._send_cancel()
        finally:
            self._finish()

    async def receive(self) -> Message | None:
        """The next message of the exchange, or None where a stream has ended; then `exchange.end` says how.

        Raises:
            CallTimeout: if no reply comes in time.
            ConnectionLost, MessageTooBig: if the connection ends before it.
        """
        exchange = self.exchange
        while not exchange.received:
            if exchange.finished:
                self._raise_if_lost()
                return None
            if not await self._wait_for_message():
                return None
        return exchange.received.popleft()

    async def _start(self) -> None:
        """Send the request; a connection that dies before that is replaced without a word."""
        rules = self.tool.rules
        upgrade = self._as_argument_error(self._render_upgrade)
        owns = rules.concurrency is Concurrency.EXCLUSIVE or not self.tool.template.keep_alive
        args, listens = self._scope["args"], rules.listen_only and not owns
        wish = LeaseRequest(upgrade, rules.concurrency, args, fresh=rules.listen_only and owns, passive=listens)
        self._lease = self._pool_handle.try_lease(wish)
        if self._lease is None or not self._try_send():
            await self._wait_and_send(wish)
        if rules.no_reply:
            await self._drain()

    def _render_upgrade(self) -> HandshakeRequest:
        template = self.tool.compiled_template.handshake
        return template.constant or template.render(self._scope.with_frozen_time())

    async def _wait_and_send(self, lease_request: LeaseRequest) -> None:
        """Wait for a connection that takes the request."""
        with anyio.move_on_after(self._deadline - anyio.current_time()):
            for attempt in count(1):
                self._finish()
                self._lease = await self._pool_handle.lease(lease_request)
                await self._lease.connection.drain()
                if self._try_send():
                    return
                self._check_connection_attempts(self._lease.connection, attempt)
        why = self._pool_handle.wait_reason(lease_request.upgrade)
        raise self._timeout_error(
            f"there was no connection ({why})" if why else "there was no connection", Outcome.NOT_SENT
        )

    def _check_connection_attempts(self, connection: Connection, attempt: int) -> None:
        """Raise where one connection after the other ends before the request can be sent."""
        if attempt >= MAX_CONNECTION_ATTEMPTS and not connection.is_open:
            ending = connection.close_info
            raise ConnectionLost(connection.address, ending.reason, Outcome.NOT_SENT, code=ending.code)

    def _try_send(self) -> bool:
        """Send the request, if the connection takes it now."""
        assert self._lease is not None
        connection, unread = self._lease.connection, self._lease.start_reading is not None
        if not unread and not (connection.is_available and (connection.can_write or self.tool.rules.listen_only)):
            return False
        self._send(connection)
        return True

    async def _drain(self) -> None:
        """Wait until the peer has read what nothing answers."""
        assert self._lease is not None
        with anyio.move_on_after(self._deadline - anyio.current_time()) as waiting:
            await self._lease.connection.drain()
        if waiting.cancelled_caught:
            raise self._timeout_error("the endpoint did not read the request", Outcome.MAYBE_EXECUTED)

    def _send(self, connection: Connection) -> None:
        """Open the exchange and send; nothing can come between, so ids are sent in the order they are given."""
        assert self._lease is not None
        if self._lease.start_reading is not None:
            self._lease.start_reading()
        scope = self._scope.with_values(session=connection.session.values)
        exchange = self._as_argument_error(lambda: connection.dispatcher.open(self.tool.rules, scope))
        self._exchange = exchange
        exchange.wake = self._notify
        if self.tool.rules.listen_only:
            return
        try:
            messages = self._as_argument_error(lambda: self._encode(self.tool.compiled_template.request))
        except InvalidArguments:
            connection.dispatcher.discard(exchange)
            raise
        connection.send_nowait(messages)
        if self.tool.rules.no_reply:
            connection.dispatcher.discard(exchange)

    def _encode(self, templates: Sequence[Node]) -> list[str | bytes]:
        assert self._lease is not None
        encode, scope = self._lease.connection.encode, self.exchange.scope.with_frozen_time()
        return [message for template in templates for message in encode(template.render(scope))]

    def _as_argument_error(self, render: Callable[[], T]) -> T:
        try:
            return render()
        except RenderError as unfilled:
            raise InvalidArguments(self.tool.full_name, str(unfilled)) from None
        except UnicodeEncodeError:
            raise InvalidArguments(self.tool.full_name, "an argument cannot be written as JSON in UTF-8") from None
        except ValueError as wrong:
            raise InvalidArguments(self.tool.full_name, str(wrong)) from None

    async def _wait_for_message(self) -> bool:
        """Wait for something to arrive; False where a stream's time has ended it."""
        until, reason = self._next_deadline()
        if await self._wait_until(until):
            return True
        if reason is None:
            what = "nothing that it waits for came" if self.tool.rules.listen_only else "no reply came"
            last = self._lease.connection.last_message if self._lease else ""
            raise self._timeout_error(what, Outcome.MAYBE_EXECUTED, last)
        self.exchange.end = reason
        return False

    def _next_deadline(self) -> tuple[float, StreamEnd | None]:
        """Until when to wait, and what ends the stream then; before a reply and without a stream, nothing does."""
        stream = self.exchange.limits
        if stream is None or not self.exchange.in_stream:
            return self._deadline, None
        now = anyio.current_time()
        self._stream_started_at = now if self._stream_started_at is None else self._stream_started_at
        until = self._deadline if stream.max_seconds is None else self._stream_started_at + stream.max_seconds
        if stream.idle_seconds is not None and now + stream.idle_seconds < until:
            return now + stream.idle_seconds, "idle_seconds"
        return until, "max_seconds"

    async def _wait_until(self, deadline: float) -> bool:
        """Wait until something arrives; False at that instant. It costs a fraction of what a cancel scope does."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._wakeup = waiter
        alarm = loop.call_at(deadline, _set_result, waiter, False)
        try:
            return await waiter
        finally:
            alarm.cancel()
            self._wakeup = None

    def _notify(self) -> None:
        if self._wakeup is not None:
            _set_result(self._wakeup, True)

    def _raise_if_lost(self) -> None:
        """Raise where the connection ended before the exchange did."""
        lost, connection = self.exchange.close_info, self._lease.connection if self._lease else None
        if lost is None or connection is None:
            return
        if lost.code == 1009 and connection.closed_by_oversized_message:
            limit, others = self.tool.template.limits.max_message_bytes, connection.dispatcher.lost > 1
            raise MessageTooBig(
                connection.address, limit, self._outcome(Outcome.MAYBE_EXECUTED), other_calls_pending=others
            )
        raise ConnectionLost(connection.address, lost.reason, self._outcome(Outcome.MAYBE_EXECUTED), code=lost.code)

    def _timeout_error(self, stage: str, outcome: Outcome, last_message: str = "") -> CallTimeout:
        return CallTimeout(self.tool.full_name, self._timeout, stage, self._outcome(outcome), last_message)

    def _outcome(self, outcome: Outcome) -> Outcome:
        """What is known of the request; there is none where nothing is sent."""
        return Outcome.NOT_SENT if self.tool.rules.listen_only else outcome

    def _needs_cancel(self) -> bool:
        """Whether the endpoint may still be sending a stream that nobody takes."""
        exchange = self._exchange
        if self.tool.compiled_template.cancel is None or exchange is None or exchange.close_info is not None:
            return False
        return not exchange.finished or exchange.end in ("max_items", "max_bytes")

    async def _send_cancel(self) -> None:
        assert self._lease is not None
        assert self.tool.compiled_template.cancel is not None
        with anyio.move_on_after(CANCEL_TIMEOUT, shield=True):
            connection = self._lease.connection
            try:
                await connection.send(self._encode([self.tool.compiled_template.cancel]), "stream.cancel")
            except (RenderError, ValueError) as wrong:
                connection.on_send_failed("stream.cancel", str(wrong))

    def _finish(self) -> None:
        """Give up the exchange and the lease. The pool throws the connection away if it cannot be trusted now."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        if self._exchange is not None:
            self._exchange.wake = lambda: None
            lease.connection.dispatcher.cancel(self._exchange)
        lease.release()


def _set_result(waiter: asyncio.Future[bool], value: bool) -> None:
    if not waiter.done():
        waiter.set_result(value)
