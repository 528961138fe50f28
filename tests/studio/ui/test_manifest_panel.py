"""The panel Manifest: the text, its file, its findings, and what is asked before something is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nicegui import ui
from nicegui.testing import User

from utcp_ws_mcp.studio.checking import Checked, check_text
from utcp_ws_mcp.studio.completion import describe
from utcp_ws_mcp.studio.manifest_text import ManifestText, OnDisk
from utcp_ws_mcp.studio.session import NEW_FILE, StudioOptions, StudioSession, Topic, open_session
from utcp_ws_mcp.studio.ui.editor import EditorSupport
from utcp_ws_mcp.studio.ui.panels import manifest as module

from ..pages import Site, click, dialog_of, field, shown, texts, trigger, until

MANIFEST = {"name": "m", "url": "wss://a.example/", "tools": []}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.001)
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.001)


def session_for(folder: Path, document: Any = MANIFEST) -> StudioSession:
    file = folder / "m.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return open_session(StudioOptions(file))


class Editor:
    """The editor of the page, with the marks that it shows."""

    def __init__(self, user: User) -> None:
        (self.area,) = shown(user, ui.codemirror)
        (self.support,) = shown(user, EditorSupport)
        self.marks: list[Any] = []
        self.revealed: list[int] = []
        self.area.run_method = lambda name, line: self.revealed.append(line)
        self.support.run_method = lambda name, length, marks: self.marks.append(marks)


@pytest.fixture
async def new(site: Site) -> tuple[User, StudioSession]:
    session = StudioSession(StudioOptions())
    return await site.panel(session, module.build), session


New = tuple[User, StudioSession]


async def test_a_new_manifest_says_how_to_begin(new: New) -> None:
    user, _ = new
    await until(lambda: shown(user, ui.label, "Nothing is written yet."))
    assert {"The manifest", "not saved yet"} <= texts(user)
    (help_,) = shown(user, ui.label, "Put the cursor on a field")
    assert help_.props["role"] == "note"


async def test_what_is_typed_is_the_manifest_and_is_checked(site: Site, tmp_path: Path) -> None:
    session = session_for(tmp_path)
    user = await site.panel(session, module.build)
    editor = Editor(user)
    assert (editor.area.value, session.manifest.text) == (json.dumps(MANIFEST), json.dumps(MANIFEST))
    assert str(tmp_path / "m.json") in texts(user)
    typed = json.dumps({**MANIFEST, "timeout": "soon", "heartbeat": 3}, indent=1)
    editor.area.value = typed
    assert session.manifest.text == typed
    await until(lambda: shown(user, ui.label, "2 errors"))
    (summary,) = shown(user, ui.label, "2 errors")
    assert (summary.props["role"], len(editor.marks[-1])) == ("status", 2)
    click(user, "Line 5")
    assert editor.revealed == [5]
    assert [each.text for each in shown(user, ui.button, "Line")] == ["Line 5", "Line 6"]
    assert any(each.startswith("error: timeout: ") for each in texts(user))
    editor.area.value = json.dumps({**MANIFEST, "tools": [{"name": "t", "description": "Do it."}]})
    await until(lambda: not shown(user, ui.label, "errors"))


async def test_without_findings_there_are_no_problems(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "check_text", lambda session: Checked([], ()))
    user = await site.panel(session_for(tmp_path), module.build)
    await until(lambda: shown(user, ui.label, "No problems."))


async def test_findings_that_stay_are_not_drawn_again(site: Site, tmp_path: Path) -> None:
    session = session_for(tmp_path, {**MANIFEST, "timeout": "soon"})
    user = await site.panel(session, module.build)
    await until(lambda: shown(user, ui.button, "Line 1"))
    (before,), editor = shown(user, ui.button, "Line 1"), Editor(user)
    session.set_variable("OTHER", "x")
    await until(lambda: editor.marks)
    assert shown(user, ui.button, "Line 1") == [before]


async def test_a_text_is_checked_once_until_it_or_a_variable_changes(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, watched = list[int](), list[int]()
    on_disk = ManifestText.on_disk

    def check(session: StudioSession) -> Checked:
        checks.append(1)
        return Checked([], ())

    def watch(manifest: ManifestText) -> OnDisk:
        watched.append(1)
        return on_disk(manifest)

    monkeypatch.setattr(module, "check_text", check)
    monkeypatch.setattr(ManifestText, "on_disk", watch)
    session = session_for(tmp_path)
    await site.panel(session, module.build)
    for count, change in (
        (1, lambda: None),
        (2, lambda: session.set_variable("K", "x")),
        (3, lambda: session.set_text("{}")),
    ):
        change()
        await until(lambda count=count: len(checks) == count)  # type: ignore[misc]
        before = len(watched)
        await until(lambda before=before: len(watched) > before + 5)  # type: ignore[misc]
        assert len(checks) == count


async def test_a_finding_explains_its_field_and_its_icon_is_not_read(site: Site, tmp_path: Path) -> None:
    session = session_for(tmp_path, {**MANIFEST, "timeout": "soon"})
    user = await site.panel(session, module.build)
    await until(lambda: shown(user, ui.button, "Line 1"))
    (icon,) = (each for each in shown(user, ui.icon) if each.props.get("name") == "error")
    assert icon.props["aria-hidden"] == "true"
    (finding,) = check_text(session).findings
    assert {str(finding), finding.description} <= texts(user)
    assert finding.description


async def test_a_variable_that_is_missing_gets_a_field_which_stays_when_it_is_set(site: Site, tmp_path: Path) -> None:
    session = session_for(tmp_path, {**MANIFEST, "headers": {"X-Key": "${KEY}"}})
    user = await site.panel(session, module.build)
    key = await field(user, "Value of KEY")
    await until(lambda: any(each.props["name"] == "key_off" for each in shown(user, ui.icon)))
    key.value = "s3cret"
    await until(lambda: all(each.props["name"] != "key_off" for each in shown(user, ui.icon)))
    assert await field(user, "Value of KEY") is key
    assert session.environ == {"KEY": "s3cret"}


async def test_the_field_at_the_cursor_is_described(site: Site, tmp_path: Path) -> None:
    session = session_for(tmp_path)
    user = await site.panel(session, module.build)
    editor, length = Editor(user), len(session.manifest.text)
    trigger(user, editor.support, "cursor", {"length": length, "offset": 18})
    await until(lambda: describe(["url"]) in texts(user))
    trigger(user, editor.support, "cursor", {"length": length, "offset": 0})
    await until(lambda: shown(user, ui.label, "Put the cursor on a field"))


async def test_a_text_that_comes_from_elsewhere_is_shown_and_checked(new: New) -> None:
    user, session = new
    editor = Editor(user)
    await until(lambda: editor.marks)
    session.set_text('{"name": 3}')
    assert editor.area.value == '{"name": 3}'
    await until(lambda: shown(user, ui.label, "error"))


async def test_it_is_saved_to_its_file(site: Site, tmp_path: Path) -> None:
    session = session_for(tmp_path)
    announced: list[str] = []
    session.listen(Topic.MANIFEST, lambda: announced.append("manifest"))
    user = await site.panel(session, module.build)
    Editor(user).area.value = "{}"
    click(user, "Save")
    assert (tmp_path / "m.json").read_text(encoding="utf-8") == "{}"
    assert site.notified.kinds == [(f"{tmp_path / 'm.json'} is saved.", "positive")]
    assert (len(announced), session.manifest.is_changed) == (2, False)
    trigger(user, Editor(user).area, "keybinding", {"key": "Mod-s"})
    assert len(site.notified.kinds) == 2


async def test_a_file_that_cannot_be_written_is_reported(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_for(tmp_path)
    user = await site.panel(session, module.build)
    Editor(user).area.value = "x" * 3_000_000
    click(user, "Save")
    ((text, kind),) = site.notified.kinds
    assert (kind, "is not saved" in text, session.manifest.is_changed) == ("negative", True, True)


def changed(file: Path) -> None:
    file.write_text('{"name": "other"}', encoding="utf-8")


CONFLICTS: list[tuple[Callable[[Path], None], str, bool]] = [
    (changed, "Another program changed m.json meanwhile. What you typed is still here.", True),
    (Path.unlink, "Another program removed m.json. What you typed is still here.", False),
]


@pytest.mark.parametrize(("happened", "text", "can_reload"), CONFLICTS, ids=["changed", "removed"])
async def test_a_file_that_another_program_changed_is_not_replaced_without_a_question(
    site: Site, tmp_path: Path, happened: Callable[[Path], None], text: str, can_reload: bool
) -> None:
    file, session = tmp_path / "m.json", session_for(tmp_path)
    user = await site.panel(session, module.build)
    (conflict,) = (
        each
        for each in user.client.elements.values()
        if "studio-box" in each.classes and each.props.get("role") == "alert"
    )  # type: ignore[union-attr]
    assert not conflict.visible
    Editor(user).area.value = "{}"
    happened(file)
    click(user, "Save")
    refused = ("Not saved: the file has changed. Choose what to do above the editor.", "warning")
    assert site.notified.kinds == [refused]
    assert (text in texts(user), conflict.visible) == (True, True)
    assert bool(shown(user, ui.button, "Reload the file")) is can_reload
    click(user, "Keep mine and save")
    assert (file.read_text(encoding="utf-8"), conflict.visible) == ("{}", False)
    assert site.notified.kinds[1:] == [(f"{file} is saved.", "positive")]


async def test_a_conflict_is_seen_while_one_types_and_the_file_can_be_loaded_again(site: Site, tmp_path: Path) -> None:
    file, session = tmp_path / "m.json", session_for(tmp_path)
    announced: list[str] = []
    user = await site.panel(session, module.build)
    Editor(user).area.value = "{}"
    session.listen(Topic.MANIFEST, lambda: announced.append("manifest"))
    changed(file)
    await until(lambda: shown(user, ui.label, "Another program changed m.json"))
    file.write_bytes(b"\xff")
    click(user, "Reload the file")
    ((_, kind),) = site.notified.kinds
    assert (kind, session.manifest.text, announced) == ("negative", "{}", [])
    changed(file)
    click(user, "Reload the file")
    assert (session.manifest.text, announced) == ('{"name": "other"}', ["manifest"])
    assert Editor(user).area.value == '{"name": "other"}'
    await until(lambda: not shown(user, ui.label, "Another program"))


async def test_a_file_that_changed_is_shown_at_once_if_nothing_was_typed(site: Site, tmp_path: Path) -> None:
    session = session_for(tmp_path)
    await site.panel(session, module.build)
    changed(tmp_path / "m.json")
    await until(lambda: site.notified.kinds)
    assert site.notified.kinds == [("m.json was changed by another program, and is shown as it is now.", "info")]
    assert session.manifest.text == '{"name": "other"}'


async def test_the_first_save_asks_for_a_file_and_suggests_one(
    new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, session = new
    monkeypatch.chdir(tmp_path)
    Editor(user).area.value = '{"name": "x"}'
    click(user, "Save")
    assert (dialog_of(user).value, dialog_of(user).props["aria-label"]) == (True, "Save the manifest as")
    (name,) = shown(user, ui.input, "File")
    assert (name.value, name.props["spellcheck"]) == (str(tmp_path / NEW_FILE), "false")
    click(user, "Save", dialog_of(user))
    assert (dialog_of(user).value, session.manifest.path) == (False, tmp_path / NEW_FILE)
    assert (tmp_path / NEW_FILE).read_text(encoding="utf-8") == '{"name": "x"}'
    assert str(tmp_path / NEW_FILE) in texts(user)


async def test_another_file_is_replaced_only_after_a_second_yes(site: Site, tmp_path: Path) -> None:
    session, other = session_for(tmp_path), tmp_path / "other.json"
    other.write_text("mine", encoding="utf-8")
    user = await site.panel(session, module.build)
    click(user, "Save as …")
    (name,) = shown(user, ui.input, "File")
    assert name.value == str(tmp_path / "m.json")
    name.value = f"  {other} "
    trigger(user, name, "keydown.enter")
    assert (dialog_of(user).value, other.read_text(encoding="utf-8")) == (True, "mine")
    (warning,) = shown(user, ui.label, "other.json exists already.")
    assert warning.props["role"] == "alert"
    name.value = str(tmp_path / "third.json")
    assert warning.text == ""
    name.value = str(other)
    click(user, "Save", dialog_of(user))
    click(user, "Replace it", dialog_of(user))
    assert (dialog_of(user).value, session.manifest.path) == (False, other)
    assert other.read_text(encoding="utf-8") == json.dumps(MANIFEST)
    click(user, "Save as …")
    assert ([each.text for each in shown(user, ui.button) if "Replace" in each.text], warning.text) == ([], "")
    click(user, "Cancel", dialog_of(user))
    assert dialog_of(user).value is False


async def test_an_empty_name_means_the_usual_file_and_a_tilde_the_home(
    new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, session = new
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    click(user, "Save as …")
    (name,) = shown(user, ui.input, "File")
    name.value = None
    click(user, "Save", dialog_of(user))
    assert (tmp_path / NEW_FILE).exists()
    name.value = "~/mine.json"
    click(user, "Save", dialog_of(user))
    assert session.manifest.path == tmp_path / "mine.json"
