"""`check --online`: the lines for each endpoint, and what makes it fail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from .endpoint import served
from .program import run

TOOL = {"name": "t", "description": "Ask.", "annotations": {"readOnlyHint": True},
        "tool_call_template": {"response_format": "json"}}  # fmt: skip
SHORT = ("--duration", "0.05")


def online(folder: Path, document: Any, *options: str) -> Any:
    file = folder / "m.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return run("check", "--online", *SHORT, str(file), *options)


def sends(*messages: Any) -> Callable[[ServerConnection], None]:
    """An endpoint that sends messages at once, and answers nothing."""

    def handle(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(json.dumps(message))
        for _ in connection:
            pass

    return handle


def announces(*tools: Any) -> Callable[[ServerConnection], None]:
    def handle(connection: ServerConnection) -> None:
        for raw in connection:
            if json.loads(raw).get("type") == "utcp":
                connection.send(json.dumps({"tools": list(tools)}))

    return handle


def test_each_endpoint_is_named_before_its_lines(tmp_path: Path) -> None:
    with served(sends()) as url:
        checked = online(tmp_path, [{"name": name, "url": url, "tools": [TOOL]} for name in ("a", "b")])
    assert checked.returncode == 0, checked.stdout
    lines = checked.stdout.splitlines()
    assert lines[0].endswith("m.json: 2 call templates, 2 tools listed")
    assert [line for line in lines if re.fullmatch(r"\w+:", line)] == ["a:", "b:"]
    assert sum("= connected to" in line for line in lines) == 2
    assert "tool in" not in checked.stdout  # what a manifest lists is not asked for


@pytest.mark.parametrize(("names", "count"), [(["one"], "1 tool"), (["one", "two"], "2 tools"), ([], "0 tools")])
def test_the_announced_tools_are_counted_and_listed(tmp_path: Path, names: list[str], count: str) -> None:
    inputs = {"properties": {"a": {}, "b": {}}, "required": ["a"]}
    with served(announces(*({"name": name, "description": "d", "inputs": inputs} for name in names))) as url:
        checked = online(tmp_path, {"name": "m", "url": url})
    assert checked.returncode == 0, checked.stdout
    (counted,) = re.findall(rf"^m: {count} in (\d+) ms$", checked.stdout, re.MULTILINE)
    assert int(counted) < 60_000
    assert re.findall(r"^  (m\..*)$", checked.stdout, re.MULTILINE) == [f"m.{name}(a, b?)" for name in names]


def test_what_single_hosts_refuse_of_an_announced_tool_is_a_note_and_no_warning(tmp_path: Path) -> None:
    with served(announces({"name": "x" * 70, "description": "d"})) as url:
        checked = online(tmp_path, {"name": "m", "url": url}, "--strict")
    assert checked.returncode == 0, checked.stdout
    assert "! note: " in checked.stdout


NEWS = {"type": "news", "text": "hello"}


def test_only_messages_that_a_call_would_accept_are_a_warning(tmp_path: Path) -> None:
    with served(sends(NEWS)) as url:
        document = {"name": "m", "url": url, "tools": [TOOL]}
        loose = online(tmp_path, document)
        strict = online(tmp_path, document, "--strict")
        ignored = online(tmp_path, {**document, "ignore": "message.type == 'news'"}, "--strict")
        matched = online(tmp_path, {**document, "reply": {"match": "message.type == 'reply'"}}, "--strict")
    shown = 'm.t would accept this unsolicited message as its reply: {"type": "news", "text": "hello"}. '
    assert f"! warning: {shown}" in loose.stdout
    assert '"reply.match" to select the reply, or "ignore" to exclude such messages. [ambiguous-reply]' in loose.stdout
    assert loose.stdout.count("would accept") == 1
    assert (loose.returncode, strict.returncode) == (0, 2)
    for checked in (ignored, matched):
        assert checked.returncode == 0, checked.stdout
        assert "would accept" not in checked.stdout


def test_a_demand_for_a_login_is_a_note_that_names_the_preset(tmp_path: Path) -> None:
    with served(sends({"type": "auth_required", "ha_version": "1"})) as url:
        document = {"name": "m", "url": url, "reply": {"match": "message.id == request_id"}, "tools": [TOOL]}
        checked = online(tmp_path, document)
    assert (
        '! note: Perhaps the endpoint expects a login first, and the call template has none; "preset": "homeassis'
        in (checked.stdout)
    )
    assert checked.returncode == 0


def test_a_tool_is_warned_of_once_however_many_messages_there_are(tmp_path: Path) -> None:
    with served(sends(*[NEWS] * 5)) as url:
        checked = online(tmp_path, {"name": "m", "url": url, "tools": [TOOL, {**TOOL, "name": "u"}]})
    assert checked.stdout.count("would accept") == 1


def test_a_long_message_is_cut_in_a_warning(tmp_path: Path) -> None:
    with served(sends({"type": "news", "text": "x" * 500})) as url:
        checked = online(tmp_path, {"name": "m", "url": url, "tools": [TOOL]})
    (shown,) = re.findall(r"as its reply: (.*?)\. Set", checked.stdout)
    assert 90 < len(shown) < 120


def test_one_endpoint_that_fails_is_a_failure_beside_one_that_works(tmp_path: Path) -> None:
    with served(sends()) as url:
        checked = online(
            tmp_path,
            [
                {"name": "bad", "url": "ws://127.0.0.1:1/", "tools": [TOOL]},
                {"name": "good", "url": url, "tools": [TOOL]},
            ],
        )
    assert checked.returncode == 1
    assert "! bad: cannot connect to ws://127.0.0.1:1/" in checked.stdout
    assert "= connected to" in checked.stdout


def test_a_warning_comes_before_a_failure_when_strict(tmp_path: Path) -> None:
    document = {"name": "bad", "url": "ws://127.0.0.1:1/", "tools": [{"name": "t"}]}
    assert online(tmp_path, document).returncode == 1
    assert online(tmp_path, document, "--strict").returncode == 2


def test_a_call_template_without_tools_is_not_connected_to(tmp_path: Path) -> None:
    checked = online(tmp_path, {"name": "m", "url": "ws://127.0.0.1:1/", "tools": []})
    assert checked.returncode == 0
    assert checked.stdout.splitlines()[-1] == "m:"


def test_an_endpoint_that_leaves_ends_its_check(tmp_path: Path) -> None:
    with served(lambda connection: connection.close()) as url:
        file = tmp_path / "m.json"
        file.write_text(json.dumps({"name": "m", "url": url, "tools": [TOOL]}))
        checked = run("check", "--online", "--duration", "30", str(file))
    assert checked.returncode == 0
    assert f"= {url}: closed by the server with code 1000" in checked.stdout


def test_a_check_online_needs_the_values_of_callers(tmp_path: Path) -> None:
    document = {"name": "m", "url": "ws://127.0.0.1:1/", "headers": {"X": "${caller:KEY}"}, "tools": [TOOL]}
    checked = online(tmp_path, document)
    assert "KEY is not set" in checked.stderr
    assert checked.returncode == 2
