"""What `catalog` says of an entry, with a catalogue of the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from utcp_ws_mcp.client import catalog
from utcp_ws_mcp.manifest.presets import preset_names, preset_summary

from .endpoint import served
from .program import run

LONG = "word " * 24
DESCRIPTION = f"Ask {LONG}end."
FULL = {
    "catalog": {
        "summary": "Ask a clock",
        "setup": f"Start {LONG}it.",
        "run_against": "clock 1.2",
        "variables": {"CLOCK_URL": "The address.", "CLOCK_TOKEN": f"A key {LONG}here."},
        "limits": "One call.",
    },
    "name": "c",
    "url": "${CLOCK_URL:-ws://127.0.0.1:9/}",
    "headers": {"X-Key": "${CLOCK_TOKEN}"},
    "tools": [
        {"name": "set", "description": "Set.", "inputs": {"properties": {"at": {}, "zone": {}}, "required": ["at"]}},
        {"name": "get", "description": DESCRIPTION, "annotations": {"readOnlyHint": True}},
    ],
    "feeds": [
        {"name": "ticks", "description": "Each tick.", "match": "true", "inputs": {"properties": {"zone": {}}}},
        "...",
    ],
}
PLAIN = {"catalog": {"summary": "Nothing else"}, "name": "p", "url": "ws://127.0.0.1:9/"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the catalogue, as a wheel has it."""
    entries = tmp_path / "catalog"
    entries.mkdir()
    for name, document in {"clock": FULL, "plain": PLAIN, "wamp": PLAIN}.items():
        (entries / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    monkeypatch.setattr(catalog, "_PACKAGE", tmp_path)
    monkeypatch.chdir(tmp_path)
    return entries


def test_the_list_has_two_lines_for_each_entry() -> None:
    listed = run("catalog")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.splitlines() == [
        "clock  Ask a clock",
        "       run against clock 1.2; needs CLOCK_TOKEN",
        "plain  Nothing else",
        "       written from the documentation; needs no variables",
        "wamp   Nothing else",
        "       written from the documentation; needs no variables",
        "",
        "utcp-ws-mcp catalog show NAME    what an entry needs, and its tools",
        "utcp-ws-mcp catalog doctor NAME  check its variables, connect and log in",
    ]


def test_the_list_as_json_has_all_fields() -> None:
    clock, plain, _ = json.loads(run("catalog", "--json").stdout)
    assert clock == {
        "name": "clock",
        "summary": "Ask a clock",
        "run_against": "clock 1.2",
        "setup": f"Start {LONG}it.",
        "variables": [
            {"name": "CLOCK_URL", "required": False, "description": "The address."},
            {"name": "CLOCK_TOKEN", "required": True, "description": f"A key {LONG}here."},
        ],
        "limits": "One call.",
        "tools": ["c.set", "c.get"],
        "feeds": ["c.ticks"],
    }
    assert plain == {
        "name": "plain", "summary": "Nothing else", "run_against": None, "setup": "", "variables": [], "limits": "",
        "tools": [], "feeds": [],
    }  # fmt: skip


def words(count: int) -> str:
    return " ".join(["word"] * count)


def test_an_entry_is_shown_in_lines_of_a_hundred_characters() -> None:
    shown = run("catalog", "show", "clock")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "clock: Ask a clock",
        "Run against clock 1.2.",
        "",
        f"Setup: Start {words(17)}",
        f"{words(7)} it.",
        "",
        "Limits: One call.",
        "",
        "CLOCK_URL    optional: The address.",
        f"CLOCK_TOKEN  required: A key {words(14)}",
        f"    {words(10)} here.",
        "",
        "c.set(at, zone?) [changes something]",
        "    Set.",
        "c.get()",
        f"    Ask {words(18)}",
        f"    {words(6)} end.",
        "c.ticks(zone?) [feed]",
        "    Each tick.",
        "",
        "Call:    utcp-ws-mcp call clock c.get",
        "Install: utcp-ws-mcp install HOST clock",
        "Copy:    utcp-ws-mcp init clock",
    ]


