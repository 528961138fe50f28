"""The tools of feeds: arguments in, results out."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import anyio
import anyio.lowlevel

from ...core.feeds.buffer import Event, Gap
from ...core.feeds.cursor import Cursor, InvalidCursor
from ...core.feeds.tool_texts import DEFAULT_EVENTS, DEFAULT_WAIT_SECONDS, MAX_EVENTS
from ...core.feeds.where import Search
from ...core.tools.tool import CompiledTool
from ...errors import CallError, InvalidArguments, InvalidTemplate
from ...manifest.models.feed import required_arguments
from ...records import Record, replace
from .live_feed import MAX_WAITING_READS, LiveFeed, TooManyReads
from .manager import FeedInstance, FeedManager
from .one_read import ReadRequest, ReadResult

logger = logging.getLogger(__name__)

MAX_PAGE_BYTES: Final = 256 << 10
"""Bytes of the events of one result."""
OPEN_TIMEOUT: Final = 5.0
"""Seconds that the first read waits until the feed is open, so that its state says something."""
SEARCH_SECONDS: Final = 10.0
"""Seconds until a reader who follows a feed learns that its condition was false for all events."""


async def read_feed(manager: FeedManager, tool: CompiledTool, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a tool of a feed, and return its result as JSON.

    Raises:
        InvalidArguments: if the cursor, the condition or a number is wrong.
        CallError: if too many reads wait, or too many sets of arguments are followed.
    """
    assert tool.feed is not None
    search = _search(tool, arguments)
    request = _read_request(tool, arguments, search) if tool.feed.kind == "events" else None
    instance = manager.get(tool, arguments)
    with instance.being_read():
        has_failed = await instance.live.wait_opened(OPEN_TIMEOUT)
        if request is None:
            return _latest(instance, arguments.get("keys"))
        if has_failed:  # as if it had failed during the wait: the state says why
            request = replace(request, wait_seconds=0.0)
        return _events(await _read(tool, instance, request), search)


async def open_feeds(manager: FeedManager, tools: Sequence[CompiledTool], arguments: dict[str, Any]) -> None:
    """Open the feeds whose arguments a call has, and wait until each is open, or cannot be opened now.

    Args:
        manager: The feeds.
        tools: The tools NAME_events of these feeds.
        arguments: The arguments of the call; those of the feeds are among them.
    """
    for tool in tools:
        assert tool.feed is not None
        feed = tool.feed.feed
        if any(name not in arguments for name in required_arguments(feed.definition.inputs)):
            continue
        own = {name: value for name, value in arguments.items() if name in feed.argument_names}
        try:
            instance = manager.get(tool, tool.validate_arguments(own))
        except CallError as error:  # the call does not depend on the feed
            logger.warning("%s is not opened by a call: %s", feed.full_name, error)
            continue
        instance.note_read()
        await instance.live.wait_opened(OPEN_TIMEOUT)


