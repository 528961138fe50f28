"""The fast path gives the answers that the SDK's server gives, and `--no-fast-path` turns it off."""

from __future__ import annotations

import base64
import json
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import mcp_types.version as sdk_versions
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, entry, peer
from tests.server.stdio.test_transport import host_of
from utcp_ws_mcp.server.stdio import protocol_versions
from utcp_ws_mcp.server.stdio.fast_path import FastPath
from utcp_ws_mcp.server.stdio.protocol_state import ProtocolState
from utcp_ws_mcp.server.stdio.session import StdioSession
from utcp_ws_mcp.server.tools import ToolService

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
TOOLS = [
    {"name": "t", "description": "T", "annotations": {"readOnlyHint": True}, "tags": ["x"]},
    {"name": "typed", "outputs": {"type": "object", "properties": {"a": {"type": "integer"}}}},
    {"name": "listing", "outputs": {"type": "array"}},
    {"name": "fails"},
    {"name": "big"},
    {"name": "big_array"},
    {"name": "audio", "tool_call_template": {"reply": {"result": "message.result | unbase64"}}},
    {"name": "counts", "tool_call_template": {"stream": {"until": "message.result == 'end'"}}},
]


async def answer(seen: Peer, connection: Any, message: Any) -> None:
    async def send(**reply: Any) -> None:
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}))

    match message["method"]:
        case "fails":
            await send(error={"code": 1, "message": "boom"})
        case "big":
            await send(result={"items": ["x" * 10_000]})
        case "audio":
            await send(result=base64.b64encode(b"OggS and more").decode())
        case "big_array":
            await send(result=["x" * 10_000])
        case "counts":
            for item in (1, 2, "end"):
                await send(result=item)
        case _:
            await send(result=message["params"].get("v"))


def call(number: Any, tool: str, *, meta: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments, **({"_meta": meta} if meta else {})}
    return {"id": number, "method": "tools/call", "params": params}


REQUESTS = [
    {"id": 1, "method": "tools/list"},
    {"id": "one", "method": "tools/list", "params": {"cursor": "x"}},
    *(call(number, "m_t", v=v) for number, v in enumerate([{"a": 1}, [1, "ä"], "text", None, 1.5, True], 10)),
    call(20, "m_typed", v={"a": 1}),
    call(21, "m_typed", v={"a": "wrong"}),
    call(22, "m_listing", v=[1]),
    call(23, "m_fails"),
    call(24, "m_counts", meta={"progressToken": "token"}),
    call(25, "m_counts", meta={"progressToken": 7}),
    call(26, "nowhere"),
    {"id": 30, "method": "tools/call", "params": {"name": "m_t"}},
    {"id": 31, "method": "tools/call", "params": {"arguments": {}}},
    {"id": 32, "method": "tools/call", "params": {"name": "m_t", "arguments": [1]}},
    {"id": 33, "method": "ping"},
    {"id": 34, "method": "server/discover"},
    {"id": 35, "method": "resources/read", "params": {"uri": "x:y"}},
    {"id": 36, "method": "no/such"},
    {"id": 37, "method": "tools/list", "params": {"_meta": {"progressToken": [1]}}},
    {"id": 38, "method": "resources/list"},
    {"id": 39, "method": "resources/list", "params": {"cursor": "x"}},
    {"id": 40, "method": "resources/list", "params": {"cursor": 5}},
    {"id": 41, "method": "resources/templates/list"},
    {"id": 42, "method": "resources/templates/list", "params": {"cursor": "1"}},
    {"id": 43, "method": "prompts/list"},
    {"id": 44, "method": "resources/read", "params": {"uri": "utcp-ws://manifest-guide"}},
    {"id": 45, "method": "resources/read", "params": {"uri": "utcp-ws://endpoints/" + "x" * 300}},
    {"id": 46, "method": "resources/read", "params": {"uri": 5}},
    {"id": 47, "method": "tools/list", "params": {"cursor": None}},
    {"id": 48, "method": "tools/list", "params": {"cursor": 5}},
    {"method": "notifications/cancelled", "params": {"requestId": "never"}},
    {"method": "notifications/roots/list_changed"},
    {"method": "notifications/of/tomorrow", "params": {"x": 1}},
    call(50, "m_big"),
    call(51, "m_big_array"),
    call(52, "m_t", v="42"),
    call(57, "m_audio"),
    call(53, "m_t", v=" [1]"),
    call(54, "m_t", v='{"a": 1}'),
    {"id": 55, "method": "subscriptions/listen", "params": {"notifications": {"toolsListChanged": 5}}},
    {"id": 56, "method": "subscriptions/listen"},
    {"id": 60, "method": "resources/subscribe", "params": {"uri": "x:y"}},
    {"id": 61, "method": "resources/subscribe", "params": {"uri": "utcp-ws://endpoints/m"}},
    {"id": 62, "method": "resources/subscribe", "params": {"uri": 5}},
    {"id": 63, "method": "resources/subscribe", "params": {"uri": "utcp-ws://feeds"}},
    {"id": 64, "method": "resources/subscribe", "params": {"uri": "utcp-ws://feeds/f/said?room=a"}},
    {"id": 65, "method": "resources/subscribe", "params": {"uri": "utcp-ws://feeds/f/said"}},
    {"id": 66, "method": "resources/unsubscribe", "params": {"uri": "utcp-ws://feeds/f/said?room=a"}},
    {"id": 67, "method": "resources/unsubscribe", "params": {"uri": "x:y"}},
    {"id": 68, "method": "resources/unsubscribe", "params": {}},
    {"id": 69, "method": "resources/read", "params": {"uri": "utcp-ws://feeds/f/other"}},
]
FEEDS = {
    "inputs": {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]},
    "name": "said",
    "match": "message.room == args.room",
}