def test_an_entry_without_variables_and_tools_is_shown_in_few_lines() -> None:
    assert run("catalog", "show", "plain").stdout.splitlines() == [
        "plain: Nothing else",
        "Written from the documentation.",
        "",
        "p: the endpoint announces its tools.",
        "",
        "Call:    utcp-ws-mcp tools plain",
        "Install: utcp-ws-mcp install HOST plain",
        "Copy:    utcp-ws-mcp init plain",
    ]
    assert run("catalog", "show", "wamp").stdout.endswith("Copy:    utcp-ws-mcp init catalog:wamp\n")


def test_a_long_word_and_a_hyphen_break_no_line(folder: Path) -> None:
    info = {"summary": "s", "setup": f"{words(19)} {'x' * 110} {words(19)} one-two", "variables": {"A": "x" * 110}}
    (folder / "plain.json").write_text(json.dumps({**PLAIN, "catalog": info, "headers": {"X": "${A}"}}))
    assert run("catalog", "show", "plain").stdout.splitlines()[3:10] == [
        f"Setup: {words(18)}", "word", "x" * 110, words(19), "one-two", "", "A  required:",
    ]  # fmt: skip


@pytest.mark.parametrize(("length", "lines"), [(45, ["{} {}"]), (46, ["{}", "{}"])])
def test_a_line_has_up_to_a_hundred_characters(folder: Path, length: int, lines: list[str]) -> None:
    first, second = f"Limits: {'y' * 46}", "z" * length
    info = {"summary": "s", "limits": f"{'y' * 46} {second}"}
    (folder / "plain.json").write_text(json.dumps({**PLAIN, "catalog": info}))
    shown = run("catalog", "show", "plain").stdout.splitlines()[3 : 3 + len(lines)]
    assert "\n".join(shown) == "\n".join(lines).format(first, second)


@pytest.mark.parametrize("command", ["show", "doctor"])
def test_an_unknown_entry_is_an_error(command: str) -> None:
    refused = run("catalog", command, "clok")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "clok: the catalogue has no entry 'clok'. Did you mean 'clock'? [unknown-manifest]\n"


@pytest.mark.parametrize("command", [("show", "plain"), ("doctor", "plain")])
def test_json_has_no_effect_on_one_entry(command: tuple[str, ...]) -> None:
    refused = run("catalog", "--json", *command)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--json is for the list; show and doctor have no such form" in refused.stderr


@pytest.fixture
def url() -> Iterator[str]:
    def handle(connection: ServerConnection) -> None:
        for _ in connection:
            pass

    with served(handle) as url:
        yield url


def test_the_doctor_says_that_an_entry_is_ready(url: str) -> None:
    seen = run("catalog", "doctor", "clock", CLOCK_URL=url, CLOCK_TOKEN="t0ken-of-the-clock")
    assert (seen.returncode, seen.stderr) == (0, "")
    lines = seen.stdout.splitlines()
    assert lines[0] == "CLOCK_URL    set: The address."
    assert lines[1].startswith("CLOCK_TOKEN  set: A key word")
    assert lines[3].startswith("c: connected and logged in within ")
    assert lines[3].endswith(" ms")
    assert lines[4:] == ["", "Ready. Next: utcp-ws-mcp call clock c.get"]


def test_the_doctor_says_which_variable_is_missing() -> None:
    seen = run("catalog", "doctor", "clock")
    assert (seen.returncode, seen.stderr) == (1, "")
    lines = seen.stdout.splitlines()
    assert lines[0] == "CLOCK_URL    not set, optional: The address."
    assert lines[1].startswith("CLOCK_TOKEN  MISSING: A key word")
    assert lines[3:] == [
        "", "Set CLOCK_TOKEN: write NAME=value lines to a file, and pass it with --env-file FILE.",
    ]  # fmt: skip


