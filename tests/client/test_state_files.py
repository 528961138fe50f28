"""The files of the state folder: approvals and remembered manuals, with their bounds and damages."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.client.manifest_files import load_text
from utcp_ws_mcp.client.manual_cache import MAX_MANUAL_BYTES, MAX_MANUALS, ManualCache
from utcp_ws_mcp.client.pin_store import MAX_BYTES, Approval, ManualPins, PinStore
from utcp_ws_mcp.client.state_files import UnreadableFile, read_state_file, replace_state_file, state_folder
from utcp_ws_mcp.errors import PinStoreError
from utcp_ws_mcp.manifest.entries import ManifestEntry


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Files


@pytest.mark.parametrize(("size", "is_read"), [(10, True), (11, False)])
def test_a_file_is_read_up_to_a_number_of_bytes(tmp_path: Path, size: int, is_read: bool) -> None:
    (tmp_path / "f").write_bytes(b"x" * size)
    if is_read:
        assert read_state_file(tmp_path / "f", 10) == "x" * size
        return
    with pytest.raises(UnreadableFile, match="it has more than 10 bytes"):
        read_state_file(tmp_path / "f", 10)


@pytest.mark.parametrize(("name", "reason"), [("folder", "directory"), ("binary", "it is not UTF-8 text")])
def test_a_file_that_cannot_be_read_has_a_reason(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(UnreadableFile, match=reason):
        read_state_file(tmp_path / name, 10)


@pytest.mark.parametrize("name", ["none", "file/none"])
def test_a_file_that_does_not_exist_has_no_text(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    assert read_state_file(tmp_path / name, 10) is None


def test_a_file_and_its_folder_belong_to_their_owner(tmp_path: Path) -> None:
    file = tmp_path / "a" / "f"
    replace_state_file(file, "ü")
    replace_state_file(file, "ö")
    assert file.read_text(encoding="utf-8") == "ö"
    assert (mode_of(file), mode_of(file.parent)) == (0o600, 0o700)
    assert [*file.parent.iterdir()] == [file]


def test_the_state_folder_is_that_of_the_variable_or_of_the_platform(tmp_path: Path) -> None:
    assert state_folder({"UTCP_WS_MCP_STATE_DIR": str(tmp_path)}) == tmp_path
    platform = state_folder({})
    assert platform == state_folder({"UTCP_WS_MCP_STATE_DIR": ""})
    assert platform.name == "utcp-ws-mcp"
    assert platform.parent.name != "utcp-ws-mcp"


# Approvals

ORIGIN = "wss://a.example:443"


@pytest.fixture
def store(tmp_path: Path) -> PinStore:
    return PinStore(tmp_path / "state" / "pins.json")


def content(folder: Path) -> Any:
    return json.loads((folder / "state" / "pins.json").read_text())


async def test_approvals_are_numbered_over_all_manuals(store: PinStore) -> None:
    assert await store.trust("m", ORIGIN, {"a": "d1", "b": "d2"}) == 2
    assert await store.trust("n", ORIGIN, {"a": "d3"}) == 3
    assert await store.approve("m", ORIGIN, {"b": "d4"}) == 4
    assert await store.get("m", ORIGIN) == ManualPins({"a": Approval("d1", 2), "b": Approval("d4", 4)}, True, None)
    assert (await store.get("n", ORIGIN)).digests == {"a": "d3"}
    assert (await store.get("m", "wss://b.example:443")).approved == {}


async def test_trust_keeps_what_is_approved_and_an_approval_replaces_it(store: PinStore) -> None:
    await store.trust("m", ORIGIN, {"a": "old"})
    await store.trust("m", ORIGIN, {"a": "new", "b": "b"})
    assert (await store.get("m", ORIGIN)).digests == {"a": "old", "b": "b"}
    await store.approve("m", ORIGIN, {"a": "new"})
    assert (await store.get("m", ORIGIN)).digests == {"a": "new", "b": "b"}


async def test_what_changes_nothing_is_not_written(store: PinStore, tmp_path: Path) -> None:
    await store.trust("m", ORIGIN, {"a": "d"})
    before = content(tmp_path), (tmp_path / "state" / "pins.json").stat().st_ino
    await store.trust("m", ORIGIN, {"a": "other"})
    assert (content(tmp_path), (tmp_path / "state" / "pins.json").stat().st_ino) == before


async def test_the_file_has_its_format_and_belongs_with_its_lock_to_its_owner(store: PinStore, tmp_path: Path) -> None:
    await store.trust("m", ORIGIN, {"a": "d"})
    assert content(tmp_path) == {
        "format": 2,
        "trusts_first_use": True,
        "manuals": {f"m {ORIGIN}": {"a": ["d", 2]}},
    }
    folder = tmp_path / "state"
    assert mode_of(folder) == 0o700
    assert {mode_of(file) for file in folder.iterdir()} == {0o600}
    assert sorted(file.name for file in folder.iterdir()) in (["pins.json"], ["pins.json", "pins.lock"])


def form(**fields: Any) -> str:
    return json.dumps({"format": 2, "trusts_first_use": True, "manuals": {}, **fields})


DAMAGES = {
    "no JSON": ("{", "it is not JSON"),
    "nested too deeply": ("[" * 100_000, "it is not JSON"),
    "a list": ("[]", "it does not have the form of approved tools"),
    "a later format": (form(format=3), "it was written by another version"),
    "an earlier format": (form(format=1), "it was written by another version"),
    "no trust": (form(trusts_first_use=1), "it was written by another version"),
    "no manuals": (json.dumps({"format": 2, "trusts_first_use": True}), "it does not have the form"),
    "a digest that is no text": (form(manuals={"m": {"a": [1, 2]}}), "it does not have the form"),
    "a number that is none": (form(manuals={"m": {"a": ["d", "x"]}}), "it does not have the form"),
    "an approval that is none": (form(manuals={"m": {"a": ["d"]}}), "it does not have the form"),
    "a first version with a wrong digest": (json.dumps({"m": {"a": 1}}), "it does not have the form"),
}


@pytest.mark.parametrize(("text", "damage"), DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_file_trusts_nothing_and_is_kept_when_the_operator_approves(
    store: PinStore, tmp_path: Path, text: str, damage: str
) -> None:
    file = tmp_path / "state" / "pins.json"
    replace_state_file(file, text)
    found = await store.get("m", ORIGIN)
    assert (found.approved, found.trusts_first_use) == ({}, False)
    assert found.damage is not None
    assert found.damage.startswith(f"{file}: {damage}")
    with pytest.raises(PinStoreError, match="the file cannot be read"):
        await store.trust("m", ORIGIN, {"a": "d"})
    assert file.read_text() == text

    await store.approve("m", ORIGIN, {"a": "d"})
    assert (tmp_path / "state" / "pins.damaged-1").read_text() == text
    found = await store.get("m", ORIGIN)
    assert (found.digests, found.trusts_first_use, found.damage) == ({"a": "d"}, False, None)


async def test_each_damaged_file_is_kept(store: PinStore, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        replace_state_file(tmp_path / "state" / "pins.json", f"damage {number}")
        await store.approve("m", ORIGIN, {"a": "d"})
    kept = {file.name: file.read_text() for file in (tmp_path / "state").glob("*damaged*")}
    assert kept == {f"pins.damaged-{number}": f"damage {number}" for number in (1, 2, 3)}


async def test_a_file_of_the_first_version_has_approvals_of_the_first_number(store: PinStore, tmp_path: Path) -> None:
    replace_state_file(tmp_path / "state" / "pins.json", json.dumps({f"m {ORIGIN}": {"a": "d"}}))
    assert await store.get("m", ORIGIN) == ManualPins({"a": Approval("d", 1)})
    assert await store.trust("m", ORIGIN, {"b": "d"}) == 2


async def test_the_store_is_read_up_to_16_mib(store: PinStore, tmp_path: Path) -> None:
    assert MAX_BYTES == 16 * 1024 * 1024
    replace_state_file(tmp_path / "state" / "pins.json", form() + " " * MAX_BYTES)
    assert "more than 16,777,216 bytes" in str((await store.get("m", ORIGIN)).damage)


# Remembered manuals


def an_entry(name: str = "m", **fields: Any) -> ManifestEntry:
    document = {"name": name, "url": "ws://127.0.0.1:9/", **fields}
    (found,) = load_text(json.dumps(document), Path("m.json"), {}).manifest.entries
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "manuals"


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*")) if folder.exists() else []


async def test_a_manual_is_remembered_for_its_entry(folder: Path) -> None:
    cache = ManualCache(folder)
    for entry, manual in ((an_entry(), {"tools": ["ü"]}), (an_entry("n"), {"tools": []})):
        assert await cache.load(entry) is None
        await cache.save(entry, manual)
        assert await ManualCache(folder).load(entry) == manual
    assert await cache.load(an_entry(timeout=3)) is None
    assert len(files(folder)) == 2
    assert {mode_of(file) for file in files(folder)} == {0o600}


async def test_a_manual_that_is_remembered_is_not_written_again(folder: Path) -> None:
    cache = ManualCache(folder)
    await cache.save(an_entry(), {"tools": [1]})
    (file,) = files(folder)
    for again in (cache, ManualCache(folder)):
        await again.load(an_entry())
        before = file.stat().st_ino, file.stat().st_mtime_ns
        await again.save(an_entry(), {"tools": [1]})
        assert (file.stat().st_ino, file.stat().st_mtime_ns) == before
    await cache.save(an_entry(), {"tools": [2]})
    assert await ManualCache(folder).load(an_entry()) == {"tools": [2]}


async def test_a_manual_with_a_secret_is_not_stored(folder: Path) -> None:
    cache = ManualCache(folder)
    await cache.save(an_entry(), {"tools": ["t0ken"]}, lambda text: text.replace("t0ken", "[removed]"))
    assert files(folder) == []


async def test_a_manual_is_remembered_up_to_a_mebibyte(folder: Path) -> None:
    cache = ManualCache(folder)
    room = MAX_MANUAL_BYTES - len(json.dumps({"t": ""}))
    assert MAX_MANUAL_BYTES == 1 << 20
    await cache.save(an_entry(), {"t": "ü" * (room // 6 + 1)})  # as JSON, one letter has six characters
    assert files(folder) == []
    await cache.save(an_entry(), {"t": "ü" * (room // 6)})
    assert await cache.load(an_entry()) is not None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"manual": 1, "digest": "x"}', '{"manual": "{}", "digest": "x"}', "null"]
)
async def test_a_file_that_is_damaged_remembers_nothing(folder: Path, text: str) -> None:
    cache = ManualCache(folder)
    await cache.save(an_entry(), {"tools": []})
    (file,) = files(folder)
    file.write_text(text)
    assert await ManualCache(folder).load(an_entry()) is None


async def test_the_oldest_of_more_than_64_manuals_are_removed(folder: Path) -> None:
    assert MAX_MANUALS == 64
    cache = ManualCache(folder)
    folder.mkdir()
    for number in range(64):
        (folder / f"{number}.json").write_text("x")
        os.utime(folder / f"{number}.json", (1000 + number, 1000 + number))
    (folder / "other.txt").write_text("x")
    os.utime(folder / "other.txt", (1, 1))
    await cache.save(an_entry(), {"tools": []})
    left = {file.name for file in files(folder)}
    assert len(left) == 65
    assert {"other.txt", "1.json", "63.json"} <= left
    assert "0.json" not in left


async def test_a_folder_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("x")
    with caplog.at_level("INFO", "utcp_ws_mcp"):
        await ManualCache(tmp_path / "file" / "manuals").save(an_entry(), {"tools": []})
    assert caplog.messages[0].startswith("the manual of m is not remembered: ")


async def test_without_a_folder_manuals_are_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UTCP_WS_MCP_STATE_DIR", str(tmp_path))
    await ManualCache().save(an_entry(), {"tools": []})
    assert len(files(tmp_path / "manuals")) == 1
