"""The panel Draft: each source of a draft, the draft, and what is done with it."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from nicegui import ui
from nicegui.elements.upload_files import SmallFileUpload
from nicegui.testing import User

from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.errors import StudioRefused
from utcp_ws_mcp.recorder.messages import Mark, RecordedMessage
from utcp_ws_mcp.studio.drafting import Drafted
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession, Topic
from utcp_ws_mcp.studio.ui.editor import EditorSupport
from utcp_ws_mcp.studio.ui.panels import draft as module

from ..pages import Site, click, dialog_of, field, settle, shown, texts, trigger, until

URL = "wss://a.example/"
DRAFT = {"name": "a", "url": URL, "tools": [{"name": "get"}]}
DRAFTED = Drafted("2 messages", json.dumps(DRAFT), ("Set KEY.", "Made from 2 messages."))


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REDRAFT_SECONDS", 0.001)


async def open_panel(site: Site, drafted: Drafted | None = None, text: str = "") -> tuple[User, StudioSession]:
    session = StudioSession(StudioOptions(environ={"KEY": "x"}), drafted=drafted)
    session.manifest.text = text or session.manifest.text
    return await site.panel(session, module.build), session


def buttons(user: User) -> list[bool]:
    """Return whether the draft can be added to the manifest, and whether it can replace it."""
    return [
        each.enabled for text in ("Add its tools to", "Use as the manifest") for each in shown(user, ui.button, text)
    ]


async def test_without_a_draft_nothing_can_be_done_with_it(site: Site) -> None:
    user, _ = await open_panel(site)
    (source,) = shown(user, ui.label, "There is no draft yet.")
    assert (source.props["role"], buttons(user)) == ("status", [False, False])
    (draft,), (support,) = shown(user, ui.codemirror), shown(user, EditorSupport)
    assert (draft.value, support.props["label"], support.props["readonly"]) == ("", "Draft", True)


async def test_the_draft_of_the_session_is_shown_with_its_notes(site: Site) -> None:
    user, _ = await open_panel(site, DRAFTED)
    assert {"Draft from 2 messages", *DRAFTED.notes} <= texts(user)
    (draft,) = shown(user, ui.codemirror)
    assert (draft.value, draft.line_wrapping, buttons(user)) == (DRAFTED.text, True, [True, True])


async def test_a_conversation_becomes_a_draft_which_follows_the_marks_of_its_messages(site: Site) -> None:
    user, session = await open_panel(site)
    messages = (
        RecordedMessage(sent=True, value={"id": 1, "op": "get"}),
        RecordedMessage(sent=False, value={"id": 1, "got": "it"}),
    )
    session.conversation.load({"url": URL}, parse_url(URL), messages, [])
    click(user, "Draft from the conversation")
    await until(lambda: "Draft from 2 messages" in texts(user))
    assert json.loads(shown(user, ui.codemirror)[0].value)["url"] == URL
    before = session.drafted
    session.conversation.mark(0, Mark.IGNORED)
    session.announce(Topic.CONVERSATION)
    await until(lambda: session.drafted is not before)
    await until(lambda: session.drafted and shown(user, ui.codemirror)[0].value == session.drafted.text)


async def test_a_draft_of_something_else_does_not_follow_the_marks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts: list[str] = []

    async def draft_conversation(_: Any) -> Drafted:
        drafts.append("conversation")
        return DRAFTED

    monkeypatch.setattr(module, "draft_conversation", draft_conversation)
    _, session = await open_panel(site, DRAFTED)
    for is_of_conversation in (False, True):
        session.drafted = Drafted("x", "{}", (), is_of_conversation=is_of_conversation)
        session.announce(Topic.CONVERSATION)
        if not is_of_conversation:
            await settle()
            assert drafts == []
    await until(lambda: drafts)
    await settle()
    assert drafts == ["conversation"]


async def test_what_cannot_be_drafted_is_reported_and_the_draft_before_stays(site: Site) -> None:
    user, session = await open_panel(site, DRAFTED)
    click(user, "Draft from the conversation")
    await until(lambda: site.notified.kinds)
    ((text, kind),) = site.notified.kinds
    assert ("there is no conversation yet" in text, kind) == (True, "negative")
    await until(lambda: "Draft from 2 messages" in texts(user))
    assert session.drafted is DRAFTED


@pytest.mark.parametrize("way", ["button", "key"])
async def test_an_address_is_imported_with_the_variables_of_the_session(
    site: Site, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    asked: list[Any] = []
    goes_on = anyio.Event()

    async def draft_from_address(*given: Any) -> Drafted:
        asked.append(given)
        await goes_on.wait()
        return DRAFTED

    monkeypatch.setattr(module, "draft_from_address", draft_from_address)
    user, session = await open_panel(site)
    address = await field(user, "or from a description at a URL")
    assert address.props["spellcheck"] == "false"
    for value in ("", "https://a.example/api.json"):
        address.value = value
        if way == "key":
            trigger(user, address, "keydown.enter")
        else:
            click(user, "Import")
        await settle()
    await until(lambda: asked)
    assert asked == [("https://a.example/api.json", {"KEY": "x"})]
    assert "drafting …" in texts(user)
    goes_on.set()
    await until(lambda: "Draft from 2 messages" in texts(user))
    assert session.drafted is DRAFTED


OPENRPC = {
    "openrpc": "1.2.6",
    "info": {"title": "Calc", "version": "1"},
    "servers": [{"url": URL}],
    "methods": [{"name": "add", "params": [], "result": {"name": "sum", "schema": {}}}],
}


async def test_a_text_is_imported(site: Site) -> None:
    user, session = await open_panel(site)
    click(user, "Import the text")
    await settle()
    assert (session.drafted, site.notified.kinds) == (None, [])
    (await field(user, "or its text")).value = json.dumps(OPENRPC)
    click(user, "Import the text")
    await until(lambda: session.drafted is not None)
    assert '"add"' in shown(user, ui.codemirror)[0].value


def upload_of(user: User) -> Any:
    assert user.client is not None
    (upload,) = (each for each in user.client.elements.values() if isinstance(each, ui.upload))
    return upload


async def upload(user: User, content: bytes) -> None:
    await upload_of(user).handle_uploads([SmallFileUpload("api.json", "application/json", content)])


async def test_a_file_is_imported_even_with_a_mark_of_its_encoding(site: Site) -> None:
    user, session = await open_panel(site)
    await upload(user, b"\xef\xbb\xbf" + json.dumps(OPENRPC).encode())
    await until(lambda: session.drafted is not None)
    assert '"add"' in shown(user, ui.codemirror)[0].value
    await upload(user, b"{}")
    await until(lambda: site.notified.kinds)
    assert "api.json" in site.notified.kinds[0][0]


async def test_a_file_that_is_no_text_or_too_large_is_refused(site: Site) -> None:
    user, session = await open_panel(site)
    await upload(user, b"\xff\xfe")
    await until(lambda: site.notified.kinds)
    trigger(user, upload_of(user), "rejected")
    assert site.notified.kinds == [
        ("api.json is not UTF-8 text.", "negative"),
        ("This file is too large.", "negative"),
    ]
    assert session.drafted is None


async def test_a_file_is_chosen_with_a_button_that_has_a_name(site: Site) -> None:
    user, _ = await open_panel(site)
    asked: list[str] = []
    element = upload_of(user)
    element.run_method = asked.append
    click(user, "Choose a description or a HAR file …")
    assert (asked, "hidden" in element.classes) == (["pickFiles"], True)
    assert (element.props["auto-upload"], element.props["max-file-size"]) == (True, module.MAX_SOURCE_BYTES)


async def test_a_draft_becomes_the_manifest_at_once_if_nothing_is_lost(site: Site) -> None:
    user, session = await open_panel(site, DRAFTED)
    click(user, "Use as the manifest")
    assert (session.manifest.text, site.opened, dialog_of(user).value) == (DRAFTED.text, ["manifest"], False)


async def test_a_manifest_that_is_not_saved_is_replaced_only_after_a_question(site: Site) -> None:
    user, session = await open_panel(site, DRAFTED, '{"name": "mine"}')
    click(user, "Use as the manifest")
    dialog = dialog_of(user)
    assert (session.manifest.text, site.opened, dialog.value) == ('{"name": "mine"}', [], True)
    assert dialog.props["aria-label"] == "Replace the manifest"
    assert shown(user, ui.label, "The manifest has changes that are not saved. Replace them with the draft?")
    click(user, "Cancel", dialog)
    assert (session.manifest.text, dialog.value) == ('{"name": "mine"}', False)
    click(user, "Use as the manifest")
    click(user, "Replace", dialog)
    assert (session.manifest.text, site.opened, dialog.value) == (DRAFTED.text, ["manifest"], False)


async def test_its_tools_are_added_to_the_manifest(site: Site) -> None:
    user, session = await open_panel(site, DRAFTED, json.dumps({"name": "m", "url": URL, "tools": [{"name": "put"}]}))
    click(user, "Add its tools to the manifest")
    names = [each["name"] for each in json.loads(session.manifest.text)["tools"]]
    assert (names, site.opened, site.notified.kinds) == (["put", "get"], ["manifest"], [("Added: get.", "positive")])


async def test_tools_that_cannot_be_added_leave_the_manifest_as_it_is(site: Site) -> None:
    user, session = await open_panel(site, DRAFTED, "{")
    click(user, "Add its tools to the manifest")
    refused = str(StudioRefused("nothing is added: the manifest is no JSON. Correct it first."))
    assert (site.notified.kinds, session.manifest.text, site.opened) == ([(refused, "negative")], "{", [])


async def test_nothing_happens_without_a_draft(site: Site) -> None:
    user, session = await open_panel(site)
    assert user.client is not None
    for text in ("Add its tools to the manifest", "Use as the manifest"):
        click(user, text)
    click(user, "Replace", dialog_of(user))
    assert (site.opened, site.notified.kinds, session.manifest.is_new) == ([], [], True)
