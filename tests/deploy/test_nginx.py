"""Two replicas behind a real nginx with the configuration of deploy/, driven in both protocol eras."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import trustme
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.peer import PATIENCE, Peer, entry, jsonrpc, peer
from tests.server.http.test_app import BEARER, ERAS, RPC, TOKEN

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@dataclass
class Site:
    """nginx at `url`, and the replicas behind it."""

    url: str = ""
    replicas: list[Process] = field(default_factory=list)
    trust: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    @asynccontextmanager
    async def client(self, mode: str, **options: Any) -> AsyncIterator[Client]:
        async with httpx2.AsyncClient(headers=BEARER, timeout=PATIENCE, verify=self.trust) as http:
            async with Client(streamable_http_client(self.url, http_client=http), mode=mode, **options) as client:
                yield client


@asynccontextmanager
async def site(
    folder: Path, seen: Peer, *options: str, gone: Sequence[int] = (), **template: Any
) -> AsyncIterator[Site]:
    """Two replicas, each of which sends the endpoint its number in a header, and nginx in front of them.

    nginx knows replicas at the ports `gone`, too.
    """
    found = Site()
    async with AsyncExitStack() as stack:
        for number in "12":
            document = entry(seen, "t", headers={"X-Replica": number}, **{**RPC, **template})
            found.replicas.append(await stack.enter_async_context(replica(folder / number, document, *options)))
        ports = [await port_of(process) for process in found.replicas]
        found.url = await stack.enter_async_context(nginx(folder, [*ports, *gone], found.trust))
        yield found


@asynccontextmanager
async def replica(folder: Path, document: Any, *options: str) -> AsyncIterator[Process]:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(document))
    arguments = ["serve", str(folder / "manifest.json"), "--http", "0", "--allowed-host", "localhost", *options]
    command = [sys.executable, "-m", "utcp_ws_mcp", *arguments]
    environ = {**os.environ, "UTCP_WS_MCP_TOKEN": TOKEN}
    process = await anyio.open_process(command, stderr=subprocess.PIPE, env=environ)
    try:
        yield process
    finally:
        await end(process)


async def port_of(process: Process) -> int:
    """The port that a replica says when it listens."""
    assert process.stderr
    with anyio.fail_after(PATIENCE):
        said = await BufferedByteReceiveStream(process.stderr).receive_until(b"/mcp\n", 1000)
    return int(said.rpartition(b":")[2])


@asynccontextmanager
async def nginx(folder: Path, ports: list[int], trust: ssl.SSLContext) -> AsyncIterator[str]:
    """The configuration of deploy/, with the names, addresses and files of the test in it."""
    authority = trustme.CA()
    authority.configure_trust(trust)
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
    text = CONFIGURATION.read_text(encoding="utf-8")
    port = free_port()
    servers = "".join(f"server 127.0.0.1:{each} max_fails=1 fail_timeout=5s;\n" for each in ports)
    changed = {
        r"( +server mcp-\d+:\S+.*;\n)+": servers,
        r"listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        r"/etc/ssl/\S+(?=;)": f"{folder}/cert.pem",
        r"/run/nginx\.pid": f"{folder}/nginx.pid",
        r"/var/log/nginx/error\.log": f"{folder}/error.log",
        r"(?<=http \{\n)": "".join(f"{name}_temp_path {folder}/{name};\n" for name in TEMPORARY),
        r"mcp\.example\.com": "localhost",
    }
    for pattern, replacement in changed.items():
        text, count = re.subn(pattern, replacement, text)
        assert count, pattern
    if os.geteuid() == 0:  # its workers have to reach the folder of the test
        text = f"user root;\n{text}"
    (folder / "nginx.conf").write_text(text)
    assert NGINX
    command = [NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    await anyio.run_process(command)  # ends when it listens
    try:
        yield f"https://localhost:{port}/mcp"
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.run_process([*command, "-s", "stop"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that answers no connection, as an address does whose host is gone: its queue is full."""
    with socket.socket() as listening, ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


async def end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
        with anyio.fail_after(PATIENCE):
            await process.wait()
        await process.aclose()


def answerers(seen: Peer) -> Counter[str]:
    """How many calls came through which replica."""
    return Counter(message["params"]["replica"] for message in seen.received)


async def tell_replica(seen: Peer, connection: Any, message: Any) -> None:
    """Answer with the number of the replica that asks."""
    message["params"]["replica"] = connection.request.headers["X-Replica"]
    await jsonrpc(seen, connection, message)


async def test_calls_of_2026_07_28_go_to_the_replicas_in_turn(tmp_path: Path) -> None:
    async with peer(tell_replica) as seen, site(tmp_path, seen) as found, found.client("auto") as client:
        for number in range(10):
            assert (await client.call_tool("m_t", {"n": number})).structured_content["n"] == number
    assert set(answerers(seen)) == {"1", "2"}
    assert min(answerers(seen).values()) >= 3


async def test_a_session_stays_with_its_replica(tmp_path: Path) -> None:
    async with peer(tell_replica) as seen, site(tmp_path, seen) as found, found.client("legacy") as client:
        for number in range(10):
            assert (await client.call_tool("m_t", {"n": number})).structured_content["n"] == number
    assert len(answerers(seen)) == 1


