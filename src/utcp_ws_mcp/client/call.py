"""One call: it leases a connection, opens an exchange, sends the request and takes what answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio

from ..core.codecs.message import Message
from ..core.exchange.exchange import End, Exchange
from ..core.exchange.reply_rules import Sharing
from ..core.expressions.scope import Ambient, Scope
from ..core.handshake_request import Upgrade
from ..core.templates.nodes import Node, Unfilled
from ..core.tools.tool import Plan
from ..errors import CallTimeout, ConnectionLost, InvalidArguments, Outcome, ReplyTooBig
from .pool.manager import Access, Lease
from .pool.wish import Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connection import Connection

T = TypeVar("T")

REPLACED: Final = 3
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
        self, access: Access, ambient: Ambient, plan: Plan, arguments: dict[str, Any], deadline: float | None = None
    ) -> None:
        self.plan = plan
        self._access = access
        self._timeout = plan.template.timeout
        self._deadline = anyio.current_time() + self._timeout if deadline is None else deadline
        self._scope = Scope(ambient, {"args": arguments, "tool": plan.tool, "vars": plan.variables, "session": {}})
        self._lease: Lease | None = None
        self._exchange: Exchange | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._streaming: float | None = None

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
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._is_cut_short():
                await self._send_cancel()
        finally:
            self._finish()

    async def receive(self) -> Message | None:
        """The next message of the exchange, or None where a stream has ended; then `exchange.end` says how.

        Raises:
            CallTimeout: if no reply comes in time.
            ConnectionLost, ReplyTooBig: if the connection ends before it.
        """
        exchange = self.exchange
        while not exchange.inbox:
            if exchange.finished:
                self._check_lost()
                return None
            if not await self._wait():
                return None
        return exchange.inbox.popleft()

    async def _start(self) -> None:
        """Send the request; a connection that dies before that is replaced without a word."""
        rules = self.plan.rules
        upgrade = self._in_arguments(self._upgrade)
        owns = rules.sharing is Sharing.OWNED or not self.plan.template.keep_alive
        args, listens = self._scope["args"], rules.unasked and not owns
        wish = Wish(upgrade, rules.sharing, args, unread=rules.unasked and owns, listens=listens)
        self._lease = self._access.lease_at_once(wish)
        if self._lease is None or not self._try_send():
            await self._start_later(wish)
        if rules.none:
            await self._drain()

    def _upgrade(self) -> Upgrade:
        template = self.plan.wire.upgrade
        return template.constant or template.render(self._scope.at_once())

    async def _start_later(self, wish: Wish) -> None:
        """Wait for a connection that takes the request."""
        with anyio.move_on_after(self._deadline - anyio.current_time()):
            for attempt in count(1):
                self._finish()
                self._lease = await self._access.lease(wish)
                await self._lease.connection.drain()
                if self._try_send():
                    return
                self._check_replaceable(self._lease.connection, attempt)
        why = self._access.obstacle(wish.upgrade)
        raise self._timed_out(
            f"there was no connection ({why})" if why else "there was no connection", Outcome.NOT_SENT
        )

    def _check_replaceable(self, connection: Connection, attempt: int) -> None:
        """Raise where one connection after the other ends before the request can be sent."""
        if attempt >= REPLACED and not connection.is_open:
            ending = connection.ending
            raise ConnectionLost(connection.address, ending.text, Outcome.NOT_SENT, code=ending.code)

    def _try_send(self) -> bool:
        """Send the request, if the connection takes it now."""
        assert self._lease is not None
        connection, unread = self._lease.connection, self._lease.read is not None
        if not unread and not (connection.is_usable and (connection.has_room or self.plan.rules.unasked)):
            return False
        self._send(connection)
        return True

    async def _drain(self) -> None:
        """Wait until the peer has read what nothing answers."""
        assert self._lease is not None
        with anyio.move_on_after(self._deadline - anyio.current_time()) as waiting:
            await self._lease.connection.drain()
        if waiting.cancelled_caught:
            raise self._timed_out("the endpoint did not read the request", Outcome.PERHAPS_EXECUTED)

    def _send(self, connection: Connection) -> None:
        """Open the exchange and send; nothing can come between, so ids are sent in the order they are given."""
        assert self._lease is not None
        if self._lease.read is not None:
            self._lease.read()
        scope = self._scope.extended(session=connection.session.values)
        exchange = self._in_arguments(lambda: connection.exchanges.open(self.plan.rules, scope))
        self._exchange = exchange
        exchange.wake = self._wake
        if self.plan.rules.unasked:
            return
        try:
            messages = self._in_arguments(lambda: self._encode(self.plan.wire.request))
        except InvalidArguments:
            connection.exchanges.withdraw(exchange)
            raise
        connection.write(messages)
        if self.plan.rules.none:
            connection.exchanges.withdraw(exchange)

    def _encode(self, templates: Sequence[Node]) -> list[str | bytes]:
        assert self._lease is not None
        encode, scope = self._lease.connection.encode, self.exchange.scope.at_once()
        return [message for template in templates for message in encode(template.render(scope))]

    def _in_arguments(self, make: Callable[[], T]) -> T:
        try:
            return make()
        except Unfilled as unfilled:
            raise InvalidArguments(self.plan.full_name, str(unfilled)) from None
        except UnicodeEncodeError:
            raise InvalidArguments(self.plan.full_name, "an argument cannot be written as JSON in UTF-8") from None
        except ValueError as wrong:
            raise InvalidArguments(self.plan.full_name, str(wrong)) from None

    async def _wait(self) -> bool:
        """Wait for something to arrive; False where a stream's time has ended it."""
        until, reason = self._patience()
        if await self._woken(until):
            return True
        if reason is None:
            what = "nothing that it waits for came" if self.plan.rules.unasked else "no reply came"
            last = self._lease.connection.last_words if self._lease else ""
            raise self._timed_out(what, Outcome.PERHAPS_EXECUTED, last)
        self.exchange.end = reason
        return False

    def _patience(self) -> tuple[float, End | None]:
        """Until when to wait, and what ends the stream then; before a reply and without a stream, nothing does."""
        stream = self.exchange.limits
        if stream is None or not self.exchange.in_stream:
            return self._deadline, None
        now = anyio.current_time()
        self._streaming = now if self._streaming is None else self._streaming
        until = self._deadline if stream.seconds is None else self._streaming + stream.seconds
        if stream.idle is not None and now + stream.idle < until:
            return now + stream.idle, "idle_seconds"
        return until, "max_seconds"

    async def _woken(self, until: float) -> bool:
        """Wait until something arrives; False at that instant. It costs a fraction of what a cancel scope does."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        alarm = loop.call_at(until, _settle, waiter, False)
        try:
            return await waiter
        finally:
            alarm.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None:
            _settle(self._waiter, True)

    def _check_lost(self) -> None:
        """Raise where the connection ended before the exchange did."""
        lost, connection = self.exchange.lost, self._lease.connection if self._lease else None
        if lost is None or connection is None:
            return
        if lost.code == 1009 and connection.is_oversized:
            limit, others = self.plan.template.limits.max_message_bytes, connection.exchanges.lost > 1
            raise ReplyTooBig(connection.address, limit, self._known(Outcome.PERHAPS_EXECUTED), others=others)
        raise ConnectionLost(connection.address, lost.text, self._known(Outcome.PERHAPS_EXECUTED), code=lost.code)

    def _timed_out(self, stage: str, outcome: Outcome, last: str = "") -> CallTimeout:
        return CallTimeout(self.plan.full_name, self._timeout, stage, self._known(outcome), last)

    def _known(self, outcome: Outcome) -> Outcome:
        """What is known of the request; there is none where nothing is sent."""
        return Outcome.NOT_SENT if self.plan.rules.unasked else outcome

    def _is_cut_short(self) -> bool:
        """Whether the endpoint may still be sending a stream that nobody takes."""
        exchange = self._exchange
        if self.plan.wire.cancel is None or exchange is None or exchange.lost is not None:
            return False
        return not exchange.finished or exchange.end in ("max_items", "max_bytes")

    async def _send_cancel(self) -> None:
        assert self._lease is not None
        assert self.plan.wire.cancel is not None
        with anyio.move_on_after(CANCEL_TIMEOUT, shield=True):
            connection = self._lease.connection
            try:
                await connection.send(self._encode([self.plan.wire.cancel]), "stream.cancel")
            except (Unfilled, ValueError) as wrong:
                connection.unsent("stream.cancel", str(wrong))

    def _finish(self) -> None:
        """Give up the exchange and the lease. The pool throws the connection away if it cannot be trusted now."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        if self._exchange is not None:
            self._exchange.wake = lambda: None
            lease.connection.exchanges.abandon(self._exchange)
        lease.release()


def _settle(waiter: asyncio.Future[bool], value: bool) -> None:
    if not waiter.done():
        waiter.set_result(value)
