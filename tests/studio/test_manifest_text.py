"""The manifest that is edited, and its file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from utcp_ws_mcp.errors import AuthoringRefused, InvalidManifest
from utcp_ws_mcp.studio import manifest_text as module
from utcp_ws_mcp.studio.manifest_text import EMPTY, ManifestText, OnDisk
from utcp_ws_mcp.studio.session import MAX_SESSIONS, Sessions, StudioOptions, Topic, open_session


def test_a_file_is_opened_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text('{"name": "a"}')
    manifest = ManifestText.open(file)

    assert (manifest.text, manifest.is_changed, manifest.on_disk()) == ('{"name": "a"}', False, OnDisk.SAME)


def test_a_new_file_is_written_when_it_is_saved(tmp_path: Path) -> None:
    manifest = ManifestText.open(tmp_path / "new.json")
    assert (manifest.text, manifest.is_changed, manifest.on_disk()) == (EMPTY, False, OnDisk.SAME)
    manifest.text = "{ }"
    assert manifest.is_changed
    manifest.save()

    assert (tmp_path / "new.json").read_text() == "{ }"
    assert (manifest.is_changed, manifest.on_disk()) == (False, OnDisk.SAME)


def test_another_program_is_noticed_and_its_text_taken_or_replaced(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text("1")
    manifest = ManifestText.open(file)
    manifest.text = "mine"
    file.write_text("theirs")
    assert manifest.on_disk() is OnDisk.CHANGED
    assert manifest.text == "mine"
    manifest.save()
    assert (file.read_text(), manifest.on_disk()) == ("mine", OnDisk.SAME)
    file.write_text("theirs")
    manifest.reload()
    assert (manifest.text, manifest.is_changed) == ("theirs", False)
    file.unlink()
    assert manifest.on_disk() is OnDisk.GONE


def test_a_new_file_that_another_program_writes_first_is_noticed(tmp_path: Path) -> None:
    manifest = ManifestText.open(tmp_path / "m.json")
    (tmp_path / "m.json").write_text("theirs")

    assert manifest.on_disk() is OnDisk.CHANGED


def test_a_saved_file_keeps_its_permissions_and_a_link_its_target(tmp_path: Path) -> None:
    file, link = tmp_path / "m.json", tmp_path / "link.json"
    file.write_text("1")
    file.chmod(0o600)
    link.symlink_to(file)
    manifest = ManifestText.open(link)
    manifest.text = "2"
    manifest.save()

    assert (link.is_symlink(), file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (True, "2", 0o600)


@pytest.mark.parametrize("text", ["[" * (1 << 20) + "1", "{}"], ids=["too large", "no such folder"])
def test_what_cannot_be_saved_is_still_there(tmp_path: Path, text: str) -> None:
    folder = tmp_path if len(text) > 2 else tmp_path / "missing"
    session = open_session(StudioOptions())
    session.set_text(text)
    with pytest.raises(AuthoringRefused) as refused:
        session.save(folder / "m.json")

    assert refused.value.code == "manifest-not-saved"
    assert (session.manifest.text, session.manifest.path) == (text, None)


def test_an_entry_of_the_catalogue_becomes_a_new_manifest() -> None:
    session = open_session(StudioOptions(Path("obs")))

    assert (session.manifest.path, session.panel) == (None, "manifest")
    assert '"catalog"' in session.manifest.text


def test_the_panel_connect_is_first_for_a_new_file_and_the_manifest_for_one_with_a_text(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    assert open_session(StudioOptions(file)).panel == "connect"
    file.write_text("{}\n")
    assert open_session(StudioOptions(file)).panel == "manifest"


def test_a_word_that_is_neither_a_file_nor_in_the_catalogue_is_refused() -> None:
    with pytest.raises(InvalidManifest):
        open_session(StudioOptions(Path("no-such-entry")))


def test_a_tab_finds_its_session_again_and_another_tab_has_its_own(tmp_path: Path) -> None:
    sessions = Sessions(StudioOptions(tmp_path / "m.json"))
    first = sessions.enter("a")
    first.set_text("typed")

    assert sessions.enter("a") is first
    assert sessions.enter("b").manifest.text == EMPTY


def test_typed_variables_are_used_and_redacted_and_can_be_forgotten() -> None:
    sessions = Sessions(StudioOptions(environ={"TOKEN": "from-the-environment", "HOME": "/"}))
    session = sessions.enter("a")
    session.set_variable("TOKEN", "typed-secret-value")
    assert session.environ["TOKEN"] == "typed-secret-value"
    assert "typed-secret-value" not in sessions.redact("it says typed-secret-value")
    assert "typed-secret-value" not in repr(session)
    session.set_variable("TOKEN", "")
    assert session.environ["TOKEN"] == "from-the-environment"


def test_listeners_hear_of_changes_until_they_leave() -> None:
    session = open_session(StudioOptions())
    heard: list[str] = []
    leave = session.listen(Topic.MANIFEST, lambda: heard.append(session.manifest.text))
    session.set_text("a")
    session.set_text("a")
    leave()
    session.set_text("b")

    assert heard == ["a"]


def test_what_a_file_becomes_that_cannot_be_read_is_gone_and_stays_what_is_typed(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text("1")
    manifest = ManifestText.open(file)
    file.write_bytes(b"\xff")
    assert manifest.on_disk() is OnDisk.GONE
    with pytest.raises(InvalidManifest):
        manifest.reload()
    assert (manifest.text, manifest.known) == ("1", "1")
    assert ManifestText().on_disk() is OnDisk.SAME


def test_a_manifest_of_the_largest_size_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MANIFEST_BYTES", 3)
    manifest = ManifestText("é1", tmp_path / "m.json")
    manifest.save()
    assert stat.S_IMODE((tmp_path / "m.json").stat().st_mode) == 0o644
    manifest.text = "é12"
    with pytest.raises(AuthoringRefused, match="m.json is not saved: it has more than 3 bytes. Make it shorter."):
        manifest.save()
    assert (manifest.is_changed, (tmp_path / "m.json").read_text(encoding="utf-8")) == (True, "é1")


def test_a_manifest_is_new_until_something_is_written_here_or_there(tmp_path: Path) -> None:
    manifest = ManifestText()
    assert (manifest.is_new, manifest.is_changed, manifest.name) == (True, False, "new manifest")
    manifest.text = "x"
    assert (manifest.is_new, manifest.is_changed) == (False, True)
    (tmp_path / "m.json").write_text(EMPTY)
    opened = ManifestText.open(tmp_path / "m.json")
    assert (opened.is_new, opened.is_changed, opened.name) == (False, False, "m.json")
    assert repr(manifest) == "ManifestText(path=None)"


def test_changes_of_a_session_are_announced_by_their_topics(tmp_path: Path) -> None:
    session = open_session(StudioOptions())
    heard: list[Topic] = []
    for topic in Topic:
        session.listen(topic, lambda topic=topic: heard.append(topic))
    session.open_panel("tools")
    session.set_variable("A", "x")
    session.set_variable("A", "")
    session.set_variable("B", "")
    session.set_text("x")
    session.save(tmp_path / "m.json")
    assert heard == [Topic.PANEL, *[Topic.VARIABLES] * 3, Topic.MANIFEST, Topic.MANIFEST]
    assert (session.panel, session.typed_variables, session.manifest.path) == ("tools", {}, tmp_path / "m.json")


def test_a_manifest_without_a_file_is_loaded_with_more_variables() -> None:
    session = open_session(StudioOptions(environ={"A": "a.example"}))
    session.set_text('{"name": "m", "url": "wss://${A}/${B}", "tools": []}')
    assert [each.missing for each in session.load().manifest.disabled] == [("B",)]
    assert session.load({"B": "x"}).manifest.disabled == ()
    assert session.load({"B": "x"}).manifest.source == "manifest.json"


def test_thirty_tabs_are_remembered_and_the_one_that_was_left_first_is_forgotten() -> None:
    sessions = Sessions(StudioOptions())
    first = sessions.enter("0")
    for number in range(1, 31):
        sessions.enter(str(number))
    assert sessions.enter("0") is first  # no tab was left
    assert MAX_SESSIONS == 30
