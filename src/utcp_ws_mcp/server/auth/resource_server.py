"""An OAuth 2.1 resource server, as MCP's authorization specification says: tokens, metadata and challenges."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from ..http.security import Headers, Rejection, bearer_token
from .access import AccessControl, Caller
from .issuer import MIN_FETCH_INTERVAL, IssuerKeys
from .keys import KeySet
from .tokens import TokenRejected, TokenRules, UnknownSignature, VerifiedToken, read_header

METADATA_PATH: Final = "/.well-known/oauth-protected-resource"
MAX_CACHED_TOKENS: Final = 1024
"""Verified tokens that are remembered: verifying a signature takes longer than a call."""


class ResourceServer:
    """Authenticates requests by access tokens.

    Args:
        rules: What tokens must say.
        keys: The keys of the authorization server.
        access: What callers may do.
        url: The URL of this server; None: the audience of tokens.
    """

    def __init__(self, rules: TokenRules, keys: IssuerKeys, access: AccessControl, url: str | None = None) -> None:
        self.keys = keys
        self._rules = rules
        self._access = access
        self._verified: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._url = rules.audience if url is None else url
        parts = urlsplit(self._url)
        self._metadata_path = METADATA_PATH + parts.path.rstrip("/")
        self._metadata_url = f"{parts.scheme}://{parts.netloc}{self._metadata_path}"

    @property
    def metadata_paths(self) -> Sequence[str]:
        """Return the paths of the metadata: with the path of the resource (RFC 9728 §3.1), and at the root."""
        return tuple(dict.fromkeys((self._metadata_path, METADATA_PATH)))

    def metadata(self) -> Mapping[str, Any]:
        """Return the protected resource metadata (RFC 9728 §2)."""
        scopes = {"scopes_supported": list(self._access.scopes.patterns)} if self._access.scopes.patterns else {}
        return {
            "resource": self._url,
            "authorization_servers": [self._rules.issuer],
            "bearer_methods_supported": ["header"],
            "resource_name": "utcp-ws-mcp",
            **scopes,
        }

    async def authenticate(self, headers: Headers) -> Caller | Rejection:
        """Return who sent a request, or why it is rejected."""
        token = bearer_token(headers)
        if not token:
            return self._unauthorized("an access token is required: Authorization: Bearer TOKEN")
        try:
            return await self._verify(token)
        except TokenRejected as rejected:
            return self._unauthorized(str(rejected), error="invalid_token")

    def insufficient_scope(self, caller: Caller, needed: Sequence[str]) -> Rejection:
        """Return the rejection of a call that none of the caller's scopes allows (RFC 6750 §3.1).

        The challenge names the scopes to ask for: those that the caller has, and the first that is needed.
        """
        own = caller.identity.scopes if caller.identity is not None else ()
        scopes = [*sorted(own), *needed[:1]]
        detail = f"this tool needs the scope {needed[0]}" if needed else "no scope allows this tool"
        challenge = self._challenge(error="insufficient_scope", detail=detail, scope=" ".join(scopes))
        return Rejection(403, detail, challenge=challenge)

    async def _verify(self, token: str) -> Caller | Rejection:
        digest = hashlib.sha256(token.encode("latin-1")).digest()
        if (known := self._verified.get(digest)) is not None and await self._still_valid(known):
            return Caller(known.identity, self._access)
        header = read_header(token)
        keys = await self.keys.get(header.key_id)
        if keys is None:
            detail = "the keys of the authorization server are not available; try again later"
            return Rejection(503, detail, retry_after=int(MIN_FETCH_INTERVAL))
        try:
            verified = self._rules.verify(token, header, keys)
        except UnknownSignature:
            newer = await self.keys.get_newer()
            if newer is None or newer is keys:
                raise
            verified = self._rules.verify(token, header, newer)
        self._remember(digest, verified)
        return Caller(verified.identity, self._access)

    async def _still_valid(self, verified: VerifiedToken) -> bool:
        """Return whether a token has not expired, and its key is still published."""
        keys: KeySet | None = await self.keys.get(verified.key.key_id)
        return keys is not None and verified.key in keys.keys and self._rules.now() < verified.expires_at

    def _remember(self, digest: bytes, verified: VerifiedToken) -> None:
        self._verified[digest] = verified
        if len(self._verified) > MAX_CACHED_TOKENS:
            self._verified.popitem(last=False)

    def _unauthorized(self, detail: str, error: str = "") -> Rejection:
        return Rejection(401, detail, challenge=self._challenge(error=error, detail=detail))

    def _challenge(self, *, error: str, detail: str, scope: str = "") -> str:
        """Return the value of WWW-Authenticate (RFC 6750 §3, RFC 9728 §5.1)."""
        pairs = {"error": error, "error_description": detail if error else "", "scope": scope}
        pairs["resource_metadata"] = self._metadata_url
        return "Bearer " + ", ".join(f'{name}="{_quotable(value)}"' for name, value in pairs.items() if value)


def _quotable(text: str) -> str:
    """Return a text without what a quoted string of a header cannot contain: a token may bring any scope."""
    return "".join(char for char in text if " " <= char <= "~" and char not in '"\\')
