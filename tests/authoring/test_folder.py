"""The folder of the manifests of an agent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from utcp_ws_mcp.authoring import folder as module
from utcp_ws_mcp.authoring.admission import MAX_MANIFEST_BYTES
from utcp_ws_mcp.authoring.folder import ManifestFolder
from utcp_ws_mcp.errors import AuthoringRefused


@pytest.fixture
def folder(tmp_path: Path) -> ManifestFolder:
    return ManifestFolder.open(tmp_path / "made" / "here")


def test_a_folder_is_made_and_known_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    assert ManifestFolder.open(tmp_path / "link" / "a").path == (tmp_path / "real" / "a").resolve()
    assert ManifestFolder.open(tmp_path / "real" / "a").names() == []
    (tmp_path / "file").touch()
    with pytest.raises(AuthoringRefused) as refused:
        ManifestFolder.open(tmp_path / "file" / "a")
    assert refused.value.code == "manifest-not-saved"
    assert "cannot be used for manifests: not a directory. Give a folder" in refused.value.message


def test_only_files_with_a_name_of_a_manifest_are_listed_sorted(folder: ManifestFolder) -> None:
    for name in ("b.json", "a.json", "_c.json", "d.txt", f"{'x' * 65}.json"):
        (folder.path / name).write_text("{}", encoding="utf-8")
    (folder.path / "e.json").mkdir()
    (folder.path / "f.json").symlink_to(folder.path / "a.json")
    assert folder.names() == ["a", "b"]


def test_a_folder_that_is_gone_has_no_manifests(folder: ManifestFolder) -> None:
    folder.path.rmdir()
    assert folder.names() == []
    with pytest.raises(AuthoringRefused, match="The folder has none; save_manifest adds one."):
        folder.read("a")


def test_a_manifest_is_saved_for_its_owner_only_and_read_again(folder: ManifestFolder) -> None:
    assert folder.save("a", "é") is False
    assert folder.save("a", "ö") is True
    assert (folder.read("a"), (folder.path / "a.json").stat().st_mode & 0o777) == ("ö", 0o600)
    (folder.path / "a.json").write_bytes(b"\xef\xbb\xbf{}")
    assert folder.read("a") == "{}"


def test_no_more_is_read_than_a_manifest_may_have(folder: ManifestFolder) -> None:
    (folder.path / "a.json").write_bytes(b" " * (MAX_MANIFEST_BYTES + 2))
    assert len(folder.read("a")) == MAX_MANIFEST_BYTES + 1


def test_what_cannot_be_read_is_refused(folder: ManifestFolder) -> None:
    folder.save("b", "{}")
    (folder.path / "a.json").write_bytes(b"\xff")
    with pytest.raises(AuthoringRefused) as refused:
        folder.read("a")
    assert refused.value.code == "manifest-not-found"
    assert "the manifest 'a' cannot be read: it is not UTF-8 text. Save it again." in refused.value.message
    (folder.path / "d.json").mkdir()
    os.mkfifo(folder.path / "f.json")
    (folder.path / "l.json").symlink_to(folder.path / "b.json")
    for name in ("c", "d", "f", "l"):
        with pytest.raises(AuthoringRefused) as refused:
            folder.read(name)
        assert refused.value.message == f"there is no manifest {name!r}. There are: a, b."


def test_a_name_that_something_else_has_is_not_replaced(folder: ManifestFolder) -> None:
    (folder.path / "l.json").symlink_to(folder.path / "nowhere")
    with pytest.raises(AuthoringRefused) as refused:
        folder.save("l", "{}")
    assert refused.value.message == "the manifest 'l' is not saved: something else has this name. Give another name."
    assert refused.value.code == "manifest-not-saved"


def test_a_folder_holds_a_bounded_number_of_manifests(folder: ManifestFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_MANIFESTS == 200
    monkeypatch.setattr(module, "MAX_MANIFESTS", 2)
    folder.save("a", "1")
    folder.save("b", "1")
    with pytest.raises(AuthoringRefused) as refused:
        folder.save("c", "1")
    assert refused.value.message == "the manifest 'c' is not saved: the folder has 2 manifests. Remove one."
    assert folder.save("b", "2") is True
    (folder.path / "c.json").write_text("{}", encoding="utf-8")
    assert folder.names() == ["a", "b"]


def test_a_manifest_that_cannot_be_written_says_why(folder: ManifestFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "replace_file", refuse)
    with pytest.raises(AuthoringRefused) as refused:
        folder.save("a", "{}")
    assert refused.value.message.startswith("the manifest 'a' is not saved: permission denied. ")
    assert refused.value.code == "manifest-not-saved"


def test_a_manifest_is_removed_once(folder: ManifestFolder) -> None:
    folder.save("a", "{}")
    folder.remove("a")
    assert list(folder.path.iterdir()) == []
    with pytest.raises(AuthoringRefused, match="there is no manifest 'a'. The folder has none"):
        folder.remove("a")


NO_NAMES = ["", ".", "a/b", "../a", "a.json", "-a", "_a", "a b", "x" * 65, "a\n"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_leads_to_no_file(folder: ManifestFolder, name: str) -> None:
    with pytest.raises(AuthoringRefused) as refused:
        folder.file_of(name)
    assert refused.value.code == "invalid-manifest-name"
    assert refused.value.message.startswith(f"{name[:64]!r} is no name of a manifest: expected 1 to 64 letters")


@pytest.mark.parametrize("name", ["a", "0", "A-b_c", "x" * 64])
def test_a_name_leads_to_a_file_in_the_folder(folder: ManifestFolder, name: str) -> None:
    assert folder.file_of(name) == folder.path / f"{name}.json"


def test_of_many_manifests_twenty_are_named(folder: ManifestFolder) -> None:
    for number in range(21):
        folder.save(f"m{number:02}", "{}")
    with pytest.raises(AuthoringRefused) as refused:
        folder.read("other")
    assert refused.value.message.endswith("m18, m19.")


def test_a_file_that_goes_while_the_folder_is_read_is_no_manifest(
    folder: ManifestFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Path) -> None:
        raise FileNotFoundError

    folder.save("a", "{}")
    monkeypatch.setattr(Path, "lstat", gone)
    assert folder.names() == []
