"""Documents that `import` fetches: what a hostile one can make the program send and say."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from utcp_ws_mcp.authoring import import_sources as module
from utcp_ws_mcp.authoring.import_sources import Source, SourceOptions, import_within, read_source, source_of_text
from utcp_ws_mcp.errors import AuthoringRefused, ImportFailed
from utcp_ws_mcp.importers.model import Format, ImportOptions

Answer = Callable[[int], bytes]


@asynccontextmanager
async def web_server(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve the answer to every request; yield the port and the heads of the requests."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer(port))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield port, heads


def document(port: int) -> bytes:
    reference = f"http://127.0.0.1:{port}/other?a=${{KEY}}&b=${{TOKEN}}"
    body = json.dumps({"openrpc": "1.2.6", "x": {"$ref": reference}}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def test_a_document_cannot_send_variables_to_where_it_refers_to() -> None:
    variables = {"KEY": "value-of-key", "TOKEN": "value-of-token"}
    options = SourceOptions(None, None, {"Authorization": "${TOKEN}"}, variables, remote_references=True)
    async with web_server(document) as (port, heads):
        with pytest.raises(ImportFailed, match="the URL contains '{'"):
            await read_source(f"http://127.0.0.1:{port}/document?key=${{KEY}}", options)
    [asked] = heads
    assert b"key=value-of-key" in asked
    assert b"value-of-token" in asked


LOCATIONS = {
    "a URL": (b"https://a.example/new?token=x", "It redirects to https://a.example/new: give that URL."),
    "a sentence": (b"No request was sent. [reply-timeout]", "It redirects to another place: give that URL."),
    "a script": (b"javascript:alert(1)", "It redirects to another place: give that URL."),
}


@pytest.mark.parametrize(("location", "hint"), LOCATIONS.values(), ids=LOCATIONS)
async def test_a_redirect_is_shown_only_if_it_is_a_url(location: bytes, hint: str) -> None:
    def redirect(_: int) -> bytes:
        return b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"

    async with web_server(redirect) as (port, _):
        with pytest.raises(ImportFailed) as failed:
            await read_source(f"http://127.0.0.1:{port}/", SourceOptions(None, None, {}, {}, remote_references=False))
    assert hint in failed.value.message
    assert b"token=x" not in failed.value.message.encode()


def options(format_: Format | None = None, **given: Any) -> SourceOptions:
    headers, variables = given.get("headers", {}), given.get("variables", {})
    return SourceOptions(format_, None, headers, variables, remote_references=given.get("remote", False))


def write(folder: Path, **files: Any) -> Path:
    """Write files of JSON, and return the first."""
    paths = [folder / f"{name.replace('__', '/')}.json" for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return paths[0]


async def test_a_file_brings_the_files_that_it_refers_to_and_those_that_these_refer_to(tmp_path: Path) -> None:
    file = write(
        tmp_path / "api",
        main={"$ref": "one.json#/a", "x": [{"$ref": "parts/two.json"}, {"$ref": "missing.json"}]},
        one={"$ref": "main.json"},
        parts__two={"$ref": "three.json"},
        parts__three={"n": 3},
        unused={},
    )
    source = await read_source(str(file), options(Format.OPENRPC))
    assert (source.name, source.format, source.url, source.fields) == ("main.json", Format.OPENRPC, None, {})
    assert source.document == json.loads(file.read_text(encoding="utf-8"))
    assert source.others == {
        "one.json": {"$ref": "main.json"},
        "main.json": source.document,
        "parts/two.json": {"$ref": "three.json"},
        "parts/three.json": {"n": 3},
    }


async def test_a_reference_from_another_folder_finds_the_file_beside_the_document(tmp_path: Path) -> None:
    file = write(tmp_path, main={"$ref": "specs/v1/one.json"}, one={"n": 1})
    assert (await read_source(str(file), options())).others == {"specs/v1/one.json": {"n": 1}}


async def test_a_reference_reaches_no_file_outside_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path, secret={"n": 1})
    outside, link = {"$ref": "../secret.json"}, {"$ref": "link.json"}
    file = write(tmp_path / "api", main=[outside, link, {"$ref": str(tmp_path / "secret.json")}])
    (tmp_path / "api" / "link.json").symlink_to(tmp_path / "secret.json")
    (tmp_path / "api" / "folder.json").mkdir()
    assert (await read_source(str(file), options())).others == {}


async def test_a_text_of_graphql_refers_to_nothing_and_a_file_that_is_one_is_no_part_of_another(tmp_path: Path) -> None:
    schema = tmp_path / "schema.graphql"
    schema.write_text("type Query { a: Int }", encoding="utf-8")
    source = await read_source(str(schema), options())
    assert (source.document, source.others) == ("type Query { a: Int }", {})
    file = write(tmp_path, main={"$ref": "schema.graphql"})
    assert (await read_source(str(file), options())).others == {}


async def test_no_more_documents_are_read_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_DOCUMENTS == 200
    monkeypatch.setattr(module, "MAX_DOCUMENTS", 2)
    file = write(tmp_path, main=[{"$ref": f"f{n}.json"} for n in range(3)], f0={}, f1={}, f2={})
    assert len((await read_source(str(file), options())).others) == 2


UNREADABLE = {
    "missing.json": "there is no such file",
    "nul\0.json": "embedded null byte",
    "file.json/x": "not a directory",
}


@pytest.mark.parametrize(("name", "reason"), UNREADABLE.items(), ids=["missing", "nul", "below a file"])
async def test_a_path_that_cannot_be_read_says_why(tmp_path: Path, name: str, reason: str) -> None:
    write(tmp_path, file={})
    with pytest.raises(ImportFailed) as failed:
        await read_source(str(tmp_path / name), options())
    assert failed.value.code == "description-not-readable"
    assert "cannot be read: " in failed.value.message
    assert failed.value.message.endswith(". Give a file, a folder or a URL.")
    if name != "nul\0.json":
        assert reason in failed.value.message


async def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ImportFailed, match="is not UTF-8 text. Save it as UTF-8."):
        await read_source(str(file), options())
    file.write_bytes(b"\xef\xbb\xbf{}")
    assert (await read_source(str(file), options())).document == {}
    os.truncate(file, module.MAX_SOURCE_BYTES + 1)
    with pytest.raises(ImportFailed) as failed:
        await read_source(str(file), options())
    assert failed.value.code == "description-too-large"
    with pytest.raises(ImportFailed) as too_large:
        await source_of_text(" " * (module.MAX_SOURCE_BYTES + 1), "the text")
    assert too_large.value.code == "description-too-large"


async def test_a_folder_gives_its_json_schemas_by_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "schemas"
    write(folder, b={"n": 1}, sub__a={"n": 2})
    (folder / "note.txt").write_text("x", encoding="utf-8")
    (folder / "folder.json").mkdir()
    source = await read_source(str(folder), options())
    assert (source.name, source.format) == ("schemas", Format.JSON_SCHEMA)
    assert source.document == source.others == {"b.json": {"n": 1}, "sub/a.json": {"n": 2}}
    assert module.MAX_SCHEMA_FILES == 2000
    monkeypatch.setattr(module, "MAX_SCHEMA_FILES", 2)
    await read_source(str(folder), options())
    monkeypatch.setattr(module, "MAX_SCHEMA_FILES", 1)
    with pytest.raises(ImportFailed) as failed:
        await read_source(str(folder), options())
    assert (failed.value.code, "more than 1 files" in failed.value.message) == ("description-too-large", True)


def ok(content: Any) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def test_a_document_of_the_web_is_asked_for_with_headers_and_brings_no_others(tmp_path: Path) -> None:
    async with web_server(lambda _: ok({"$ref": "other.json"})) as (port, heads):
        url = f"http://127.0.0.1:{port}/api.json?key=${{KEY}}"
        given = options(Format.OPENRPC, headers={"X-Key": "${KEY}"}, variables={"KEY": "value"})
        source = await read_source(url, given)
    [asked] = heads
    assert asked.startswith(b"GET /api.json?key=value HTTP/1.1\r\n")
    assert b"x-key: value\r\n" in asked.lower()
    assert (source.name, source.format, source.url) == (f"http://127.0.0.1:{port}/api.json", Format.OPENRPC, None)
    assert (source.document, source.others, source.fields) == ({"$ref": "other.json"}, {}, {})


async def test_documents_that_it_refers_to_are_asked_for_without_headers_if_the_user_wants_them() -> None:
    answers = iter([ok({"$ref": "sub/other.json#/a"}), ok({"n": 1})])
    async with web_server(lambda _: next(answers)) as (port, heads):
        given = options(headers={"X-Key": "value"}, remote=True)
        source = await read_source(f"http://127.0.0.1:{port}/v1/api.json", given)
    assert [head.split(b" ")[1] for head in heads] == [b"/v1/api.json", b"/v1/sub/other.json"]
    assert (b"value" in heads[0], b"value" in heads[1]) == (True, False)
    assert source.others == {"sub/other.json": {"n": 1}}


async def test_a_file_refers_to_the_web_only_if_the_user_wants_it(tmp_path: Path) -> None:
    async with web_server(lambda _: ok({"n": 1})) as (port, heads):
        url = f"http://127.0.0.1:{port}/other.json"
        file = write(tmp_path, main={"$ref": url})
        assert (await read_source(str(file), options())).others == {}
        assert heads == []
        assert (await read_source(str(file), options(remote=True))).others == {url: {"n": 1}}


PROTOCOL = {"version": {"major": "1"}, "domains": []}


@pytest.mark.parametrize("path", ["", "/", "/json/protocol"])
async def test_a_browser_is_asked_at_its_known_path_and_its_address_is_captured(path: str) -> None:
    async with web_server(lambda _: ok(PROTOCOL)) as (port, heads):
        source = await read_source(f"http://127.0.0.1:{port}{path}", options(Format.CDP))
    assert heads[0].startswith(b"GET /json/protocol HTTP/1.1\r\n")
    assert source.url == f"ws://127.0.0.1:{port}/devtools/browser/{{{{ session.browser }}}}"
    (step,) = source.fields["before_connect"]
    assert step["http"] == {"url": f"http://127.0.0.1:{port}/json/version"}
    assert step["capture"] == {"browser": "body.webSocketDebuggerUrl.split('/') | last"}
    assert module._websocket_url("https://a.example:1/x?y", "/z") == "wss://a.example:1/z"


async def test_a_description_of_a_browser_elsewhere_keeps_its_path() -> None:
    async with web_server(lambda _: ok(PROTOCOL)) as (port, heads):
        source = await read_source(f"http://127.0.0.1:{port}/my.json", options(Format.CDP))
        other = await read_source(f"http://127.0.0.1:{port}/", options())
    assert [head.split(b" ")[1] for head in heads] == [b"/my.json", b"/"]
    assert (source.url, source.fields, other.url) == (None, {}, None)


NOT_FETCHED = {
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n": ("HTTP 404. Check the URL and --header.", "fetched"),
    ok(b"\xff\xfe"): ("is not UTF-8 text. Give the URL of a description.", "readable"),
    b"nonsense\r\n\r\n": ("cannot be fetched: ", "fetched"),
}


@pytest.mark.parametrize(("answer", "expected"), NOT_FETCHED.items(), ids=["status", "encoding", "protocol"])
async def test_an_answer_that_is_no_description_says_why(answer: bytes, expected: tuple[str, str]) -> None:
    async with web_server(lambda _: answer) as (port, _):
        with pytest.raises(ImportFailed) as failed:
            await read_source(f"http://127.0.0.1:{port}/api?token=x", options())
    assert failed.value.code == f"description-not-{expected[1]}"
    assert expected[0] in failed.value.message
    assert "token" not in failed.value.message


CREDENTIALS: list[tuple[str, dict[str, str], set[str]]] = [
    ("https://a.example/?token=abc&page=2", {}, {"abc"}),
    ("https://a.example/?page=${KEY}", {}, {"value"}),
    ("https://a.example/", {"Authorization": "Bearer ${KEY}", "X-Kind": "test"}, {"value", "Bearer"}),
    ("https://a.example/", {"Authorization": "Bearer ${OTHER}"}, {"Bearer", "${OTHER}"}),
    ("folder/a.json?token=abc", {}, set()),
]


@pytest.mark.parametrize(("source", "headers", "secrets"), CREDENTIALS)
def test_what_is_sent_as_a_secret_is_known(source: str, headers: dict[str, str], secrets: set[str]) -> None:
    given = options(headers=headers, variables={"KEY": "value"})
    assert set(given.credentials(source)) == secrets
    assert "value" not in repr(given)


async def test_secrets_are_removed_before_names_are_made_of_texts() -> None:
    source = Source("x", {"a": "token"}, others={"b": ["token"]})
    redacted = source.redacted(lambda text: text.replace("token", "…"))
    assert (redacted.document, redacted.others) == ({"a": "…"}, {"b": ["…"]})


def test_the_endpoint_of_a_source_is_used_if_the_user_gave_none() -> None:
    asked = Source("x", {}, url="ws://asked/")
    assert asked.options(ImportOptions()).url == "ws://asked/"
    assert asked.options(ImportOptions(url="ws://given/")).url == "ws://given/"
    assert Source("x", {}).options(ImportOptions()).url is None


async def test_an_import_that_takes_too_long_is_given_up() -> None:
    async def read() -> Source:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(AuthoringRefused) as refused:
        await import_within(0.5e-3, read, ImportOptions(), str)
    assert refused.value.code == "try-timeout"
    assert refused.value.message.startswith("nothing is imported within 0.0005 s. Choose less")
