"""Access tokens, right and forged, signed by hand: a JWT library refuses to make most of the forged ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

JSONObject = dict[str, Any]
Sign = Callable[[bytes], bytes]

CLOCK_SKEW: Final = 60
"""Seconds that clocks may differ, as the documentation says."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an authorization server, and those of another server."""

    rsa: RSAPrivateKey
    ec: EllipticCurvePrivateKey
    ed: Ed25519PrivateKey
    foreign_rsa: RSAPrivateKey
    foreign_ec: EllipticCurvePrivateKey

    def jwks(self) -> list[JSONObject]:
        """Return what the authorization server publishes."""
        return [
            {**json.loads(RSAAlgorithm.to_jwk(self.rsa.public_key())), "kid": "r", "use": "sig"},
            {**json.loads(ECAlgorithm.to_jwk(self.ec.public_key())), "kid": "e", "use": "sig"},
            {**json.loads(OKPAlgorithm.to_jwk(self.ed.public_key())), "kid": "d", "use": "sig"},
        ]


@cache
def keys() -> Keys:
    """Return new keys, once."""
    return Keys(
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
    )


def encode(value: bytes | JSONObject | str) -> str:
    """Return a part of a token."""
    raw = value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def token(header: JSONObject | str, claims: JSONObject | str, sign: Sign) -> str:
    """Return a token with any header, any claims and any signature."""
    signed = f"{encode(header)}.{encode(claims)}"
    return f"{signed}.{encode(sign(signed.encode()))}"


def sign_rsa(key: RSAPrivateKey) -> Sign:
    """Sign as RS256 does."""
    return lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def sign_pss(key: RSAPrivateKey) -> Sign:
    """Sign as PS256 does."""
    return lambda data: key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def sign_ec(key: EllipticCurvePrivateKey) -> Sign:
    """Sign as ES256 does."""

    def sign(data: bytes) -> bytes:
        numbers = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return b"".join(number.to_bytes(32, "big") for number in numbers)

    return sign


def sign_hmac(secret: bytes) -> Sign:
    """Sign as HS256 does."""
    return lambda data: hmac.digest(secret, data, hashlib.sha256)


def unsigned(_: bytes) -> bytes:
    """Return no signature."""
    return b""