def test_the_doctor_says_how_an_endpoint_is_set_up_that_does_not_answer() -> None:
    seen = run("catalog", "doctor", "clock", CLOCK_URL="ws://127.0.0.1:1/", CLOCK_TOKEN="t0ken-of-the-clock")
    assert seen.returncode == 1
    failed, empty, setup = seen.stdout.splitlines()[3:]
    assert failed.startswith("c: ")
    assert "[connection-refused]" in failed
    assert (empty, setup) == ("", f"Setup: Start {LONG}it.")
    assert "Ready" not in seen.stdout


def test_the_doctor_refers_to_the_entry_where_it_says_no_setup() -> None:
    seen = run("catalog", "doctor", "plain")
    assert seen.returncode == 1
    assert seen.stdout.endswith("\n\nSee: utcp-ws-mcp catalog show plain\n")


def test_a_variable_that_only_a_disabled_call_template_has_is_not_set(folder: Path) -> None:
    """Of two call templates, one lacks a variable; the other one is tried."""
    templates = [
        {"name": "a", "url": "ws://127.0.0.1:1/", "headers": {"X": "${A}", "Y": "${B}"}},
        {"name": "b", "url": "ws://127.0.0.1:1/"},
    ]
    document: dict[str, Any] = {"catalog": {"summary": "s"}, "manual_call_templates": templates}
    (folder / "plain.json").write_text(json.dumps(document))
    seen = run("catalog", "doctor", "plain", B="set")
    lines = seen.stdout.splitlines()
    assert lines[:2] == ["A  MISSING:", "B  not set:"]
    assert lines[2].startswith("b: ")
    assert "Set A: write NAME=value" in seen.stdout


def test_a_file_of_variables_that_cannot_be_read_is_an_error() -> None:
    refused = run("catalog", "doctor", "plain", "--env-file", "none.env")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "cannot read none.env" in refused.stderr


def test_a_copy_names_the_first_preset_of_its_entry(folder: Path) -> None:
    templates = [
        {**PLAIN, "name": name, "preset": preset} for name, preset in (("a", "wamp"), ("b", "jsonrpc2"), ("c", 5))
    ]
    for each in templates:
        del each["catalog"]
    (folder / "plain.json").write_text(json.dumps({"catalog": {"summary": "s"}, "manual_call_templates": templates}))
    filled = "fill in your values, then run: utcp-ws-mcp check"
    example = " (its preset is wamp: `init wamp` writes an example of it)"
    for name, file, origin in [
        ("plain", "p.json", f", a copy of the catalogue entry plain{example}"),
        ("clock", "c.json", ", a copy of the catalogue entry clock"),
        ("wamp", "w.json", ""),
    ]:
        assert run("init", name, file).stdout == f"{file} is written{origin}; {filled} {file}\n"


NO_ENTRY = "and the catalogue has no such entry;"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("clok",), f"there is no preset 'clok', {NO_ENTRY} did you mean 'clock'?"),
        (("non",), f"there is no preset 'non', {NO_ENTRY} did you mean 'none'?"),
        (("xyzzy",), f"there is no preset 'xyzzy', {NO_ENTRY} `utcp-ws-mcp init` and `utcp-ws-mcp catalog` list them"),
        (
            ("clock", "catalog/clock.json"),
            "catalog/clock.json already exists and is not changed; give another name: init clock FILE",
        ),
    ],
)  # fmt: skip
def test_what_init_cannot_write_is_said(words: tuple[str, ...], said: str) -> None:
    refused = run("init", *words)
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", f"{said}\n")


def test_the_presets_are_listed_with_their_purpose() -> None:
    listed = run("init")
    names = [*sorted(preset_names()), "none"]
    width = max(map(len, names))
    purposes = {
        **{name: preset_summary(name) for name in names[:-1]},
        "none": "No preset: an endpoint with messages of its own",
    }
    assert (listed.returncode, listed.stdout.splitlines()) == (0, [
        *(f"{name.ljust(width)}  {purposes[name]}" for name in names), "",
        "utcp-ws-mcp init PRESET writes a commented manifest.json",
        "utcp-ws-mcp init NAME copies a manifest of the catalogue; utcp-ws-mcp catalog lists them",
    ])  # fmt: skip
