"""Check access tokens: JWTs that an authorization server signed for this server (RFC 9068, RFC 8725)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...records import Record
from .identity import Identity
from .keys import ALGORITHMS, KeySet, SigningKey

MAX_TOKEN_LENGTH: Final = 8192
MAX_CLAIM_LENGTH: Final = 256
"""Characters of a subject, a client id or a key id: they are written into the log and are keys of tables."""

MAX_SCOPES: Final = 100
CLOCK_SKEW: Final = 60.0
"""Seconds that the clocks of the authorization server and of this machine may differ."""

MAX_TIME: Final = 1e12
"""The greatest time that a token may name, in seconds since 1970."""

_TOKEN_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})


class TokenRejected(Exception):
    """An access token that is not accepted. The message says why; it contains nothing of the token."""


class UnknownSignature(TokenRejected):
    """A token that none of the keys has signed. They may have changed."""


class TokenHeader(Record):
    """What the header of a token says about its signature. Both are foreign, until the signature has been checked."""

    key_id: str | None
    algorithm: str


class VerifiedToken(Record):
    """Whose token it is, the time (seconds since 1970) from which it is expired, and the key that signed it."""

    identity: Identity
    expires_at: float
    key: SigningKey


def read_header(token: str) -> TokenHeader:
    """Return the header of a token that has not been verified.

    Members that name or contain a key (`jku`, `jwk`, `x5u`, `x5c`) are not read: only keys of the configured
    authorization server are used (RFC 8725 §3.10).

    Raises:
        TokenRejected: if it is no JWT, or if its header asks for what is not supported.
    """
    import jwt

    if len(token) > MAX_TOKEN_LENGTH:
        raise TokenRejected(f"the token has more than {MAX_TOKEN_LENGTH:,} characters")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenRejected("the token is not a JWT; opaque access tokens are not supported") from None
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRejected(f"the token is not signed with one of the algorithms {', '.join(sorted(ALGORITHMS))}")
    if "crit" in header:
        raise TokenRejected("the token has a critical header, which is not supported")
    if not isinstance(kind, str) or kind.lower() not in _TOKEN_TYPES:
        raise TokenRejected("the token is not an access token: its typ is another one")
    if key_id is not None and (not isinstance(key_id, str) or len(key_id) > MAX_CLAIM_LENGTH):
        raise TokenRejected("the key id of the token is not a text of a usable length")
    return TokenHeader(key_id, algorithm)


class TokenRules(Record):
    """What tokens must say: who issued them, and for whom (RFC 8707). `now` returns the seconds since 1970."""

    issuer: str
    audience: str
    now: Callable[[], float]

    def verify(self, token: str, header: TokenHeader, keys: KeySet) -> VerifiedToken:
        """Return whose token it is, if its signature and its claims are valid.

        Raises:
            UnknownSignature: if none of the keys has signed it.
            TokenRejected: if its claims are not acceptable.
        """
        candidates = keys.find(header.key_id, header.algorithm)
        if not candidates:
            text = "the token is signed with a key that the issuer does not publish for this algorithm"
            raise UnknownSignature(text)
        for key in candidates:
            if (claims := self._decode(token, header, key)) is not None:
                return VerifiedToken(self._identity(claims), self._check_times(claims), key)
        raise UnknownSignature("the signature of the token is invalid")

    def _decode(self, token: str, header: TokenHeader, key: SigningKey) -> dict[str, Any] | None:
        """Return the claims of a token; None if another key has signed it.

        Raises:
            TokenRejected: if they are not acceptable.
        """
        import jwt

        # The times and the subject are checked by their own functions: with a clock that is an argument, and in words.
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=[header.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_sub": False,
                },
            )
        except jwt.InvalidSignatureError:
            return None
        except jwt.InvalidAudienceError:
            raise TokenRejected(f"the token is for another audience than {self.audience}") from None
        except jwt.InvalidIssuerError:
            raise TokenRejected(f"the token is from another issuer than {self.issuer}") from None
        except jwt.MissingRequiredClaimError as missing:
            raise TokenRejected(f"the token has no claim {missing.claim}") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise TokenRejected("the claims of the token are invalid") from None

    def _check_times(self, claims: dict[str, Any]) -> float:
        """Return when a token expires."""
        times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
        if not all(_is_time(value) for value in times.values()):
            raise TokenRejected("a time of the token is not a number")
        now = self.now()
        if times["exp"] + CLOCK_SKEW <= now:
            raise TokenRejected("the token has expired")
        for name in ("nbf", "iat"):
            if (early := times.get(name, now) - now) > CLOCK_SKEW:
                cause = "the clock of the issuer or of this server is wrong"
                raise TokenRejected(f"the token is valid {early:.0f} seconds from now: {cause}")
        return float(times["exp"]) + CLOCK_SKEW

    def _identity(self, claims: dict[str, Any]) -> Identity:
        subject, client = claims["sub"], claims.get("client_id") or claims.get("azp") or ""
        if not _is_name(subject) or not (client == "" or _is_name(client)):
            raise TokenRejected("the subject or the client of the token is not a text of a usable length")
        return Identity(self.issuer, subject, client, _scopes(claims))


def _is_time(value: Any) -> bool:
    """Return whether a value is a time. JSON of Python has NaN, which is never over, and integers of any size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_TIME


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_CLAIM_LENGTH


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Return the scopes: `scope` as RFC 9068 says, or `scp`, a text or a list, as some servers write it."""
    found = claims.get("scope") or claims.get("scp") or ()
    listed = found.split() if isinstance(found, str) else found
    if not isinstance(listed, list | tuple) or len(listed) > MAX_SCOPES:
        raise TokenRejected("the scopes of the token are neither a text nor a list of a usable length")
    return frozenset(each for each in listed if isinstance(each, str))
