"""The command line, as a person uses it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from utcp_ws_mcp import __version__
from utcp_ws_mcp.cli.argument_names import check_argument_names
from utcp_ws_mcp.manifest.json_schema import manifest_schema

from .endpoint import served
from .program import run

ANSWERS: dict[str, list[Any]] = {
    "utcp": ['{"utcp_version": "1.0", "tools": [{"name": "found"}]}'],
    "stop": [{"result": "first"}, {"error": {"message": "then this"}}],
    "fail": [{"error": {"message": "no"}}],
    "endless": ['{"id": ID, "result": {"n": 1e400}}'],
    "colour": [{"result": "\x1b[31mred"}],
    "alarm": [{"error": {"message": "\x1b]0;title\x07no"}}],
    "picture": [b"\x89PNG\r\n\x1a\n"],
    "sound": [b"\x00\x01", b"\xff"],
    "mute": [],
}


def fitted(answer: Any, message: Any) -> str:
    """An answer with the id of its request."""
    if isinstance(answer, str):
        return answer.replace("ID", json.dumps(message.get("id")))
    return json.dumps({"id": message["id"], **answer})


@contextmanager
def endpoint() -> Iterator[str]:
    """A JSON-RPC endpoint in a thread: answers with the parameters; gives its URL."""

    def handle(connection: ServerConnection) -> None:
        for raw in connection:
            message = json.loads(raw)
            for answer in ANSWERS.get(message.get("method", message.get("type")), [{"result": message.get("params")}]):
                connection.send(answer if isinstance(answer, bytes) else fitted(answer, message))

    with served(handle) as url:
        yield url


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Path]:
    with endpoint() as url:
        inputs = {"properties": {"text": {"type": "string"}, "n": {"type": "integer"}, "more": {"type": "object"}}}
        picture = {"message": {"method": "picture"}, "reply": None, "response_format": None}
        sound = {**picture, "message": {"method": "sound"}, "stream": {"max_items": 2}}
        document: dict[str, Any] = {
            "name": "m",
            "url": url,
            "preset": "jsonrpc2",
            "tools": [
                {"name": "echo", "description": "Echo.\nMore.", "inputs": {**inputs, "required": ["n"]}},
                {"name": "fail"},
                {"name": "list", "inputs": {"properties": {"ids": {"type": "array", "items": {"type": "string"}}}}},
                {"name": "endless"},
                {"name": "colour"},
                {"name": "alarm"},
                {"name": "stop", "tool_call_template": {"stream": True}},
                {"name": "picture", "tool_call_template": picture},
                {"name": "sound", "tool_call_template": sound},
                {"name": "end", "tool_call_template": {**sound, "stream": {"max_items": 2, "collect": "last"}}},
                {"name": "secret", "tool_call_template": {"message": {"method": "x", "id": "{{ request_id }}",
                                                                     "params": {"key": "${API_KEY}"}}}},
            ],
        }  # fmt: skip
        file = tmp_path / "manifest.json"
        file.write_text(json.dumps(document))
        (tmp_path / ".env").write_text("API_KEY=topsecret-value\n")
        yield file


def test_a_call_prints_its_result(manifest: Path) -> None:
    called = run("call", str(manifest), "m.echo", "n=5", "text=7", 'more:={"a": [1]}')
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout) == {"n": 5, "text": "7", "more": {"a": [1]}}


def test_a_result_is_json_as_people_read_it(manifest: Path) -> None:
    called = run("call", str(manifest), "m.echo", "n=5", "text=é")
    assert called.stdout == '{\n  "n": 5,\n  "text": "é"\n}\n'
    assert run("call", str(manifest), "m.stop").stderr.endswith('what came before: ["first"]\n')


def test_a_file_of_a_result_is_said_with_its_size(manifest: Path, tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    called = run("call", str(manifest), "m.echo", "n=5", "--output", str(target))
    assert (called.returncode, called.stdout) == (0, "")
    assert target.read_text() == '{\n  "n": 5\n}\n'
    assert called.stderr == f"{target.stat().st_size} bytes written to {target}\n"


def test_what_a_call_prints_is_json_also_for_a_number_that_no_program_holds(manifest: Path) -> None:
    assert json.loads(run("call", str(manifest), "m.endless").stdout, parse_constant=pytest.fail) == {"n": "Infinity"}


def test_a_call_takes_its_arguments_as_json_too(manifest: Path) -> None:
    assert json.loads(run("call", str(manifest), "m.echo", "--input-json", '{"n": 1}').stdout) == {"n": 1}


def test_the_name_of_the_only_call_template_may_be_left_out(manifest: Path) -> None:
    assert json.loads(run("call", str(manifest), "echo", "n=1").stdout) == {"n": 1}
    assert "Did you mean 'm.echo'? [unknown-tool]" in run("call", str(manifest), "ecko").stderr
    assert "a.b" in run("call", str(manifest), "echo", "a.b=1").stderr  # an argument that it does not have


def test_a_call_finds_the_manifest_that_the_environment_names(manifest: Path) -> None:
    assert json.loads(run("call", "m.echo", "n=1", UTCP_WS_MCP_MANIFEST=str(manifest)).stdout) == {"n": 1}


def test_a_variable_that_is_not_set_is_reported_once(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text('{"name": "m", "url": "wss://a.example/", "message": "${UNSET}", "tools": [{"name": "t"}]}')
    called = run("call", str(file), "m.t")
    assert (called.returncode, called.stdout, called.stderr.count("UNSET is not set")) == (1, "", 1)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["m.fail"], 1, "no"),
        (["m.stop"], 1, 'the endpoint said: then this [tool-error]\nwhat came before: ["first"]'),
        (["m.ecko", "n=1"], 1, "Did you mean 'm.echo'? [unknown-tool]"),
        (["m.echo", "n=x"], 1, 'n: "x" is not of type "integer"'),
        (["m.list", "ids=one,two"], 2, """ids is an array, which is written as JSON: ids:='["one", "two"]'"""),
        (["m.echo", "nonsense"], 2, "expected KEY=VALUE"),
        (["m.echo", "n:=x"], 2, "expected JSON after ':='"),
        (["m.echo", "--input-json", "[1]"], 2, "--input-json needs a JSON object"),
        ([], 2, "no tool given: expected MANUAL.TOOL"),
    ],
)
def test_a_call_that_fails_says_why_on_stderr(manifest: Path, arguments: list[str], code: int, sentence: str) -> None:
    called = run("call", str(manifest), *arguments)
    assert called.returncode == code
    assert called.stdout == ""
    assert sentence in called.stderr
    assert "Traceback" not in called.stderr


@pytest.mark.parametrize(
    ("name", "seconds", "code", "sentence"),
    [
        ("mute", "0.3", 1, "m.mute: timed out after 0.3 s waiting for a reply."),
        ("mute", "0", 2, "0.0 is not in the range 0<x<=86400"),
        ("ticks_events", "1", 2, "m.ticks_events reads a feed, which has no timeout: leave out --timeout"),
    ],
)
def test_a_call_ends_after_the_timeout_of_the_command_line(
    tmp_path: Path, name: str, seconds: str, code: int, sentence: str
) -> None:
    with endpoint() as url:
        document = {"name": "m", "url": url, "preset": "jsonrpc2", "tools": [{"name": "mute"}]}
        file = tmp_path / "manifest.json"
        file.write_text(json.dumps({**document, "feeds": [{"name": "ticks", "match": "message.method is defined"}]}))
        called = run("call", str(file), name, "--timeout", seconds)
    assert called.returncode == code
    assert sentence in called.stderr


def test_no_terminal_obeys_what_an_endpoint_sends(manifest: Path) -> None:
    command = [sys.executable, "-m", "utcp_ws_mcp", "call", str(manifest), "m.colour"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stdout == b"\x1b[31mred\n"
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        subprocess.run(command, stdout=theirs, timeout=60, check=True)
        os.close(theirs)
        assert terminal.read(100).decode() == "␛[31mred\r\n"
    assert run("call", str(manifest), "m.alarm").stderr == "the endpoint said: ␛]0;title␇no [tool-error]\n"


def test_binary_goes_to_stdout_as_it_is_or_into_a_file(manifest: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "utcp_ws_mcp", "call", str(manifest), "m.picture"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stdout == b"\x89PNG\r\n\x1a\n"
    target = tmp_path / "picture.png"
    subprocess.run([*command, "--output", str(target)], capture_output=True, timeout=60, check=True)
    assert target.read_bytes() == b"\x89PNG\r\n\x1a\n"


def test_a_stream_of_binary_is_json_with_hex_or_one_file(manifest: Path, tmp_path: Path) -> None:
    target = tmp_path / "sound.raw"
    for tool, shown, kept in (
        ("m.sound", {"items": ["0001", "ff"], "end": "max_items", "complete": False}, b"\x00\x01\xff"),
        ("m.end", {"item": "ff", "end": "max_items", "complete": False}, b"\xff"),
    ):
        assert json.loads(run("call", str(manifest), tool).stdout) == shown
        assert run("call", str(manifest), tool, "--output", str(target)).returncode == 0
        assert target.read_bytes() == kept


def test_a_trace_shows_both_directions_and_hides_secrets(manifest: Path) -> None:
    called = run("call", str(manifest), "m.secret", "--trace")
    assert called.returncode == 0
    assert '> {"method": "x", "id": 1, "params": {"key": "***"}}' in called.stderr
    assert "< (reply)" in called.stderr
    assert "= connected to ws://127.0.0.1" in called.stderr
    assert "topsecret-value" not in called.stderr


def test_a_trace_shows_the_query_parameters_without_secrets(tmp_path: Path) -> None:
    def answer(connection: ServerConnection) -> None:
        connection.send(connection.recv())

    with served(answer) as url:
        query = {"tag": ["a", "b c"], "room": "{{ args.room }}", "token": "${KEY}", "x": "${KEY}"}
        file = tmp_path / "m.json"
        file.write_text(json.dumps({"name": "m", "url": url, "query": query, "tools": [{"name": "t"}]}))
        called = run("call", str(file), "m.t", "room=7", "--trace", KEY="top&secret-value")
    assert called.returncode == 0, called.stderr
    assert '· query is {"tag":["a","b c"],"room":"7","token":"***","x":"***"}' in called.stderr
    assert "secret-value" not in called.stderr


def test_tools_are_listed_with_their_arguments(manifest: Path) -> None:
    listed = run("tools", str(manifest))
    assert listed.returncode == 0
    assert listed.stdout.splitlines()[:2] == ["m.echo(text?, n, more?)  Echo.", "m.fail()"]


def test_tools_of_an_endpoint_that_speaks_utcp_are_asked_for(manifest: Path) -> None:
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({"name": "m", "url": document["url"]}))
    listed = json.loads(run("tools", str(manifest), "--json").stdout)
    assert [tool["name"] for tool in listed] == ["m.found"]


def test_an_endpoint_that_sends_no_manual_in_time_is_a_failure_beside_the_tools_of_others(
    manifest: Path, tmp_path: Path
) -> None:
    silent = tmp_path / "silent.json"
    with served(lambda connection: connection.recv() and connection.recv()) as url:
        silent.write_text(json.dumps({"name": "mute", "url": url}))
        listed = run("tools", str(silent), str(manifest), "--timeout", "0.5")
    assert (listed.returncode, listed.stdout.splitlines()[0]) == (1, "m.echo(text?, n, more?)  Echo.")
    assert "mute: timed out after 0.5 s waiting for the UTCP manual." in listed.stderr
    assert 'list its tools in the manifest ("tools": […]). [discovery-timeout]' in listed.stderr


def test_check_counts_what_is_right(manifest: Path) -> None:
    checked = run("check", str(manifest))
    assert checked.returncode == 0
    assert "1 call template, 11 tools listed" in checked.stdout


def test_check_names_every_problem_at_once(tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(
        json.dumps(
            [
                {"url": "ws://example.com/", "tools": []},
                {"url": "wss://b.example/", "timeout": "soon", "replay": {}},
                {"url": "wss://c.example/", "tools": [{"name": "t", "inputs": {"type": 5}}, {"nam": "u"}]},
                {"url": "wss://d.example/", "headers": {"X": "${A}${B}"}},
            ]
        )
    )
    checked = run("check", str(file))
    assert checked.returncode == 2
    for expected in (
        "[1].timeout: expected a number",
        "[1].replay: unknown key. Did you mean 'reply'? [unknown-key]",
        "[2].tools[1].name: this field is required. [missing-key]",
        "[2].tools[1].nam: unknown key. Did you mean 'name'? [unknown-key]",
    ):
        assert expected in checked.stderr


def test_check_names_what_only_compiling_finds_and_all_missing_variables(tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    tools = [
        {"name": "a", "inputs": {"type": 5}},
        {"name": "b", "tool_call_template": {"message": {"x": "{{ arg.y }}"}}},
        {"name": "c", "tool_call_template": {"message": "{{ args.x"}},
        {"name": "d", "tool_call_template": {"message": {"UTCP_ARG_k_UTCP_ARG": 1}}},
        {"name": "e", "tool_call_template": {"url": "ws://10.0.0.1/"}},
    ]
    file.write_text(json.dumps([{"name": "t", "url": "wss://c.example/", "tools": tools}]))
    checked = run("check", str(file))
    assert checked.returncode == 2
    for number, expected in enumerate(
        [
            "inputs.type: not a usable JSON Schema: 5 is no type.",
            "Did you mean 'args'? [unknown-name]",
            "[unclosed-expression]",
            "[placeholder-in-key]",
            "[plaintext-not-allowed]",
        ]
    ):
        assert any(f"tools[{number}]" in line and expected in line for line in checked.stderr.splitlines()), expected
    file.write_text(json.dumps([{"name": "t", "url": "wss://d.example/", "headers": {"X": "${A}${B}"}}]))
    assert "t: A, B are not set" in run("check", str(file)).stderr


def test_the_version_and_the_help_are_there() -> None:
    assert run("--version").stdout.strip() == f"utcp-ws-mcp, version {__version__}"
    shown = run("--help").stdout
    assert all(command in shown for command in ("serve", "check", "tools", "call", "demo"))


def test_an_env_file_sets_variables(tmp_path: Path, manifest: Path) -> None:
    (manifest.parent / ".env").unlink()
    assert run("check", str(manifest)).returncode == 2
    other = tmp_path / "other.env"
    other.write_text("API_KEY='pa$${x}ss'\n")
    assert run("check", str(manifest), "--env-file", str(other)).returncode == 0


def test_a_demo_on_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("demo", "--endpoint-only", "--port", str(port))
    said = f"port {port} is in use, perhaps by another demo. Stop it, or choose a port with --port. [port-in-use]\n"
    assert (refused.returncode, refused.stderr) == (2, said)


def test_a_command_with_a_slip_is_not_taken_for_a_manifest() -> None:
    refused = run("chekc", "manifest.json")
    assert refused.returncode == 2
    assert "No such command 'chekc'. Did you mean 'check'?" in refused.stderr


def test_a_manifest_that_is_missing_is_said_with_the_folder_where_it_was_looked_for() -> None:
    refused = run("no_such.json")
    assert refused.returncode == 2
    assert (
        refused.stderr
        == f"no_such.json: the file cannot be read: there is no such file in {Path.cwd()}. [file-not-readable]\n"
    )


def test_a_file_of_variables_that_is_missing_is_said_with_the_folder_where_it_was_looked_for(manifest: Path) -> None:
    refused = run("tools", str(manifest), "--env-file", "no_such.env")
    assert refused.returncode == 2
    assert f"cannot read no_such.env: there is no such file in {Path.cwd()}. [file-not-readable]\n" in refused.stderr


def test_an_argument_without_its_name_is_shown_how_to_be_written(manifest: Path) -> None:
    refused = run("call", str(manifest), "m.echo", "hello")
    assert "expected KEY=VALUE, such as text=…, or --input-json OBJECT; not 'hello'" in refused.stderr


MISSPELT = {
    "an optional argument": (["n=1", "txt=7"], "m.echo: the tool has no argument 'txt'. Did you mean 'text'?"),
    "a required one": (["N=1"], "has no argument 'N'. Did you mean 'n'? Required and missing: n. [invalid-arguments]"),
    "one like no other": (["n=1", "quality=7"], "has no argument 'quality'. It has: text, n, more."),
    "in an object": (["--input-json", '{"n": 1, "test": "7"}'], "no argument 'test'. Did you mean 'text'?"),
}


@pytest.mark.parametrize(("arguments", "said"), MISSPELT.values(), ids=MISSPELT)
def test_a_misspelt_argument_is_refused_with_the_name_that_is_meant(
    manifest: Path, arguments: list[str], said: str
) -> None:
    refused = run("call", str(manifest), "m.echo", *arguments)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert said in refused.stderr


ALLOWED = {
    "no properties": {},
    "further ones": {"properties": {"a": {}}, "additionalProperties": True},
    "further ones of a type": {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
    "a pattern": {"properties": {"a": {}}, "patternProperties": {"^b": {}}},
    "alternatives": {"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}]},
}


@pytest.mark.parametrize("schema", ALLOWED.values(), ids=ALLOWED)
def test_an_argument_that_the_schema_may_mean_is_not_misspelt(schema: dict[str, Any]) -> None:
    check_argument_names("m.t", {"b": 1}, schema)


@pytest.mark.parametrize("word", ["manifest.jsn", "manifest.yaml", "folder/manifest"])
def test_a_manifest_with_a_slip_in_its_suffix_is_said_to_be_missing(manifest: Path, word: str) -> None:
    command = [sys.executable, "-m", "utcp_ws_mcp", "call", word, "m.echo", "n=1"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=manifest.parent)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{word}: " in refused.stderr
    assert f"there is no such file in {manifest.parent}" in refused.stderr
    assert "Did you mean 'manifest.json'?" in refused.stderr or "/" in word


def test_a_tool_before_an_argument_without_name_is_no_manifest(manifest: Path) -> None:
    refused = run("call", "m.echo", "kitchen.lamp", UTCP_WS_MCP_MANIFEST=str(manifest))
    assert "expected KEY=VALUE" in refused.stderr


def test_the_demo_shows_a_call_of_each_kind() -> None:
    command = [sys.executable, "-m", "utcp_ws_mcp", "demo"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stderr
    for expected in ('{"sum":5}', "HELLO!", "image/png", "… 3", '"end":"until"', "division by zero", "required"):
        assert expected in shown.stdout


def test_the_schema_is_printed() -> None:
    printed = run("schema")
    assert printed.returncode == 0, printed.stderr
    assert json.loads(printed.stdout) == manifest_schema()


def test_a_trace_says_which_rule_decided(manifest: Path) -> None:
    called = run("call", str(manifest), "m.echo", "n=5", "--trace")
    assert "· reply.match holds: message.id == request_id and message.method is not defined" in called.stderr
    assert "(message.id is 1, request_id is 1, message.method is not there)" in called.stderr


OAUTH = ["--issuer", "https://i.example", "--audience", "https://m.example/mcp"]


@pytest.mark.parametrize(
    ("options", "environ", "sentence"),
    [
        (["--http", "0"], {}, "serve --http needs a token. Set "),
        (["--http", "0"], {"UTCP_WS_MCP_TOKEN": ""}, "UTCP_WS_MCP_TOKEN must be visible ASCII characters"),
        (["--http", "nowhere"], {}, "cannot listen on nowhere: expected PORT, or HOST:PORT"),
        (["--http", "0.0.0.0:0", "--no-auth"], {}, "--no-auth is for loopback only: "),
        (["--transport", "http", "--host", "0.0.0.0", "--port", "0", "--no-auth"], {}, "[no-auth-not-allowed]"),
        (
            ["--transport", "http", "--host", "nowhere"],
            {},
            "cannot listen on nowhere:8080: expected PORT, or HOST:PORT",
        ),
        (["--http", "0", "--port", "1"], {}, "--http and --port contradict each other"),
        (["--http", "0", "--transport", "stdio"], {}, "--http and --transport stdio contradict each other"),
        (["--host", "127.0.0.1"], {}, "--host needs --transport http"),
        (["--stateless"], {}, "--stateless needs --http"),
        (["--issuer", "https://i.example"], {}, "--issuer needs --http"),
        (["--http", "0", "--audience", "https://m.example"], {}, "--audience needs --issuer"),
        (["--http", "0", "--scope-tools", "a=b"], {}, "--scope-tools needs --issuer"),
        (["--http", "0", "--issuer", "https://i.example"], {}, "[invalid-audience]"),
        (["--http", "0", "--issuer", "i.example", "--audience", "https://m.example"], {}, "[invalid-issuer]"),
        (["--http", "0", "--no-auth", *OAUTH], {}, "[oauth-options-conflict]"),
        (["--http", "0", *OAUTH, "--scope-tools", "tools"], {}, "[invalid-scope-tools]"),
        (["--caller-variable", "A=X-A"], {}, "--caller-variable needs --http"),
        (["--http", "0", "--no-auth", "--caller-variable", "A"], {}, "[invalid-caller-variable]"),
        (["--shared", "redis://localhost"], {}, "--shared needs --http"),
        (["--fleet", "a"], {}, "--fleet needs --http"),
        (["--http", "0", "--no-auth", "--fleet", "a"], {}, "--fleet needs --shared"),
        (["--http", "0", "--no-auth", "--shared", "localhost"], {}, "the scheme is not redis or rediss. Write redis:"),
        (["--http", "0", "--no-auth", "--shared", "redis:///1"], {}, "the host is missing. Write redis://HOST"),
        (["--http", "0", "--no-auth", "--shared", "redis://h/a"], {}, "the path is not the number of a database"),
        (["--http", "0", "--no-auth", "--shared", "redis://h?a=1"], {}, "it has a query or a fragment"),
        (["--http", "0", "--no-auth", "--shared", "redis://h:x"], {}, "[invalid-shared-url]"),
        (["--http", "0", "--no-auth", "--shared", "redis://u:p4ss@h"], {}, "--shared contains a password, which other"),
        (
            ["--http", "0", "--no-auth"],
            {"UTCP_WS_MCP_SHARED": "h:p4ss"},
            "UTCP_WS_MCP_SHARED is not the URL of a Redis",
        ),
        (["--http", "0", "--no-auth", "--shared-key-file", "/dev/null"], {}, "--shared-key-file needs --shared"),
        (
            ["--http", "0", "--no-auth", "--shared", "redis://h"],
            {"UTCP_WS_MCP_SHARED_KEY": "short"},
            "[invalid-shared-key]",
        ),
        (["--http", "0", "--token-file", "/nowhere"], {}, "'/nowhere' does not exist"),
    ],
)
def test_what_http_cannot_be_served_with_is_one_sentence(
    manifest: Path, options: list[str], environ: dict[str, str], sentence: str
) -> None:
    refused = run("serve", str(manifest), *options, **environ)
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "p4ss" not in refused.stderr


def with_caller_variable(manifest: Path) -> Path:
    """The manifest with a value of the caller in the handshake."""
    document = json.loads(manifest.read_text())
    (entry,) = document if isinstance(document, list) else [document]
    file = manifest.with_name("callers.json")
    file.write_text(json.dumps({**entry, "headers": {"X-Key": "${caller:KEY}"}}))
    return file


def test_a_value_of_the_caller_needs_a_header_over_http_and_is_a_variable_elsewhere(manifest: Path) -> None:
    file = with_caller_variable(manifest)
    refused = run("serve", str(file), "--http", "0", "--no-auth", KEY="of-the-operator")
    assert refused.returncode == 2
    assert "Start with --caller-variable KEY=HEADER. [caller-variable-without-header]" in refused.stderr
    assert json.loads(run("call", str(file), "m.echo", "n=1", KEY="of-the-user").stdout) == {"n": 1}
    assert "KEY is not set" in run("call", str(file), "m.echo", "n=1").stderr
    checked = run("check", str(file))
    assert checked.returncode == 0
    assert "callers bring KEY" in checked.stdout


def test_a_port_in_use_is_one_sentence(manifest: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = run("serve", str(manifest), "--http", address, "--no-auth")
    remedy = "Choose another port with --port, or an address of this machine with --host."
    sentence = f"cannot listen on {address}: Address already in use. {remedy} [cannot-listen]\n"
    assert (refused.returncode, refused.stderr) == (2, sentence)


def test_the_token_may_come_from_a_file(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a token\n")
    refused = run("serve", str(manifest), "--http", "0", "--token-file", str(tmp_path / "token"))
    assert "--token-file or UTCP_WS_MCP_TOKEN must be visible ASCII characters" in refused.stderr
