"""`utcp-ws-mcp check`, as an author of manifests uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from .endpoint import served
from .program import run

GOOD = {
    "name": "m",
    "url": "wss://example.com/",
    "tools": [
        {
            "name": "t",
            "description": "Ask.",
            "annotations": {"readOnlyHint": True},
            "tool_call_template": {"response_format": "text"},
        }
    ],
}
TOKEN = "a-very-secret-token"


def write(folder: Path, document: Any) -> str:
    file = folder / "m.json"
    file.write_text(json.dumps(document, indent=1) if not isinstance(document, str) else document)
    return str(file)


@pytest.fixture
def talker() -> Iterator[str]:
    """An endpoint that requires a token, greets, and returns a manual; its URL."""

    def handle(connection: ServerConnection) -> None:
        login = json.loads(connection.recv())
        connection.send(json.dumps({"type": "ready", "echo": login["token"]}))
        connection.send(json.dumps({"type": "news", "text": "hello"}))
        for raw in connection:
            if json.loads(raw).get("type") == "utcp":
                connection.send(json.dumps({"tools": [{"name": "found", "inputs": {"properties": {"x": {}}}}]}))

    with served(handle) as url:
        yield url


def test_a_good_manifest_passes_also_when_strict(tmp_path: Path) -> None:
    checked = run("check", "--strict", write(tmp_path, GOOD))
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_warning_names_its_place_and_fails_only_when_strict(tmp_path: Path) -> None:
    file = write(tmp_path, {**GOOD, "tools": [{"name": "t"}]})
    checked = run("check", file)
    assert checked.returncode == 0
    assert f'{file}:6:12: warning: tools[0].name: m.t has no "description"' in checked.stderr
    assert run("check", "--strict", file).returncode == 2


def test_a_key_that_stands_twice_is_a_warning(tmp_path: Path) -> None:
    file = write(tmp_path, '{"url": "wss://a.example/",\n "url": "wss://b.example/"}')
    assert f"{file}:2:2: warning: url: this key appears twice" in run("check", file).stderr


def test_every_problem_has_its_line_and_column(tmp_path: Path) -> None:
    file = write(tmp_path, {**GOOD, "timeout": "soon", "reply": {"matches": "true"}})
    checked = run("check", file)
    assert checked.returncode == 2
    assert f"{file}:16:13: timeout: expected a number" in checked.stderr
    assert f"{file}:18:14: reply.matches: unknown key. Did you mean 'match'? [unknown-key]" in checked.stderr


def test_a_problem_comes_with_what_its_field_is_for(tmp_path: Path) -> None:
    said = run("check", write(tmp_path, {**GOOD, "timeout": "soon", "mesage": 1})).stderr.splitlines()
    number = next(
        number for number, line in enumerate(said) if line.endswith("timeout: expected a number. [wrong-type]")
    )
    assert said[number + 1].startswith("    timeout: The timeout of a call in seconds")
    assert len(said) == 4  # and that further checks follow


def test_a_missing_variable_is_shown_where_it_stands(tmp_path: Path) -> None:
    file = write(tmp_path, {**GOOD, "headers": {"X": "${UNSET}"}})
    checked = run("check", file)
    assert checked.returncode == 2
    assert f"{file}:17:9: m: UNSET is not set" in checked.stderr


def test_a_manifest_is_checked_without_the_values_of_its_variables(tmp_path: Path) -> None:
    tools = [{"name": "t", "tool_call_template": {"message": "{{ args.x }}"}}]
    unset = {"url": "${MY_URL}", "timeout": "${MY_SECONDS}", "headers": {"X": "${MY_KEY}"}}
    checked = run("check", write(tmp_path, {"name": "m", "tools": tools, **unset}))
    assert checked.returncode == 2
    assert "m: MY_URL, MY_SECONDS, MY_KEY are not set" in checked.stderr
    for code in ("description-missing", "argument-not-declared", "annotations-missing"):
        assert f"[{code}]" in checked.stderr


def test_what_no_value_of_a_variable_solves_is_an_error_without_values(tmp_path: Path) -> None:
    document = {**GOOD, "headers": {"X": "${UNSET}"}, "message": "{{ args.x | nofilter }}"}
    checked = run("check", write(tmp_path, document))
    assert checked.returncode == 2
    assert "UNSET is not set" in checked.stderr
    assert "nofilter" in checked.stderr


@pytest.mark.parametrize(
    ("preset", "fields"),
    [("homeassistant", {"on_connect": None}), ("homeassistant", {"on_connect": []}), ("jupyter", {"headers": None})],
)
def test_the_variable_of_a_replaced_field_of_a_preset_is_not_demanded(tmp_path: Path, preset: str, fields: Any) -> None:
    code = {"properties": {"code": {"type": "string"}}}
    tools = [{**GOOD["tools"][0], "inputs": code, "tool_call_template": {}}]  # type: ignore[index]
    checked = run("check", "--strict", write(tmp_path, {**GOOD, "preset": preset, **fields, "tools": tools}))
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_missing_variable_of_a_preset_is_shown_at_the_preset(tmp_path: Path) -> None:
    file = write(tmp_path, {**GOOD, "preset": "homeassistant"})
    assert f"{file}:16:12: m: HOMEASSISTANT_TOKEN is not set" in run("check", file).stderr


def test_a_manifest_without_url_gives_one_line(tmp_path: Path) -> None:
    file = write(tmp_path, {"name": "m", "tools": [{"name": "a"}, {"name": "b"}]})
    line, *_, further = run("check", file).stderr.splitlines()
    assert "Further checks" in further
    assert f"{file}:1:1: url: 'm' has no \"url\", and no tool has one of its own" in line


def test_two_manifests_with_one_name_are_wrong(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(GOOD))
    checked = run("check", write(tmp_path, GOOD), str(other))
    assert checked.returncode == 2
    assert "name: 'm' is already the name of" in checked.stderr


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [("none.pem", None, "tls.ca_file names no file"), ("ca.pem", "no PEM", "not a certificate or key")],
)
def test_a_certificate_file_that_cannot_be_used_is_a_warning(
    tmp_path: Path, name: str, text: str | None, reason: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    checked = run("check", "--strict", write(tmp_path, {**GOOD, "tls": {"ca_file": name}}))
    assert checked.returncode == 2
    assert "warning: tls: a certificate file cannot be used: " in checked.stderr
    assert reason in checked.stderr
    assert checked.stderr.endswith("[certificate-file-not-usable]\n")


def login(url: str, **fields: Any) -> dict[str, Any]:
    steps = [{"send": {"token": "${TOKEN}"}}, {"expect": "message.type == 'ready'"}]
    return {"name": "m", "url": url, "on_connect": steps, **fields}


def test_a_check_online_shows_what_came_back_and_the_tools_without_secrets(tmp_path: Path, talker: str) -> None:
    checked = run("check", "--online", "--duration", "0.2", write(tmp_path, login(talker)), TOKEN=TOKEN)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for expected in (
        "= connected to",
        '> (on_connect[0]) {"token": "***"}',
        '"type": "ready"',
        "m.found(x?)",
        "m: 1 tool in",
    ):
        assert expected in checked.stdout
    assert TOKEN not in checked.stdout + checked.stderr


def test_a_check_online_warns_about_unsolicited_messages_that_a_call_would_accept(tmp_path: Path, talker: str) -> None:
    tool = {"name": "t", "description": "Ask.", "tool_call_template": {"response_format": "json"}}
    document = login(talker, tools=[tool], ignore="message.type == 'other'")
    checked = run("check", "--online", "--strict", write(tmp_path, document), TOKEN=TOKEN)
    assert checked.returncode == 2
    assert "m.t would accept this unsolicited message as its reply: {" in checked.stdout
    document["ignore"] = "message.type == 'news'"
    again = run("check", "--online", "--strict", "--duration", "0.2", write(tmp_path, document), TOKEN=TOKEN)
    assert again.returncode == 0, again.stdout


def test_a_check_online_fails_where_an_endpoint_does(tmp_path: Path) -> None:
    checked = run("check", "--online", write(tmp_path, {"name": "m", "url": "ws://127.0.0.1:1/"}))
    assert checked.returncode == 1
    assert "! m: cannot connect to ws://127.0.0.1:1/" in checked.stdout


def test_a_check_online_says_where_connecting_needs_arguments(tmp_path: Path) -> None:
    tool = {"name": "t", "description": "Ask.", "inputs": {"properties": {"room": {"type": "string"}}}}
    document = {"name": "m", "url": "wss://example.com/UTCP_ARG_room_UTCP_ARG", "tools": [tool]}
    checked = run("check", "--online", write(tmp_path, document))
    assert checked.returncode == 0
    assert "connecting needs arguments: argument 'room' is missing" in checked.stdout


def test_errors_say_that_further_checks_follow(tmp_path: Path) -> None:
    said = run("check", file := write(tmp_path, {**GOOD, "timeout": "soon"})).stderr.splitlines()
    assert said[-1] == f"{file}: Further checks run when these problems are fixed."
    assert "Further checks" not in run("check", write(tmp_path, GOOD)).stderr


def test_an_endpoint_without_a_manual_fails_the_online_check_and_is_named_once(tmp_path: Path) -> None:
    with served(lambda connection: connection.recv() and connection.recv()) as url:
        file = write(tmp_path, {"name": "mute", "url": url, "timeout": 0.3})
        checked = run("check", "--online", "--duration", "0.1", file)
    assert checked.returncode == 1
    assert "mute: timed out after 0.3 s waiting for the UTCP manual" in checked.stdout
    assert "mute: mute" not in checked.stdout


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("", "the file is empty. `utcp-ws-mcp init` writes a manifest to start from. [invalid-json]"),
        ({"mcpServers": {}}, 'this is the configuration file of an MCP host ("mcpServers"), which `install` changes; '),
        (
            {**GOOD, "feeds": [{"name": " feed", "match": "true"}]},
            "feeds[0].name: ' feed' is no name: write it without control characters, and without blanks around it.",
        ),
        (
            {**GOOD, "tools": [{"name": "t", "inputs": {"properties": {"a": {"type": "sting"}}}}]},
            ':10:15: tools[0].inputs.properties.a.type: not a usable JSON Schema: "sting" is no type. The types are',
        ),
        (
            {**GOOD, "feeds": [{"name": "f", "match": "true", "inputs": {"properties": {"a": {"type": "sting"}}}}]},
            'feeds[0].inputs.properties.a.type: not a usable JSON Schema: "sting" is no type.',
        ),
    ],
    ids=["empty", "host", "feed-name", "type", "type-of-a-feed"],
)
def test_a_slip_is_answered_with_what_to_write(tmp_path: Path, document: Any, sentence: str) -> None:
    checked = run("check", write(tmp_path, document))
    assert (checked.returncode, "Traceback" in checked.stderr) == (2, False)
    assert sentence in checked.stderr
