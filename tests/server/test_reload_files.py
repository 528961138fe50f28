"""What changes of files do, beside what the process and the bridge do with them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from utcp_ws_mcp import Bridge, load_manifest
from utcp_ws_mcp.server.reload import _file_signatures, _reload


def written(folder: Path, **fields: Any) -> Path:
    file = folder / "manifest.json"
    file.write_text(json.dumps({"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}))
    return file


def test_an_internal_error_while_reloading_keeps_the_manifests(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = [load_manifest(written(tmp_path))]
    broken = mock.create_autospec(Bridge, instance=True)
    broken.reload.side_effect = RuntimeError("a bug")
    with caplog.at_level(logging.ERROR, "utcp_ws_mcp"):
        assert _reload(broken, loaded, []) is loaded
    assert "internal error while the manifests were reloaded" in caplog.text


@pytest.mark.parametrize("name", ["manifest.json", ".env", "named.env", "option.env"])
def test_every_file_of_a_manifest_counts(tmp_path: Path, name: str) -> None:
    loader = {"variable_loader_type": "dotenv", "env_file_path": "named.env"}
    file, option = tmp_path / "manifest.json", tmp_path / "option.env"
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}]}
    file.write_text(json.dumps({"load_variables_from": [loader], "manual_call_templates": [entry]}))
    for each in (tmp_path / "named.env", option):
        each.write_text("A=1\n")
    loaded = [load_manifest(file, env_files=[option])]
    before = _file_signatures(loaded)
    assert _file_signatures(loaded) == before
    with (tmp_path / name).open("a") as changed:
        changed.write("\n")
    assert _file_signatures(loaded) != before
