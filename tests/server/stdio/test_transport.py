"""The process that a host runs: its end, its stdout, and its answers to bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client, StdioServerParameters

from tests.client.test_discovery import announces, manual
from tests.peer import PATIENCE, Peer, entry, jsonrpc, peer, silent

RPC = {"preset": "jsonrpc2"}
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


PROCESS_PATIENCE = 60
"""Seconds for an answer of another process: starting one takes many times as long on a busy machine."""


class Host:
    """A host that speaks to the process line by line."""

    def __init__(self, process: Process) -> None:
        assert process.stdin
        assert process.stdout
        self.process = process
        self._lines = BufferedByteReceiveStream(process.stdout)

    async def send(self, *messages: Any) -> None:
        assert self.process.stdin
        lines = (message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages)
        await self.process.stdin.send(b"".join(line + b"\n" for line in lines))

    async def receive(self) -> Any:
        with anyio.fail_after(PROCESS_PATIENCE):
            return json.loads(await self._lines.receive_until(b"\n", 1 << 26))

    async def request(self, number: int, method: str, **params: Any) -> Any:
        await self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return await self.receive()

    async def initialize(self) -> None:
        assert "result" in await self.request(0, "initialize", **INITIALIZE)
        await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def ended(self) -> tuple[int, bytes]:
        """The exit code, and what was left on stdout."""
        rest = bytearray(self._lines.buffer)
        assert self.process.stdout
        with anyio.fail_after(PROCESS_PATIENCE):
            async for chunk in self.process.stdout:
                rest += chunk
            return await self.process.wait(), bytes(rest)


@asynccontextmanager
async def host_of(folder: Path, document: Any, *options: str, **environ: str) -> AsyncIterator[Host]:
    file = folder / "manifest.json"
    file.write_text(json.dumps(document))
    command = [sys.executable, "-m", "utcp_ws_mcp", str(file), *options]
    process = await anyio.open_process(command, stderr=subprocess.PIPE, env={**os.environ, **environ})
    try:
        yield Host(process)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


@pytest.mark.parametrize("how", ["eof", "sigterm", "sigint"])
async def test_the_process_ends_with_zero_and_closes_its_connections(tmp_path: Path, how: str) -> None:
    async with peer(jsonrpc) as seen, host_of(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize()
        await host.request(1, "tools/call", name="m_t", arguments={})
        await end(host, how)
        assert await host.ended() == (0, b"")
        await seen.until(lambda: len(seen.closed) == 1)
    assert seen.closed[0][0] == 1001


@pytest.mark.parametrize("how", ["eof", "sigterm", "sigint"])
async def test_calls_in_flight_are_answered_before_the_end(tmp_path: Path, how: str) -> None:
    async with peer(silent) as seen, host_of(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize()
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "m_t", "arguments": {}}}
            for number in range(1, 21)
        ]
        await host.send(*calls)
        await seen.until(lambda: len(seen.received) == 20)
        await end(host, how)
        code, rest = await host.ended()
    assert code == 0
    assert rest.endswith(b"\n")
    assert {json.loads(line)["id"] for line in rest.splitlines()} == set(range(1, 21))


async def test_a_call_that_ends_in_time_is_answered_after_the_host_closed_its_end(tmp_path: Path) -> None:
    release = anyio.Event()

    async def held(seen: Peer, connection: Any, message: Any) -> None:
        await release.wait()
        await connection.send(json.dumps({"id": message["id"], "result": "done"}))

    async with peer(held) as seen, host_of(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize()
        await host.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "m_t"}})
        await seen.until(lambda: len(seen.received) == 1)
        await end(host, "eof")
        release.set()
        code, rest = await host.ended()
    assert code == 0
    assert json.loads(rest)["result"]["content"][0]["text"] == "done"


async def end(host: Host, how: str) -> None:
    if how == "eof":
        assert host.process.stdin
        await host.process.stdin.aclose()
    else:
        host.process.send_signal(signal.SIGTERM if how == "sigterm" else signal.SIGINT)


async def test_initialize_is_answered_before_any_endpoint_is(tmp_path: Path) -> None:
    async with (
        peer(silent) as seen,
        host_of(tmp_path, [entry(seen), {"name": "d", "url": "ws://127.0.0.1:9/"}]) as host,
    ):
        await host.initialize()
        listed = await host.request(1, "tools/list")
    assert listed["result"]["tools"] == []


async def test_output_of_other_code_does_not_reach_stdout(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "def noise(*_):\n"
        "    print('noise', flush=True)\n"
        "    os.write(1, b'more noise')\n"
        "signal.signal(signal.SIGUSR1, noise)\n"
    )
    async with peer(jsonrpc) as seen:
        async with host_of(tmp_path, entry(seen, "t", **RPC), PYTHONPATH=str(tmp_path)) as host:
            await host.initialize()
            host.process.send_signal(signal.SIGUSR1)
            assert host.process.stderr
            with anyio.fail_after(PATIENCE):
                await BufferedByteReceiveStream(host.process.stderr).receive_until(b"more noise", 1 << 20)
            assert "result" in await host.request(1, "tools/list")
            await end(host, "eof")
            assert await host.ended() == (0, b"")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read: there is no such file"),
        ("{", ":1:2: invalid JSON: expected a key in double quotes"),
        ("5", "expected an object with"),
        ('{"url": "wss://example.com", "mesage": {}}', "mesage: unknown key. Did you mean 'message'? [unknown-key]"),
        ('{"url": "http://example.com"}', "or wss://host[:port]/path. Replace the scheme by ws://. [invalid-url]"),
        (
            '{"url": "wss://example.com", "auth": {"auth_type": "basic", "username": "u"}}',
            "auth.password: this field is required. [missing-key]",
        ),
        ('{"url": "wss://example.com/${UNSET_X}"}', "UNSET_X is not set. Set it in the environment"),
        ('{"url": "wss://example.com", "reply": {"match": "mesage.id"}}', "Did you mean 'message'? [unknown-name]"),
        ("[]", "nothing to serve"),
    ],
)
def test_a_bad_manifest_ends_with_two_and_one_sentence_before_stdin_is_read(
    tmp_path: Path, text: str | None, sentence: str
) -> None:
    file = tmp_path / "manifest.json"
    if text is not None:
        file.write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "utcp_ws_mcp", str(file)], stdin=None, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr


async def test_a_missing_variable_disables_its_call_template_only(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        wrong = {"name": "w", "url": "wss://example.com", "auth": {"auth_type": "api_key", "api_key": "${UNSET_X}"}}
        async with host_of(tmp_path, [wrong, entry(seen, "t", **RPC)]) as host:
            await host.initialize()
            listed = await host.request(1, "tools/list")
            await end(host, "eof")
            await host.ended()
            assert host.process.stderr
            shown = b"".join([chunk async for chunk in host.process.stderr]).decode()
    assert [tool["name"] for tool in listed["result"]["tools"]] == ["m_t"]
    assert "w: UNSET_X is not set" in shown


async def test_a_client_that_reads_slowly_gets_every_result_whole(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, host_of(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize()
        big = "x" * 300_000
        await host.send(
            *(
                {
                    "jsonrpc": "2.0",
                    "id": number,
                    "method": "tools/call",
                    "params": {"name": "m_t", "arguments": {"n": number, "big": big}},
                }
                for number in range(1, 31)
            )
        )
        replies = [await host.receive() for _ in range(30)]
    assert {json.loads(reply["result"]["content"][0]["text"])["n"] for reply in replies} == set(range(1, 31))


@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize(
    ("form", "has_schema", "forms"),
    [("auto", True, [True, False]), ("both", True, [True, True]), ("text", False, [False, False])],
)
async def test_json_is_sent_in_the_forms_of_the_option(
    tmp_path: Path, form: str, has_schema: bool, forms: list[bool], modern: bool
) -> None:
    tool = {"name": "t", "outputs": {"type": "object"}}
    meta = {"_meta": MODERN} if modern else {}
    async with peer(jsonrpc) as seen:
        async with host_of(tmp_path, entry(seen, tool, "u", **RPC), "--json-results", form) as host:
            if not modern:
                await host.initialize()
            listed = await host.request(1, "tools/list", **meta)
            results = [
                (await host.request(2, "tools/call", name=name, arguments={"n": "x" * 5000}, **meta))["result"]
                for name in ("m_t", "m_u")
            ]
    assert ["outputSchema" in each for each in listed["result"]["tools"]] == [has_schema, False]
    assert ["structuredContent" in result for result in results] == forms
    assert all(json.loads(result["content"][0]["text"]) == {"n": "x" * 5000} for result in results)


async def test_the_2026_era_works_on_the_same_process_kind(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, host_of(tmp_path, entry(seen, "t", **RPC)) as host:
        reply = await host.request(1, "tools/call", name="m_t", arguments={"n": 1}, _meta=MODERN)
    assert reply["result"]["structuredContent"] == {"n": 1}
    assert reply["result"]["resultType"] == "complete"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_python_client_lists_and_calls_over_a_real_process(tmp_path: Path, mode: str) -> None:
    async with peer(announces(manual("a"))) as seen:
        (tmp_path / "m.json").write_text(json.dumps(entry(seen)))
        command = StdioServerParameters(command=sys.executable, args=["-m", "utcp_ws_mcp", str(tmp_path / "m.json")])
        with anyio.fail_after(PATIENCE * 2):
            async with Client(command, mode=mode) as client:
                assert [tool.name for tool in (await client.list_tools()).tools] == ["m_a"]
                result = await client.call_tool("m_a", {"n": 1})
    assert result.content[0].text == '{"n": 1}'
