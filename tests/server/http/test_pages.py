"""The pages beside MCP, and what the checks in front of all of them answer, without a socket."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.server.auth.issuer import AUDIENCE, Issuer
from tests.server.auth.test_access import Keys
from utcp_ws_mcp.server.auth.access import CALLER_KEY, AccessControl
from utcp_ws_mcp.server.auth.caller_variables import CallerVariables
from utcp_ws_mcp.server.auth.resource_server import ResourceServer
from utcp_ws_mcp.server.auth.scopes import ToolScopes
from utcp_ws_mcp.server.auth.tokens import TokenRules
from utcp_ws_mcp.server.http.app import TextRoute, cors_headers, make_app, make_identification
from utcp_ws_mcp.server.http.security import HttpAccessPolicy, Rejection

ORIGIN = "https://app.example"
POLICY = HttpAccessPolicy(frozenset({("a", None)}), frozenset({("https", "app.example", None)}), "token")
BEARER = {"Authorization": "Bearer token"}
PAGE = {"/metrics": TextRoute(lambda: "numbers\n", "text/x-own")}


class Endpoint:
    """Takes the place of MCP, and notes the scopes of its requests."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"mcp"})


def client_of(
    endpoint: Endpoint | None = None, policy: HttpAccessPolicy = POLICY, *, routes_public: bool = False, **options: Any
) -> httpx2.AsyncClient:
    app = make_app(endpoint or Endpoint(), policy, PAGE, routes_public=routes_public, **options)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://a")