def read_page(manager: FeedManager, tool: CompiledTool, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the result of NAME_events with what is there now.

    Raises:
        InvalidArguments: if the cursor, the condition or a number is wrong.
        CallError: if too many sets of arguments are followed.
    """
    assert tool.feed is not None
    search = _search(tool, arguments)
    request = _read_request(tool, arguments, search)
    instance = manager.get(tool, arguments)
    live = instance.live
    instance.note_read()
    if instance.keeper.is_ahead(request.cursor):
        return _events(_nothing_yet(live, request, timed_out=False), search)
    with _refusals(tool):
        return _events(live.read_now(request), search)


class FeedItem(Record):
    """An event of a feed that is followed.

    Attributes:
        offset: Its number in the life of the feed, from 1.
        at: When it arrived, in seconds since 1970.
        data: Its data, any JSON value.
        cursor: Where a later reader continues behind it.
    """

    offset: int
    at: float
    data: Any
    cursor: str


class FeedGap(Record):
    """A place where events of a feed are missing.

    Attributes:
        after: The offset of the last event before it.
        reason: What happened.
        missed: How many events are missing; None if it is not known.
    """

    after: int
    reason: str
    missed: int | None


async def follow_feed(
    manager: FeedManager,
    tool: CompiledTool,
    arguments: dict[str, Any],
    on_state: Callable[[str], None],
    on_hint: Callable[[str], None],
) -> AsyncGenerator[FeedItem | FeedGap]:
    """Yield the events of a feed and its gaps as they come, until its manifest is changed.

    `on_state` gets its state once it is opened, and each change; `on_hint` once that the condition was false for all
    events so far.

    Raises:
        The errors of `read_feed`.
    """
    assert tool.feed is not None
    longest = tool.feed.feed.definition.max_wait_seconds
    instance = manager.get(tool, arguments)
    search = _search(tool, arguments)
    seconds = longest if search is None else min(longest, SEARCH_SECONDS)
    request = _read_request(tool, {**arguments, "wait_seconds": seconds, "max_events": MAX_EVENTS}, search)
    is_hinted = False
    with instance.being_read():
        await instance.live.wait_opened(OPEN_TIMEOUT)
        state = instance.live.describe_state()
        on_state(state)  # now, because the first read waits for an event
        while not instance.removed:
            result = await _read(tool, instance, request)
            if result.state != state:
                state = result.state
                on_state(state)
            if not is_hinted and (hint := _hint(search)):
                is_hinted = True
                on_hint(hint)
            for item in _in_order(request.cursor, result):
                yield item
            request = replace(request, cursor=result.cursor)
            # A page that is there already is returned without waiting, so that others get their turn here.
            await anyio.lowlevel.checkpoint()


def _in_order(start: Cursor | None, result: ReadResult) -> Iterator[FeedItem | FeedGap]:
    """Yield the gaps and the events of a page behind `start` in the order in which they happened."""
    first = result.events[0].offset if result.events else result.cursor.offset + 1
    if start is not None and start.epoch != result.cursor.epoch:
        yield FeedGap(first - 1, "the cursor is of an earlier life of the feed; what came since then is unknown", None)
    elif result.missed:
        yield FeedGap(first - 1 - result.missed, _REMOVED, result.missed)
    elif result.missed is None and not result.gaps:
        yield FeedGap(first - 1, f"{_REMOVED}, more than are counted", None)
    gaps, epoch = list(result.gaps), result.cursor.epoch
    seen = gaps[0].number - 1 if gaps else result.cursor.gap
    for event in result.events:
        while gaps and gaps[0].after < event.offset:
            seen = gaps[0].number
            yield _gap(gaps.pop(0))
        yield FeedItem(event.offset, event.at, json.loads(event.data), str(Cursor(epoch, event.offset, seen)))
    yield from map(_gap, gaps)


_REMOVED: Final = "the events were removed before they were read"


def _gap(gap: Gap) -> FeedGap:
    return FeedGap(gap.after, gap.reason, None)


async def _read(tool: CompiledTool, instance: FeedInstance, request: ReadRequest) -> ReadResult:
    live = instance.live
    if not await instance.keeper.reach(request.cursor):
        return _nothing_yet(live, request, timed_out=True)
    try:
        with _refusals(tool):
            return await live.read(request)
    except TooManyReads:
        message = f"{tool.full_name}: {MAX_WAITING_READS} reads of this feed are waiting already. Read without waiting."
        raise CallError(message, code="too-many-reads") from None


@contextmanager
def _refusals(tool: CompiledTool) -> Iterator[None]:
    """Raise what is wrong with the arguments of a read as InvalidArguments."""
    try:
        yield
    except InvalidCursor as error:
        raise InvalidArguments(tool.full_name, f"{error}.", code="invalid-cursor") from None


def _nothing_yet(live: LiveFeed, request: ReadRequest, *, timed_out: bool) -> ReadResult:
    """Return the result for a reader who has seen more at another replica than has arrived here."""
    assert request.cursor is not None
    return ReadResult((), (), request.cursor, 0, has_more=False, timed_out=timed_out, state=live.describe_state())


def _read_request(tool: CompiledTool, arguments: dict[str, Any], search: Search | None) -> ReadRequest:
    assert tool.feed is not None
    text = arguments.get("cursor")
    with _refusals(tool):
        cursor = None if text is None else Cursor.parse(text)
    longest = tool.feed.feed.definition.max_wait_seconds
    wait = arguments.get("wait_seconds", 0.0 if cursor is None else min(DEFAULT_WAIT_SECONDS, longest))
    if not 0 <= wait <= longest:  # also false for NaN
        raise InvalidArguments(tool.full_name, f'"wait_seconds" is not between 0 and {longest:g}.')
    count = arguments.get("max_events", DEFAULT_EVENTS)
    if not 1 <= count <= MAX_EVENTS:
        raise InvalidArguments(tool.full_name, f'"max_events" is not between 1 and {MAX_EVENTS}.')
    return ReadRequest(cursor, float(wait), int(count), MAX_PAGE_BYTES, None if search is None else search.accepts)


def _search(tool: CompiledTool, arguments: dict[str, Any]) -> Search | None:
    where = arguments.get("where")
    try:
        return None if where is None else Search(where)
    except InvalidTemplate as error:
        raise InvalidArguments(tool.full_name, f'"where": {error.message}', code=error.code) from None


def _hint(search: Search | None) -> str:
    return "" if search is None else search.hint()


def _events(result: ReadResult, search: Search | None) -> dict[str, Any]:
    hint = _hint(search)
    return {
        "events": [
            {"offset": event.offset, "at": _iso(event.at), "data": json.loads(event.data)} for event in result.events
        ],
        "cursor": str(result.cursor),
        "missed": result.missed,
        "gaps": [{"after": gap.after, "reason": gap.reason} for gap in result.gaps],
        "has_more": result.has_more,
        "timed_out": result.timed_out,
        "state": result.state,
        **({"hint": hint} if hint else {}),
    }


def _latest(instance: FeedInstance, keys: list[Any] | None) -> dict[str, Any]:
    now = instance.live.now()
    instance.live.expire()
    newest = instance.live.buffer.latest().items()
    values = [_value(key, event, now) for key, event in newest if keys is None or json.loads(key) in keys]
    return {"values": values, "state": instance.live.describe_state()}


def _value(key: str, event: Event, now: float) -> dict[str, Any]:
    age = round(max(0.0, now - event.at), 3)
    return {"key": json.loads(key), "data": json.loads(event.data), "age_seconds": age}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
