"""Requests that are answered where uvicorn has read them, instead of by the ASGI application.

The layers of the application take as long as the call itself, so a request that every check accepts and that has the
usual form skips them. Any other one gets the application: each check rejects in its own words, and the MCP SDK
answers what is not usual.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from ...client.eager import EagerTask, ensure_task
from ...records import Record, field
from ..auth.access import Caller
from .body import MAX_BODY_SIZE, has_too_many_values
from .connections import Alarm, LimitedProtocol
from .fast_path import DistinctHeaders, FastRequest, HttpFastPath, has_usual_routing, read_request
from .fast_response import FastResponse, HeaderPairs
from .known_heads import KnownHeads
from .security import Headers, HttpAccessPolicy, Rejection, is_json_content

EVENT_STREAM_AFTER: Final = 15.0
"""Seconds until a call that has no result yet gets an event stream with comments, which keep proxies from closing it.

The SDK does the same.
"""

Identify = Callable[[Headers], Awaitable[Caller | Rejection]]
"""Returns who sent a request, or why it is rejected."""

CheckCalls = Callable[[Iterable[str], Caller], Rejection | None]
"""Returns why a caller may not call one of these tools, or None."""


class FastLane(Record):
    """Which requests are answered here, and by what.

    Attributes:
        fast_path: What answers them.
        path: The path of MCP.
        policy: The values that requests must have.
        needs_token: Whether they must have the token of the policy.
        identify: Who sends a request; None: there is only one caller.
        check_calls: Which tools a caller may call; None: all.
        cors_headers: The headers that let a web page of an origin read a response.
        heads: The heads of accepted requests.
    """

    fast_path: HttpFastPath
    path: str
    policy: HttpAccessPolicy
    needs_token: bool
    cors_headers: Callable[[bytes], HeaderPairs]
    identify: Identify | None = None
    check_calls: CheckCalls | None = None
    heads: KnownHeads = field(default_factory=KnownHeads)

    def usual_headers(self, scope: Any) -> DistinctHeaders | None:
        """Return the headers of a request whose head is usual and accepted, or None."""
        if scope["method"] != "POST" or scope["path"] != self.path:
            return None
        headers = dict(scope["headers"])
        is_usual = (
            len(headers) == len(scope["headers"])
            and has_usual_routing(headers)
            and is_json_content(headers.get(b"content-type", b""))
            and b"expect" not in headers
        )
        return headers if is_usual and self._accepts(headers) else None

    def _accepts(self, headers: DistinctHeaders) -> bool:
        policy = self.policy
        if headers.get(b"host") not in policy.usual_hosts:
            return False
        if b"origin" in headers and headers[b"origin"] not in policy.usual_origins:
            return False
        if not self.needs_token or policy.token is None:
            return True
        return hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + policy.token.encode())


class FastProtocol(LimitedProtocol):
    """A connection whose usual requests take the fast lane; without one, the application answers all."""

    __slots__ = ("_beginning", "_is_reading", "_lane", "_patience", "_served")

    def __init__(self, *args: Any, lane: FastLane | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lane = lane
        self._served: FastExchange | None = None
        self._is_reading = False
        self._beginning = b""  # what is read, if it begins with a request
        self._patience = Alarm(self.loop, self._on_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the request that is served: its client has gone (MCP, Transports, "Cancellation")."""
        super().connection_lost(exc)
        self._patience.end()
        if self._served is not None:
            self._served.cancel()

    def data_received(self, data: bytes) -> None:
        """Read what has arrived, then serve the request in it: nearly always its body has arrived as well."""
        begins = self._awaited == "request"
        known = self._lane.heads.find(data) if begins and self._lane is not None else None
        if known is None:
            self._is_reading, self._beginning = True, data if begins else b""
            super().data_received(data)
            self._is_reading, self._beginning = False, b""
        else:
            self._await(None)
            self.cycle = known.begin(self, data)
            self._serve_next(self.cycle, known.headers)
        self._start()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        lane = self._lane if app is self.app else None  # another one rejects what is too much
        headers = None if lane is None else lane.usual_headers(cycle.scope)
        if lane is None or headers is None:
            super()._start_asgi_task(cycle, app)
            return
        lane.heads.add(self._beginning, cycle, headers)
        self._serve_next(cycle, headers)
        if not self._is_reading:  # the client has sent it before the response to another one
            self.loop.call_soon(self._start)

    def _serve_next(self, cycle: RequestResponseCycle, headers: DistinctHeaders) -> None:
        assert self._lane is not None
        task = EagerTask(self.loop)
        self._served = FastExchange(self._lane, cycle, headers, self.app, self._patience, task, self._end)
        self.tasks.add(self._served.task)  # type: ignore[arg-type]  # uvicorn counts and cancels them

    def _start(self) -> None:
        """Serve the request that has arrived and is not served yet."""
        exchange = self._served
        if exchange is not None and not exchange.has_begun:
            exchange.has_begun = True
            exchange.task.start(exchange.cycle.run_asgi(exchange))

    def _end(self, exchange: FastExchange) -> None:
        """Forget a request that was served: an idle connection keeps nothing of it."""
        self.tasks.discard(exchange.task)
        if self._served is exchange:
            self._served = None

    def _on_patience(self) -> None:
        if self._served is not None:
            self._served.keep_alive()


