"""A file that is replaced has its old content or its new one, and its permissions."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from utcp_ws_mcp.files import NEW_FILE_MODE, reason_of, replace_file


@pytest.mark.parametrize("mode", [0o600, NEW_FILE_MODE])
def test_a_file_gets_its_content_and_its_permissions_and_nothing_is_left(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "settings.json"
    for content in (b"first", b"second"):
        replace_file(path, content, mode)
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == mode
        assert [each.name for each in tmp_path.iterdir()] == ["settings.json"]


@pytest.mark.parametrize("failing", ["fsync", "chmod"])
@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_a_file_that_cannot_be_written_is_unchanged_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, kind: type[BaseException]
) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise kind

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(kind):
        replace_file(path, b"new", NEW_FILE_MODE)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["settings.json"]


def test_the_content_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings.json"
    seen: list[tuple[bytes, bool]] = []

    def synced(handle: int) -> None:
        (written,) = tmp_path.glob(".settings.json.*")
        seen.append((written.read_bytes(), path.exists()))

    monkeypatch.setattr(os, "fsync", synced)
    replace_file(path, b"new", NEW_FILE_MODE)
    assert seen == [(b"new", False)]


def test_the_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "missing" / "file", b"", NEW_FILE_MODE)


def test_the_reason_of_a_failure_is_a_part_of_a_sentence() -> None:
    assert reason_of(PermissionError(errno.EACCES, "Permission denied")) == "permission denied"
    assert reason_of(PermissionError()) == "permissionerror"
