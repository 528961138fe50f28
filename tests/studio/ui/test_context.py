"""What a panel gets from its page: changes as long as the page is open, and short messages."""

from __future__ import annotations

from nicegui import ui

from utcp_ws_mcp.errors import StudioRefused
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession, Topic

from ..pages import Site, shown, until


async def test_a_topic_is_shown_in_the_page_until_it_is_closed(site: Site) -> None:
    session = StudioSession(StudioOptions())
    user = await site.panel(session, lambda context: context.listen(Topic.TOOLS, lambda: ui.label("tools") and None))
    session.announce(Topic.DRAFT)
    assert not shown(user, ui.label, "tools")
    session.announce(Topic.TOOLS)
    assert len(shown(user, ui.label, "tools")) == 1
    assert user.client is not None
    user.client.delete()
    session.announce(Topic.TOOLS)
    assert len(shown(user, ui.label, "tools")) == 0


async def test_a_panel_is_called_each_time_that_it_is_opened_and_now_if_it_is_open(site: Site) -> None:
    session = StudioSession(StudioOptions(), panel="tools")
    user = await site.panel(session, lambda context: context.on_open("tools", lambda: ui.label("opened") and None))
    await until(lambda: len(shown(user, ui.label, "opened")) == 1)
    session.open_panel("draft")
    session.open_panel("tools")
    await until(lambda: len(shown(user, ui.label, "opened")) == 2)
    assert user.client is not None
    user.client.delete()
    session.open_panel("tools")
    assert session._listeners[Topic.PANEL] == []


async def test_a_panel_that_is_not_open_waits_and_may_take_its_time(site: Site) -> None:
    async def show() -> None:
        ui.label("opened")

    session = StudioSession(StudioOptions(), panel="connect")
    user = await site.panel(session, lambda context: context.on_open("tools", show))
    session.open_panel("draft")
    session.open_panel("tools")
    await until(lambda: shown(user, ui.label, "opened"))
    assert len(shown(user, ui.label, "opened")) == 1


async def test_messages_have_a_kind_and_show_what_is_invisible(site: Site) -> None:
    await site.panel(StudioSession(StudioOptions()), lambda context: None)
    site.context.say("done\u200b")
    site.context.say("saved", "positive")
    site.context.report(StudioRefused("no."))
    assert site.notified.kinds == [
        ("done\\u200b", "info"),
        ("saved", "positive"),
        (str(StudioRefused("no.")), "negative"),
    ]
