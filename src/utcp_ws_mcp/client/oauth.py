"""OAuth2 client credentials for the opening handshake (RFC 6749 §4.4).

Tokens are cached, refreshed before they expire, and fetched once for all calls that wait. OAuth libraries open their
own connections; this module sends its request through `http_client`, which connects to checked addresses only.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final, Protocol
from urllib.parse import quote_plus

import anyio

from ..core.backoff import parse_retry_after
from ..core.network_policy import URL, parse_http_url
from ..errors import BridgeError, RetryAfter, TokenRequestError
from ..manifest.models.auth import OAuth2Auth
from ..manifest.models.network import Network
from ..records import MutableRecord, Record
from .dial import Resolver
from .http_client import HttpRequest, HttpResponse, send_request

DEFAULT_TOKEN_LIFETIME: Final = 300.0
"""Seconds that a token lives if the response has no `expires_in`, which RFC 6749 §5.1 only recommends."""

MAX_TOKEN_LIFETIME: Final = 86_400.0
TOKEN_PATTERN = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}=*\Z")
_KNOWN_ERROR_CODES: Final = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"}
    | {"invalid_scope", "invalid_target", "access_denied", "server_error", "temporarily_unavailable"}
)
"""Error codes that are shown (RFC 6749 §5.2, RFC 8707 §2); any other text of the server may repeat the secret."""


class IssuedToken(Record):
    """A token, and the seconds after which it is refreshed."""

    not_in_repr: ClassVar = ("token",)
    token: str
    seconds: float


class _CachedToken(MutableRecord):
    """A token, and the time of the clock from which it is refreshed."""

    not_in_repr: ClassVar = ("token",)
    token: str
    refresh_at: float


class TokenStore(Protocol):
    """Where replicas share tokens (`serve --shared`)."""

    async def get(
        self, auth: OAuth2Auth, rejected: str | None, timeout: float, request: Callable[[], Awaitable[IssuedToken]]
    ) -> IssuedToken:
        """Return a token that is not `rejected`: one that another replica has, or that `request` gets."""


class TokenCache:
    """The tokens of a bridge.

    Args:
        clock: Returns monotonic seconds.
        now: Returns the time, to read the `Retry-After` of a token endpoint.
        store: Where replicas share tokens; None: this process has its own.
    """

    def __init__(
        self, clock: Callable[[], float], now: Callable[[], datetime], store: TokenStore | None = None
    ) -> None:
        self._clock = clock
        self._now = now
        self._store = store
        self._rejected: dict[OAuth2Auth, str] = {}
        self._tokens: dict[OAuth2Auth, _CachedToken] = {}
        self._locks: dict[OAuth2Auth, anyio.Lock] = {}
        self._failures: dict[OAuth2Auth, tuple[int, BridgeError]] = {}

    async def get(self, auth: OAuth2Auth, network: Network, resolver: Resolver, timeout: float) -> str:
        """Return a token that is not about to expire.

        Args:
            auth: The credentials, which are also the key of the cache.
            network: The addresses that the manifest allows.
            resolver: Resolves the host of the token endpoint.
            timeout: Seconds for a request to the token endpoint.

        Raises:
            TokenRequestError: if the token endpoint issues none.
            ConnectError, PolicyError: if it cannot or may not be reached.
        """
        failures = self._failure_count(auth)
        async with self._locks.setdefault(auth, anyio.Lock()):
            if self._failure_count(auth) > failures:
                # Who waited for a request that failed does not repeat it: a thousand calls would, one after the other.
                raise self._failures[auth][1].with_traceback(None)
            cached = self._tokens.get(auth)
            if cached is None or cached.refresh_at <= self._clock():
                try:
                    issued = await self._obtain(auth, network, resolver, timeout)
                except BridgeError as error:
                    self._failures[auth] = failures + 1, error
                    raise
                cached = self._tokens[auth] = _CachedToken(issued.token, self._clock() + issued.seconds)
            return cached.token

    def _failure_count(self, auth: OAuth2Auth) -> int:
        return self._failures[auth][0] if auth in self._failures else 0

    def invalidate(self, auth: OAuth2Auth, token: str) -> None:
        """Forget a token that the endpoint rejected, unless another one has been fetched since."""
        cached = self._tokens.get(auth)
        if cached is not None and cached.token == token:
            del self._tokens[auth]
            self._rejected[auth] = token

    async def _obtain(self, auth: OAuth2Auth, network: Network, resolver: Resolver, timeout: float) -> IssuedToken:
        request = partial(self._fetch, auth, network, resolver, timeout)
        if self._store is None:
            return await request()
        return await self._store.get(auth, self._rejected.get(auth), timeout, request)

    async def _fetch(self, auth: OAuth2Auth, network: Network, resolver: Resolver, timeout: float) -> IssuedToken:
        url = parse_http_url(auth.token_url, network)
        headers, form = build_token_request(auth)
        response = await send_request(HttpRequest("POST", url, headers, form), network, resolver, timeout)
        retry_after = parse_retry_after(response.headers.get("retry-after"), self._now())
        token, lifetime = parse_token_response(url, response, retry_after)
        # Early enough for a handshake that begins just before, and for clocks that differ; half of a short life.
        early = max(30.0, lifetime / 10) if lifetime > 60 else lifetime / 2
        return IssuedToken(token, lifetime - early)


def build_token_request(auth: OAuth2Auth) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers and the form of a token request (RFC 6749 §4.4.2).

    For "basic", RFC 6749 §2.3.1 wants the id and the secret form-encoded before they are joined and put into Base64.
    """
    secret = auth.client_secret.get_secret_value()
    form = {"grant_type": "client_credentials"}
    form |= {key: value for key, value in (("scope", auth.scope), ("audience", auth.audience)) if value}
    if auth.auth_method == "basic":
        pair = f"{quote_plus(auth.client_id)}:{quote_plus(secret)}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}, form
    return {}, form | {"client_id": auth.client_id, "client_secret": secret}


def parse_token_response(url: URL, response: HttpResponse, retry_after: RetryAfter | None = None) -> tuple[str, float]:
    """Return the access token of a response and the seconds that it lives (RFC 6749 §5.1).

    `retry_after` is what the response asks for where it is a refusal.

    Raises:
        TokenRequestError: with the status and the error code, never the body.
    """
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        body = None
    body = body if isinstance(body, dict) else {}
    if response.status != 200:
        code = body.get("error")
        shown = f" ({code})" if isinstance(code, str) and code in _KNOWN_ERROR_CODES else ""
        raise TokenRequestError(
            url.address,
            f"HTTP {response.status}{shown}. Check client_id, client_secret and scope.",
            retry_after=retry_after,
        )
    token, kind = body.get("access_token"), body.get("token_type", "bearer")
    if not isinstance(token, str) or not TOKEN_PATTERN.match(token):
        raise TokenRequestError(url.address, "the response contains no usable access_token. Check token_url.")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenRequestError(url.address, "the token is not of type Bearer, which is the only supported type.")
    return token, _parse_expires_in(body.get("expires_in"))


def _parse_expires_in(expires_in: Any) -> float:
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_TOKEN_LIFETIME
    return DEFAULT_TOKEN_LIFETIME if math.isnan(seconds) else min(max(seconds, 0.0), MAX_TOKEN_LIFETIME)
