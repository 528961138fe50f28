"""`utcp-ws-mcp init`: a manifest to start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.manifest.presets import preset_names
from utcp_ws_mcp.recorder.manifest import format_json

from .program import run

STARTERS = sorted(preset_names() | {"none"})
TOKENS = {"HOMEASSISTANT_TOKEN": "a-token-of-home", "JUPYTER_TOKEN": "a-token-of-jupyter"}


@pytest.mark.parametrize("preset", STARTERS)
def test_every_starter_passes_the_check_and_is_commented(preset: str, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    written = run("init", preset, str(file))
    assert written.returncode == 0, written.stderr
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document.get("preset", "none") == preset
    assert document["$comment"]
    assert document["tools"][0]["$comment"]
    assert format_json(document) + "\n" == file.read_text(encoding="utf-8")
    checked = run("check", str(file), **TOKENS)
    assert checked.returncode == 0, checked.stderr
    assert checked.stderr == ""


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text("mine")
    refused = run("init", "jsonrpc2", str(file))
    assert (refused.returncode, file.read_text()) == (2, "mine")
    assert "already exists and is not changed" in refused.stderr


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "manifest.json"
    opened = Path.open

    def open_if_read(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if mode == "x":
            raise OSError(28, "No space left on device")
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_if_read)
    refused = run("init", "jsonrpc2", str(file))
    expected = f"{file} cannot be written: no space left on device. Give another FILE.\n"
    assert (refused.returncode, refused.stderr) == (2, expected)


def test_a_misspelt_preset_is_corrected(tmp_path: Path) -> None:
    refused = run("init", "homeasistant", str(tmp_path / "m.json"))
    assert refused.returncode == 2
    assert "did you mean 'homeassistant'?" in refused.stderr


def test_without_a_preset_all_are_listed() -> None:
    listed = run("init").stdout
    assert [line.split()[0] for line in listed.splitlines()[: len(STARTERS)]] == [*sorted(preset_names()), "none"]
    assert "JSON-RPC 2.0" in listed


def test_a_copy_of_an_entry_is_not_taken_for_the_preset(tmp_path: Path) -> None:
    copied = run("init", "jsonrpc", str(tmp_path / "m.json"))
    assert copied.returncode == 0, copied.stderr
    assert "a copy of the catalogue entry jsonrpc (its preset is jsonrpc2: `init jsonrpc2` writes" in copied.stdout
    assert "catalogue" not in run("init", "jsonrpc2", str(tmp_path / "n.json")).stdout
    assert "(its preset" not in run("init", "catalog:kraken", str(tmp_path / "k.json")).stdout
