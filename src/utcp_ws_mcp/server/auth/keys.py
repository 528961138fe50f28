"""The public keys of an authorization server, parsed from its JWK Set (RFC 7517). Pure.

What an authorization server publishes is foreign input: a key that cannot be used is left out, never the whole set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from ...records import Record

MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
MAX_CANDIDATES: Final = 4
"""Keys that are tried for one token: each costs the verification of a signature, before the caller is known."""

_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC P-256": ("ES256",),
    "EC P-384": ("ES384",),
    "EC P-521": ("ES512",),
    "OKP Ed25519": ("EdDSA", "Ed25519"),
    "OKP Ed448": ("EdDSA", "Ed448"),
}
"""The signatures that each kind of key makes; RFC 9864 replaces EdDSA by the names of its curves.

Only asymmetric ones: a public key is never used as a shared secret.
"""

ALGORITHMS: Final = frozenset(algorithm for family in _FAMILIES.values() for algorithm in family)


class UnusableDocument(Exception):  # not an error of this program: IssuerKeys handles it
    """A document of the authorization server that cannot be used. The message says why."""


class SigningKey(Record):
    """A public key; `key_id` is None if it has none. `key` is what the JWT library takes."""

    key_id: str | None
    algorithms: tuple[str, ...]
    key: Any


class KeySet(Record):
    """The keys of an authorization server that can verify signatures."""

    keys: tuple[SigningKey, ...]

    def find(self, key_id: str | None, algorithm: str) -> tuple[SigningKey, ...]:
        """Return the keys that may have made a signature.

        They are those with the key id; for a token without one, all of its algorithm: during a rotation, two.
        """
        found = (key for key in self.keys if algorithm in key.algorithms and (key_id is None or key.key_id == key_id))
        return tuple(islice(found, MAX_CANDIDATES))

    def has(self, key_id: str | None) -> bool:
        """Return whether a key has an id."""
        return key_id is None or any(key.key_id == key_id for key in self.keys)


def parse_key_set(body: bytes) -> KeySet:
    """Parse a JWK Set; symmetric keys, keys for encryption, weak and malformed ones are left out.

    Raises:
        UnusableDocument: if the document is none, or has no usable key.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise UnusableDocument("the answer is not JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise UnusableDocument('the answer is not a JWK Set: it has no list "keys"')
    if len(listed) > MAX_KEYS:
        raise UnusableDocument(f"the JWK Set has {len(listed)} keys; at most {MAX_KEYS} are read")
    keys = tuple(key for each in listed if isinstance(each, dict) and (key := _parse_key(each)) is not None)
    if not keys:
        raise UnusableDocument("the JWK Set has no key that verifies signatures")
    return KeySet(keys)


def _parse_key(document: dict[str, Any]) -> SigningKey | None:
    kind = " ".join(str(document[name]) for name in ("kty", "crv") if name in document)
    algorithms, key_id, declared = _FAMILIES.get(kind, ()), document.get("kid"), document.get("alg")
    operations = document.get("key_ops", ["verify"])
    for_verifying = document.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if declared is not None:
        algorithms = tuple(name for name in algorithms if name == declared)
    if not algorithms or not for_verifying or not isinstance(key_id, str | None):
        return None
    return _load(document, algorithms, key_id)


def _load(document: dict[str, Any], algorithms: tuple[str, ...], key_id: str | None) -> SigningKey | None:
    import jwt  # 50 ms, for servers with --issuer

    for name in ("Ed25519", "Ed448"):
        with suppress(ValueError):  # it knows the name already
            jwt.register_algorithm(name, jwt.algorithms.OKPAlgorithm())
    try:
        key = jwt.PyJWK(document, "EdDSA" if document["kty"] == "OKP" else algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):  # it does not check the types of members
        return None
    if getattr(key, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and document["kty"] == "RSA":
        return None
    # A private key in a public set is a mistake of the server; only its public part is used.
    return SigningKey(key_id, algorithms, key.public_key() if hasattr(key, "public_key") else key)