def opening(version: str) -> list[dict[str, Any]]:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    return [{"id": 0, "method": "initialize", "params": params}, {"method": "notifications/initialized"}]


def enveloped(message: dict[str, Any]) -> dict[str, Any]:
    params = message.get("params", {})
    return {**message, "params": {**params, "_meta": {**params.get("_meta", {}), **ENVELOPE}}}


SESSIONS = {
    **{version: [*opening(version), *REQUESTS] for version in (*protocol_versions.HANDSHAKE, "1999-01-01")},
    "2026-07-28": [enveloped(message) for message in REQUESTS],
    "2026-07-28, envelope missing later": [enveloped(REQUESTS[0]), *REQUESTS[2:4]],
    "2026-07-28, initialize later": [enveloped(REQUESTS[0]), *opening("2025-11-25")[:1]],
    "handshake, envelope later": [*opening("2025-11-25"), enveloped(REQUESTS[0]), enveloped(REQUESTS[2])],
    "nothing opens it": REQUESTS[:4],
    "late opening": [*REQUESTS[:2], *opening("2025-06-18"), *REQUESTS[:4]],
    "malformed opening": [{"id": 0, "method": "initialize", "params": {"protocolVersion": 1}}, *REQUESTS[:2]],
}


async def answers(folder: Path, messages: list[dict[str, Any]], *, fast_path: bool = True) -> dict[Any, list[Any]]:
    """Return what a session sends for messages, by request id; progress by its token."""
    to_session, from_test = os.pipe()
    to_test, from_session = os.pipe()
    found: dict[Any, list[Any]] = {}
    async with AsyncExitStack() as stack:
        seen = await stack.enter_async_context(peer(answer))
        feeds = {"name": "f", "url": seen.url, "feeds": [FEEDS]}
        document = [entry(seen, *TOOLS, preset="jsonrpc2"), feeds]
        bridge = await stack.enter_async_context(bridge_to(folder, document))
        session = StdioSession(ToolService(bridge), to_session, from_session, fast_path=fast_path)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.run)
            waiting = {message["id"] for message in messages if "id" in message}
            for message in messages:
                os.write(from_test, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            rest = b""
            with anyio.fail_after(PATIENCE):
                while waiting:
                    await anyio.wait_readable(to_test)
                    *lines, rest = (rest + os.read(to_test, 1 << 20)).split(b"\n")
                    for line in map(json.loads, lines):
                        if line.get("method", "").startswith("notifications/resources/"):
                            continue  # when they come is not determined
                        key = line["id"] if "id" in line else line["params"]["progressToken"]
                        found.setdefault(key, []).append(line)
                        waiting.discard(line.get("id"))
            session.stop()
    for fd in (to_session, from_test, to_test, from_session):
        os.close(fd)
    return found


@pytest.mark.parametrize("session", SESSIONS)
async def test_every_answer_is_the_one_that_the_sdk_gives(tmp_path: Path, session: str) -> None:
    fast = await answers(tmp_path, SESSIONS[session])
    assert fast == await answers(tmp_path, SESSIONS[session], fast_path=False)


async def test_without_the_fast_path_the_sdk_answers_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handled(self: FastPath, message: dict[str, Any]) -> bool:
        raise AssertionError(message)

    monkeypatch.setattr(FastPath, "try_handle", handled)
    usual = [*opening("2025-11-25"), REQUESTS[0], REQUESTS[2]]
    assert len(await answers(tmp_path, usual, fast_path=False)) == 3


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize(("version", "kind"), [("2024-11-05", "resource"), ("2025-03-26", "audio")])
async def test_audio_has_a_block_that_the_revision_has(
    tmp_path: Path, version: str, kind: str, fast_path: bool
) -> None:
    found = await answers(tmp_path, [*opening(version), call(57, "m_audio")], fast_path=fast_path)
    (block,) = found[57][0]["result"]["content"]
    held = block["resource"] if kind == "resource" else block
    assert (block["type"], held["mimeType"]) == (kind, "audio/ogg")


@pytest.mark.parametrize("options", [[], ["--no-fast-path"]])
async def test_the_option_turns_the_fast_path_off_in_a_process(tmp_path: Path, options: list[str]) -> None:
    report = tmp_path / "report"
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, pathlib, sys\n"
        f"report = pathlib.Path({str(report)!r})\n"
        "atexit.register(lambda: report.write_text(str('mcp.server.lowlevel' in sys.modules)))\n"
    )
    async with peer(answer) as seen:
        document = entry(seen, *TOOLS, preset="jsonrpc2")
        async with host_of(tmp_path, document, *options, PYTHONPATH=str(tmp_path)) as host:
            await host.initialize()
            listed = await host.request(1, "tools/list")
            assert host.process.stdin
            await host.process.stdin.aclose()
            assert (await host.ended())[0] == 0
    assert [tool["name"] for tool in listed["result"]["tools"]] == [f"m_{tool['name']}" for tool in TOOLS]
    assert report.read_text() == str(bool(options))


