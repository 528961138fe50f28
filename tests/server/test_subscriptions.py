"""When a change is announced: at once, then at most once in an interval, and never not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from utcp_ws_mcp.server import subscriptions as module
from utcp_ws_mcp.server.resources import ResourceNotWatched
from utcp_ws_mcp.server.subscriptions import (
    UPDATE_INTERVAL,
    ResourceListChanges,
    ResourceWatches,
    Throttle,
    watchable,
)


class Clock:
    """Calls functions when the test says that the interval has passed."""

    def __init__(self) -> None:
        self.timers: list[Callable[[], None]] = []

    def schedule(self, seconds: float, act: Callable[[], None]) -> Any:
        assert seconds == UPDATE_INTERVAL
        self.timers.append(act)
        clock = self

        class Timer:
            def cancel(self) -> None:
                clock.timers.remove(act)

        return Timer()

    def pass_interval(self) -> None:
        timers, self.timers = self.timers, []
        for act in timers:
            act()


def test_the_first_change_is_announced_at_once_and_those_of_an_interval_together() -> None:
    clock, announced = Clock(), []
    throttle = Throttle(lambda: announced.append(len(announced)), clock.schedule)
    throttle.trigger()
    assert len(announced) == 1
    throttle.trigger()
    throttle.trigger()
    assert len(announced) == 1
    clock.pass_interval()
    assert len(announced) == 2
    throttle.trigger()
    assert len(announced) == 2
    clock.pass_interval()
    assert len(announced) == 3
    clock.pass_interval()
    assert clock.timers == []
    throttle.trigger()
    assert len(announced) == 4


def test_nothing_is_announced_after_the_end() -> None:
    clock, announced = Clock(), []
    throttle = Throttle(lambda: announced.append(1), clock.schedule)
    throttle.cancel()
    throttle.trigger()
    throttle.trigger()
    throttle.cancel()
    clock.pass_interval()
    assert announced == [1]


class Resources:
    """Resources that a test changes."""

    def __init__(self) -> None:
        self.uris = ["a", "b"]
        self.watched: dict[str, list[Callable[[], None]]] = {}
        self.changed: list[Callable[[], None]] = []

    def watch(self, uri: str, on_change: Callable[[], None]) -> Callable[[], None]:
        if uri not in self.uris:
            raise ResourceNotWatched("there is no such resource", uri)
        self.watched.setdefault(uri, []).append(on_change)
        return lambda: self.watched[uri].remove(on_change)

    def is_visible(self, uri: str, may_use: Callable[[Any], bool]) -> bool:
        return may_use(uri)

    def change(self, uri: str) -> None:
        for on_change in self.watched[uri]:
            on_change()

    def on_change(self, callback: Callable[[], None]) -> None:
        self.changed.append(callback)

    def listed(self) -> list[dict[str, str]]:
        return [{"uri": uri} for uri in self.uris]


@pytest.fixture
def watched() -> tuple[Resources, ResourceWatches, list[tuple[str, set[Any]]], Clock]:
    resources, clock, announced = Resources(), Clock(), cast("list[tuple[str, set[Any]]]", [])
    watches = ResourceWatches(
        cast("Any", resources), lambda uri, who: announced.append((uri, set(who))), clock.schedule
    )
    return resources, watches, announced, clock


def test_each_resource_has_an_interval_and_one_watch_of_its_own(watched: Any) -> None:
    resources, watches, announced, _ = watched
    watches.add("a", 1)
    watches.add("a", 2)
    watches.add("b", 2)
    assert [len(watching) for watching in resources.watched.values()] == [1, 1]
    resources.change("a")
    resources.change("b")
    assert announced == [("a", {1, 2}), ("b", {2})]


def test_a_resource_that_a_caller_may_not_read_is_not_watched_for_it(watched: Any) -> None:
    resources, watches, announced, _ = watched
    watches.add("a", 1)
    with pytest.raises(ResourceNotWatched, match="there is no resource"):
        watches.add("a", 2, lambda uri: False)
    resources.change("a")
    assert announced == [("a", {1})]


def test_the_last_subscriber_ends_the_watch(watched: Any) -> None:
    resources, watches, announced, clock = watched
    watches.add("a", 1)
    watches.add("a", 2)
    resources.change("a")
    resources.change("a")
    assert watches.remove("a", 1)
    assert not watches.remove("a", 1)
    assert not watches.remove("b", 1)
    assert resources.watched["a"]
    watches.remove_subscriber(2)
    assert not resources.watched["a"]
    clock.pass_interval()
    assert len(announced) == 1


def test_a_resource_that_goes_and_comes_back_is_announced_each_time(watched: Any) -> None:
    resources, watches, announced, clock = watched
    watches.add("a", 1)
    for uris, total in ((["a"], 0), ([], 1), ([], 1), (["a"], 2), (["a"], 2)):
        resources.uris = uris
        watches.renew()
        clock.pass_interval()
        assert len(announced) == total
    resources.change("a")
    assert len(announced) == 3


def test_the_list_is_announced_only_where_it_is_known_and_has_changed() -> None:
    resources, clock, announced = Resources(), Clock(), []
    changes = ResourceListChanges(cast("Any", resources), lambda: announced.append(1), clock.schedule)
    (changed,) = resources.changed

    def change(*uris: str) -> int:
        resources.uris = list(uris)
        changed()
        clock.pass_interval()
        return len(announced)

    assert change("a") == 0
    changes.note_listed()
    assert change("a") == 0
    assert change("a", "b") == 1
    resources.uris = ["c"]
    changes.note_listed()
    assert change("c") == 2


def test_a_session_may_watch_so_many_resources_and_others_are_not_counted(
    watched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources, watches, _, _ = watched
    monkeypatch.setattr(module, "MAX_WATCHED", 2)
    resources.uris = ["a", "b", "c"]
    watches.add("a", "other")
    for uri in ("a", "b", "a"):
        watches.add(uri, "own")
    with pytest.raises(ResourceNotWatched, match=r"2 resources are watched already. Unsubscribe from one of them"):
        watches.add("c", "own")
    watches.add("c", "other")
    watches.remove("b", "own")
    watches.add("c", "own")


def test_a_subscription_gets_the_resources_that_can_be_watched(watched: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    _, watches, _, _ = watched
    assert watchable(watches, ["a", "x", "b"], 1) == ["a", "b"]
    assert caplog.messages == ["a subscription leaves out a resource: there is no such resource"]
    assert watchable(watches, ["a"], 2, lambda uri: False) == []


def test_a_resource_that_cannot_be_watched_is_not_kept(watched: Any) -> None:
    resources, watches, announced, _ = watched
    with pytest.raises(ResourceNotWatched):
        watches.add("x", 1)
    assert not watches.remove("x", 1)
    resources.uris.append("x")
    watches.add("x", 1)
    resources.change("x")
    assert announced == [("x", {1})]


def test_the_end_ends_every_watch_and_what_is_pending(watched: Any) -> None:
    resources, watches, announced, clock = watched
    for uri in ("a", "b"):
        watches.add(uri, 1)
        resources.change(uri)
        resources.change(uri)
    watches.close()
    assert resources.watched == {"a": [], "b": []}
    assert clock.timers == []
    assert not watches.remove("a", 1)
    assert len(announced) == 2


def test_a_change_between_two_subscribers_is_announced_to_those_that_are_there(watched: Any) -> None:
    resources, watches, announced, clock = watched
    watches.add("a", 1)
    resources.change("a")
    resources.change("a")
    watches.add("a", 2)
    watches.remove("a", 1)
    clock.pass_interval()
    assert announced == [("a", {1}), ("a", {2})]
