"""The keys of the authorization server: found through its metadata, fetched, kept and refreshed.

One task fetches them. Requests never do: a request whose key is unknown asks the task to fetch again, at most once in
MIN_FETCH_INTERVAL, so tokens with invented key ids cost the authorization server nothing. While it cannot be reached,
the last keys are used for MAX_KEY_AGE.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import anyio

from ...client.dial import Resolver
from ...client.http_client import HttpRequest, send_request
from ...core.network_policy import parse_http_url
from ...errors import BridgeError, ServeOptionsError
from ...errors.base import end_sentence
from ...manifest.models.network import Network
from .keys import KeySet, UnusableDocument, parse_key_set

REFRESH_INTERVAL: Final = 300.0
"""Seconds until the keys are fetched again: a key that the server no longer publishes is refused after this time."""

MIN_FETCH_INTERVAL: Final = 10.0
"""Seconds between two fetches, whatever asks for them."""

MAX_KEY_AGE: Final = 86_400.0
"""Seconds that keys are used after the authorization server answered last."""

FETCH_TIMEOUT: Final = 5.0
"""Seconds for one request to the authorization server."""

WAIT_TIMEOUT: Final = 2 * FETCH_TIMEOUT
"""Seconds that a request waits for a fetch: of the metadata, and of the keys."""

MAX_SHOWN_LENGTH: Final = 200
"""Characters of the issuer in foreign metadata that a message repeats."""

_OPERATOR_NETWORK: Final = Network(allow=("private", "loopback"))
"""The operator names the authorization server, so it may be in the operator's own network."""

logger = logging.getLogger(__name__)

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the body of a URL.

Raises:
    BridgeError, UnusableDocument: if there is none.
"""


class HttpFetcher:
    """Fetches documents of an authorization server: over TLS or from loopback, without redirects, bounded."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def __call__(self, url: str) -> bytes:
        """Return the body of a URL.

        Raises:
            BridgeError: if it cannot be reached, or may not be.
            UnusableDocument: if the status is not 200.
        """
        request = HttpRequest("GET", parse_http_url(url), {}, {})
        response = await send_request(request, _OPERATOR_NETWORK, self._resolver, FETCH_TIMEOUT)
        if response.status != 200:
            raise UnusableDocument(f"HTTP {response.status}")
        return response.body


def check_issuer(text: str) -> str:
    """Return the issuer identifier, a URL without query and fragment (RFC 8414 §2).

    Raises:
        ServeOptionsError: if it is another one.
    """
    meaning = "the URL of the authorization server, such as https://login.example.com/realms/team"
    return _check_url("--issuer", text, meaning, "invalid-issuer")


def check_audience(text: str) -> str:
    """Return the audience, the URL at which clients reach this server (RFC 8707 §2).

    Raises:
        ServeOptionsError: if it is no such URL.
    """
    meaning = "the URL at which clients reach this server, such as https://mcp.example.com/mcp"
    return _check_url("--audience", text, meaning, "invalid-audience")


def _check_url(option: str, text: str, meaning: str, code: str) -> str:
    try:
        parse_http_url(text)
    except BridgeError as error:
        if error.code == "plaintext-not-allowed":
            reason = "tokens would be sent as plain text. Use https://; http:// is for an address of this machine only"
        elif text.startswith(("https://", "http://")):
            reason = error.message
        else:
            reason = f"expected {meaning}"
        shown = "" if "@" in text else f" {text}"  # it may contain a password
        raise ServeOptionsError(f"{option}{shown}: {end_sentence(reason)}", code=code) from None
    if urlsplit(text).query:
        raise ServeOptionsError(f"{option} {text}: expected a URL without a query", code=code)
    return text


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Return where the metadata may be, in the order of the MCP specification (RFC 8414 §3.1, OpenID Discovery §4)."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    oauth = f"{origin}/.well-known/oauth-authorization-server{path}"
    inserted = f"{origin}/.well-known/openid-configuration{path}"
    return tuple(dict.fromkeys((oauth, inserted, f"{origin}{path}/.well-known/openid-configuration")))


