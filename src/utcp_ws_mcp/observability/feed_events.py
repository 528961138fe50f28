"""Events of feeds. `feed` is `manual.feed`, `arguments` a JSON object."""

from __future__ import annotations

from .events import FeedEvent


class FeedOpened(FeedEvent):
    """A feed can receive events, `seconds` after the attempt to open it began; `arguments` is a JSON object.

    `reconnected`: it was open before.
    """

    feed: str
    arguments: str
    seconds: float
    reconnected: bool


class FeedOwned(FeedEvent):
    """From now on, this replica keeps a feed open for all. `taken_over`: another one did before."""

    feed: str
    arguments: str
    taken_over: bool


class FeedInterrupted(FeedEvent):
    """A feed receives no events, and is opened again after `retry_in` seconds. `seconds` is how long it was open.

    `unreachable`: the endpoint is away, and does not refuse the feed.
    """

    feed: str
    arguments: str
    reason: str
    error_code: str
    seconds: float
    retry_in: float
    manual: str
    unreachable: bool


class FeedClosed(FeedEvent):
    """A feed was closed, because it is no longer read, or because its manifest was changed."""

    feed: str
    arguments: str
    reason: str


class FeedEventAdded(FeedEvent):
    """A feed received its event number `offset`."""

    feed: str
    offset: int


class FeedEventInvalid(FeedEvent):
    """A message matched a feed, but its data, key or position could not be computed. It is not kept."""

    feed: str
    reason: str
    error_code: str


class FeedEventsEvicted(FeedEvent):
    """A feed removed its `count` oldest events, because its size, memory or age is limited."""

    feed: str
    count: int


class FeedGapFound(FeedEvent):
    """Events of a feed may be missing behind event number `after`."""

    feed: str
    arguments: str
    after: int
    reason: str


class FeedRead(FeedEvent):
    """A read returned `count` events of a feed; the oldest of them had arrived `lag` seconds before."""

    feed: str
    count: int
    lag: float
