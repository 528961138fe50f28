"""The frame of the page: its name, its tabs, what it says of a bug, and the sessions of its tabs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from nicegui import ui

from utcp_ws_mcp.studio import live_bridge
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession, Topic
from utcp_ws_mcp.studio.ui import messages
from utcp_ws_mcp.studio.ui import page as module
from utcp_ws_mcp.studio.ui.panels import draft, endpoints, manifest

from ..pages import Site, settle, shown, until


async def test_the_page_has_a_tab_for_each_panel_and_opens_that_of_the_session(site: Site) -> None:
    session = StudioSession(StudioOptions(), panel="install")
    opened: list[str] = []
    session.listen(Topic.PANEL, lambda: opened.append(session.panel))
    user = await site.open(lambda: module.build_page(session))
    tabs = {each.props["name"]: (each.props["label"], each.props["icon"]) for each in shown(user, ui.tab)}
    assert tabs == {panel.name: (panel.label, panel.icon) for panel in module.PANELS}
    (panels,) = shown(user, ui.tab_panels)
    assert panels.value == "install"
    headings = [each.text for each in shown(user, ui.label) if each.props.get("aria-level") == "2"]
    assert len(headings) == len(module.PANELS) + 1  # each has one; Manifest has one more, in its dialog
    (around,) = shown(user, ui.tabs)
    around.value = "tools"
    assert (session.panel, opened, panels.value) == ("tools", ["tools"], "tools")
    session.set_text("[")
    await until(lambda: shown(user, ui.button, "Open the manifest"))


async def test_the_name_says_whether_something_is_not_saved_and_so_does_the_browser(site: Site, tmp_path: Path) -> None:
    session = StudioSession(StudioOptions())
    run: list[str] = []

    def draw() -> None:
        ui.context.client.run_javascript = lambda code, **_: run.append(code)  # type: ignore[assignment, method-assign]
        module.build_page(session)

    user = await site.open(draw)
    (title,) = (each for each in shown(user, ui.label) if each.props.get("aria-level") == "1")
    assert (title.text, title.props["role"]) == ("utcp-ws-mcp studio", "heading")
    (name,) = (each for each in shown(user, ui.label) if "studio-name" in each.classes)
    assert (name.text, run[-1]) == ("new manifest", "window.studioIsUnsaved = false")
    session.set_text('{"name": "x"}')
    assert (name.text, run[-1]) == ("new manifest (not saved)", "window.studioIsUnsaved = true")
    session.save(tmp_path / "x.json")
    assert (name.text, run[-1]) == ("x.json", "window.studioIsUnsaved = false")
    (link,) = (each for each in shown(user, ui.element) if isinstance(each, ui.skip_link))
    assert link is not None


async def test_a_bug_is_said_with_its_class_and_without_its_message(site: Site) -> None:
    user = await site.open(lambda: module.build_page(StudioSession(StudioOptions())))
    await settle()
    assert user.client is not None
    user.client.handle_exception(KeyError("a secret"))
    await until(lambda: site.notified.kinds)
    text = "This did not work because of a bug (KeyError); the terminal has the details. [internal-error]"
    assert site.notified.kinds == [(text, "negative")]


async def test_all_controls_of_the_page_look_alike_and_fit_a_narrow_window(site: Site) -> None:
    user = await site.open(lambda: module.build_page(StudioSession(StudioOptions())))
    assert user.client is not None
    elements = list(user.client.elements.values())
    fields = [each for each in elements if isinstance(each, ui.input | ui.textarea | ui.select)]
    assert [each.props["label"] for each in fields if not {"outlined", "dense"} <= set(each.props)] == []
    widths = {"studio-grow", "w-full", "max-w-full"}
    assert [each.props["label"] for each in fields if not widths & set(each.classes)] == []
    texts = [each.props["label"] for each in fields if each.props.get("spellcheck") != "false"]
    assert set(texts) == {"Filter", "Tool", "Endpoint of the plots", "Feed", "Host"}
    buttons = [each for each in elements if isinstance(each, ui.button)]
    assert [each.text for each in buttons if "no-caps" not in each.props] == []
    (tabs,) = (each for each in elements if isinstance(each, ui.tabs))
    assert {"dense", "no-caps", "inline-label"} <= set(tabs.props)
    assert [each.text for each in elements if isinstance(each, ui.expansion)] == [
        "Headers and subprotocol",
        "From a file, such as a HAR of a browser, or from text",
    ]


async def test_screen_readers_find_what_changes_on_the_page(site: Site) -> None:
    user = await site.open(lambda: module.build_page(StudioSession(StudioOptions())))
    assert user.client is not None
    roles = Counter(str(each.props["role"]) for each in user.client.elements.values() if "role" in each.props)
    assert roles == {
        "heading": 10, "status": 8, "alert": 6, "region": 3, "img": 3, "group": 1, "log": 1, "note": 1
    }  # fmt: skip
    politely = [each for each in user.client.elements.values() if each.props.get("aria-live") == "polite"]
    assert len(politely) == 3  # the chosen message, in two panels, and the outcome of a call


def test_what_changes_is_shown_soon() -> None:
    at_once, soon = 0.25, 0.5  # what a person takes for the same moment, and for a short wait
    assert max(messages.REFRESH_SECONDS, endpoints.EVENTS_REFRESH_SECONDS) <= at_once
    assert max(manifest.CHECK_SECONDS, draft.REDRAFT_SECONDS) <= soon
    assert max(messages.CLASSIFY_SECONDS, endpoints.REFRESH_SECONDS, live_bridge.SAMPLE_SECONDS) <= 1
    assert manifest.WATCH_SECONDS <= 2
