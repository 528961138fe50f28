"""Which tools a caller may use, and how often; what is audited, and what a challenge says."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import pytest

from tests.server.auth.issuer import AUDIENCE, EC_KEY, RSA_KEY, Issuer, public_jwk
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.errors import ScopeRequired, ServeOptionsError, SubjectRateExceeded
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.observability.events import SubjectCalled
from utcp_ws_mcp.server.auth import resource_server as resource_server_module
from utcp_ws_mcp.server.auth.access import AccessControl, Caller
from utcp_ws_mcp.server.auth.identity import Identity
from utcp_ws_mcp.server.auth.issuer import IssuerKeys
from utcp_ws_mcp.server.auth.keys import KeySet, parse_key_set
from utcp_ws_mcp.server.auth.options import OAuthOptions, check_oauth_options, make_resource_server
from utcp_ws_mcp.server.auth.resource_server import ResourceServer
from utcp_ws_mcp.server.auth.scopes import ToolScopes, parse_tool_scopes
from utcp_ws_mcp.server.auth.step_up import called_tools
from utcp_ws_mcp.server.auth.subject_limits import MAX_SUBJECTS, SubjectLimits
from utcp_ws_mcp.server.auth.tokens import TokenRules
from utcp_ws_mcp.server.http.security import Rejection


def tools_of(*tools: dict[str, Any]) -> list[CompiledTool]:
    document = [{"name": "m", "url": "wss://a.example/", "tools": list(tools)}]
    compiled, problems = compile_entry(load_document(document, VariableResolver([]), "m.json", PurePath()).entries[0])
    assert not problems
    return compiled


READ, WRITE, SILENT = tools_of(
    {"name": "read", "annotations": {"readOnlyHint": True}},
    {"name": "write", "annotations": {"readOnlyHint": False}},
    {"name": "silent"},
)
SCOPES = parse_tool_scopes(["r=m.read", "w=m.*", "r=n.*"])


def identity(*scopes: str, subject: str = "ada", issuer: str = "https://i/") -> Identity:
    return Identity(issuer, subject, "app", frozenset(scopes))


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ([], [True, False, False]),
        (["other"], [True, False, False]),
        (["r"], [True, False, False]),
        (["w"], [True, True, True]),
        (["other", "r", "w"], [True, True, True]),
    ],
)
def test_a_scope_allows_the_tools_of_its_patterns_and_none_those_that_only_read(
    scopes: list[str], allowed: list[bool]
) -> None:
    caller = Caller(identity(*scopes), AccessControl(SCOPES, None, lambda _: None))
    assert [caller.may_use(tool) for tool in (READ, WRITE, SILENT)] == allowed
    assert [caller.missing_scopes(tool) is None for tool in (READ, WRITE, SILENT)] == allowed
    assert caller.rights == {*scopes} & {"r", "w"}


def test_without_patterns_every_caller_may_use_every_tool() -> None:
    caller = Caller(identity(), AccessControl(ToolScopes({}), None, lambda _: None))
    assert caller.may_use(WRITE)
    assert caller.rights is None


async def test_a_caller_without_an_identity_may_do_everything_and_is_not_audited() -> None:
    audited: list[Any] = []
    for caller in (
        Caller(None, None),
        Caller(None, AccessControl(SCOPES, SubjectLimits(0.001, lambda: 0.0), audited.append)),
        Caller(identity(), None),
    ):
        assert caller.may_use(WRITE)
        assert caller.rights is None
        assert caller.missing_scopes(WRITE) is None
        for _ in range(3):
            await caller.admit(WRITE)
        caller.audit("m.write", 1, "")
    assert audited == []


def test_the_scopes_that_would_allow_a_tool_are_named_in_the_order_of_the_options() -> None:
    caller = Caller(identity(), AccessControl(SCOPES, None, lambda _: None))
    assert caller.missing_scopes(WRITE) == ("w",)
    assert SCOPES.scopes_for(READ) == ("r", "w")
    assert parse_tool_scopes(["x=n.*"]).scopes_for(READ) == ()


async def test_a_call_needs_a_scope_and_a_place_in_the_rate() -> None:
    access = AccessControl(SCOPES, SubjectLimits(2, lambda: 0.0), lambda _: None)
    with pytest.raises(ScopeRequired, match="the scope w is needed"):
        await Caller(identity("r"), access).admit(WRITE)
    writer = Caller(identity("w"), access)
    await writer.admit(WRITE)
    await writer.admit(WRITE)
    with pytest.raises(SubjectRateExceeded, match=r"2 tools a second here. Call again in 0.5 s"):
        await writer.admit(WRITE)
    await Caller(identity("w", subject="bob"), access).admit(WRITE)


@pytest.mark.parametrize(("code", "shown"), [("", None), ("tool-error", "tool-error")])
def test_a_call_is_audited_with_its_subject_and_its_code(code: str, shown: str | None) -> None:
    audited: list[Any] = []
    Caller(identity(), AccessControl(SCOPES, None, audited.append)).audit("m.write", 0.5, code)
    assert audited == [SubjectCalled("ada", "app", "m.write", 0.5, shown)]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("per_second", "burst"), [(5, 5), (1, 1), (0.5, 1), (2.5, 2)])
def test_a_subject_may_send_the_calls_of_a_second_at_once_and_then_keeps_the_rate(
    per_second: float, burst: int
) -> None:
    clock = Clock()
    limits = SubjectLimits(per_second, clock)
    assert [limits.count(identity()) for _ in range(burst)] == [0.0] * burst
    wait = limits.count(identity())
    assert wait > 0
    clock.now += wait
    assert limits.count(identity()) == 0.0
    assert limits.count(identity()) == pytest.approx(1 / per_second)
    assert limits.count(identity(subject="bob")) == limits.count(identity(issuer="https://other/")) == 0.0


def test_a_call_that_is_refused_does_not_count() -> None:
    limits = SubjectLimits(1, clock := Clock())
    limits.count(identity())
    waits = {limits.count(identity()) for _ in range(5)}
    assert waits == {1.0}
    clock.now += 1
    assert limits.count(identity()) == 0.0


def test_replicas_share_the_rate() -> None:
    limits = SubjectLimits(4, Clock())
    assert [limits.count(identity(), replicas=2) for _ in range(3)] == [0.0, 0.0, 0.5]


async def test_the_subject_that_called_longest_ago_is_forgotten() -> None:
    limits = SubjectLimits(1, Clock())
    for number in range(MAX_SUBJECTS):
        assert await limits.take(identity(subject=f"s{number}")) == 0.0
    assert await limits.take(identity(subject="s0")) > 0
    await limits.take(identity(subject="one more"))  # s0 takes its place
    assert await limits.take(identity(subject="s1")) > 0
    assert await limits.take(identity(subject="s0")) == 0.0


@pytest.mark.parametrize("text", ["a", "=m.*", "a=", "a b=m.*", ""])
def test_a_scope_option_is_a_scope_and_a_pattern(text: str) -> None:
    with pytest.raises(ServeOptionsError) as refused:
        parse_tool_scopes([text])
    assert refused.value.code == "invalid-scope-tools"
    assert refused.value.message == f"--scope-tools {text}: expected SCOPE=GLOB, such as tools:read='weather.*'"


def test_one_scope_may_have_several_patterns_with_an_equals_sign() -> None:
    assert parse_tool_scopes(["a=m.*", "b=x=y", "a=n.*"]).patterns == {"a": ["m.*", "n.*"], "b": ["x=y"]}


CALL = b'{"method": "tools/call", "params": {"name": "a"}}'


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (CALL, ["a"]),
        (b"[" + CALL + b", 5, " + CALL.replace(b'"a"', b'"b"') + b"]", ["a", "b"]),
        (CALL.replace(b"tools/call", b"tools/list"), []),
        (CALL.replace(b'"a"', b"7"), []),
        (b'{"method": "tools/call"}', []),
        (b'{"method": "tools/call", "params": [1]}', []),
        (b"tools/call", []),
        (b"[" * 100_000 + b"tools/call", []),
        (b"", []),
    ],
)
def test_the_tools_that_a_body_calls_are_found(body: bytes, names: list[str]) -> None:
    assert list(called_tools(body)) == names


def resource_server(audience: str, *scopes: str) -> ResourceServer:
    access = AccessControl(parse_tool_scopes(scopes), None, lambda _: None)
    rules = TokenRules("https://issuer.example", audience, lambda: 0.0)
    return ResourceServer(rules, IssuerKeys("https://issuer.example", _fetch, lambda: 0.0), access)


async def _fetch(url: str) -> bytes:
    raise AssertionError(url)


@pytest.mark.parametrize(
    ("audience", "paths", "url"),
    [
        (
            "https://a.example/mcp",
            ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"],
            "https://a.example/.well-known/oauth-protected-resource/mcp",
        ),
        (
            "https://a.example:8443/",
            ["/.well-known/oauth-protected-resource"],
            "https://a.example:8443/.well-known/oauth-protected-resource",
        ),
    ],
)
async def test_the_metadata_is_where_the_specification_puts_it(audience: str, paths: list[str], url: str) -> None:
    server = resource_server(audience)
    assert list(server.metadata_paths) == paths
    rejected = await server.authenticate([])
    assert (rejected.status, rejected.challenge) == (401, f'Bearer resource_metadata="{url}"')  # type: ignore[union-attr]
    assert rejected.detail == "an access token is required: Authorization: Bearer TOKEN"  # type: ignore[union-attr]


def test_the_metadata_names_the_issuer_and_the_scopes() -> None:
    metadata = {
        "resource": "https://a.example/mcp",
        "authorization_servers": ["https://issuer.example"],
        "bearer_methods_supported": ["header"],
        "resource_name": "utcp-ws-mcp",
    }
    assert resource_server("https://a.example/mcp").metadata() == metadata
    assert resource_server("https://a.example/mcp", "r=*", "w=*").metadata() == {
        **metadata,
        "scopes_supported": ["r", "w"],
    }


async def test_a_token_that_is_rejected_is_challenged_with_the_reason() -> None:
    rejected = await resource_server("https://a.example/").authenticate([(b"authorization", b"Bearer nonsense")])
    assert rejected.status == 401  # type: ignore[union-attr]
    assert rejected.challenge == (  # type: ignore[union-attr]
        'Bearer error="invalid_token", error_description="the token is not a JWT; opaque access tokens are not '
        'supported", '
        'resource_metadata="https://a.example/.well-known/oauth-protected-resource"'
    )


@pytest.mark.parametrize(
    ("caller", "needed", "detail", "scope"),
    [
        (Caller(identity("b", 'a"\\'), None), ["x", "y"], "this tool needs the scope x", 'scope="a b x"'),
        (Caller(None, None), ["x"], "this tool needs the scope x", 'scope="x"'),
        (Caller(identity(), None), [], "no scope allows this tool", None),
    ],
)
def test_a_challenge_names_the_scopes_of_the_caller_and_the_first_that_is_needed(
    caller: Caller, needed: list[str], detail: str, scope: str | None
) -> None:
    rejected = resource_server("https://a.example/").insufficient_scope(caller, needed)
    assert (rejected.status, rejected.detail) == (403, detail)
    named = f"{scope}, " if scope else ""
    assert rejected.challenge == (
        f'Bearer error="insufficient_scope", error_description="{detail}", {named}'
        'resource_metadata="https://a.example/.well-known/oauth-protected-resource"'
    )


class Keys:
    """The keys of an issuer, and how often they were asked for."""

    def __init__(self) -> None:
        self.document: list[dict[str, Any]] = [public_jwk(EC_KEY, "k1")]
        self.are_there = True

    async def get(self, key_id: str | None) -> KeySet | None:
        return parse_key_set(json.dumps({"keys": self.document}).encode()) if self.are_there else None

    async def get_newer(self) -> KeySet | None:
        return await self.get(None)


class Clients:
    """A resource server, and requests to it."""

    def __init__(self) -> None:
        self.keys, self.now = Keys(), 1_000_000.0
        self.issuer = Issuer()
        keys: Any = self.keys
        access = AccessControl(ToolScopes({}), None, lambda _: None)
        self.server = ResourceServer(TokenRules(self.issuer.url, AUDIENCE, lambda: self.now), keys, access)

    def token(self, **claims: Any) -> str:
        return self.issuer.token(**{"iat": self.now, "exp": self.now + 60, **claims})

    async def subject(self, token: str) -> Any:
        """Return the subject of an accepted token, or the status and the reason."""
        found = await self.server.authenticate([(b"authorization", f"Bearer {token}".encode())])
        if isinstance(found, Rejection):
            return found.status, found.detail
        assert found.identity is not None
        return found.identity.subject


async def test_a_token_that_was_verified_is_accepted_until_it_expires() -> None:
    clients = Clients()
    token = clients.token()
    assert [await clients.subject(token) for _ in range(2)] == ["ada", "ada"]
    clients.now += 60 + 60 - 1
    assert await clients.subject(token) == "ada"
    clients.now += 1
    assert await clients.subject(token) == (401, "the token has expired")


async def test_a_verified_token_is_refused_when_its_key_is_no_longer_published() -> None:
    clients = Clients()
    token = clients.token()
    assert await clients.subject(token) == "ada"
    clients.keys.document = [public_jwk(RSA_KEY, "k1")]
    status, _ = await clients.subject(token)
    assert status == 401


async def test_without_keys_a_client_is_asked_to_come_back() -> None:
    clients = Clients()
    token = clients.token()
    assert await clients.subject(token) == "ada"
    clients.keys.are_there = False
    rejected = await clients.server.authenticate([(b"authorization", f"Bearer {token}".encode())])
    assert rejected == Rejection(
        503, "the keys of the authorization server are not available; try again later", retry_after=10
    )


async def test_only_so_many_verified_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_server_module, "MAX_CACHED_TOKENS", 2)
    clients = Clients()
    verified: list[str] = []
    verify = TokenRules.verify

    def noted(self: TokenRules, token: str, *args: Any) -> Any:
        verified.append(token)
        return verify(self, token, *args)

    monkeypatch.setattr(TokenRules, "verify", noted)
    first, second, third = (clients.token(sub=name) for name in "abc")
    for token in (first, second, first, second, third, second, third, first):
        await clients.subject(token)
    assert verified == [first, second, third, first]


def test_an_issuer_needs_an_audience() -> None:
    with pytest.raises(ServeOptionsError) as refused:
        check_oauth_options(OAuthOptions("https://issuer.example"))
    assert refused.value.code == "invalid-audience"
    assert refused.value.message == (
        "--issuer needs --audience: the URL at which clients reach this server, such as "
        "https://mcp.example.com/mcp. Tokens for another audience are refused."
    )


@pytest.mark.parametrize("rate", [None, 5.0])
def test_the_checked_options_are_those_of_the_command_line(rate: float | None) -> None:
    checked = check_oauth_options(OAuthOptions("https://i.example", AUDIENCE, ["r=m.*"], rate))
    assert (checked.issuer, checked.audience, checked.requests_per_subject) == ("https://i.example", AUDIENCE, rate)
    assert checked.scopes.patterns == {"r": ["m.*"]}
    server = make_resource_server(checked, lambda _: None)
    assert server.metadata()["resource"] == AUDIENCE
    limits = server._access.limits
    assert (None if limits is None else limits.per_second) == rate


def test_tokens_may_name_this_server_by_an_identifier_of_the_authorization_server() -> None:
    checked = check_oauth_options(OAuthOptions("https://i.example", AUDIENCE, token_audience="api://mcp"))
    server = make_resource_server(checked, lambda _: None)
    assert server.metadata()["resource"] == AUDIENCE, "clients ask for the URL"
    assert server._rules.audience == "api://mcp"
    assert server.insufficient_scope(Caller(None, None), []).challenge.endswith(
        'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"'
    )


@pytest.mark.parametrize("text", ["", "a b", "a\n", "x" * 257])
def test_an_identifier_of_tokens_is_a_short_word(text: str) -> None:
    with pytest.raises(ServeOptionsError) as refused:
        check_oauth_options(OAuthOptions("https://i.example", AUDIENCE, token_audience=text))
    assert refused.value.code == "invalid-audience"
    assert "expected the identifier that the authorization server writes into aud" in refused.value.message
    assert check_oauth_options(OAuthOptions("https://i.example", AUDIENCE, token_audience="x" * 256))