class FastExchange:
    """A request and its response, served in the place of the application `app`, to which it may still be left.

    Args:
        lane: What accepts and answers requests.
        cycle: The request, and its response.
        headers: The headers of the request.
        app: The application.
        patience: Rings `keep_alive` if the answer takes long.
        task: Where the request is served.
        on_end: Called when it was served.
    """

    def __init__(
        self,
        lane: FastLane,
        cycle: RequestResponseCycle,
        headers: DistinctHeaders,
        app: Any,
        patience: Alarm,
        task: EagerTask,
        on_end: Callable[[FastExchange], None],
    ) -> None:
        self.cycle = cycle
        self.task = task
        self.has_begun = False
        self._lane = lane
        self._headers = headers
        self._app = app
        self._patience = patience
        self._on_end = on_end
        self._is_left = False
        self._response: FastResponse | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the request."""
        try:
            if not (self.cycle.disconnected or await self._is_answered()):
                self._is_left = True
                await ensure_task()
                await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if self._is_left or not self.cycle.disconnected:
                raise
        finally:
            self._on_end(self)

    def keep_alive(self) -> None:
        """Begin an event stream, which keeps proxies waiting: there is no answer yet."""
        if self._response is not None:
            self._response.start_pings()

    def cancel(self) -> None:
        """Stop serving: the client has gone. The application notices it by itself."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if not self._is_left:
            self.task.cancel()

    async def _is_answered(self) -> bool:
        """Answer the request; return False, and send nothing, if it must be left to the application."""
        accepted = await self._accept()
        if accepted is None:
            return False
        origin = self._headers.get(b"origin")
        headers = () if origin is None else self._lane.cors_headers(origin)
        response = self._response = FastResponse(self.cycle, self._lane.fast_path.guard, headers)
        self._patience.set(EVENT_STREAM_AFTER)
        try:
            answer = await self._lane.fast_path.answer(*accepted, response)
            if answer is not None:
                await response.finish(answer)
        finally:
            self._patience.clear()
            self._response = None
            await response.end()
        return answer is not None

    async def _accept(self) -> tuple[FastRequest, Caller | None] | None:
        """Return the request and who sends it; None if it must be left to the application."""
        body = await self._whole_body()
        request = None if body is None else read_request(self._headers, body)
        if request is None:
            return None
        identify, check_calls = self._lane.identify, self._lane.check_calls
        if identify is None:
            if not self._lane.fast_path.begins_at_once(request):
                await ensure_task()
            return request, None
        await ensure_task()
        caller = await identify(list(self._headers.items()))
        if isinstance(caller, Rejection) or (check_calls is not None and check_calls(request.called_tools, caller)):
            return None
        return request, caller

    async def _whole_body(self) -> bytes | None:
        """Return the body, which stays where it is for the application; None if it is not to be parsed."""
        cycle = self.cycle
        while cycle.more_body and len(cycle.body) <= MAX_BODY_SIZE and not cycle.disconnected:
            cycle.flow.resume_reading()
            cycle.message_event.clear()
            await cycle.message_event.wait()
        cycle.flow.resume_reading()  # a large body has stopped it, and that the client goes is noticed only by reading
        cycle.message_event.set()
        if cycle.more_body or len(cycle.body) > MAX_BODY_SIZE or has_too_many_values(cycle.body):
            return None
        return bytes(cycle.body)
