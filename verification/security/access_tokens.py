"""S24: only tokens that the configured issuer signed for this server open it, whatever tokens and issuers do.

The forged tokens are sent to `serve --issuer` in its own process. What an issuer answers is tried against the part of
the server that keeps its keys, over real HTTP, with intervals that are a fraction of the usual ones.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from utcp_ws_mcp.client.resolver import EndpointResolver
from utcp_ws_mcp.server.auth import issuer as issuer_module
from utcp_ws_mcp.server.auth.access import AccessControl, Caller
from utcp_ws_mcp.server.auth.issuer import HttpFetcher, IssuerKeys
from utcp_ws_mcp.server.auth.resource_server import ResourceServer
from utcp_ws_mcp.server.auth.scopes import ToolScopes
from utcp_ws_mcp.server.auth.tokens import TokenRules
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .access_token_forms import TokenForms, encode, keys, sign_hmac, sign_rsa, token
from .http_service import RawClient, Service, call_body, mcp_headers, service
from .listener import Listener, http_reply, listener

AUDIENCE: Final = "https://mcp.example/mcp"
INTERVALS: Final = {"MIN_FETCH_INTERVAL": 0.1, "REFRESH_INTERVAL": 30.0, "FETCH_TIMEOUT": 0.3, "WAIT_TIMEOUT": 0.6}
"""Seconds; the usual ones are 10, 300, 5 and 10."""

INVENTED_KEYS: Final = 300


class Authority:
    """An authorization server: what it answers for its keys."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = http_reply(200, json.dumps({"keys": keys().jwks()}).encode())
        self.asked = 0

    def reply(self, request: bytes) -> bytes:
        """Answer one request."""
        self.asked += 1
        if b"/jwks " in request.partition(b"\r\n")[0]:
            return self.keys
        return http_reply(200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}).encode())


@asynccontextmanager
async def authority() -> AsyncIterator[Authority]:
    """Serve an authorization server."""
    served = Authority()
    async with listener(served.reply) as running:
        served.url = f"http://127.0.0.1:{running.port}"
        yield served


async def measure(size: Size) -> Sequence[Figure]:
    """Send right and forged tokens, then let the issuer misbehave."""
    foreign = json.dumps({"keys": [json.loads(RSAAlgorithm.to_jwk(keys().foreign_rsa.public_key()))]}).encode()
    async with authority() as issuer, listener(lambda _: http_reply(200, foreign)) as another:
        forms = TokenForms(issuer.url, AUDIENCE, f"http://127.0.0.1:{another.port}/jwks")
        figures = await _tokens(forms, issuer, another)
    return [*figures, *await _issuers()]


async def _tokens(forms: TokenForms, issuer: Authority, another: Listener) -> Sequence[Figure]:
    options = ("--issuer", issuer.url, "--audience", AUDIENCE, "--allowed-host", "localhost")
    async with service("0", *options, token=None) as served:
        refused = [name for name, text in forms.valid() if await _status(served, text) != 200]
        valid, calls = len(list(forms.valid())), len(served.received_calls)
        forged = list(forms.forged())
        statuses = {name: await _status(served, text) for name, text in forged}
        accepted = [name for name, status in statuses.items() if status != 401]
        reached = len(served.received_calls) - calls
    contacted = len(await another.settle())
    return [
        Figure("S24", "forged access tokens accepted", _with_example(accepted, len(forged)), "0 of >= 90",
               not accepted and not reached and len(forged) >= 90),
        Figure("S24", "right access tokens refused", _with_example(refused, valid), "0", not refused),
        Figure("S24", "requests to servers that a token names", f"{contacted}", "0", not contacted),
    ]  # fmt: skip


async def _status(served: Service, text: str) -> int:
    client = RawClient(served)
    headers = [pair for pair in mcp_headers(served, modern=True) if pair[0] not in ("Host", "Authorization")]
    headers += [("Host", f"localhost:{served.port}"), ("Authorization", f"Bearer {text}")]
    answer = await client.request("POST", "/mcp", headers, call_body(1, {}, modern=True))
    await client.aclose()
    return answer.status


# Issuers


async def _issuers() -> Sequence[Figure]:
    logging.getLogger("utcp_ws_mcp").setLevel(logging.CRITICAL)  # it warns of each of these issuers
    usual = {name: getattr(issuer_module, name) for name in INTERVALS}
    for name, value in INTERVALS.items():
        setattr(issuer_module, name, value)
    try:
        return [*await _hostile_answers(), await _rotation(), await _invented_keys()]
    finally:
        for name, value in usual.items():
            setattr(issuer_module, name, value)


@asynccontextmanager
async def _guarded(issuer: Authority) -> AsyncIterator[tuple[ResourceServer, TokenForms]]:
    """Yield a resource server whose keys are fetched over HTTP, and the forms of tokens for it."""
    own = IssuerKeys(issuer.url, HttpFetcher(EndpointResolver()), asyncio.get_running_loop().time)
    access = AccessControl(ToolScopes({}), None, lambda _: None)
    fetching = asyncio.create_task(own.run())
    try:
        rules = TokenRules(issuer.url, AUDIENCE, time.time)
        yield ResourceServer(rules, own, access), TokenForms(issuer.url, AUDIENCE, "http://127.0.0.1:1/")
    finally:
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)


async def _accepts(server: ResourceServer, text: str) -> bool:
    return isinstance(await server.authenticate([(b"authorization", f"Bearer {text}".encode())]), Caller)


def _answers() -> dict[str, bytes]:
    """Return what an issuer answers that is hostile or broken, when it is asked for its keys."""
    weak = rsa.generate_private_key(65537, 1024)
    jwk = json.loads(RSAAlgorithm.to_jwk(weak.public_key()))

    def document(*listed: Any) -> bytes:
        return http_reply(200, json.dumps({"keys": [*listed]}).encode())

    endless = b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n{"
    return {
        "5 MB": http_reply(200, b" " * (5 << 20) + b'{"keys": []}'),
        "3,000 keys": document(*[{"kty": "RSA"}] * 3_000),
        "deep": http_reply(200, b"[" * 60_000),
        "slow": endless,
        "nothing": b"",
        "not HTTP": b"SSH-2.0-x\r\n",
        "not JSON": http_reply(200, b"<html>"),
        "a redirect": http_reply(302, b"", "Location: http://127.0.0.1:1/"),
        "HTTP 500": http_reply(500, b"{}"),
        "no keys": document(),
        "wrong types": document({"kty": ["RSA"], "n": 1, "e": {}}, 5, None, {"kty": "EC", "crv": 1}),
        "a shared secret": document({"kty": "oct", "kid": "e", "k": encode(b"secret")}),
        "a weak key": document({**jwk, "kid": "r"}),
        "a key for encryption": document({**keys().jwks()[0], "use": "enc"}),
        "a compressed bomb": http_reply(200, b"\x1f\x8b" + b"\0" * 5000, "Content-Encoding: gzip"),
    }


async def _hostile_answers() -> Sequence[Figure]:
    """Let an issuer answer so, first and after its keys are known."""
    opened, closed = list[str](), list[str]()
    answers = _answers()
    for name, answer in answers.items():
        async with authority() as issuer:
            right_keys, issuer.keys = issuer.keys, answer
            async with _guarded(issuer) as (server, forms):
                tokens = [forms.right(), token({"alg": "HS256", "kid": "e"}, forms.claims(), sign_hmac(b"secret"))]
                opened += [name for text in tokens if await _accepts(server, text)]
            issuer.keys = right_keys
            async with _guarded(issuer) as (server, forms):
                known = await _accepts(server, forms.right())
                issuer.keys = answer
                foreign = token({"alg": "RS256", "kid": "new"}, forms.claims(), sign_rsa(keys().foreign_rsa))
                await asyncio.sleep(INTERVALS["MIN_FETCH_INTERVAL"])
                opened += [name] if await _accepts(server, foreign) else []
                closed += [] if known and await _accepts(server, forms.right(sub="bob")) else [name]
    return [
        Figure("S24", "answers of an issuer that let a stranger in", _with_example(opened, len(answers)), "0 of >= 12",
               not opened and len(answers) >= 12),
        Figure("S24", "answers of an issuer that lock its users out", _with_example(closed, len(answers)), "0",
               not closed),
    ]  # fmt: skip


async def _rotation() -> Figure:
    """Replace the keys of an issuer: the new key opens, the old one no longer does."""
    async with authority() as issuer, _guarded(issuer) as (server, forms):
        before = await _accepts(server, forms.right())
        jwk = json.loads(RSAAlgorithm.to_jwk(keys().foreign_rsa.public_key()))
        issuer.keys = http_reply(200, json.dumps({"keys": [{**jwk, "kid": "new"}]}).encode())
        await asyncio.sleep(INTERVALS["MIN_FETCH_INTERVAL"])
        fresh = token({"alg": "RS256", "kid": "new"}, forms.claims(), sign_rsa(keys().foreign_rsa))
        after = (await _accepts(server, fresh), await _accepts(server, forms.right()))
    result = f"old {before}, then new {after[0]}, old {after[1]}"
    return Figure(
        "S24", "rotated keys", result, "old True, then new True, old False", before and after == (True, False)
    )


async def _invented_keys() -> Figure:
    """Send many tokens with invented key ids at once: the issuer is asked at most once for each interval."""
    async with authority() as issuer, _guarded(issuer) as (server, forms):
        await _accepts(server, forms.right())
        await asyncio.sleep(INTERVALS["MIN_FETCH_INTERVAL"])
        asked, began = issuer.asked, asyncio.get_running_loop().time()
        texts = [
            token({"alg": "RS256", "kid": f"k{number}"}, forms.claims(), lambda _: bytes(256))
            for number in range(INVENTED_KEYS)
        ]
        accepted = sum(await asyncio.gather(*(_accepts(server, text) for text in texts)))
        seconds, requests = asyncio.get_running_loop().time() - began, issuer.asked - asked
    allowed = 1 + int(seconds / INTERVALS["MIN_FETCH_INTERVAL"])
    result = f"{requests} for {INVENTED_KEYS} tokens"
    met = not accepted and requests <= allowed
    return Figure(
        "S24", "requests to the issuer for invented key ids", result, f"<= {allowed}, one for each interval", met
    )


def _with_example(names: Sequence[str], of: int) -> str:
    return f"{len(names)} of {of}" + (f", such as {names[0]}" if names else "")


if __name__ == "__main__":
    run(measure)
