"""MCP over HTTP with access tokens: a login by the SDK's own client, and the clients that are refused."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

from tests.peer import PATIENCE, Peer, bridge_to, entry, jsonrpc, peer
from tests.server.auth.issuer import AUDIENCE, EC_KEY, RSA_KEY, Issuer, issuer, public_jwk
from tests.server.http.test_app import ERAS, POST, initialize
from tests.server.stdio.test_transport import MODERN
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.records import replace
from utcp_ws_mcp.server.auth.access import AccessControl
from utcp_ws_mcp.server.auth.issuer import MIN_FETCH_INTERVAL, IssuerKeys
from utcp_ws_mcp.server.auth.options import OAuthOptions, OAuthSettings, check_oauth_options, make_resource_server
from utcp_ws_mcp.server.auth.resource_server import ResourceServer
from utcp_ws_mcp.server.auth.scopes import ToolScopes
from utcp_ws_mcp.server.auth.tokens import TokenRules
from utcp_ws_mcp.server.http.app import TextRoute, make_app, run_http_server
from utcp_ws_mcp.server.http.config import HttpOptions, bind_listener
from utcp_ws_mcp.server.http.security import HttpAccessPolicy, Rejection
from utcp_ws_mcp.server.sdk_server import SdkServer
from utcp_ws_mcp.server.tool_search import MetaTools
from utcp_ws_mcp.server.tools import ToolService

READ = {"name": "read", "annotations": {"readOnlyHint": True}}
WRITE = {"name": "write"}
SCOPES = ["tools:read=m.read", "tools:write=m.*"]


class Served:
    """A server that wants access tokens: its URL, its authorization server, and the calls that were audited."""

    def __init__(self, url: str, issuer: Issuer, seen: Peer) -> None:
        self.url, self.issuer, self.seen = url, issuer, seen
        self.audit: list[events.SubjectCalled] = []

    def observe(self, event: events.Event) -> None:
        if isinstance(event, events.SubjectCalled):
            self.audit.append(event)

    def client(self, **claims: Any) -> httpx2.AsyncClient:
        """An HTTP client with a token that has these claims."""
        headers = {**POST, "Authorization": f"Bearer {self.issuer.token(**claims)}"}
        return httpx2.AsyncClient(headers=headers, timeout=PATIENCE)


@asynccontextmanager
async def served(
    folder: Path,
    *,
    tool_service: type[ToolService] = ToolService,
    token: str | None = None,
    feeds: Sequence[Any] = (),
    **options: Any,
) -> AsyncIterator[Served]:
    """A server with the tools `read` and `write` and feeds, until a signal ends it."""
    started = anyio.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    async with issuer() as authority, peer(jsonrpc) as seen:
        document = entry(seen, READ, WRITE, preset="jsonrpc2", **({"feeds": [*feeds]} if feeds else {}))
        with bind_listener(HttpOptions("0", token or "unused")) as bound:
            authority.audience = audience = f"{bound.url}/mcp"
            result = Served(audience, authority, seen)
            settings = check_oauth_options(OAuthOptions(authority.url, audience, **options))
            listener = replace(bound, oauth=settings, access_policy=replace(bound.access_policy, token=token))
            async with bridge_to(folder, document) as bridge, anyio.create_task_group() as tasks:
                guard = make_resource_server(settings, result.observe)
                server = SdkServer(tool_service(bridge))
                routes = {"/metrics": TextRoute(lambda: "metrics")}
                tasks.start_soon(run_http_server, server, listener, routes, lambda _: started.set(), guard)
                with anyio.fail_after(PATIENCE):
                    await started.wait()
                yield result
                signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


def call(name: str, number: int = 1, /, **arguments: Any) -> dict[str, Any]:
    """A call in the form of 2026-07-28."""
    params = {"name": name, "arguments": arguments, "_meta": MODERN}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def modern(method: str, name: str = "") -> dict[str, str]:
    return {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, **({"Mcp-Name": name} if name else {})}


async def post_call(http: httpx2.AsyncClient, url: str, name: str) -> httpx2.Response:
    return await http.post(url, json=call(name), headers=modern("tools/call", name))


class Memory:
    """Where the SDK's client keeps tokens."""

    def __init__(self) -> None:
        self.tokens: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


