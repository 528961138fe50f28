"""What opens a connection: credentials, subprotocols, TLS, addresses, and what must not be followed."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from websockets.datastructures import Headers
from websockets.http11 import Response

from tests.peer import PATIENCE, Peer, bridge_to, echo, entry, jsonrpc, peer
from utcp_ws_mcp import Bridge, PolicyError
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.errors import ConnectError, ForbiddenAddress, ForbiddenHeader, ForbiddenRedirect, HandshakeRejected

RPC = {"preset": "jsonrpc2"}
KEY = {"auth_type": "api_key", "api_key": "${TOKEN}"}


async def upgrade_with(folder: Path, template: dict[str, Any], environ: dict[str, str] | None = None) -> Any:
    """The upgrade request that a template leads to."""
    async with peer(jsonrpc) as seen:
        async with bridge_to(folder, entry(seen, "t", **RPC, **template), environ=environ) as bridge:
            await bridge.call_tool("m.t")
        return seen.upgrades[0]


REPEATED = {
    "a header": {"headers": {"Authorization": "Bearer ${TOKEN}"}},
    "a part of the query": {"auth": {**KEY, "var_name": "key", "location": "query"}},
    "a cookie": {"auth": {**KEY, "var_name": "session", "location": "cookie"}},
}


@pytest.mark.parametrize("template", REPEATED.values(), ids=REPEATED)
async def test_a_refusal_that_repeats_a_credential_is_shown_without_it(
    tmp_path: Path, template: dict[str, Any]
) -> None:
    def refuse(connection: Any, request: Any) -> Response:
        return Response(401, "Unauthorized", Headers(), b"no user has kitchen-lamp-7")

    document = {**RPC, **template}
    async with (
        peer(echo, process_request=refuse) as seen,
        bridge_to(tmp_path, entry(seen, "t", **document), environ={"TOKEN": "kitchen-lamp-7"}) as bridge,
    ):
        said = r"HTTP 401; the endpoint said: “no user has \*\*\*”[.] The server requires other credentials"
        with pytest.raises(HandshakeRejected, match=said):
            await bridge.call_tool("m.t")


async def test_an_api_key_goes_into_the_header_it_is_named_for(tmp_path: Path) -> None:
    upgrade = await upgrade_with(tmp_path, {"auth": {**KEY, "var_name": "X-Secret"}}, {"TOKEN": "s3cret"})
    assert upgrade.headers["X-Secret"] == "s3cret"


async def test_an_api_key_goes_into_the_query_encoded(tmp_path: Path) -> None:
    auth = {**KEY, "var_name": "key", "location": "query"}
    upgrade = await upgrade_with(tmp_path, {"auth": auth}, {"TOKEN": "a&b=c d"})
    assert upgrade.path == "/?key=a%26b%3Dc%20d"


async def test_an_api_key_goes_into_a_cookie(tmp_path: Path) -> None:
    upgrade = await upgrade_with(
        tmp_path, {"auth": {**KEY, "var_name": "session", "location": "cookie"}}, {"TOKEN": "abc"}
    )
    assert upgrade.headers["Cookie"] == "session=abc"


async def test_basic_credentials_are_encoded(tmp_path: Path) -> None:
    auth = {"auth_type": "basic", "username": "user", "password": "pä$s"}
    upgrade = await upgrade_with(tmp_path, {"auth": auth})
    assert upgrade.headers["Authorization"] == "Basic " + base64.b64encode("user:pä$s".encode()).decode()


async def test_headers_may_hold_variables_and_expressions(tmp_path: Path) -> None:
    headers = {"X-One": "tenant ${TENANT}", "X-Two": "{{ vars.TENANT }}-{{ args.room }}"}
    async with peer(jsonrpc) as seen:
        document = entry(seen, "t", headers=headers, **RPC)
        async with bridge_to(tmp_path, document, environ={"TENANT": "{{ x }}"}) as bridge:
            await bridge.call_tool("m.t", {"room": 5})
    assert seen.upgrades[0].headers["X-One"] == "tenant {{ x }}"
    assert seen.upgrades[0].headers["X-Two"] == "{{ x }}-5"


async def test_an_argument_in_the_url_cannot_leave_its_segment(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        document = entry(seen, "t", **RPC)
        document["url"] += "rooms/{{ args.room }}?q=UTCP_ARG_q_UTCP_ARG"
        async with bridge_to(tmp_path, document) as bridge:
            await bridge.call_tool("m.t", {"room": "../a/b?x#y", "q": "1&2"})
    assert seen.upgrades[0].path == "/rooms/..%2Fa%2Fb%3Fx%23y?q=1%262"


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "", " padded ", "ü"])
async def test_an_argument_that_is_no_header_value_opens_nothing(tmp_path: Path, value: str) -> None:
    async with peer(jsonrpc) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", header_fields=["X-A"], **RPC)) as bridge:
            with pytest.raises(ForbiddenHeader, match="'X-A'"):
                await bridge.call_tool("m.t", {"X-A": value})
        assert not seen.upgrades


async def test_a_subprotocol_is_offered_and_must_be_selected(tmp_path: Path) -> None:
    def select(connection: Any, offered: list[str]) -> str | None:
        return "chat" if "chat" in offered else None

    async with peer(jsonrpc, select_subprotocol=select) as seen:
        tools = ["t", {"name": "other", "tool_call_template": {"protocol": ["soap", "wamp"]}}]
        async with bridge_to(tmp_path, entry(seen, *tools, protocol="chat", **RPC)) as bridge:
            assert await bridge.call_tool("m.t") == {}
            with pytest.raises(
                ConnectError,
                match="accepts none of the subprotocols soap, wamp[.] .* or remove it.*subprotocol-rejected",
            ):
                await bridge.call_tool("m.other")


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "auth"),
        (403, "Origin"),
        (403, "path is wrong"),
        (404, "check the URL"),
        (404, "Origin"),
        (503, "try again later"),
    ],
)
async def test_a_refused_upgrade_shows_status_words_and_what_to_check(tmp_path: Path, status: int, hint: str) -> None:
    def refuse(connection: Any, request: Any) -> Response:
        return connection.respond(status, "not\ntoday\n")

    async with peer(jsonrpc, process_request=refuse) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
            with pytest.raises(HandshakeRejected, match=rf"HTTP {status}; the endpoint said: “not today”[.] .*{hint}"):
                await bridge.call_tool("m.t")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(tmp_path: Path, status: int) -> None:
    async with peer(jsonrpc) as other:

        def redirect(connection: Any, request: Any) -> Response:
            response = connection.respond(status, "")
            response.headers["Location"] = other.url
            return response

        async with peer(jsonrpc, process_request=redirect) as seen:
            async with bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
                with pytest.raises(ForbiddenRedirect, match="Write the final URL"):
                    await bridge.call_tool("m.t")
        assert not other.upgrades


async def test_an_endpoint_that_is_no_websocket_is_named(tmp_path: Path) -> None:
    async def plain(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"220 mail.example.com ESMTP\r\n")

    async with serve_tcp(plain) as port:
        async with bridge_to(tmp_path, entry(Peer(port), "t")) as bridge:
            with pytest.raises(ConnectError, match=r"not a WebSocket upgrade.*\[not-a-websocket\]"):
                await bridge.call_tool("m.t")


@pytest.mark.parametrize("answered", [b"", b"HTTP/1.1 101 Switching"])
async def test_a_connection_that_is_cut_during_the_upgrade_is_named(tmp_path: Path, answered: bytes) -> None:
    """`python -m verification.reliability.fault_matrix` found it called an answer that is no upgrade."""

    async def cut(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answered) if answered else None

    async with serve_tcp(cut) as port:
        async with bridge_to(tmp_path, entry(Peer(port), "t")) as bridge:
            with pytest.raises(
                ConnectError, match=r"the connection was cut during the upgrade\. .* the credentials.*\[upgrade-cut\]"
            ):
                await bridge.call_tool("m.t")


async def test_a_silent_endpoint_ends_with_the_connect_timeout(tmp_path: Path) -> None:
    async def hang(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with serve_tcp(hang) as port:
        async with bridge_to(tmp_path, entry(Peer(port), "t", limits={"connect_timeout": 0.2})) as bridge:
            with pytest.raises(
                ConnectError,
                match=r"the port is open, but the upgrade was not answered within 0\.2 s.*\[connect-timeout\]",
            ):
                await bridge.call_tool("m.t")


async def test_a_silent_port_behind_a_secure_url_is_said_not_to_answer_tls(tmp_path: Path) -> None:
    async def hang(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with serve_tcp(hang) as port:
        secure = {**entry(Peer(port), "t", limits={"connect_timeout": 0.2}), "url": f"wss://127.0.0.1:{port}/"}
        async with bridge_to(tmp_path, secure) as bridge:
            with pytest.raises(
                ConnectError, match=r"TLS was not answered within 0\.2 s\. .*plain text there \(ws://\)"
            ):
                await bridge.call_tool("m.t")


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("rebound.example", ["127.0.0.1"]),
        ("mixed.example", ["93.184.216.34", "10.0.0.1"]),
        ("meta.example", ["169.254.169.254"]),
        ("mapped.example", ["::ffff:127.0.0.1"]),
    ],
)
async def test_a_host_that_resolves_to_a_forbidden_address_is_not_dialled(
    tmp_path: Path, host: str, addresses: list[str]
) -> None:
    async def resolver(name: str, port: int) -> list[str]:
        return addresses

    file = tmp_path / "m.json"
    file.write_text(json.dumps({"name": "m", "url": f"wss://{host}/", "tools": [{"name": "t"}]}))
    async with Bridge([load_manifest(file, {})], resolver=resolver) as bridge:
        with pytest.raises(ForbiddenAddress, match=host):
            await bridge.call_tool("m.t")


async def test_what_the_manifest_allows_is_dialled(tmp_path: Path) -> None:
    async def resolver(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with peer(jsonrpc) as seen:
        template = entry(seen, "t", network={"allow": ["loopback"], "plaintext": True}, **RPC)
        template["url"] = f"ws://intern.example:{seen.port}/"
        file = tmp_path / "m.json"
        file.write_text(json.dumps(template))
        async with Bridge([load_manifest(file, {})], resolver=resolver) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
    assert seen.upgrades[0].headers["Host"] == f"intern.example:{seen.port}"


async def test_plain_text_to_another_machine_is_refused_when_the_manifest_loads(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="sent as plain text. Use wss://"):
        async with bridge_to(tmp_path, {"name": "m", "url": "ws://example.com/"}):
            pass


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_a_certificate_of_the_named_authority_is_accepted(tmp_path: Path, authority: trustme.CA) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with peer(jsonrpc, scheme="wss", ssl=server_context(authority, "localhost")) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", tls={"ca_file": "ca.pem"}, **RPC)) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}


@pytest.mark.parametrize("case", ["unknown authority", "other name"])
async def test_a_certificate_that_does_not_fit_is_refused(tmp_path: Path, authority: trustme.CA, case: str) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issuer, name = (trustme.CA(), "localhost") if case == "unknown authority" else (authority, "example.org")
    async with peer(jsonrpc, scheme="wss", ssl=server_context(issuer, name)) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", tls={"ca_file": "ca.pem"}, **RPC)) as bridge:
            with pytest.raises(ConnectError, match=r"TLS certificate is not valid.*\[tls-failed\]"):
                await bridge.call_tool("m.t")


async def test_insecure_accepts_any_certificate(tmp_path: Path, authority: trustme.CA) -> None:
    async with peer(jsonrpc, scheme="wss", ssl=server_context(authority, "example.org")) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", tls={"insecure": True}, **RPC)) as bridge:
            assert await bridge.call_tool("m.t") == {}


async def test_a_client_certificate_is_shown(tmp_path: Path, authority: trustme.CA) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    mine = authority.issue_cert("client.example")
    mine.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    context = server_context(authority, "localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    async with peer(jsonrpc, scheme="wss", ssl=context) as seen:
        tls = {"ca_file": "ca.pem", "client_cert": "client.pem"}
        async with bridge_to(tmp_path, entry(seen, "t", tls=tls, **RPC)) as bridge:
            assert await bridge.call_tool("m.t") == {}


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_misses_a_client_certificate_is_asked_about_it(
    tmp_path: Path, authority: trustme.CA, newest: ssl.TLSVersion
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = server_context(authority, "localhost")
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, newest
    authority.configure_trust(context)
    async with peer(jsonrpc, scheme="wss", ssl=context) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", tls={"ca_file": "ca.pem"}, **RPC)) as bridge:
            with pytest.raises(ConnectError, match="requires? a client certificate"):
                await bridge.call_tool("m.t")


async def test_an_endpoint_without_tls_may_be_meant_where_the_handshake_is_cut(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        document = {**entry(seen, "t"), "url": f"wss://127.0.0.1:{seen.port}/"}
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(ConnectError, match="whether the server speaks TLS"):
                await bridge.call_tool("m.t")


async def test_a_missing_certificate_file_is_named_as_such(tmp_path: Path) -> None:
    async with peer(echo) as seen:
        document = {**entry(seen, "t"), "url": f"wss://localhost:{seen.port}/", "tls": {"ca_file": "none.pem"}}
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(Exception, match=r"certificate file cannot be used.*\[certificate-file-not-usable\]"):
                await bridge.call_tool("m.t")


async def test_a_peer_that_stops_answering_pings_is_found(tmp_path: Path) -> None:
    found = anyio.Event()

    async def freeze(seen: Peer, connection: Any, message: Any) -> None:
        connection.transport.pause_reading()
        await found.wait()
        connection.transport.abort()

    limits = {"ping_interval": 0.1, "ping_timeout": 0.1}
    async with peer(freeze) as seen, bridge_to(tmp_path, entry(seen, "t", limits=limits, **RPC)) as bridge:
        with anyio.fail_after(PATIENCE), pytest.raises(ConnectionError, match="stopped answering pings"):
            await bridge.call_tool("m.t")
        found.set()


async def test_policy_errors_are_not_network_errors() -> None:
    assert not issubclass(PolicyError, ConnectionError)


@asynccontextmanager
async def serve_tcp(handle: Any) -> AsyncIterator[int]:
    """A plain TCP server on loopback; gives its port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()
    await listener.aclose()
