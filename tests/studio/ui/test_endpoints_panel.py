"""The panel Endpoints and feeds: the state of each, the plots, and the events of a feed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nicegui import ui
from nicegui.testing import User

from utcp_ws_mcp.errors import BridgeError
from utcp_ws_mcp.observability.metrics import CALL_COUNT, CALL_DURATION, CONNECTIONS_LOST, FEED_GAPS, MESSAGES_SENT
from utcp_ws_mcp.studio.followed_feed import FeedRow
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession, Topic
from utcp_ws_mcp.studio.ui.panels import endpoints as module

from ...peer import Peer, peer
from ..pages import Site, click, close, field, shown, until

FEED = {
    "name": "ticks",
    "description": "Ticks.",
    "match": "message.tick is defined",
    "item": "message.tick",
    "inputs": {"type": "object", "properties": {"coin": {"type": "string"}}, "required": ["coin"]},
    "open": [{"send": {"follow": "{{ args.coin }}"}}],
}
TOOL = {"name": "get", "tool_call_template": {"message": {"op": "get"}, "reply": {"result": "message.got"}}}


async def answer(_: Peer, connection: Any, message: Any) -> None:
    if "follow" in message:
        for number in (1, 2, 3):
            await connection.send(json.dumps({"tick": {"n": number, "of": message["follow"]}}))
    else:
        await connection.send(json.dumps({"got": "it"}))


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.001)
    monkeypatch.setattr(module, "EVENTS_REFRESH_SECONDS", 0.001)


@asynccontextmanager
async def opened(site: Site, *, panel: str = "endpoints", **template: Any) -> AsyncIterator[tuple[User, StudioSession]]:
    async with peer(answer) as seen:
        session = StudioSession(StudioOptions(), panel=panel)
        manifest = {"name": "m", "url": seen.url, "tools": [TOOL], **template}
        session.set_text(json.dumps(manifest))
        user = await site.panel(session, module.build)
        if panel == "endpoints":
            await until(lambda: session.live.is_open)
        yield user, session
        close(user)
        await session.close()
        await until(lambda: not session.live.is_open)


def cells(user: User, title: str) -> list[str]:
    """Return the cells of a table, row by row."""
    (region,) = (each for each in shown(user, ui.element) if each.props.get("aria-label") == title)
    return [each.text for each in region.descendants() if isinstance(each, ui.label)]


def chart(user: User, title: str) -> Any:
    assert user.client is not None
    charts = [each for each in user.client.elements.values() if isinstance(each, ui.echart)]
    (found,) = (each for each in charts if each.options["title"]["text"] == title)
    return found


def series(user: User, title: str) -> dict[str, float]:
    """Return the newest value of each line of a plot."""
    return {each["name"]: each["data"][-1] for each in chart(user, title).options["series"]}


ENDPOINT_HEADINGS = [heading for _, heading in module.ENDPOINT_COLUMNS]
FEED_HEADINGS = [heading for _, heading in module.FEED_COLUMNS]


async def test_an_endpoint_is_shown_with_its_numbers_which_grow(site: Site) -> None:
    async with opened(site) as (user, session):
        await until(lambda: len(cells(user, "Endpoints")) > len(ENDPOINT_HEADINGS))
        idle = ["m", "idle", "0", "0", "0", "0", "0", "0", ""]
        assert cells(user, "Endpoints") == [*ENDPOINT_HEADINGS, *idle]
        (content,) = {each.parent_slot.parent for each in shown(user, ui.select, "Endpoint of the plots")}
        assert content.visible
        await session.live.bridge.call_tool("m.get", {})
        await until(lambda: cells(user, "Endpoints")[10:13] == ["connected", "1", "0"])
        numbers = session.live.numbers
        for seconds in (0.5, 0.3, 0.4):
            numbers.record(CALL_DURATION, ("m.get",), seconds)
        numbers.record(CALL_COUNT, ("m.get", "CallTimeout"), 1)
        numbers.record(CONNECTIONS_LOST, ("m",), 2)
        numbers.record(MESSAGES_SENT, ("m",), 4)
        await until(lambda: cells(user, "Endpoints")[13:16] == ["2", "5", "1"])
        calls = cells(user, "Endpoints")[16]
        assert calls == "4, median 400.0 ms, 1 failed"
        session.live.numbers.sample()
        await until(lambda: series(user, "Messages in each second") == {"sent": 5.0, "received": 1.0})
        assert (
            chart(user, "Messages in each second").props["aria-label"].endswith("sent 5 messages, received 1 messages")
        )
        assert series(user, "Duration of the last calls in ms") == {"m.get": 400.0}


async def test_an_endpoint_that_cannot_be_reached_says_why(site: Site) -> None:
    async with opened(site, url="ws://localhost:1/") as (user, session):
        with pytest.raises(BridgeError):
            await session.live.bridge.call_tool("m.get", {})
        await until(lambda: "failing" in cells(user, "Endpoints"))
        assert "localhost:1" in cells(user, "Endpoints")[-1]


async def test_the_plots_are_of_the_chosen_endpoint_which_stays_while_it_is_there(site: Site) -> None:
    async with opened(site) as (user, session):
        one = json.loads(session.manifest.text)
        choice = await field(user, "Endpoint of the plots")
        await until(lambda: choice.options == {"m": "m"})
        assert choice.value == "m"
        two = [one, {**one, "name": "n"}]
        session.set_text(json.dumps(two))
        session.open_panel("endpoints")
        await until(lambda: list(choice.options) == ["m", "n"])
        assert choice.value == "m"
        choice.value = "n"
        await session.live.bridge.call_tool("n.get", {})
        session.live.numbers.sample()
        await until(lambda: series(user, "Messages in each second")["sent"] == 1.0)
        await until(lambda: list(series(user, "Duration of the last calls in ms")) == ["n.get"])
        choice.value = "m"
        await until(lambda: series(user, "Messages in each second")["sent"] == 0.0)
        assert series(user, "Duration of the last calls in ms") == {}
        session.set_text(json.dumps(two[1:]))
        session.open_panel("endpoints")
        await until(lambda: list(choice.options) == ["n"])
        assert choice.value == "n"


async def test_without_feeds_only_endpoints_are_shown(site: Site) -> None:
    async with opened(site) as (user, _):
        await until(lambda: len(cells(user, "Endpoints")) > len(ENDPOINT_HEADINGS))
        assert cells(user, "Feeds") == FEED_HEADINGS
        (part,) = {each.parent_slot.parent for each in shown(user, ui.select, "Feed")}
        assert part.visible is False


async def test_a_manifest_that_cannot_be_served_says_why_and_nothing_is_shown(site: Site) -> None:
    session = StudioSession(StudioOptions(), panel="endpoints")
    user = await site.panel(session, module.build)
    await until(lambda: shown(user, ui.label, "The manifest is empty."))
    (problem,) = shown(user, ui.label, "The manifest is empty.")
    (content,) = {each.parent_slot.parent for each in shown(user, ui.select, "Endpoint of the plots")}
    assert (problem.props["role"], problem.visible, content.visible) == ("alert", True, False)


async def test_nothing_is_refreshed_while_another_panel_is_open(site: Site) -> None:
    async with opened(site) as (user, session):
        await until(lambda: len(cells(user, "Endpoints")) > len(ENDPOINT_HEADINGS))
        session.panel = "tools"
        await session.live.bridge.call_tool("m.get", {})
        for _ in range(3):
            await session.live.bridge.call_tool("m.get", {})
        assert cells(user, "Endpoints")[10] == "idle"
        session.announce(Topic.TOOLS)
        assert cells(user, "Endpoints")[10] == "connected"


async def start_following(user: User, coin: str) -> None:
    coin_field = await field(user, "coin (required)")
    coin_field.value = coin
    click(user, "Follow")


async def test_the_events_of_a_feed_appear_as_they_come_the_newest_first(site: Site) -> None:
    async with opened(site, feeds=[FEED]) as (user, session):
        await until(lambda: len(cells(user, "Feeds")) > len(FEED_HEADINGS))
        assert cells(user, "Feeds")[6:] == ["m.ticks", "not followed", "0", "0", "0", "0"]
        feed = await field(user, "Feed")
        assert (feed.options, feed.value) == ({"m.ticks": "m.ticks"}, "m.ticks")
        buttons = [shown(user, ui.button, text)[0] for text in ("Follow", "Stop")]
        assert [each.enabled for each in buttons] == [True, False]
        await start_following(user, "btc")
        await until(lambda: [each.enabled for each in buttons] == [False, True])
        log = lambda: [each for each in shown(user, ui.label) if each.props.get("role") == "log"]  # noqa: E731
        await until(lambda: log() and len(log()[0].text.splitlines()) == 3)
        lines = [line.split("  ", 2) for line in log()[0].text.splitlines()]
        assert [line[1:] for line in lines] == [[str(n), f'{{"n": {n}, "of": "btc"}}'] for n in (3, 2, 1)]
        assert shown(user, ui.label, ", last event 3")
        await until(lambda: cells(user, "Feeds")[8:] == ["3", "0", "0", "1"])
        assert cells(user, "Feeds")[7] != "not followed"
        session.live.numbers.record(FEED_GAPS, ("m.ticks",), 2)
        session.live.numbers.sample()
        await until(lambda: series(user, "Events and gaps in each second") == {"events": 3.0, "gaps": 2.0})
        assert chart(user, "Events and gaps in each second").visible
        click(user, "Stop")
        await until(lambda: [each.enabled for each in buttons] == [True, False])
        assert shown(user, ui.label, "stopped, last event 3")
        assert session.typed_arguments["m.ticks_events"] == {"coin": "btc"}


async def test_a_feed_without_its_arguments_is_not_followed(site: Site) -> None:
    feed = {**FEED, "inputs": {"properties": {"count": {"type": "integer"}}, "required": ["count"]}, "open": []}
    feed["open"] = [{"send": {"follow": "{{ args.count }}"}}]
    async with opened(site, feeds=[feed]) as (user, _):
        count = await field(user, "count (required)")
        count.value = "many"
        click(user, "Follow")
        assert count.error
        (stop,) = shown(user, ui.button, "Stop")
        assert stop.enabled is False


async def test_the_form_has_only_the_arguments_of_the_feed(site: Site) -> None:
    async with opened(site, feeds=[FEED]) as (user, session):
        await field(user, "coin (required)")
        assert "cursor" in session.live.bridge.tools["m.ticks_events"].inputs["properties"]
        assert [each.props["label"] for each in shown(user, ui.input)] == ["coin (required)"]


async def test_a_feed_whose_endpoint_is_away_has_no_event_yet(site: Site) -> None:
    async with opened(site, feeds=[FEED], url="ws://localhost:1/") as (user, _):
        await start_following(user, "btc")
        await until(lambda: shown(user, ui.label, ", no event yet"))


async def test_another_feed_ends_the_one_that_was_followed(site: Site) -> None:
    other = {"name": "others", "match": "message.other is defined", "item": "message.other"}
    async with opened(site, feeds=[FEED, other]) as (user, session):
        await start_following(user, "btc")
        await until(lambda: shown(user, ui.label, ", last event 3"))
        (await field(user, "Feed")).value = "m.others"
        await until(lambda: shown(user, ui.label, "stopped, last event 3"))
        assert shown(user, ui.label, "No arguments are needed.")
        click(user, "Follow")
        await until(lambda: shown(user, ui.label, ", no event yet"))
        log = [each.text for each in shown(user, ui.label) if each.props.get("role") == "log"]
        assert log == []
        session.set_text(json.dumps({**json.loads(session.manifest.text), "feeds": [FEED]}))
        session.open_panel("endpoints")
        await until(lambda: list(shown(user, ui.select, "Feed")[0].options) == ["m.ticks"])
        assert shown(user, ui.select, "Feed")[0].value == "m.ticks"
        await field(user, "coin (required)")


async def test_a_feed_that_is_followed_again_begins_without_the_events_of_before(site: Site) -> None:
    async with opened(site, feeds=[FEED]) as (user, _):
        for coin in ("btc", "eth"):
            await start_following(user, coin)
            logged = lambda coin=coin: [  # noqa: E731
                each
                for each in shown(user, ui.label)
                if each.props.get("role") == "log" and each.text.count(f'"of": "{coin}"') == 3
            ]
            await until(logged)
            assert len(logged()[0].text.splitlines()) == 3


async def test_only_the_newest_events_are_shown_and_a_gap_says_after_which(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.SHOWN_EVENTS == 100
    monkeypatch.setattr(module, "SHOWN_EVENTS", 2)
    async with opened(site, feeds=[FEED]) as (user, _):
        await start_following(user, "btc")
        await until(lambda: shown(user, ui.label, ", last event 3"))
        (log,) = (each for each in shown(user, ui.label) if each.props.get("role") == "log")
        assert [line.split("  ")[1] for line in log.text.splitlines()] == ["3", "2"]
    assert module._event_line(FeedRow(7, "", "2 events are missing: lost", is_gap=True)) == (
        "gap after 7: 2 events are missing: lost"
    )


async def test_a_feed_ends_with_the_page_that_follows_it(site: Site) -> None:
    async with opened(site, feeds=[FEED]) as (user, session):
        await start_following(user, "btc")
        readers = lambda: [each["readers"] for each in session.live.feeds()[0]["open"]]  # noqa: E731
        await until(lambda: readers() == [1])
        close(user)
        await until(lambda: readers() == [0])


async def test_names_are_shown_without_invisible_characters(site: Site) -> None:
    numbers = StudioSession(StudioOptions()).live.numbers
    state = {"name": "n\u200b", "state": "failing", "problem": "why\u200b", "connections": 2, "waiting": 3}
    row = module._endpoint_row(state, numbers, ["n\u200b.get", "other.get"])
    assert row == {
        "name": "n\\u200b", "state": "failing", "problem": "why\\u200b", "connections": 2, "waiting": 3,
        "latency": "0", "lost": 0, "sent": 0, "received": 0,
    }  # fmt: skip
    assert module._endpoint_row({"name": "d", "state": "disabled"}, numbers, [])["connections"] == 0
    feed = {"name": "f\u200b", "open": [{"state": "live", "readers": 1}, {"state": "gap\u200b", "readers": 2}]}
    assert module._feed_row(feed, numbers) == {
        "name": "f\\u200b", "state": "live, gap\\u200b", "readers": 3, "events": 0, "gaps": 0, "interruptions": 0
    }  # fmt: skip


async def test_nothing_is_shown_before_the_panel_is_opened(site: Site) -> None:
    async with opened(site, panel="connect") as (user, session):
        (content,) = {each.parent_slot.parent for each in shown(user, ui.select, "Endpoint of the plots")}
        assert (content.visible, session.live.is_open) == (False, False)
        session.open_panel("endpoints")
        await until(lambda: content.visible)
