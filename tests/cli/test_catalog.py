"""`utcp-ws-mcp catalog`, and entries of the catalogue in place of a file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.cli.probe import try_connection
from utcp_ws_mcp.client.catalog import catalog_files
from utcp_ws_mcp.demo.endpoint import demo_endpoint
from utcp_ws_mcp.observability.redaction import Redactor

from .program import run

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_list_says_what_each_entry_is_for_and_what_it_needs() -> None:
    lines = run("catalog").stdout.splitlines()
    named = {line.split()[0]: (line, after) for line, after in pairwise(lines) if line[:1].strip()}
    assert named.keys() >= catalog_files().keys()
    line, after = named["home-assistant"]
    assert "See and control a home with Home Assistant" in line
    assert after.strip().startswith("run against Home Assistant 20")
    assert after.endswith("; needs HOMEASSISTANT_TOKEN")
    assert named["deepgram"][1].strip() == "written from the documentation; needs DEEPGRAM_API_KEY"


def test_the_list_as_json_has_everything_that_a_program_asks_for() -> None:
    listed = {entry["name"]: entry for entry in json.loads(run("catalog", "--json").stdout)}
    assert listed.keys() == catalog_files().keys()
    obs = listed["obs"]
    assert obs["variables"][0] == {
        "name": "OBS_URL",
        "required": False,
        "description": "The address, if it is not ws://127.0.0.1:4455/.",
    }
    assert "obs.list_scenes" in obs["tools"]
    assert obs["run_against"].startswith("OBS Studio")


def test_show_describes_the_setup_the_variables_and_the_tools() -> None:
    shown = run("catalog", "show", "obs").stdout
    assert "Enable WebSocket server" in shown
    assert "OBS_PASSWORD  optional: " in shown
    assert "obs.switch_scene(scene) [changes something]" in shown
    assert "Call:    utcp-ws-mcp call obs obs.list_scenes\n" in shown
    assert shown.endswith("Copy:    utcp-ws-mcp init obs\n")


def test_show_of_an_endpoint_that_announces_its_tools_says_so() -> None:
    shown = run("catalog", "show", "demo").stdout
    assert "demo: the endpoint announces its tools.\n" in shown
    assert "Call:    utcp-ws-mcp tools demo\n" in shown


def test_the_copy_of_an_entry_that_is_called_like_a_preset_is_named_with_the_prefix() -> None:
    assert run("catalog", "show", "mopidy").stdout.endswith("Copy:    utcp-ws-mcp init catalog:mopidy\n")


@pytest.mark.parametrize("command", [("catalog", "show"), ("catalog", "doctor"), ("tools",), ("serve",), ("check",)])
def test_a_misspelt_name_is_corrected(command: tuple[str, ...]) -> None:
    refused = run(*command, "krakn")
    assert refused.returncode == 2
    assert "Did you mean 'kraken'? [unknown-manifest]" in refused.stderr


def test_json_is_refused_where_it_has_no_effect() -> None:
    refused = run("catalog", "--json", "show", "obs")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--json is for the list" in refused.stderr


@pytest.fixture
async def demo_url() -> AsyncIterator[str]:
    async with demo_endpoint() as port:
        yield f"ws://127.0.0.1:{port}/"


async def test_the_command_that_the_doctor_proposes_has_the_same_variables(demo_url: str, tmp_path: Path) -> None:
    file = tmp_path / "demo.env"
    file.write_text(f"DEMO_URL={demo_url}\n")
    seen = await to_thread.run_sync(partial(run, "catalog", "doctor", "demo", "--env-file", str(file)))
    assert seen.stdout.endswith(f"Ready. Next: utcp-ws-mcp tools demo --env-file {file}\n")


async def test_the_doctor_connects_and_proposes_a_call(demo_url: str) -> None:
    seen = await to_thread.run_sync(partial(run, "catalog", "doctor", "demo", DEMO_URL=demo_url))
    assert seen.returncode == 0, seen.stderr
    assert "DEMO_URL  set: " in seen.stdout
    assert "demo: connected and logged in within " in seen.stdout
    assert seen.stdout.endswith("Ready. Next: utcp-ws-mcp tools demo\n")


def test_the_doctor_says_how_the_program_is_set_up_if_it_does_not_answer() -> None:
    seen = run("catalog", "doctor", "obs", OBS_URL="ws://127.0.0.1:9/")
    assert seen.returncode == 1
    assert "OBS_PASSWORD  not set, optional: " in seen.stdout
    assert "[connection-refused]" in seen.stdout
    assert "Setup: OBS Studio 28 or later" in seen.stdout


def test_the_doctor_says_which_variable_is_missing_and_where_it_is_found(tmp_path: Path) -> None:
    seen = run("catalog", "doctor", "deepgram")
    assert seen.returncode == 1
    assert "DEEPGRAM_API_KEY  MISSING: A key of your project" in seen.stdout
    assert "Set DEEPGRAM_API_KEY: write NAME=value lines to a file, and pass it with --env-file FILE." in seen.stdout
    refused = run("catalog", "doctor", "deepgram", "--env-file", "none.env")
    assert refused.returncode == 2
    assert "cannot read none.env" in refused.stderr


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (
            {"url": "ws://127.0.0.1:9/{{ args.room }}", "tools": [{"name": "t"}]},
            "not tried, because connecting needs the arguments of a call: ",
        ),
        ({"url": "ws://127.0.0.1:9/", "tools": []}, "not tried, because it has no tool"),
    ],
)
async def test_an_endpoint_that_cannot_be_tried_is_no_failure(tmp_path: Path, template: Any, text: str) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"name": "m", **template}))
    loaded = load_manifest(tmp_path / "m.json")
    report = await try_connection(loaded.manifest.entries[0], loaded.tools["m"], Redactor([loaded.manifest]))
    assert report.text.startswith(text)
    assert not report.failed


async def test_a_name_stands_for_a_manifest_in_call(demo_url: str) -> None:
    called = await to_thread.run_sync(partial(run, "call", "demo", "demo.add", "a=1", "b=2", DEMO_URL=demo_url))
    assert (called.returncode, json.loads(called.stdout)) == (0, {"sum": 3}), called.stderr


def test_a_name_stands_for_a_manifest_in_watch_tools_and_check() -> None:
    assert "kraken.ticker(symbol)" in run("tools", "kraken").stdout
    assert run("check", "kraken", "--strict").returncode == 0
    watched = run("watch", "osb", "obs.events")
    assert "Did you mean 'obs'?" in watched.stderr


def test_init_copies_an_entry(tmp_path: Path) -> None:
    assert run("init", "kraken", "mine.json").returncode == 0
    assert (tmp_path / "mine.json").read_text(encoding="utf-8") == catalog_files()["kraken"].read_text(encoding="utf-8")
    assert run("init", "catalog:mopidy", "music.json").returncode == 0
    assert json.loads((tmp_path / "music.json").read_text(encoding="utf-8"))["catalog"]["summary"]


def test_a_host_is_given_the_name_of_the_entry(tmp_path: Path) -> None:
    installed = run("install", "claude-desktop", "obs", "--config", "claude.json", "--yes")
    assert installed.returncode == 0, installed.stderr
    server = json.loads((tmp_path / "claude.json").read_text(encoding="utf-8"))["mcpServers"]["obs"]
    assert server["args"][-1] == "catalog:obs"


def test_a_command_may_be_left_out_before_a_name() -> None:
    """`utcp-ws-mcp chat` is served, although it looks like `check`; it lacks its variable."""
    served = run("chat")
    assert served.returncode == 2
    assert "CHAT_TOKEN is not set" in served.stderr
