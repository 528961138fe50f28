"""The outages that the log has warned of: one warning for each, however many feeds and attempts notice it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..records import MutableRecord, Record, field
from . import events

Source = tuple[str, str]
"""What notices an outage: a feed and its arguments, or a call template and an empty text for its discovery."""


class Noted(Record):
    """What an event says of outages: whether it `is_repeated`, and the outage that has `ended` with it."""

    is_repeated: bool = False
    ended: events.OutageEnded | None = None


class _Outage(MutableRecord):
    began: float
    sources: set[Source] = field(default_factory=set)


class Outages:
    """The outages that go on, by name.

    An endpoint that cannot be reached is one outage of its call template, in which all of its feeds and its discovery
    take part; it ends when the last of them works again. A feed that is refused has an outage of its own, because the
    others may work.

    Args:
        clock: Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outages: dict[str, _Outage] = {}

    def note(self, event: events.Event) -> Noted:
        """Take an event into account, and return what it says of outages."""
        match event:
            case events.DiscoveryFailed(manual, unreachable=unreachable):
                name = manual if unreachable else f"the discovery of {manual}"
                return Noted(is_repeated=self._note_failure((manual, ""), name))
            case events.DiscoverySucceeded(manual):
                return Noted(ended=self._end((manual, "")))
            case events.FeedEvent():
                return self._note_feed(event)
            case _:
                return Noted()

    def _note_feed(self, event: events.FeedEvent) -> Noted:
        from . import feed_events  # most programs have no feeds

        match event:
            case feed_events.FeedInterrupted(feed, arguments, manual=manual, unreachable=unreachable):
                name = manual if unreachable else f"feed {feed} {arguments}"
                return Noted(is_repeated=self._note_failure((feed, arguments), name))
            case feed_events.FeedOpened(feed, arguments):
                return Noted(ended=self._end((feed, arguments)))
            case feed_events.FeedClosed(feed, arguments):
                self._end((feed, arguments))  # without a word: it does not work again
        return Noted()

    def _note_failure(self, source: Source, name: str) -> bool:
        """Return whether the outage is known already."""
        is_known = name in self._outages
        outage = self._outages.setdefault(name, _Outage(self._clock()))
        if source not in outage.sources:
            self._end(source)  # what fails for another reason now takes part in another outage
            outage.sources.add(source)
        return is_known

    def _end(self, source: Source) -> events.OutageEnded | None:
        """Take a source out of its outage; return the outage if it was the last one."""
        for name, outage in self._outages.items():
            if source in outage.sources:
                outage.sources.discard(source)
                if outage.sources:
                    return None
                del self._outages[name]
                return events.OutageEnded(name, self._clock() - outage.began)
        return None