class Browser:
    """Follows the authorization URL, as a person does who says yes."""

    def __init__(self) -> None:
        self.answer: dict[str, list[str]] = {}

    async def open(self, url: str) -> None:
        async with httpx2.AsyncClient() as http:
            answer = await http.get(url, follow_redirects=False)
        self.answer = parse_qs(urlsplit(answer.headers["location"]).query)

    async def callback(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code=self.answer["code"][0], state=self.answer["state"][0])


@asynccontextmanager
async def logged_in(url: str, mode: str) -> AsyncIterator[Client]:
    """The SDK's client, which logs in by itself."""
    browser = Browser()
    metadata = OAuthClientMetadata.model_validate(
        {"redirect_uris": ["http://127.0.0.1:1/callback"], "client_name": "test", "token_endpoint_auth_method": "none"}
    )
    login = OAuthClientProvider(url, metadata, Memory(), browser.open, browser.callback)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(auth=login, timeout=PATIENCE) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            yield client


@ERAS
async def test_a_client_that_knows_nothing_logs_in_and_calls(tmp_path: Path, mode: str) -> None:
    async with served(tmp_path, scope_tools=SCOPES) as server, logged_in(server.url, mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["m_read", "m_write"]
        assert (await client.call_tool("m_write", {"n": 1})).structured_content == {"n": 1}
        assert server.issuer.scope == "tools:read tools:write", "the metadata names them"
    assert [(each.subject, each.client, each.tool, each.error_code) for each in server.audit] == [
        ("ada", "app", "m.write", None)
    ]


async def test_the_metadata_is_public_and_names_the_issuer(tmp_path: Path) -> None:
    async with served(tmp_path, scope_tools=SCOPES) as server, httpx2.AsyncClient() as http:
        root = server.url.removesuffix("/mcp")
        answers = [await http.get(f"{root}/.well-known/oauth-protected-resource{path}") for path in ("/mcp", "")]
    assert [answer.json() for answer in answers] == 2 * [
        {
            "resource": server.url,
            "authorization_servers": [server.issuer.url],
            "bearer_methods_supported": ["header"],
            "resource_name": "utcp-ws-mcp",
            "scopes_supported": ["tools:read", "tools:write"],
        }
    ]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example.com"},
        {"iss": "https://other.example.com"},
        {"exp": 1},
        {"key": None, "alg": "none"},
        {"key": RSA_KEY, "alg": "RS256"},
        {"key_id": "k2"},
    ],
    ids=["audience", "issuer", "expired", "unsigned", "algorithm", "key"],
)
async def test_a_wrong_token_gets_401_with_the_reason_and_the_metadata(tmp_path: Path, claims: dict[str, Any]) -> None:
    async with served(tmp_path) as server, server.client(**claims) as http:
        answer = await post_call(http, server.url, "m_read")
    challenge = answer.headers["www-authenticate"]
    assert answer.status_code == 401
    assert challenge.startswith('Bearer error="invalid_token", error_description="the token ')
    metadata = server.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    assert challenge.endswith(f'resource_metadata="{metadata}"')
    assert server.seen.received == []


async def test_a_token_for_the_identifier_of_this_server_is_accepted_instead_of_one_for_its_url(tmp_path: Path) -> None:
    async with served(tmp_path, token_audience="api://mcp") as server:
        statuses = []
        for audience in ("api://mcp", server.url, "api://other"):
            async with server.client(aud=audience) as http:
                statuses.append((await post_call(http, server.url, "m_read")).status_code)
    assert statuses == [200, 401, 401]


async def test_a_request_without_a_token_learns_only_where_to_log_in(tmp_path: Path) -> None:
    async with served(tmp_path) as server, httpx2.AsyncClient(headers=POST) as http:
        answers = [await http.request(method, server.url) for method in ("GET", "POST", "DELETE")]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert {answer.headers["www-authenticate"].partition("=")[0] for answer in answers} == {"Bearer resource_metadata"}