def envelope(version: str = "2026-07-28") -> dict[str, Any]:
    return {"_meta": {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": version}}


def test_the_first_request_decides_the_era() -> None:
    handshake, modern, delegated = ProtocolState(), ProtocolState(), ProtocolState()
    handshake.start_handshake("2025-11-25")
    assert (handshake.accepts({}), handshake.accepts(envelope())) == (True, False)
    assert (modern.accepts(envelope()), modern.accepts({}), modern.accepts(envelope("2099-01-01"))) == (
        True,
        False,
        False,
    )
    assert not delegated.accepts({})
    delegated.delegate_if_undecided()
    for state in (handshake, modern):
        state.delegate_if_undecided()
        assert not state.is_delegated
    assert delegated.is_delegated
    assert not delegated.accepts(envelope())


def test_a_session_that_is_delegated_from_the_start_decides_nothing() -> None:
    state = ProtocolState(delegated=True)
    assert not state.accepts(envelope())
    assert state.is_delegated


def test_a_server_that_joins_later_receives_the_opening() -> None:
    handshake, modern = ProtocolState(), ProtocolState()
    handshake.start_handshake("2025-11-25")
    for line, method in ((b"1", "initialize"), (b"2", "tools/list"), (b"3", "notifications/initialized")):
        handshake.record(line, {"method": method})
    assert handshake.openers == [b"1", b"3"]
    modern.accepts(envelope())
    for number in range(2):
        modern.record(b"line", {"method": "tools/list", "id": number, "params": envelope()})
    (opener,) = map(json.loads, modern.openers)
    assert (opener["method"], opener["params"]) == ("server/discover", envelope())


def test_the_revisions_are_those_of_the_sdk() -> None:
    assert tuple(sdk_versions.HANDSHAKE_PROTOCOL_VERSIONS) == protocol_versions.HANDSHAKE
    assert tuple(sdk_versions.MODERN_PROTOCOL_VERSIONS) == protocol_versions.MODERN


async def test_a_usual_session_never_imports_the_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forwarded(session: StdioSession, line: bytes) -> None:
        raise AssertionError(line)

    monkeypatch.setattr(StdioSession, "_forward_to_sdk", forwarded)
    lists = [{"id": method, "method": method} for method in ("resources/list", "resources/templates/list")]
    prompts = {"id": "prompts/list", "method": "prompts/list"}
    notified = [{"method": "notifications/roots/list_changed"}, {"method": "notifications/of/tomorrow"}]
    usual = [REQUESTS[0], REQUESTS[2], *lists, prompts, *notified]
    assert len(await answers(tmp_path, [*opening("2025-11-25"), *usual, {"id": 33, "method": "ping"}])) == 7
    modern = [{"id": 5, "method": "server/discover"}, *usual]
    assert len(await answers(tmp_path, [enveloped(message) for message in modern])) == 6


@pytest.mark.parametrize("method", ["tools/call", "no/such"])
async def test_a_line_that_utf_8_cannot_encode_is_answered_and_the_next_one_works(tmp_path: Path, method: str) -> None:
    odd = {"id": 9, "method": method, "params": {"name": "m_t", "arguments": {"v": "\ud800"}}}
    found = await answers(tmp_path, [*opening("2025-11-25"), odd, REQUESTS[2]])
    assert "error" in found[9][0] or found[9][0]["result"]["isError"]
    assert "result" in found[10][0]