def read_keys_url(body: bytes, issuer: str) -> str:
    """Return `jwks_uri` of the metadata of an authorization server (RFC 8414 §3.3).

    Raises:
        UnusableDocument: if it has none, or is the metadata of another issuer.
    """
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise UnusableDocument("the metadata is not JSON") from None
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        named = document.get("issuer") if isinstance(document, dict) else None
        shown = f" {named}" if isinstance(named, str) and len(named) <= MAX_SHOWN_LENGTH and named.isprintable() else ""
        raise UnusableDocument(
            f'the metadata is not of this issuer: its "issuer"{shown} must be equal to --issuer, to the last slash'
        )
    url = document.get("jwks_uri")
    if not isinstance(url, str):
        raise UnusableDocument('the metadata has no "jwks_uri"')
    return url


class IssuerKeys:
    """The keys of an authorization server.

    Args:
        issuer: Its identifier.
        fetch: Fetches a document.
        clock: Returns monotonic seconds.
    """

    def __init__(self, issuer: str, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._tried_at = -MIN_FETCH_INTERVAL
        self._keys_url: str | None = None
        self._wanted = anyio.Event()
        self._done = anyio.Event()
        self._failing = False

    async def run(self) -> None:
        """Keep the keys fresh, until cancelled."""
        while True:
            await self._refresh()
            with anyio.move_on_after(MIN_FETCH_INTERVAL if self._failing else REFRESH_INTERVAL):
                await self._wanted.wait()

    async def get(self, key_id: str | None) -> KeySet | None:
        """Return the keys; wait for a fetch if there are none, or none with this id. None: there are none now."""
        known = self._current()
        return known if known is not None and known.has(key_id) else await self.get_newer()

    async def get_newer(self) -> KeySet | None:
        """Return the keys after a fetch; the last ones if one was made less than MIN_FETCH_INTERVAL ago."""
        if self._clock() >= self._tried_at + MIN_FETCH_INTERVAL:
            self._wanted.set()
            with anyio.move_on_after(WAIT_TIMEOUT):
                await self._done.wait()
        return self._current()

    def _current(self) -> KeySet | None:
        return self._keys if self._clock() < self._fetched_at + MAX_KEY_AGE else None

    async def _refresh(self) -> None:
        try:
            self._keys = await self._fetch_keys()
            self._fetched_at = self._clock()
            if self._failing:
                logger.warning("the keys of %s are available again", self._issuer)
            self._failing = False
        except (BridgeError, UnusableDocument) as error:
            if not self._failing:
                logger.warning(
                    "the keys of %s cannot be fetched: %s. %s [%s]",
                    self._issuer,
                    str(error).rstrip("."),
                    "The last ones are used." if self._keys else "Requests get 503.",
                    "issuer-unreachable",
                )
            self._failing, self._keys_url = True, None
        except Exception:  # what a library makes of foreign keys; without this task, a new key would never be accepted
            logger.exception("the keys of %s cannot be read", self._issuer)
            self._failing, self._keys_url = True, None
        finally:
            self._tried_at = self._clock()
            self._done.set()
            self._wanted, self._done = anyio.Event(), anyio.Event()

    async def _fetch_keys(self) -> KeySet:
        if self._keys_url is None:
            self._keys_url = await self._discover()
        return parse_key_set(await self._fetch(self._keys_url))

    async def _discover(self) -> str:
        """Return the URL of the keys: the first metadata document that is there decides."""
        reasons = []
        for url in metadata_urls(self._issuer):
            try:
                body = await self._fetch(url)
            except (BridgeError, UnusableDocument) as error:
                reasons.append(f"{url}: {str(error).rstrip('.')}")
            else:
                return read_keys_url(body, self._issuer)
        raise UnusableDocument("no metadata: " + "; ".join(reasons))
