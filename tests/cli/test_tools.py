"""`utcp-ws-mcp tools`, and the command that others propose to try next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from utcp_ws_mcp.cli.tools import format_signature, propose_command

from .endpoint import served
from .program import run

READS = {"readOnlyHint": True}


def tool(name: str, *required: str, reads: bool = False) -> dict[str, Any]:
    return {"name": name, "inputs": {"required": [*required]}, **({"annotations": READS} if reads else {})}


PROPOSED: dict[str, tuple[str, list[dict[str, Any]], list[str], str]] = {
    "the only tool": ("m.json", [{"name": "m", "tools": [{"name": "t"}]}], [], "call m.json m.t"),
    "a tool with arguments": ("m.json", [{"name": "m", "tools": [tool("t", "a", "b")]}], [], "call m.json m.t a=… b=…"),
    "the first of two": ("m.json", [{"name": "m", "tools": [tool("t"), tool("u")]}], [], "call m.json m.t"),
    "the one without arguments": ("m.json", [{"name": "m", "tools": [tool("t", "a"), tool("u")]}], [],
        "call m.json m.u"),
    "the one that reads": (
        "m.json", [{"name": "m", "tools": [tool("t"), tool("u", "a", reads=True)]}], [], "call m.json m.u a=…",
    ),
    "one of the second call template": (
        "m.json", [{"name": "m"}, {"name": "n", "tools": [tool("t")]}], [], "call m.json n.t",
    ),
    "a feed": ("m.json", [{"name": "m", "feeds": [{"name": "f"}, {"name": "g"}]}], [], "watch m.json m.f"),
    "a tool before a feed": (
        "m.json", [{"name": "m", "tools": [tool("t")], "feeds": [{"name": "f"}]}], [], "call m.json m.t",
    ),
    "a feed behind inherited ones": ("m.json", [{"name": "m", "feeds": ["...", {"name": "f"}]}], [],
        "watch m.json m.f"),
    "inherited feeds only": ("m.json", [{"name": "m", "feeds": ["..."]}], [], "tools m.json"),
    "nothing that is known": ("m.json", [{"name": "m"}], [], "tools m.json"),
    "files of variables": (
        "a b.json", [{"name": "m", "tools": [tool("t", "a")]}], ["x.env", "y z.env"],
        "call 'a b.json' m.t a=… --env-file x.env --env-file 'y z.env'",
    ),
    "a feed with variables": (
        "m.json", [{"name": "m", "feeds": [{"name": "f"}]}], ["x.env"], "watch m.json m.f --env-file x.env",
    ),
    "nothing, with variables": ("m.json", [{"name": "m"}], ["x.env"], "tools m.json --env-file x.env"),
}  # fmt: skip


@pytest.mark.parametrize(("reference", "templates", "files", "command"), PROPOSED.values(), ids=PROPOSED)
def test_the_command_to_try_is_one_that_only_reads_and_needs_little(
    reference: str, templates: list[dict[str, Any]], files: list[str], command: str
) -> None:
    assert propose_command(reference, templates, [Path(file) for file in files]) == f"utcp-ws-mcp {command}"


@pytest.mark.parametrize(
    ("inputs", "signature"),
    [
        ({}, ""), ({"properties": {"a": {}}}, "a?"), ({"properties": {"a": {}, "b": {}}, "required": ["b"]}, "a?, b"),
        ({"required": ["a"]}, ""),
    ],
)  # fmt: skip
def test_a_signature_marks_what_is_optional(inputs: dict[str, Any], signature: str) -> None:
    assert format_signature(inputs) == signature


@pytest.fixture
def file(tmp_path: Path) -> str:
    tools = [
        {"name": "t", "description": "  Ask.\nMore.", "inputs": {"properties": {"a": {}}},
            "outputs": {"type": "object"}},
        {"name": "u", "description": "Größe ✓ of topsecret-value"},
        {"name": "v"},
    ]  # fmt: skip
    path = tmp_path / "m.json"
    template = {"name": "m", "url": "wss://a.example/", "headers": {"X-Key": "${API_KEY}"}, "tools": tools}
    path.write_text(json.dumps(template), encoding="utf-8")
    return str(path)


def test_tools_are_listed_one_on_a_line(file: str) -> None:
    listed = run("tools", file, API_KEY="topsecret-value")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout == "m.t(a?)  Ask.\nm.u()  Größe ✓ of ***\nm.v()\n"


def test_tools_as_json_have_their_schemas(file: str) -> None:
    listed = run("tools", file, "--json", API_KEY="topsecret-value")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "Größe ✓ of ***" in listed.stdout
    assert "\n  {\n" in listed.stdout
    first, second, _ = json.loads(listed.stdout)
    assert first["name"] == "m.t"
    assert first["description"] == "  Ask.\nMore."
    assert first["inputs"]["properties"] == {"a": {}}
    assert first["outputs"] == {"type": "object"}
    assert (second["name"], second["outputs"]) == ("m.u", {})


def test_a_warning_of_a_discovery_is_on_stderr_and_its_events_are_not(tmp_path: Path) -> None:
    def announce(connection: ServerConnection) -> None:
        connection.recv()
        connection.send(json.dumps({"tools": [{"name": "t"}, {"name": "t"}]}))
        for _ in connection:
            pass

    path = tmp_path / "m.json"
    with served(announce) as url:
        path.write_text(json.dumps({"name": "m", "url": url}))
        listed = run("tools", str(path))
    assert (listed.returncode, listed.stdout) == (0, "m.t()\n")
    (warning,) = listed.stderr.splitlines()
    assert warning.startswith("m: ")


def test_what_is_ignored_of_a_manifest_is_said(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    good = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}]}
    path.write_text(json.dumps([good, {**good, "name": "n", "headers": {"X": "${UNSET}"}}]), encoding="utf-8")
    (tmp_path / ".env").write_text("no assignment\n")
    listed = run("tools", str(path))
    assert (listed.returncode, listed.stdout) == (0, "m.t()\n")
    unset, ignored = sorted(listed.stderr.splitlines(), key=lambda line: "UNSET" not in line)
    assert unset.startswith(f"{path}: n: UNSET is not set")
    assert ignored.startswith(f"{path}: ")
    assert ".env" in ignored