@pytest.mark.parametrize(
    ("scope", "tools"),
    [("tools:read", ["m_read"]), ("tools:write", ["m_read", "m_write"]), ("other", ["m_read"]), ("", ["m_read"])],
)
async def test_a_scope_shows_its_tools_and_unknown_scopes_show_those_that_read(
    tmp_path: Path, scope: str, tools: list[str]
) -> None:
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": MODERN}}
    async with served(tmp_path, scope_tools=SCOPES) as server, server.client(scope=scope) as http:
        answer = await http.post(server.url, json=listing, headers=modern("tools/list"))
    assert [tool["name"] for tool in answer.json()["result"]["tools"]] == tools


async def test_a_call_without_its_scope_is_challenged_with_the_scope(tmp_path: Path) -> None:
    async with served(tmp_path, scope_tools=SCOPES) as server, server.client(scope="tools:read") as http:
        answer = await post_call(http, server.url, "m_write")
        batch = [call("m_read", 1), call("m_write", 2)]
        second = await http.post(server.url, json=batch, headers={"MCP-Protocol-Version": "2025-03-26"})
    assert [answer.status_code, second.status_code] == [403, 403]
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope"')
    assert 'scope="tools:read tools:write"' in challenge
    assert server.seen.received == []


async def test_the_tools_behind_search_need_their_scopes_too(tmp_path: Path) -> None:
    async with served(tmp_path, tool_service=MetaTools, scope_tools=SCOPES) as server:
        async with server.client(scope="tools:read") as http:
            found = await http.post(
                server.url, json=call("search_tools", query=""), headers=modern("tools/call", "search_tools")
            )
            refused = await http.post(
                server.url, json=call("call_tool", name="m_write"), headers=modern("tools/call", "call_tool")
            )
    names = [tool["name"] for tool in json.loads(found.json()["result"]["content"][0]["text"])["tools"]]
    assert names == ["m_read"]
    assert refused.json()["result"]["isError"]
    assert "[scope-required]" in refused.json()["result"]["content"][0]["text"]
    assert server.seen.received == []
    assert [each.error_code for each in server.audit] == ["scope-required"]


