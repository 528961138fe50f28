"""Resources that hosts watch: when a change is announced, and to which subscriptions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final

from ..records import MutableRecord, field
from .resources import EndpointResources, MayUse, ResourceNotWatched, everything, unknown_resource

logger = logging.getLogger(__name__)

UPDATE_INTERVAL: Final = 1.0
"""Seconds between two announcements of the same change."""
MAX_WATCHED: Final = 256
"""Resources that one session may watch at once."""

Schedule = Callable[[float, Callable[[], None]], Any]
"""Calls a function after seconds; its result has `cancel`."""


class Throttle:
    """Calls a function at once, then at most once each UPDATE_INTERVAL; the last of several triggers is not lost."""

    def __init__(self, act: Callable[[], None], schedule: Schedule | None = None) -> None:
        self._act = act
        self._schedule = schedule or asyncio.get_running_loop().call_later
        self._timer: Any = None
        self._is_pending = False

    def trigger(self) -> None:
        """Call the function now, or when the interval has passed."""
        if self._timer is not None:
            self._is_pending = True
            return
        self._timer = self._schedule(UPDATE_INTERVAL, self._elapse)
        self._act()

    def cancel(self) -> None:
        """Forget what is pending."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._is_pending = None, False

    def _elapse(self) -> None:
        self._timer = None
        if self._is_pending:
            self._is_pending = False
            self.trigger()


class _Watch(MutableRecord, eq=False):
    """A resource that is watched: by whom, what announces its changes, and what ends it."""

    throttle: Throttle
    subscribers: set[Hashable] = field(default_factory=set)
    end: Callable[[], None] = lambda: None
    is_gone: bool = False


class ResourceWatches:
    """The watched resources of one server.

    Args:
        resources: The resources.
        announce: Called with the URI and the subscribers of a resource that has changed.
        schedule: Calls a function later; by default the event loop.
    """

    def __init__(
        self,
        resources: EndpointResources,
        announce: Callable[[str, Iterable[Hashable]], None],
        schedule: Schedule | None = None,
    ) -> None:
        self._resources = resources
        self._announce = announce
        self._schedule = schedule
        self._watches: dict[str, _Watch] = {}

    def add(self, uri: str, subscriber: Hashable, may_use: MayUse = everything) -> None:
        """Announce the changes of a resource to a subscriber from now on.

        Raises:
            ResourceNotWatched: if the changes of the resource are not announced, or the subscriber watches too many.
        """
        if not self._resources.is_visible(uri, may_use):
            raise ResourceNotWatched(unknown_resource(uri)[0], uri)
        watch = self._watches.get(uri)
        if watch is not None and subscriber in watch.subscribers:
            return
        if sum(subscriber in each.subscribers for each in self._watches.values()) >= MAX_WATCHED:
            raise ResourceNotWatched(f"{MAX_WATCHED} resources are watched already. Unsubscribe from one of them.", uri)
        if watch is None:
            watch = _Watch(Throttle(lambda: self._on_change(uri), self._schedule))
            watch.end = self._resources.watch(uri, watch.throttle.trigger)
            self._watches[uri] = watch
        watch.subscribers.add(subscriber)

    def remove(self, uri: str, subscriber: Hashable) -> bool:
        """End a subscription; return whether there was one."""
        watch = self._watches.get(uri)
        if watch is None or subscriber not in watch.subscribers:
            return False
        watch.subscribers.discard(subscriber)
        if not watch.subscribers:
            del self._watches[uri]
            watch.throttle.cancel()
            watch.end()
        return True

    def remove_subscriber(self, subscriber: Hashable) -> None:
        """End all subscriptions of a subscriber."""
        for uri in list(self._watches):
            self.remove(uri, subscriber)

    def renew(self) -> None:
        """Watch again after the manifests were changed. A feed that is gone is watched again when it comes back."""
        for uri, watch in self._watches.items():
            watch.end()
            was_gone = watch.is_gone
            try:
                watch.end, watch.is_gone = self._resources.watch(uri, watch.throttle.trigger), False
            except ResourceNotWatched:
                watch.end, watch.is_gone = lambda: None, True
            if watch.is_gone != was_gone:
                watch.throttle.trigger()

    def close(self) -> None:
        """End all subscriptions."""
        for watch in self._watches.values():
            watch.throttle.cancel()
            watch.end()
        self._watches.clear()

    def _on_change(self, uri: str) -> None:
        watch = self._watches.get(uri)
        if watch is not None:
            self._announce(uri, tuple(watch.subscribers))


def watchable(
    watches: ResourceWatches, uris: Iterable[str], subscriber: Hashable, may_use: MayUse = everything
) -> list[str]:
    """Watch resources for a subscription, and return those whose changes it will get; why not others is logged."""
    honored = []
    for uri in uris:
        try:
            watches.add(uri, subscriber, may_use)
        except ResourceNotWatched as refused:
            logger.info("a subscription leaves out a resource: %s", refused.message)
        else:
            honored.append(uri)
    return honored


class ResourceListChanges:
    """Announces that the list of resources has changed, once a host has it.

    Args:
        resources: The resources.
        announce: Called if the list is another one than before.
        schedule: Calls a function later; by default the event loop.
    """

    def __init__(
        self, resources: EndpointResources, announce: Callable[[], None], schedule: Schedule | None = None
    ) -> None:
        self._resources = resources
        self._announce = announce
        self._known: list[str] | None = None
        self._throttle = Throttle(self._compare, schedule)
        resources.on_change(self._throttle.trigger)

    def note_listed(self) -> None:
        """Note that a host has the list as it is now, or wants to know of changes."""
        if self._known is None:
            self._known = self._uris()

    def _compare(self) -> None:
        if self._known is not None and (uris := self._uris()) != self._known:
            self._known = uris
            self._announce()

    def _uris(self) -> list[str]:
        return [each["uri"] for each in self._resources.listed()]