@dataclass(frozen=True, slots=True)
class TokenForms:
    """The tokens for one issuer and audience. `foreign_url` is another server, which publishes a key."""

    issuer: str
    audience: str
    foreign_url: str

    def claims(self, **changed: Any) -> JSONObject:
        """Return the claims of a right token, with these changes; None removes one."""
        now = time.time()
        own = {"iss": self.issuer, "aud": self.audience, "sub": "ada", "client_id": "app", "iat": now, "exp": now + 600}
        return {name: value for name, value in {**own, **changed}.items() if value is not None}

    def right(self, **changed: Any) -> str:
        """Return a right token, with these changes of its claims."""
        return token({"alg": "ES256", "kid": "e"}, self.claims(**changed), sign_ec(keys().ec))

    def valid(self) -> Iterator[tuple[str, str]]:
        """Yield tokens that must be accepted, with their names."""
        own, now = keys(), time.time()
        yield "ES256", self.right()
        yield "RS256", token({"alg": "RS256", "kid": "r", "typ": "at+jwt"}, self.claims(), sign_rsa(own.rsa))
        yield "PS256", token({"alg": "PS256", "kid": "r"}, self.claims(), sign_pss(own.rsa))
        yield "EdDSA", token({"alg": "EdDSA", "kid": "d"}, self.claims(), own.ed.sign)
        yield "no kid", token({"alg": "ES256"}, self.claims(), sign_ec(own.ec))
        yield "several audiences", self.right(aud=["https://other.example", self.audience])
        yield "a clock that is 50 s ahead", self.right(iat=now + 50, nbf=now + 50)
        yield "a clock that is 50 s behind", self.right(iat=now - 700, exp=now - 50)
        yield (
            "a header that names a key of another server",
            token(
                {"alg": "ES256", "kid": "e", "jku": self.foreign_url, "x5u": self.foreign_url},
                self.claims(),
                sign_ec(own.ec),
            ),
        )

    def forged(self) -> Iterator[tuple[str, str]]:
        """Yield tokens that must be refused, with their names."""
        yield from self._wrong_claims()
        yield from self._wrong_signatures()
        yield from self._foreign_keys()
        yield from self._confused_algorithms()
        yield from self._malformed()

    def _wrong_claims(self) -> Iterator[tuple[str, str]]:
        now = time.time()
        for audience in (
            "https://other.example/mcp",
            self.audience + "/",
            self.audience[:-1],
            "*",
            "",
            [],
            [self.issuer],
        ):
            yield f"audience {audience!r}", self.right(aud=audience)
        for issuer in ("https://other.example", self.issuer + "/", self.issuer.upper(), [self.issuer], 1):
            yield f"issuer {issuer!r}", self.right(iss=issuer)
        for name in ("iss", "aud", "sub", "exp"):
            yield f"no {name}", self.right(**{name: None})
        for minutes in (2, 5, 60):
            yield f"expired {minutes} minutes ago", self.right(exp=now - 60 * minutes)
            yield f"valid in {minutes} minutes", self.right(nbf=now + 60 * minutes)
            yield f"issued in {minutes} minutes", self.right(iat=now + 60 * minutes)
        for text in ("NaN", "Infinity", "true", '"9999999999"', "-1", "1e400", "[9999999999]", "null"):
            document = json.dumps(self.claims(exp="EXP")).replace('"EXP"', text)
            yield f"exp {text}", token({"alg": "ES256", "kid": "e"}, document, sign_ec(keys().ec))
        for subject in ("", 1, ["ada"], "a" * 300):
            yield f"subject {str(subject)[:9]!r}", self.right(sub=subject)

    def _wrong_signatures(self) -> Iterator[tuple[str, str]]:
        right = self.right()
        head, claims, signature = right.split(".")
        for name in ("none", "None", "NONE", "nOnE", ""):
            yield f"alg {name!r}", token({"alg": name, "kid": "e"}, self.claims(), unsigned)
            yield f"alg {name!r}, signed", token({"alg": name, "kid": "e"}, self.claims(), sign_ec(keys().ec))
        yield "no signature", f"{head}.{claims}."
        yield "two parts", f"{head}.{claims}"
        yield "a changed claim", f"{head}.{encode(self.claims(sub='eve'))}.{signature}"
        yield "a changed signature", f"{head}.{claims}.{encode(bytes(64))}"
        yield "a signature of another length", f"{head}.{claims}.{signature}AAAA"
        yield "a header of another token", f"{encode({'alg': 'ES256', 'kid': 'e', 'x': 1})}.{claims}.{signature}"

    def _foreign_keys(self) -> Iterator[tuple[str, str]]:
        foreign, own = keys().foreign_ec, sign_ec(keys().foreign_ec)
        jwk = json.loads(ECAlgorithm.to_jwk(foreign.public_key()))
        for kid in ("e", "r", "unknown", None):
            yield (
                f"another key as {kid}",
                token({"alg": "ES256", "kid": kid} if kid else {"alg": "ES256"}, self.claims(), own),
            )
        injected: list[Any] = ["../../dev/null", "/dev/null", "' OR 1=1 --", "e\0", "E", "a" * 5000, 1, ["e"], {"a": 1}]
        for each in (*injected, None):
            yield f"kid {str(each)[:20]!r}", token({"alg": "ES256", "kid": each}, self.claims(), own)
        url = self.foreign_url
        for header in (
            *({"jku": url}, {"x5u": url}, {"jku": url, "kid": "e"}, {"jwk": jwk}),
            *({"jwk": {**jwk, "kid": "e"}, "kid": "e"}, {"x5c": ["MIIB"]}, {"kid": url}),
            *({"jwks_uri": url}, {"x5t": "a", "jku": url}),
        ):
            yield f"a header with {', '.join(header)}", token({"alg": "ES256", **header}, self.claims(), own)
            yield f"a claim with {', '.join(header)}", token({"alg": "ES256", "kid": "e"}, self.claims(**header), own)

    def _confused_algorithms(self) -> Iterator[tuple[str, str]]:
        own = keys()
        spki, pkcs = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
        pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
        document = own.jwks()[0]
        secrets = [own.rsa.public_key().public_bytes(each, form) for each in (pem, der) for form in (spki, pkcs)]
        secrets += [own.ec.public_key().public_bytes(pem, spki), json.dumps(document).encode(), document["n"].encode()]
        for number, secret in enumerate(secrets):
            for kid in ("r", "e"):
                header = {"alg": "HS256", "kid": kid}
                yield f"HMAC with public key {number} as {kid}", token(header, self.claims(), sign_hmac(secret))
        yield "ES256 with the RSA key", token({"alg": "ES256", "kid": "r"}, self.claims(), sign_rsa(own.rsa))
        yield "RS256 with the EC key", token({"alg": "RS256", "kid": "e"}, self.claims(), sign_ec(own.ec))
        yield "RS1", token({"alg": "RS1", "kid": "r"}, self.claims(), sign_rsa(own.rsa))
        yield "ES256 as ES384", token({"alg": "ES384", "kid": "e"}, self.claims(), sign_ec(own.ec))
        yield "alg as a list", token({"alg": ["ES256"], "kid": "e"}, self.claims(), sign_ec(own.ec))

    def _malformed(self) -> Iterator[tuple[str, str]]:
        own = sign_ec(keys().ec)
        yield "a critical header", token({"alg": "ES256", "kid": "e", "crit": ["exp"]}, self.claims(), own)
        yield "detached", token({"alg": "ES256", "kid": "e", "b64": False, "crit": ["b64"]}, self.claims(), own)
        for kind in ("dpop+jwt", "logout+jwt", "secevent+jwt", 1):
            yield f"typ {kind!r}", token({"alg": "ES256", "kid": "e", "typ": kind}, self.claims(), own)
        yield "claims that are a list", token({"alg": "ES256", "kid": "e"}, "[1]", own)
        yield "deep claims", token({"alg": "ES256", "kid": "e"}, "[" * 5000, own)
        yield "a long token", token({"alg": "ES256", "kid": "e"}, self.claims(x="a" * 9000), own)
        yield "no token", "a"
        yield "dots", "..."
        yield "not base64", "!.!.!"