async def test_a_session_belongs_to_the_subject_that_created_it(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.client(sub="ada") as ada, server.client(sub="bob") as bob:
        opened = await ada.post(server.url, json=initialize())
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        assert (await bob.post(server.url, json=ping, headers=session)).status_code == 404
        assert (await bob.delete(server.url, headers=session)).status_code == 404
        assert (await ada.post(server.url, json=ping, headers=session)).status_code == 200


async def test_each_subject_has_its_own_limit(tmp_path: Path) -> None:
    async with served(tmp_path, requests_per_subject=0.001) as server:
        async with server.client(sub="ada") as ada, server.client(sub="bob") as bob:
            answers = [await post_call(http, server.url, "m_read") for http in (ada, ada, bob)]
    results = [answer.json()["result"] for answer in answers]
    assert [result.get("isError", False) for result in results] == [False, True, False]
    assert "[subject-rate-exceeded]" in results[1]["content"][0]["text"]
    assert [each.error_code for each in server.audit] == [None, "subject-rate-exceeded", None]


async def test_without_keys_of_the_issuer_no_token_is_accepted_and_no_login_is_requested(tmp_path: Path) -> None:
    async with issuer() as gone:
        pass
    with bind_listener(HttpOptions("0", oauth=OAuthOptions(gone.url, "https://mcp.example.com/mcp"))) as listener:
        assert listener.oauth is not None
        guard = make_resource_server(listener.oauth, lambda _: None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(guard.keys.run)
            with anyio.fail_after(PATIENCE):
                rejection = await guard.authenticate([(b"authorization", f"Bearer {gone.token()}".encode())])
            tasks.cancel_scope.cancel()
    assert (rejection.status, rejection.retry_after) == (503, 10)  # type: ignore[union-attr]


async def test_a_token_is_verified_without_asking_the_issuer_again(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.client() as http:
        answers = [await post_call(http, server.url, "m_read") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert server.issuer.asked.count("/jwks") == 1


async def test_a_token_without_a_key_id_is_accepted_after_the_keys_have_been_replaced() -> None:
    now, published = [1000.0], [public_jwk(EC_KEY, None)]

    async def fetch(url: str) -> bytes:
        document = {"keys": published} if url.endswith("/jwks") else authority.metadata()
        return json.dumps(document).encode()

    authority = Issuer()
    keys = IssuerKeys(authority.url, fetch, lambda: now[0])
    rules = TokenRules(authority.url, authority.audience, lambda: now[0])
    guard = ResourceServer(rules, keys, AccessControl(ToolScopes({}), None, lambda _: None))

    async def status(key: Any) -> int:
        token = authority.token(key, None, iat=900, exp=1500)
        with anyio.fail_after(PATIENCE):
            answer = await guard.authenticate([(b"authorization", f"Bearer {token}".encode())])
        return answer.status if isinstance(answer, Rejection) else 200

    other = ec.generate_private_key(ec.SECP256R1())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keys.run)
        assert await status(EC_KEY) == 200
        published[:] = [public_jwk(other, None)]
        assert await status(other) == 401, "the keys were fetched less than ten seconds ago"
        now[0] += MIN_FETCH_INTERVAL
        assert [await status(other), await status(EC_KEY)] == [200, 401]
        tasks.cancel_scope.cancel()


async def test_a_verified_token_ends_with_its_time_and_with_its_key() -> None:
    now, published = [1000.0], [public_jwk(EC_KEY, "k1")]

    async def fetch(url: str) -> bytes:
        document = {"keys": published} if url.endswith("/jwks") else authority.metadata()
        return json.dumps(document).encode()

    authority = Issuer()
    keys = IssuerKeys(authority.url, fetch, lambda: now[0])
    rules = TokenRules(authority.url, authority.audience, lambda: now[0])
    guard = ResourceServer(rules, keys, AccessControl(ToolScopes({}), None, lambda _: None))
    request = [(b"authorization", f"Bearer {authority.token(iat=900, exp=1500)}".encode())]

    async def status() -> int:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keys.run)
            with anyio.fail_after(PATIENCE):
                answer = await guard.authenticate(request)
            tasks.cancel_scope.cancel()
        return answer.status if isinstance(answer, Rejection) else 200

    assert await status() == 200
    now[0] = 1561.0
    assert await status() == 401, "expired"
    now[0] = 1100.0
    assert await status() == 200
    published[:] = [public_jwk(RSA_KEY, "k2")]
    now[0] = 1200.0
    assert await status() == 200, "the keys are still fresh"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keys.run)
        with anyio.fail_after(PATIENCE):
            await keys.get("k2")
        tasks.cancel_scope.cancel()
    assert await status() == 401, "the key is gone"


@pytest.mark.parametrize(("token", "status"), [(None, 200), ("m" * 16, 200)])
async def test_metrics_are_open_on_loopback(tmp_path: Path, token: str | None, status: int) -> None:
    async with served(tmp_path, token=token) as server, httpx2.AsyncClient() as http:
        assert (await http.get(server.url.replace("/mcp", "/metrics"))).status_code == status


def test_elsewhere_metrics_need_the_token_and_without_one_they_are_not_served() -> None:
    guard = make_resource_server(OAuthSettings("https://i.example", AUDIENCE, ToolScopes({}), None), lambda _: None)

    async def status(token: str | None, **headers: str) -> int:
        policy = HttpAccessPolicy(frozenset({("mcp.example.com", None)}), frozenset(), token)
        app = make_app(_unreachable, policy, {"/metrics": TextRoute(str)}, routes_public=False, resource_server=guard)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as http:  # type: ignore[arg-type]
            return (await http.get("https://mcp.example.com/metrics", headers=headers)).status_code

    async def statuses() -> list[int]:
        return [await status(None), await status("t"), await status("t", Authorization="Bearer t")]

    assert anyio.run(statuses) == [404, 401, 200]


async def _unreachable(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError
