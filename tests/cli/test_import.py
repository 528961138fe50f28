"""`utcp-ws-mcp import`, as a person uses it: files, folders, URLs, endpoints, and a second import."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from .endpoint import served
from .program import run

METHODS = [
    {"name": "getTime", "params": [{"name": "zone", "schema": {"type": "string"}}], "result": {"name": "time"}},
    {"name": "setTime", "params": [], "result": {"name": "ok"}},
]
OPENRPC = {"openrpc": "1.3.2", "info": {"title": "Clock"}, "methods": METHODS}
URL = "wss://clock.example.com/"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "openrpc.json"
    file.write_text(json.dumps(OPENRPC))
    return file


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_description_becomes_a_manifest_that_is_checked(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    ended = run("import", str(source), str(file), "--url", URL)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("Clock (OpenRPC 1.3.2), 2 operations: 2 imported.\n")
    assert ended.stdout == f"{file}: 1 call template, 2 tools listed\n"
    assert ended.stderr.endswith(f"\nNext: utcp-ws-mcp call {file} clock.getTime\n")
    manifest = read(file)
    assert manifest["$comment"][0] == "Imported from openrpc.json. Clock (OpenRPC 1.3.2), 2 operations: 2 imported."
    assert (manifest["name"], manifest["url"]) == ("clock", URL)
    assert run("check", "--strict", str(file)).returncode == 0


def test_a_dash_prints_the_manifest_and_checks_no_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("import", str(source), "-", "--url", URL)
    assert ended.returncode == 0, ended.stderr
    assert (json.loads(ended.stdout)["name"], json.loads(ended.stdout)["url"]) == ("clock", URL)
    assert ended.stderr.startswith("Clock (OpenRPC 1.3.2), 2 operations: 2 imported.\n")
    assert [each.name for each in tmp_path.iterdir()] == [source.name]
    refused = run("import", str(source), "-", "--url", URL, "--online")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--online needs a FILE" in refused.stderr


def test_the_proposed_call_is_of_the_first_endpoint_with_tools(tmp_path: Path) -> None:
    channels = {
        f"/{name}": {"publish": {"operationId": name, "message": {"payload": {"type": "object"}}}}
        for name in ("one", "two")
    }
    servers = {"live": {"url": "wss://x.example.com", "protocol": "wss"}}
    file = tmp_path / "asyncapi.json"
    file.write_text(json.dumps({"asyncapi": "2.6.0", "info": {"title": "X"}, "servers": servers, "channels": channels}))
    ended = run("import", str(file), str(tmp_path / "m.json"))
    assert ended.stderr.endswith(f"\nNext: utcp-ws-mcp call {tmp_path / 'm.json'} x_one.one payload=…\n"), ended.stderr


def test_the_options_choose(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    ended = run("import", str(source), str(file), "--url", URL, "--read-only", "--params", "position")
    assert ended.returncode == 0, ended.stderr
    (tool,) = read(file)["tools"]
    assert tool["tool_call_template"]["message"]["params"] == ["{{ args.zone }}"]


@pytest.mark.parametrize(
    ("content", "options", "code"),
    [
        (None, (), "description-not-readable"),
        (b"\xff\xfe", (), "description-not-readable"),
        (b"{", (), "description-not-readable"),
        (b'{"openapi": "3.0.0"}', (), "not-a-description"),
        (b'{"asyncapi": "3.0.0", "openrpc": "1.0.0"}', (), "description-ambiguous"),
        (json.dumps(OPENRPC).encode(), (), "server-missing"),
        (json.dumps(OPENRPC).encode(), ("--url", "https://x.example.com"), "server-not-usable"),
        (json.dumps(OPENRPC).encode(), ("--url", URL, "--include", "x*"), "nothing-to-import"),
        (json.dumps({**OPENRPC, "servers": [{"url": "https://x.example.com"}]}).encode(), (), "server-not-websocket"),
        (b" " * (33 << 20), (), "description-too-large"),
        (b'{"asyncapi": "9.0.0"}', ("--url", URL), "description-version"),
    ],
)
def test_bad_input_gives_one_message_and_writes_nothing(
    content: bytes | None, options: tuple[str, ...], code: str, tmp_path: Path
) -> None:
    source, file = tmp_path / "source.json", tmp_path / "m.json"
    if content is not None:
        source.write_bytes(content)
    ended = run("import", str(source), str(file), *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.endswith(f"[{code}]\n")
    assert {*tmp_path.iterdir()} <= {source}


@pytest.mark.parametrize("content", ["[]", "no JSON"])
def test_a_file_that_is_no_manifest_is_not_overwritten(content: str, source: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text(content)
    ended = run("import", str(source), str(file), "--url", URL, "--yes")
    assert (ended.returncode, file.read_text()) == (2, content)
    assert ended.stderr.endswith("[import-target-invalid]\n")


def test_a_folder_that_does_not_exist_is_said(source: Path, tmp_path: Path) -> None:
    ended = run("import", str(source), str(tmp_path / "no" / "m.json"), "--url", URL)
    assert ended.returncode == 2
    assert "is no folder in which a file can be made." in ended.stderr


def test_a_second_import_shows_the_difference_and_writes_it_only_if_asked(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    assert run("import", str(source), str(file), "--url", URL).returncode == 0
    changed = read(file)
    changed["tools"][0]["description"] = "Mine."
    file.write_text(json.dumps(changed))
    newer = [{**each, "summary": "Newer."} for each in METHODS]
    added = {"name": "stop", "params": [], "result": {"name": "ok"}}
    source.write_text(json.dumps({**OPENRPC, "methods": [*newer, added]}))
    shown = run("import", str(source), str(file), "--url", URL)
    assert (shown.returncode, read(file)) == (1, changed)
    assert shown.stdout.splitlines() == [
        f"{file}: + new: stop",
        f"{file}: ~ changed in the description: setTime",
        f"{file}: = changed by you, kept: getTime",
    ]
    assert "--yes changes it" in shown.stderr
    written = run("import", str(source), str(file), "--url", URL, "--yes")
    assert written.returncode == 0, written.stderr
    assert [(tool["name"], tool["description"]) for tool in read(file)["tools"]] == [
        ("getTime", "Mine."),
        ("setTime", "Newer. Returns: ok."),
        ("stop", "Stop. Returns: ok."),
    ]
    again = run("import", str(source), str(file), "--url", URL)
    assert again.stdout.splitlines() == [f"{file}: = changed by you, kept: getTime"]


def test_files_beside_a_description_are_read_and_others_not(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"type": "string", "enum": ["top-secret"]}))
    folder = tmp_path / "api"
    folder.mkdir()
    (folder / "types.json").write_text(json.dumps({"Zone": {"type": "string", "enum": ["Oslo"]}}))
    (folder / "link.json").symlink_to(secret)
    names = {"beside": "types.json#/Zone", "above": "../secret.json", "linked": "link.json", "absolute": str(secret)}
    methods = [
        {"name": name, "params": [{"name": "zone", "schema": {"$ref": reference}}], "result": {}}
        for name, reference in names.items()
    ]
    (folder / "openrpc.json").write_text(json.dumps({**OPENRPC, "methods": methods}))
    file = tmp_path / "m.json"
    ended = run("import", str(folder / "openrpc.json"), str(file), "--url", URL)
    assert [tool["name"] for tool in read(file)["tools"]] == ["beside"]
    assert "3 skipped" in ended.stderr
    assert "top-secret" not in file.read_text()


@contextmanager
def web(pages: dict[str, Any]) -> Iterator[str]:
    """Serve documents by their path; what is no dict is a status. The requests that came are in `pages["seen"]`."""
    seen = pages.setdefault("seen", [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization")))
            page = pages.get(self.path, 404)
            self.send_response(page if isinstance(page, int) else 200)
            if page == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            if not isinstance(page, int):
                self.wfile.write(page if isinstance(page, bytes) else json.dumps(page).encode())

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_description_is_fetched_with_headers_whose_values_stay_secret(tmp_path: Path) -> None:
    pages: dict[str, Any] = {"/openrpc.json?key=abc": OPENRPC}
    file = tmp_path / "m.json"
    with web(pages) as base:
        header = "Authorization:Bearer ${API_TOKEN}"
        ended = run(
            *("import", f"{base}/openrpc.json?key=abc", str(file), "--url", URL, "--header", header),
            API_TOKEN="a-token-123456",
        )
    assert ended.returncode == 0, ended.stderr
    assert pages["seen"] == [("/openrpc.json?key=abc", "Bearer a-token-123456")]
    assert "key=abc" not in file.read_text() + ended.stderr
    assert "a-token-123456" not in file.read_text() + ended.stderr


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (404, "description-not-fetched"),
        (302, "description-not-fetched"),
        (b"<html>", "description-not-readable"),
        (b"\xff\xff", "description-not-readable"),
    ],
)
def test_a_document_that_cannot_be_fetched_says_why(page: Any, code: str, tmp_path: Path) -> None:
    with web({"/x": page}) as base:
        ended = run("import", f"{base}/x", str(tmp_path / "m.json"), "--url", URL)
    assert ended.returncode == 2
    assert ended.stderr.endswith(f"[{code}]\n")


def test_references_to_the_web_are_followed_only_if_asked(tmp_path: Path) -> None:
    pages: dict[str, Any] = {"/types.json": {"Zone": {"type": "string"}}}
    with web(pages) as base:
        method = {
            "name": "f",
            "params": [{"name": "zone", "schema": {"$ref": f"{base}/types.json#/Zone"}}],
            "result": {},
        }
        source = tmp_path / "openrpc.json"
        source.write_text(json.dumps({**OPENRPC, "methods": [*METHODS, method]}))
        run("import", str(source), str(tmp_path / "a.json"), "--url", URL)
        assert pages["seen"] == []
        run("import", str(source), str(tmp_path / "b.json"), "--url", URL, "--remote-references")
    assert [len(read(tmp_path / name)["tools"]) for name in ("a.json", "b.json")] == [2, 3]


def test_a_browser_is_asked_for_its_protocol(tmp_path: Path) -> None:
    protocol = {"domains": [{"domain": "Page", "commands": [{"name": "enable"}]}]}
    file = tmp_path / "m.json"
    with web({"/json/protocol": protocol}) as base:
        ended = run("import", base, str(file), "--format", "cdp")
    assert ended.returncode == 0, ended.stderr
    manifest = read(file)
    assert manifest["url"] == f"ws{base.removeprefix('http')}/devtools/browser/{{{{ session.browser }}}}"
    assert manifest["before_connect"][0]["http"]["url"] == f"{base}/json/version"


def rpc(answers: dict[str, Any]) -> Any:
    def handle(connection: ServerConnection) -> None:
        for raw in connection:
            message = json.loads(raw)
            if message.get("type") == "auth":
                connection.send(json.dumps({"type": "auth_ok"}))
                continue
            known = answers.get(message.get("method", message.get("type")))
            reply = {"error": {"code": -32601, "message": "Method not found"}} if known is None else {"result": known}
            success = {"type": "result", "success": known is not None}
            connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], **success, **reply}))

    return handle


@pytest.mark.parametrize(
    ("method", "answer", "tool"),
    [
        ("rpc.discover", OPENRPC, "getTime"),
        ("JSONRPC.Introspect", {"methods": {"JSONRPC.Ping": {"params": []}}, "types": {}}, "JSONRPC.Ping"),
        ("core.describe", {"core.get_version": {"params": [], "description": "Get."}}, "core.get_version"),
        ("core.get_methods", {"pool.query": {"accepts": [], "description": "Query."}}, "pool.query"),
    ],
)
def test_an_endpoint_is_asked_for_its_methods(method: str, answer: Any, tool: str, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    with served(rpc({method: answer})) as url:
        ended = run("import", url, str(file), "--header", "X-Key:${KEY}", KEY="a-key-123456")
        assert ended.returncode == 0, ended.stderr
    manifest = read(file)
    assert (manifest["tools"][0]["name"], manifest["url"]) == (tool, url)


def test_home_assistant_is_asked_for_its_services(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    services = {"light": {"turn_on": {"description": "Turns on."}}}
    answer = rpc({"get_services": services})

    def handle(connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "auth_required"}))
        answer(connection)

    token = {"HOMEASSISTANT_TOKEN": "a-token-123456"}
    with served(handle) as url:
        ended = run("import", url, str(file), "--preset", "homeassistant", **token)
        missing = run("import", url, str(tmp_path / "n.json"), "--preset", "homeassistant")
    assert ended.returncode == 0, ended.stderr
    assert read(file)["tools"][0]["name"] == "light.turn_on"
    assert "HOMEASSISTANT_TOKEN is not set" in missing.stderr
    assert missing.stderr.endswith("[endpoint-not-described]\n")


def test_an_endpoint_that_does_not_describe_itself_says_what_it_answered(tmp_path: Path) -> None:
    with served(rpc({})) as url:
        refused = run("import", url, str(tmp_path / "m.json"))
    gone = run("import", url, str(tmp_path / "m.json"))
    for ended in (refused, gone):
        assert ended.returncode == 2
        assert ended.stderr.endswith("[endpoint-not-described]\n")
    assert "Method not found" in refused.stderr
    assert refused.stderr.startswith(f"Asking {url} for its description. An endpoint that does not answer takes half a")
    assert not (tmp_path / "m.json").exists()


def test_an_endpoint_cannot_fill_the_terminal_with_its_refusal(tmp_path: Path) -> None:
    def handle(connection: ServerConnection) -> None:
        for text in connection:
            error = {"code": -32601, "message": f"unknown method; there are {'method, ' * 5000}"}
            connection.send(json.dumps({"jsonrpc": "2.0", "id": json.loads(text)["id"], "error": error}))

    with served(handle) as url:
        ended = run("import", url, str(tmp_path / "m.json"))
    assert "unknown method" in ended.stderr
    assert len(ended.stderr) < 3000


def test_a_preset_that_does_not_exist_is_said(source: Path, tmp_path: Path) -> None:
    ended = run("import", str(source), str(tmp_path / "m.json"), "--preset", "jsonrpc3")
    assert ended.returncode == 2
    assert "there is no preset 'jsonrpc3'" in ended.stderr


def test_online_connects_to_what_was_imported(source: Path, tmp_path: Path) -> None:
    with served(rpc({})) as url:
        ended = run("import", str(source), str(tmp_path / "m.json"), "--url", url, "--online")
    assert ended.returncode == 0, ended.stderr
    assert "connected to" in ended.stdout


def test_a_folder_of_schemas_is_imported(tmp_path: Path) -> None:
    folder = tmp_path / "v3"
    for name in ("time/send", "time/receive"):
        file = folder / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"type": "object", "properties": {"req_id": {"type": "integer"}}}))
    ended = run("import", str(folder), str(tmp_path / "m.json"), "--url", URL)
    assert ended.returncode == 0, ended.stderr
    assert read(tmp_path / "m.json")["tools"][0]["name"] == "time"


@pytest.mark.parametrize(("typed", "changed"), [("y\n", True), ("n\n", False), ("", False)])
def test_at_a_terminal_a_change_is_confirmed(source: Path, tmp_path: Path, typed: str, changed: bool) -> None:
    file = tmp_path / "m.json"
    run("import", str(source), str(file), "--url", URL, "--include", "getTime")
    before = file.read_text(encoding="utf-8")
    again = run("import", str(source), str(file), "--url", URL, typed=typed, terminal=True)
    assert f"Change {file}?" in again.stdout
    assert (file.read_text(encoding="utf-8") != before) is changed
    if changed:
        assert again.returncode == 0
        assert f"{file} is changed.\n" in again.stderr
    elif typed:
        assert again.returncode == 1
        assert f"{file} is not changed; --yes changes it without confirmation\n" in again.stderr


def test_an_import_that_changes_nothing_says_so(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    first = run("import", str(source), str(file), "--url", URL)
    assert f"{file} is written.\n" in first.stderr
    before = file.stat().st_mtime_ns
    again = run("import", str(source), str(file), "--url", URL)
    assert again.returncode == 0
    assert "is changed" not in again.stderr
    assert file.stat().st_mtime_ns == before


def test_a_new_file_may_be_read_by_others(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    run("import", str(source), str(file), "--url", URL)
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.read_text(encoding="utf-8").endswith("\n}\n")


def test_a_variable_that_is_missing_is_no_failure_of_an_import(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    imported = run("import", str(source), str(file), "--url", "wss://clock.example.com/?key=${CLOCK_KEY}")
    assert imported.returncode == 0, imported.stderr
    assert "CLOCK_KEY is not set" in imported.stderr
    assert "Next:" not in imported.stderr
    known = run("import", str(source), str(tmp_path / "n.json"), "--url", "wss://clock.example.com/?key=${CLOCK_KEY}",
                CLOCK_KEY="topsecret-value")  # fmt: skip
    assert "Next: utcp-ws-mcp call" in known.stderr
    assert "topsecret-value" not in (tmp_path / "n.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "it is not JSON. Give another FILE."), ("[]", "exists and is no manifest. Give another FILE.")],
)
def test_what_is_no_manifest_stays(source: Path, tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "m.json"
    file.write_text(content)
    refused = run("import", str(source), str(file), "--url", URL)
    assert (refused.returncode, refused.stdout, file.read_text()) == (2, "", content)
    assert reason.lower() in refused.stderr.lower()
    assert refused.stderr.endswith("[import-target-invalid]\n")


def test_operations_are_selected_by_several_patterns(tmp_path: Path) -> None:
    source, file = tmp_path / "openrpc.json", tmp_path / "m.json"
    methods = [{"name": name, "params": [], "tags": [{"name": tag}]} for name, tag in zip("abcd", "wxyz", strict=True)]
    source.write_text(json.dumps({**OPENRPC, "methods": methods}))
    for number, (options, names) in enumerate(
        [
            (["--include", "a", "--include", "b"], ["a", "b"]),
            (["--exclude", "a", "--exclude", "b"], ["c", "d"]),
            (["--tag", "w", "--tag", "z"], ["a", "d"]),
        ]
    ):
        file = tmp_path / f"m{number}.json"
        assert run("import", str(source), str(file), "--url", URL, *options).returncode == 0
        assert [tool["name"] for tool in read(file)["tools"]] == names


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--depth", "6"], "6 is not in the range 0<=x<=5"), (["--depth", "-1"], "-1 is not in the range 0<=x<=5"),
        (["--preset", "jsonrpc"], "there is no preset 'jsonrpc'; `utcp-ws-mcp init` lists them"),
        (["--format", "xml"], "'xml' is not one of"), (["--events", "all"], "'all' is not one of"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_is_refused(source: Path, tmp_path: Path, options: list[str], sentence: str) -> None:
    file = tmp_path / "m.json"
    refused = run("import", str(source), str(file), "--url", URL, *options)
    assert (refused.returncode, file.exists()) == (2, False)
    assert sentence in refused.stderr
    for depth in ("0", "5"):
        assert run("import", str(source), str(file), "--url", URL, "--depth", depth).returncode == 0


def test_an_import_that_cannot_connect_as_it_was_asked_to_fails(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    imported = run("import", str(source), str(file), "--online", "--url", "wss://a.example.com/?k=${CLOCK_KEY}")
    assert imported.returncode == 2
    assert "CLOCK_KEY is not set" in imported.stderr
    assert "connected" not in imported.stdout


def test_an_import_into_a_manifest_that_is_wrong_proposes_no_call(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    run("import", str(source), str(file), "--url", URL, "--include", "getTime")
    file.write_text(json.dumps({**read(file), "timeout": "soon"}))
    again = run("import", str(source), str(file), "--url", URL, "--yes")
    assert again.returncode == 2
    assert "timeout: expected a number." in again.stderr
    assert "Next:" not in again.stderr
