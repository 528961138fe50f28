"""An outage is one warning, however many feeds and attempts notice it, and one more when it is over."""

from __future__ import annotations

import json

import pytest

from utcp_ws_mcp.observability import events
from utcp_ws_mcp.observability.events import DiscoveryFailed, DiscoverySucceeded, Event, OutageEnded
from utcp_ws_mcp.observability.feed_events import FeedClosed, FeedInterrupted, FeedOpened
from utcp_ws_mcp.observability.logging import configure_logging, log_observer
from utcp_ws_mcp.observability.outages import Outages


def lost(feed: str, manual: str = "m") -> FeedInterrupted:
    return FeedInterrupted(f"{manual}.{feed}", "{}", "refused", "connect-failed", 0.0, 1.0, manual, unreachable=True)


def refused(feed: str) -> FeedInterrupted:
    return FeedInterrupted(f"m.{feed}", "{}", "no such symbol", "tool-error", 0.0, 1.0, "m", unreachable=False)


def opened(feed: str) -> FeedOpened:
    return FeedOpened(f"m.{feed}", "{}", 0.1, reconnected=True)


def closed(feed: str) -> FeedClosed:
    return FeedClosed(f"m.{feed}", "{}", "it is no longer read")


UNDISCOVERED = DiscoveryFailed("m", "refused", 1.0, unreachable=True)
INVALID = DiscoveryFailed("m", "no manual", 1.0, unreachable=False)
DISCOVERED = DiscoverySucceeded("m", 3)
BACK = "m works again after"


@pytest.mark.parametrize(
    ("happened", "warned"),
    [
        pytest.param([lost("a"), lost("a"), lost("b")], ["feed m.a"], id="attempts and feeds"),
        pytest.param([lost("a"), UNDISCOVERED], ["feed m.a"], id="discovery takes part"),
        pytest.param([lost("a"), lost("a", "n")], ["feed m.a", "feed n.a"], id="two endpoints"),
        pytest.param([lost("a"), lost("b"), opened("a")], ["feed m.a"], id="not over before the last feed is back"),
        pytest.param([lost("a"), lost("b"), opened("a"), opened("b")], ["feed m.a", BACK], id="over"),
        pytest.param([UNDISCOVERED, DISCOVERED], ["m: discovery failed", BACK], id="discovered"),
        pytest.param([lost("a"), opened("a"), lost("a")], ["feed m.a", BACK, "feed m.a"], id="another outage"),
        pytest.param([lost("a"), closed("a"), opened("a")], ["feed m.a"], id="a closed feed is no outage"),
        pytest.param([lost("a"), closed("a"), lost("b")], ["feed m.a", "feed m.b"], id="nor hides the next one"),
        pytest.param([lost("a"), refused("b")], ["feed m.a", "feed m.b"], id="a refused feed is an outage of its own"),
        pytest.param(
            [refused("a"), refused("a"), opened("a")], ["feed m.a", "feed m.a {} works again"], id="a refused feed"
        ),
        pytest.param([lost("a"), refused("a"), opened("a")], ["feed m.a", "feed m.a", "feed m.a"], id="another reason"),
        pytest.param([INVALID, INVALID, lost("a")], ["m: discovery failed", "feed m.a"], id="an invalid manual"),
        pytest.param([opened("a"), DISCOVERED, closed("a")], [], id="nothing failed"),
    ],
)
def test_an_outage_is_one_warning_and_its_end_is_another(
    capsys: pytest.CaptureFixture[str], happened: list[Event], warned: list[str]
) -> None:
    configure_logging("info", as_json=True)
    observe = log_observer(str)
    for event in happened:
        observe(event)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    warnings = [line["message"] for line in lines if line["level"] == "warning"]
    assert len(warnings) == len(warned)
    assert all(text.startswith(start) for text, start in zip(warnings, warned, strict=True)), warnings
    assert len(lines) == len(happened) + sum("works again" in text for text in warnings)


def test_the_end_of_an_outage_says_how_long_it_was() -> None:
    times = iter([10.0, 15.0])
    outages = Outages(lambda: next(times))
    outages.note(lost("a"))
    assert outages.note(opened("a")).ended == OutageEnded("m", 5.0)


def test_other_events_are_no_outage() -> None:
    assert Outages().note(events.WarningIssued("x")).ended is None
