"""`utcp-ws-mcp record`, with its lines from a pipe."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
from websockets.sync.server import ServerConnection

from .endpoint import served
from .program import run

TOKEN = "a-very-secret-token"


@pytest.fixture
def clock() -> Iterator[str]:
    """An endpoint that greets, takes a login, and answers by id; `bye` makes it go."""

    def handle(connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "hello"}))
        for raw in connection:
            message = json.loads(raw)
            if "token" in message:
                connection.send(json.dumps({"type": "ready", "for": message["token"]}))
            elif message["action"] == "bye":
                return
            else:
                connection.send(json.dumps({"type": "tick"}))
                connection.send(json.dumps({"id": message["id"], "result": message.get("zone")}))

    with served(handle) as url:
        yield url


def record(url: str, *lines: str, options: tuple[str, ...] = (), **environ: str) -> subprocess.CompletedProcess[str]:
    typed = "".join(f"{line}\n" for line in lines)
    return run("record", url, "--idle", "0.1", *options, typed=typed, **environ)


def test_a_draft_passes_the_check_and_its_tools_work(clock: str, tmp_path: Path) -> None:
    file = tmp_path / "draft.json"
    lines = ['{"id": 1, "action": "time", "zone": "Oslo"}', '{"id": 2, "action": "time", "zone": "Rome"}']
    recorded = record(clock, *lines, options=("--output", str(file)))
    assert recorded.returncode == 0, recorded.stderr
    assert '> {"id": 1, "action": "time", "zone": "Oslo"}' in recorded.stderr
    assert '< {"type": "hello"}' in recorded.stderr
    checked = run("check", "--strict", str(file))
    assert (checked.returncode, "warning" in checked.stderr) == (0, False), checked.stderr
    called = run("call", str(file), "api.time", "zone=Paris")
    assert (called.returncode, called.stdout) == (0, '"Paris"\n' if called.stdout.startswith('"') else "Paris\n")


def test_a_login_with_a_variable_works_and_its_value_is_nowhere(clock: str, tmp_path: Path) -> None:
    lines = ['{"type": "auth", "token": "${CLOCK_TOKEN}"}', '{"id": 1, "action": "time"}']
    recorded = record(clock, *lines, CLOCK_TOKEN=TOKEN)
    assert recorded.returncode == 0, recorded.stderr
    assert TOKEN not in recorded.stdout + recorded.stderr
    file = tmp_path / "draft.json"
    file.write_text(recorded.stdout)
    assert run("check", "--strict", str(file), CLOCK_TOKEN=TOKEN).returncode == 0
    assert run("call", str(file), "api.time", CLOCK_TOKEN=TOKEN).returncode == 0


def test_a_secret_that_was_typed_is_left_out_and_said(clock: str) -> None:
    recorded = record(clock, json.dumps({"token": TOKEN}))
    assert TOKEN not in recorded.stdout
    assert "set TOKEN before you use it" in recorded.stderr


def test_an_endpoint_that_goes_away_ends_the_recording_with_a_draft(clock: str) -> None:
    recorded = record(clock, '{"action": "bye"}', '{"id": 1, "action": "time"}')
    assert recorded.returncode == 0, recorded.stderr
    assert [tool["name"] for tool in json.loads(recorded.stdout)["tools"]] == ["bye"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_a_draft_too_and_so_does_the_end_of_its_time(clock: str, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "utcp_ws_mcp", "record", clock]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as recording:
        assert recording.stdin is not None
        assert recording.stderr is not None
        recording.stdin.write('{"id": 1, "action": "time"}\n')
        recording.stdin.flush()
        assert any("result" in line for line in recording.stderr)
        recording.send_signal(number)
        recording.wait(timeout=60)  # before `communicate` ends the input, which ends a recording as well
        drafted, said = recording.communicate()
    assert [tool["name"] for tool in json.loads(drafted)["tools"]] == ["time"]
    assert (recording.returncode, "Traceback" in said) == (130, False)
    assert f"= {clock}: closed by utcp-ws-mcp" in said
    assert "was cut" not in said


def test_sigterm_ends_a_recording_that_ignores_ctrl_c(clock: str) -> None:
    ignoring = "import signal, runpy; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    ignoring += "runpy.run_module('utcp_ws_mcp', run_name='__main__')"
    command = [sys.executable, "-c", ignoring, "record", clock]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as recording:
        assert recording.stderr is not None
        assert any("connected" in line for line in recording.stderr)
        recording.send_signal(signal.SIGTERM)
        assert recording.wait(timeout=60) == -signal.SIGTERM


def test_a_recording_without_messages_says_what_to_do(tmp_path: Path) -> None:
    with served(lambda connection: connection.recv()) as url:
        recorded = record(url)
    assert recorded.returncode == 0
    assert "No message was sent or received, so the draft only listens. Type a request" in recorded.stderr
    assert len(json.loads(recorded.stdout)["feeds"]) == 1


def test_a_file_that_is_there_is_never_overwritten(clock: str, tmp_path: Path) -> None:
    file = tmp_path / "draft.json"
    file.write_text("mine")
    recorded = record(clock, options=("--output", str(file)))
    assert (recorded.returncode, file.read_text()) == (2, "mine")
    assert "already exists and is not changed" in recorded.stderr


@pytest.mark.parametrize(
    ("url", "code", "sentence"),
    [
        ("ws://127.0.0.1:1/", 1, "cannot connect to ws://127.0.0.1:1/"),
        ("http://127.0.0.1:1/", 2, "expected a URL of the form ws://"),
        ("127.0.0.1:9731", 2, "expected a URL of the form ws://host[:port]/path or wss://host[:port]/path. Put ws://"),
        ("wss://a.example/${NOT_SET_X}", 2, "NOT_SET_X is not set"),
    ],
)
def test_an_endpoint_that_cannot_be_reached_is_said_in_one_sentence(url: str, code: int, sentence: str) -> None:
    recorded = record(url)
    assert recorded.returncode == code
    assert sentence in recorded.stderr
    assert "Traceback" not in recorded.stderr


def test_a_line_that_lacks_a_variable_is_not_sent_and_ends_a_pipe_without_a_draft(clock: str, tmp_path: Path) -> None:
    file = tmp_path / "draft.json"
    lines = ['{"token": "${NOT_SET_X}"}', '{"id": 1, "action": "time"}']
    recorded = record(clock, *lines, options=("--output", str(file)))
    assert (recorded.returncode, recorded.stdout, file.exists()) == (2, "", False)
    assert "Not sent: record: NOT_SET_X is not set." in recorded.stderr
    assert "[variable-not-set]" in recorded.stderr
    assert "> " not in recorded.stderr
    assert record(clock, '{"token": "$${NOT_SET_X}"}').returncode == 0


def test_headers_subprotocols_and_variables_of_the_handshake_are_in_the_draft(tmp_path: Path) -> None:
    seen = []

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(
            (connection.request.path, connection.request.headers["X-Key"], connection.request.headers["X-Client"])
        )
        for raw in connection:
            connection.send(raw)

    (tmp_path / "v.env").write_text("KEY=topsecret-value\n")
    options = ("--header", "X-Key: ${KEY}", "--header", "X-Client:a:b ", "--protocol", "v1", "--protocol", "v2")
    with served(handle, subprotocols=["v2"]) as url:
        recorded = record(f"{url}?k=${{KEY}}", "hello", options=(*options, "--env-file", str(tmp_path / "v.env")))
    assert recorded.returncode == 0, recorded.stderr
    assert seen == [("/?k=topsecret-value", "topsecret-value", "a:b")]
    draft = json.loads(recorded.stdout)
    assert draft["url"] == f"{url}?k=${{KEY}}"
    assert draft["headers"] == {"X-Key": "${KEY}", "X-Client": "a:b"}
    assert draft["protocol"] == ["v1", "v2"]
    assert "topsecret-value" not in recorded.stdout + recorded.stderr


@pytest.fixture
def echoing() -> Iterator[tuple[str, list[str | bytes]]]:
    """An endpoint that sends back what it gets; its URL, and what it got."""
    got: list[str | bytes] = []

    def handle(connection: ServerConnection) -> None:
        for raw in connection:
            got.append(raw)
            connection.send(raw)

    with served(handle) as url:
        yield url, got


SENT: dict[str, tuple[tuple[str, ...], list[str], list[str | bytes]]] = {
    "lines": ((), ["a", "", "  ", r"b\n"], ["a", r"b\n"]),
    "a line of two ends": ((), ["a\r"], ["a"]),
    "escapes": (("--escapes",), [r"a\r\n", r"\x41"], ["a\r\n", "A"]),
    "bytes": (("--hex",), ["07 ff", "0a"], [b"\x07\xff", b"\n"]),
}


@pytest.mark.parametrize(("options", "lines", "expected"), SENT.values(), ids=SENT)
def test_each_line_is_a_message(
    echoing: tuple[str, list[str | bytes]], options: tuple[str, ...], lines: list[str], expected: list[str | bytes]
) -> None:
    url, got = echoing
    assert record(url, *lines, options=options).returncode == 0
    assert got == expected


def test_a_last_line_needs_no_end(echoing: tuple[str, list[str | bytes]]) -> None:
    url, got = echoing
    assert run("record", url, "--idle", "0.05", typed="a\nlast é").returncode == 0
    assert got == ["a", "last é"]


def test_a_line_that_is_not_hexadecimal_is_said_and_the_others_are_sent(echoing: tuple[str, list[str | bytes]]) -> None:
    url, got = echoing
    recorded = record(url, "07", "0x", "08", options=("--hex",))
    assert (recorded.returncode, got) == (0, [b"\x07", b"\x08"])
    assert "Not sent, because it is not hexadecimal: 0x\n" in recorded.stderr


def test_at_a_terminal_a_line_that_lacks_a_variable_can_be_typed_again(echoing: tuple[str, list[str | bytes]]) -> None:
    url, got = echoing
    recorded = run("record", url, "--idle", "0.05", typed='{"op": "${NOT_SET_X}"}\n{"op": "a"}\n', terminal=True)
    assert (recorded.returncode, got) == (0, ['{"op": "a"}'])
    assert "Type one message per line. Ctrl-D ends the session and drafts the manifest.\n" in recorded.stderr
    assert "Not sent: record: NOT_SET_X is not set." in recorded.stderr
    assert [tool["name"] for tool in json.loads(recorded.stdout)["tools"]] == ["a"]
    assert "Type one message" not in record(url, "a").stderr


def test_a_draft_goes_into_a_file_or_to_stdout(echoing: tuple[str, list[str | bytes]], tmp_path: Path) -> None:
    url, _ = echoing
    file = tmp_path / "draft.json"
    shown, written = record(url, '{"op": "a"}'), record(url, '{"op": "a"}', options=("--output", str(file)))
    assert written.stdout == ""
    assert f"{file} is written; check it with: utcp-ws-mcp check {file}\n" in written.stderr
    assert file.read_text(encoding="utf-8") == shown.stdout
    assert shown.stdout.startswith('{\n  "$comment": [')
    assert shown.stdout.endswith("\n}\n")
    refused = record(url, '{"op": "b"}', options=("--output", str(file)))
    assert refused.stderr == f"{file} already exists and is not changed; give another name\n"


def test_a_secret_that_was_typed_is_said_after_the_draft(echoing: tuple[str, list[str | bytes]]) -> None:
    url, _ = echoing
    recorded = record(url, '{"op": "login", "token": "s3cret-value"}')
    said = "A secret was typed. The draft contains ${TOKEN} instead: set TOKEN before you use it.\n"
    assert recorded.stderr.endswith(said)
    assert "A secret was typed" not in record(url, '{"op": "a"}').stderr
