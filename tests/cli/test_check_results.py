"""What `check` prints for a manifest, and the code with which it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.cli.check import CheckResult

from .program import run

TOOL = {"name": "t", "description": "Ask.", "annotations": {"readOnlyHint": True},
        "tool_call_template": {"response_format": "text"}}  # fmt: skip
GOOD = {"name": "m", "url": "wss://a.example/", "tools": [TOOL]}
DISCOVERED = {"name": "d", "url": "wss://d.example/"}


def write(folder: Path, document: Any) -> str:
    file = folder / "m.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("errors", "warnings", "strict", "code"),
    [
        (False, False, False, 0), (False, False, True, 0), (False, True, False, 0), (False, True, True, 2),
        (True, False, False, 2), (True, True, True, 2),
    ],
)  # fmt: skip
def test_only_errors_fail_and_with_strict_also_warnings(errors: bool, warnings: bool, strict: bool, code: int) -> None:
    assert CheckResult([], errors, warnings).exit_code(strict) == code


SUMMARIES: dict[str, tuple[Any, str]] = {
    "one of each": (GOOD, "1 call template, 1 tool listed"),
    "two tools": ({**GOOD, "tools": [TOOL, {**TOOL, "name": "u"}]}, "1 call template, 2 tools listed"),
    "two call templates": ([GOOD, {**GOOD, "name": "n"}], "2 call templates, 2 tools listed"),
    "an endpoint that announces its tools": (
        DISCOVERED, "1 call template, 0 tools listed, 1 endpoint to discover tools from",
    ),
    "two such endpoints": (
        [DISCOVERED, {**DISCOVERED, "name": "e"}],
            "2 call templates, 0 tools listed, 2 endpoints to discover tools from",
    ),
    "values of callers": (
        [{**GOOD, "headers": {"X": "${caller:B}", "Y": "${caller:A}"}}, {**GOOD, "name": "n",
            "headers": {"X": "${caller:A}"}}],
        "2 call templates, 2 tools listed, callers bring A, B",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "summary"), SUMMARIES.values(), ids=SUMMARIES)
def test_a_good_manifest_is_summed_up_in_one_line(tmp_path: Path, document: Any, summary: str) -> None:
    file = write(tmp_path, document)
    checked = run("check", file)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout == f"{file}: {summary}\n"


def test_a_disabled_call_template_is_an_error_and_counted(tmp_path: Path) -> None:
    file = write(tmp_path, [GOOD, {**GOOD, "name": "n", "headers": {"X": "${UNSET}"}}])
    checked = run("check", file)
    assert checked.returncode == 2
    assert checked.stdout == f"{file}: 1 call template, 1 tool listed, 1 disabled\n"
    assert "n: UNSET is not set" in checked.stderr


def test_each_of_several_manifests_is_checked(tmp_path: Path) -> None:
    good = write(tmp_path, GOOD)
    bad, other = tmp_path / "bad.json", tmp_path / "other.json"
    bad.write_text("{")
    other.write_text(json.dumps({**GOOD, "name": "n", "tools": [{"name": "t"}]}))
    checked = run("check", str(bad), good, str(other))
    assert checked.returncode == 2
    assert checked.stdout.splitlines() == [
        f"{good}: 1 call template, 1 tool listed", f"{other}: 1 call template, 1 tool listed",
    ]  # fmt: skip
    assert f"{bad}: Further checks run when these problems are fixed." in checked.stderr
    assert f"{other}:" in checked.stderr
    assert run("check", good, str(other)).returncode == 0
    assert run("check", "--strict", str(other), good).returncode == 2


def test_a_note_is_no_warning(tmp_path: Path) -> None:
    tools = [{**TOOL, "name": f"t{'x' * 60}"}]
    checked = run("check", "--strict", write(tmp_path, {**GOOD, "name": "a-long-name", "tools": tools}))
    assert checked.returncode == 0, checked.stderr
    assert "note: " in checked.stderr


def test_a_word_that_names_no_manifest_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checked = run("check", "obss")
    assert (checked.returncode, checked.stdout) == (2, "")
    first, further = checked.stderr.splitlines()
    assert "Did you mean 'obs'? [unknown-manifest]" in first
    assert further == "obss: Further checks run when these problems are fixed."


def test_a_manifest_with_a_mark_of_its_encoding_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert run("check", "--strict", str(file)).returncode == 0


def test_a_secret_is_not_in_a_warning(tmp_path: Path) -> None:
    document = {**GOOD, "headers": {"X-Key": "${API_KEY}"}, "tools": [{"name": "topsecret-value"}]}
    checked = run("check", write(tmp_path, document), API_KEY="topsecret-value")
    assert 'm.*** has no "description"' in checked.stderr
    assert "topsecret-value" not in checked.stdout + checked.stderr


def test_what_is_ignored_of_a_file_of_variables_is_said(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    (tmp_path / ".env").write_text("no assignment\n")
    checked = run("check", "--strict", file)
    assert checked.returncode == 0
    assert checked.stderr.startswith(f"{file}: ")
    assert ".env" in checked.stderr
