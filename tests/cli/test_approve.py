"""`utcp-ws-mcp tools`, `approve` and `check --online`: what they print, and with which code they end."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from .endpoint import served
from .program import run
from .test_check import write

UNREACHABLE = "ws://127.0.0.1:1/"
MANUAL = {"tools": [{"name": "found", "description": "Finds."}, {"name": "second"}]}


@pytest.fixture
def announcer() -> Iterator[str]:
    """An endpoint that returns a manual; its URL."""

    def handle(connection: ServerConnection) -> None:
        for _ in connection:
            connection.send(json.dumps(MANUAL))

    with served(handle) as url:
        yield url


def strict(url: str, name: str = "m") -> dict[str, Any]:
    return {"name": name, "url": url, "pin": "strict"}


def command(folder: Path, *words: str) -> Any:
    """Run a command with the approved tools in a folder of the test."""
    kept = {name: str(folder / "state") for name in ("HOME", "XDG_STATE_HOME", "LOCALAPPDATA")}
    return run(*words, **kept, **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ})


@pytest.mark.parametrize("words", [("tools",), ("tools", "--json"), ("approve",)], ids=" ".join)
def test_a_command_that_cannot_learn_the_tools_of_an_endpoint_fails(tmp_path: Path, words: tuple[str, ...]) -> None:
    name, *options = words
    failed = command(tmp_path, name, write(tmp_path, strict(UNREACHABLE)), *options)
    assert failed.returncode == 1
    assert f"cannot connect to {UNREACHABLE}" in failed.stderr


def test_the_tools_of_the_other_endpoints_are_listed(tmp_path: Path, announcer: str) -> None:
    document = [strict(UNREACHABLE), {"name": "good", "url": announcer}]
    failed = command(tmp_path, "tools", write(tmp_path, document))
    assert failed.returncode == 1
    assert failed.stdout.splitlines() == ["good.found()  Finds.", "good.second()"]


def test_a_check_online_fails_where_the_tools_cannot_be_discovered(tmp_path: Path) -> None:
    def refuse(connection: ServerConnection) -> None:
        for _ in connection:
            connection.send(json.dumps({"tools": "none"}))

    with served(refuse) as url:
        document = {"name": "m", "url": url, "timeout": 0.3}
        checked = command(tmp_path, "check", "--online", "--duration", "0", write(tmp_path, document))
    assert checked.returncode == 1
    assert "! m: " in checked.stdout


def test_a_tool_is_shown_and_then_approved_as_it_was_shown(tmp_path: Path, announcer: str) -> None:
    file = write(tmp_path, strict(announcer))
    assert command(tmp_path, "tools", file).stdout == ""
    shown = command(tmp_path, "approve", file)
    assert shown.returncode == 0
    words = re.findall(r"approve it with: (\S+)", shown.stdout)
    assert [word.partition("@")[0] for word in words] == ["m.found", "m.second"]
    assert '"description": "Finds."' in shown.stdout

    approved = command(tmp_path, "approve", file, words[0])
    assert (approved.returncode, approved.stdout) == (0, "m.found is approved\n")
    assert command(tmp_path, "tools", file).stdout == "m.found()  Finds.\n"


REFUSED = {
    "no digest": ("m.found", "m.found is withheld"),
    "another digest": ("m.found@" + "0" * 32, "its definition has the digest"),
    "a tool that is not withheld": ("m.none@" + "0" * 32, "it is not withheld"),
    "a name with a dot, as a tool may have": ("x.found@" + "0" * 32, "m.x.found is not approved: it is not withheld"),
    "a name without a digest that is not withheld": ("m.none", "m.none is not withheld"),
}


@pytest.mark.parametrize(("word", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_approved_fails_with_its_reason(tmp_path: Path, announcer: str, word: str, reason: str) -> None:
    refused = command(tmp_path, "approve", write(tmp_path, strict(announcer)), word)
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert "is approved" not in refused.stdout


def test_the_name_of_the_only_call_template_may_be_left_out(tmp_path: Path, announcer: str) -> None:
    file = write(tmp_path, strict(announcer))
    shown = command(tmp_path, "approve", file, "found")
    assert (shown.returncode, shown.stderr.partition(":")[0]) == (1, "m.found is withheld")
    word = re.findall(r"approve it with: m\.(\S+)", shown.stderr)[0]
    approved = command(tmp_path, "approve", file, word)
    assert (approved.returncode, approved.stdout) == (0, "m.found is approved\n")


def test_of_several_call_templates_the_one_of_a_tool_must_be_named(tmp_path: Path, announcer: str) -> None:
    file = write(tmp_path, [strict(announcer), strict(announcer, "n")])
    refused = command(tmp_path, "approve", file, "found@" + "0" * 32)
    assert refused.returncode == 1
    assert "found is not approved: no call template of the manifest has this name" in refused.stderr