async def shown(http: httpx2.AsyncClient, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    response = await http.request(method, path, headers=headers)
    return response.status_code, response.text, response.headers.get("content-type", "").partition(";")[0]


async def test_each_page_needs_what_it_shows() -> None:
    async with client_of() as http:
        assert await shown(http, "/healthz") == (200, "ok\n", "text/plain")
        assert await shown(http, "/healthz", Host="evil") == (200, "ok\n", "text/plain")
        assert await shown(http, "/readyz", Host="evil") == (200, "ready\n", "text/plain")
        assert await shown(http, "/metrics", **BEARER) == (200, "numbers\n", "text/x-own")
        assert (await shown(http, "/metrics"))[0] == 401
        assert (await shown(http, "/metrics", Host="evil", **BEARER))[0] == 421
        assert (await shown(http, "/metrics", Origin="https://evil", **BEARER))[0] == 403
        assert await shown(http, "/mcp", "POST", **BEARER) == (200, "mcp", "text/plain")
        assert (await shown(http, "/mcp", "POST"))[0] == 401
        assert await shown(http, "/other", **BEARER) == (404, "MCP is served at /mcp\n", "text/plain")
        assert (await shown(http, "/mcp/", **BEARER))[0] == 404
        assert (await shown(http, "/metrics", "POST", **BEARER))[0] == 405


async def test_public_pages_need_no_token() -> None:
    async with client_of(routes_public=True) as http:
        assert (await shown(http, "/metrics"))[0] == 200
        assert (await shown(http, "/mcp", "POST"))[0] == 401


async def test_a_server_that_waits_for_manuals_is_healthy_and_not_ready() -> None:
    async with client_of(is_ready=lambda: False) as http:
        assert await shown(http, "/readyz") == (503, "waits for manuals\n", "text/plain")
        assert (await shown(http, "/healthz"))[0] == 200


async def test_a_rejection_is_a_sentence_with_the_headers_of_its_status() -> None:
    async with client_of() as http:
        response = await http.post("/mcp")
    assert response.text == "the header Authorization must be: Bearer, and the token of this server\n"
    assert response.headers["www-authenticate"] == 'Bearer realm="utcp-ws-mcp"'


async def test_a_page_of_an_allowed_origin_may_ask_and_read() -> None:
    variables = CallerVariables({"KEY": "X-Own-Key"})
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    async with client_of(caller_variables=variables) as http:
        allowed = await http.options("/mcp", headers={**asked, "Access-Control-Request-Headers": "x-own-key, mcp-name"})
        refused = await http.options("/mcp", headers={**asked, "Access-Control-Request-Headers": "x-other"})
        other = await http.options("/mcp", headers={**asked, "Origin": "https://evil"})
        answer = await http.post("/mcp", headers={"Origin": ORIGIN, **BEARER})
        rejected = await http.post("/mcp", headers={"Origin": ORIGIN})
    assert (allowed.status_code, refused.status_code, other.status_code) == (200, 400, 403)
    assert allowed.headers["access-control-max-age"] == "7200"
    assert {"POST", "GET", "DELETE"} == {*allowed.headers["access-control-allow-methods"].split(", ")}
    for response in (answer, rejected):
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert response.headers["access-control-expose-headers"] == "Mcp-Session-Id, WWW-Authenticate"
    assert rejected.status_code == 401
    own = {name.decode(): value.decode() for name, value in cors_headers(ORIGIN.encode())}
    assert own == {name: answer.headers[name] for name in own}


def resource_server() -> tuple[Issuer, ResourceServer]:
    issuer, keys = Issuer(), Keys()
    unused: Any = keys
    access = AccessControl(ToolScopes({}), None, lambda _: None)
    rules = TokenRules(issuer.url, AUDIENCE, lambda: 1_000_000.0)
    return issuer, ResourceServer(rules, unused, access)


def token(issuer: Issuer) -> str:
    return issuer.token(iat=1_000_000.0, exp=1_000_060.0, scope="b a")


async def test_access_tokens_take_the_place_of_the_token() -> None:
    issuer, server = resource_server()
    endpoint = Endpoint()
    async with client_of(endpoint, resource_server=server) as http:
        for path in server.metadata_paths:
            status, text, kind = await shown(http, path)
            assert (status, json.loads(text), kind) == (200, server.metadata(), "application/json")
        assert (await shown(http, "/mcp", "POST", **BEARER))[0] == 401
        assert (await shown(http, "/mcp", "POST", Authorization=f"Bearer {token(issuer)}"))[0] == 200
        assert (await shown(http, "/metrics", **BEARER))[0] == 200
        assert (await shown(http, "/metrics"))[0] == 401
        assert (await shown(http, "/other", **BEARER))[0] == 404
    (scope,) = endpoint.scopes
    identity = scope[CALLER_KEY].identity
    assert (identity.subject, identity.client) == ("ada", "app")
    user = scope["user"]
    assert user.access_token.token == ""
    assert (user.access_token.client_id, user.access_token.scopes) == ("app", ["a", "b"])
    assert (user.access_token.subject, user.access_token.claims) == ("ada", {"iss": issuer.url})


@pytest.mark.parametrize(("own_token", "routes_public", "status"), [(None, False, 404), (None, True, 200)])
async def test_a_page_that_nothing_would_protect_is_not_served(
    own_token: str | None, routes_public: bool, status: int
) -> None:
    _, server = resource_server()
    policy = HttpAccessPolicy(POLICY.hosts, POLICY.origins, own_token)
    async with client_of(policy=policy, routes_public=routes_public, resource_server=server) as http:
        assert (await shown(http, "/metrics"))[0] == status


async def test_the_values_of_a_caller_reach_mcp_only() -> None:
    endpoint = Endpoint()
    async with client_of(endpoint, caller_variables=CallerVariables({"KEY": "X-Key"})) as http:
        assert (await shown(http, "/mcp", "POST", **BEARER, **{"X-Key": "mine"}))[0] == 200
    (scope,) = endpoint.scopes
    assert (scope[CALLER_KEY].identity, scope[CALLER_KEY].given) == (None, {"KEY": [b"mine"]})
    assert "user" not in scope


async def test_a_caller_with_a_token_may_bring_values_too() -> None:
    issuer, server = resource_server()
    identify = make_identification(server, CallerVariables({"KEY": "X-Key"}))
    assert identify is not None
    authorization = (b"authorization", f"Bearer {token(issuer)}".encode())
    caller = await identify([authorization, (b"x-key", b"mine")])
    assert not isinstance(caller, Rejection)
    assert (caller.identity is not None, caller.given) == (True, {"KEY": [b"mine"]})
    assert isinstance(await identify([(b"x-key", b"mine")]), Rejection)
    assert make_identification(None, None) is None