async def test_a_session_stays_with_its_replica_when_the_access_token_is_renewed(tmp_path: Path) -> None:
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    async with peer(jsonrpc) as seen, site(tmp_path, seen) as found:
        async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE, verify=found.trust) as http:
            begin = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
            begun = await http.post(found.url, json=begin, headers=BEARER)
            session = {"Mcp-Session-Id": begun.headers["mcp-session-id"]}
            statuses = []
            for scheme in ("bearer", "BEARER", "bEARER", "BeaReR", "bEArEr", "beareR"):  # as other tokens, to nginx
                listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
                given = {**session, "Authorization": f"{scheme} {TOKEN}"}
                statuses.append((await http.post(found.url, json=listing, headers=given)).status_code)
    assert set(statuses) == {200}


async def test_clients_learn_through_nginx_where_to_log_in(tmp_path: Path) -> None:
    options = ("--issuer", "http://127.0.0.1:9/team", "--audience", "https://localhost/mcp")
    async with peer(jsonrpc) as seen, site(tmp_path, seen, *options) as found:
        async with httpx2.AsyncClient(timeout=PATIENCE, verify=found.trust) as http:
            well_known = found.url.replace("/mcp", "/.well-known/oauth-protected-resource")
            answers = [await http.get(url) for url in (f"{well_known}/mcp", well_known)]
    assert [answer.json()["authorization_servers"] for answer in answers] == [["http://127.0.0.1:9/team"]] * 2


@ERAS
async def test_without_sessions_both_eras_are_served(tmp_path: Path, mode: str) -> None:
    async with peer(tell_replica) as seen, site(tmp_path, seen, "--stateless") as found:
        async with found.client(mode) as client:
            assert (await client.call_tool("m_t", {"n": 1})).structured_content["n"] == 1


@ERAS
async def test_progress_passes_at_once(tmp_path: Path, mode: str) -> None:
    go_on = anyio.Event()

    async def stream(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "result": 1}))
        await go_on.wait()
        await connection.send(json.dumps({"id": message["id"], "result": 2, "done": True}))

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        go_on.set()

    async with peer(stream) as seen, site(tmp_path, seen, stream={"until": "message.done"}) as found:
        async with found.client(mode) as client:
            with anyio.fail_after(PATIENCE):
                result = await client.call_tool("m_t", {}, progress_callback=progress)
    assert result.structured_content["items"][0] == 1


async def test_a_client_that_goes_away_cancels_its_call_through_nginx(tmp_path: Path) -> None:
    async def endless(seen: Peer, connection: Any, message: Any) -> None:
        if message.get("method") != "cancel":
            await connection.send(json.dumps({"id": message["id"], "result": 1}))

    stream = {"cancel": {"method": "cancel", "id": "{{ request_id }}"}}
    async with peer(endless) as seen, site(tmp_path, seen, stream=stream) as found, found.client("auto") as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "m_t", {})
            await seen.until(lambda: len(seen.received) == 1)
            tasks.cancel_scope.cancel()
        await seen.until(lambda: len(seen.received) == 2)
    assert seen.received[1]["method"] == "cancel"


async def test_when_a_replica_ends_the_other_answers(tmp_path: Path) -> None:
    async with peer(tell_replica) as seen, site(tmp_path, seen) as found, found.client("auto") as client:
        await client.call_tool("m_t", {"n": 0})
        await end(found.replicas[0])
        for number in range(6):
            assert not (await client.call_tool("m_t", {"n": number})).is_error
        assert [await found.replicas[0].wait(), found.replicas[1].returncode] == [0, None]


async def test_a_call_that_a_replica_has_is_not_sent_to_another_one(tmp_path: Path) -> None:
    holders: list[int] = []

    async def keep(seen: Peer, connection: Any, message: Any) -> None:
        holders.append(int(connection.request.headers["X-Replica"]))

    async def call(client: Client) -> None:
        with pytest.raises(MCPError):
            await client.call_tool("m_t", {})

    async with peer(keep) as seen, site(tmp_path, seen) as found, found.client("auto") as client:
        await client.list_tools()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, client)
            await seen.until(lambda: len(holders) == 1)
            found.replicas[holders[0] - 1].kill()
        assert len(holders) == 1


@ERAS
async def test_when_the_host_of_a_replica_is_gone_the_others_answer(tmp_path: Path, mode: str) -> None:
    async with AsyncExitStack() as stack:
        seen = await stack.enter_async_context(peer(tell_replica))
        gone = [stack.enter_context(silent_port())]
        found = await stack.enter_async_context(site(tmp_path, seen, "--stateless", gone=gone))
        client = await stack.enter_async_context(found.client(mode))
        for number in range(6):
            assert (await client.call_tool("m_t", {"n": number})).structured_content["n"] == number


async def test_only_mcp_passes(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, site(tmp_path, seen) as found:
        async with httpx2.AsyncClient(verify=found.trust, headers=BEARER) as http:
            metrics = await http.get(found.url.replace("/mcp", "/metrics"))
            health = await http.get(found.url.replace("/mcp", "/healthz"))
            stranger = await http.post(found.url, headers={"Authorization": "Bearer wrong"}, json={})
    assert [metrics.status_code, health.status_code, stranger.status_code] == [404, 200, 401]
