"""With `--log-format json`, what prevents or accompanies the start of `serve` is an object as well."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .program import run

GOOD = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}]}


def served(tmp_path: Path, manifest: object, *options: str, **environ: str) -> list[dict[str, Any]]:
    file = tmp_path / "m.json"
    file.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest), encoding="utf-8")
    done = run("serve", str(file), "--log-format", "json", *options, **environ)
    assert done.returncode == 2
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("level", ["debug", "error"])
def test_a_manifest_that_cannot_be_loaded_is_an_error_at_every_level(tmp_path: Path, level: str) -> None:
    [line] = served(tmp_path, '{"name": ', "--log-level", level)
    assert line["level"] == "error"
    assert "m.json" in line["message"]
    assert line["time"]


def test_a_disabled_call_template_is_a_warning(tmp_path: Path) -> None:
    [line] = served(tmp_path, {**GOOD, "url": "wss://${HOST_THAT_IS_MISSING}/"})
    assert line["level"] == "warning"
    assert "HOST_THAT_IS_MISSING" in line["message"]


def test_options_of_http_that_cannot_be_granted_are_an_error(tmp_path: Path) -> None:
    [line] = served(tmp_path, GOOD, "--http", "0")
    assert line["level"] == "error"
    assert "[token-required]" in line["message"]


def test_a_secret_is_removed_from_the_line(tmp_path: Path) -> None:
    manifest = {**GOOD, "headers": {"Authorization": "Bearer ${API_TOKEN}"}}
    lines = served(tmp_path, manifest, "--http", "sesame-open-4711", API_TOKEN="sesame-open-4711")
    assert lines
    assert "sesame-open-4711" not in json.dumps(lines)


def test_the_address_that_is_served_is_an_object(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps(GOOD), encoding="utf-8")
    options = ("--http", "0", "--no-auth", "--log-format", "json", "--log-level", "error")
    command = [sys.executable, "-m", "utcp_ws_mcp", "serve", str(file), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        written = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
    line = json.loads(written)
    assert line["level"] == "info"
    assert line["message"].startswith("utcp-ws-mcp serves http://127.0.0.1:")
