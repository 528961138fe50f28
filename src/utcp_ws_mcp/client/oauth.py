"""OAuth2 tokens for the upgrade (RFC 6749 §4.4): cached, refreshed early, fetched once however many wait."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus

import anyio

from ..core.network_policy import URL, parse_http_url
from ..errors import TokenRequestError
from ..manifest.models.auth import OAuth2Auth
from ..manifest.models.network import Network
from .dial import Resolver
from .http_client import HttpRequest, HttpResponse, send_request

DEFAULT_TOKEN_LIFETIME: Final = 300.0
"""Seconds that a token lives whose answer does not say (RFC 6749 §5.1 only recommends it)."""

MAX_TOKEN_LIFETIME: Final = 86_400.0
_TOKEN_PATTERN = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}=*\Z")
_KNOWN_ERROR_CODES: Final = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"}
    | {"invalid_scope", "invalid_target", "access_denied", "server_error", "temporarily_unavailable"}
)
"""Errors that are shown (RFC 6749 §5.2, RFC 8707 §2): any other text might repeat the secret."""


@dataclass(slots=True)
class _CachedToken:
    """A token and the instant from which it is refreshed."""

    token: str = field(repr=False)
    refresh_at: float


class TokenCache:
    """The tokens of a bridge. `clock` gives monotonic seconds; `on_token` gets each token that was fetched."""

    def __init__(
        self, clock: Callable[[], float], resolver: Resolver, on_token: Callable[[str], None] = lambda token: None
    ) -> None:
        self._clock = clock
        self._on_token = on_token
        self._resolver = resolver
        self._tokens: dict[OAuth2Auth, _CachedToken] = {}
        self._locks: dict[OAuth2Auth, anyio.Lock] = {}

    async def get(self, auth: OAuth2Auth, network: Network, timeout: float) -> str:
        """A token that is not about to expire.

        Raises:
            TokenRequestError: if the token endpoint gives none.
            ConnectError, PolicyError: if it cannot or may not be reached.
        """
        async with self._locks.setdefault(auth, anyio.Lock()):
            held = self._tokens.get(auth)
            if held is None or held.refresh_at <= self._clock():
                held = self._tokens[auth] = await self._fetch(auth, network, timeout)
                self._on_token(held.token)
            return held.token

    def invalidate(self, auth: OAuth2Auth, token: str) -> None:
        """The endpoint did not accept this token: it is not used again."""
        held = self._tokens.get(auth)
        if held is not None and held.token == token:
            del self._tokens[auth]

    async def _fetch(self, auth: OAuth2Auth, network: Network, timeout: float) -> _CachedToken:
        url = parse_http_url(auth.token_url)
        headers, form = build_token_request(auth)
        reply = await send_request(HttpRequest("POST", url, headers, form), network, self._resolver, timeout)
        token, lifetime = parse_token_response(url, reply)
        early = max(30.0, lifetime / 10) if lifetime > 60 else lifetime / 2
        return _CachedToken(token, self._clock() + lifetime - early)


def build_token_request(auth: OAuth2Auth) -> tuple[dict[str, str], dict[str, str]]:
    """The headers and the form of a token request (RFC 6749 §4.4.2); with "basic" both parts are form-encoded first."""
    secret = auth.client_secret.get_secret_value()
    form = {"grant_type": "client_credentials"}
    form |= {key: value for key, value in (("scope", auth.scope), ("audience", auth.audience)) if value}
    if auth.auth_method == "basic":
        pair = f"{quote_plus(auth.client_id)}:{quote_plus(secret)}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}, form
    return {}, form | {"client_id": auth.client_id, "client_secret": secret}


def parse_token_response(url: URL, response: HttpResponse) -> tuple[str, float]:
    """The access token of an answer and the seconds that it lives (RFC 6749 §5.1).

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
            url.address, f"HTTP {response.status}{shown}. Check client_id, client_secret and scope."
        )
    token, kind = body.get("access_token"), body.get("token_type", "bearer")
    if not isinstance(token, str) or not _TOKEN_PATTERN.match(token):
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
