"""The names under which replicas share state: equal for equal connections, and without secrets."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from .codecs.message import encode_json
from .handshake_request import HandshakeRequest, HandshakeTemplate, written_url

PREFIX: Final = "utcp-ws"
DIGEST_LENGTH: Final = 24
"""Hexadecimal digits: 96 bits, so that two connections never share a name by chance."""


def fleet_key(fleet: str, *parts: str) -> str:
    """Return the name of something that a fleet shares. Braces make a cluster keep all of a fleet in one place."""
    return ":".join((PREFIX, f"{{{quote(fleet, safe='')}}}", *(quote(part, safe="") for part in parts)))


def connection_digest(handshake: HandshakeRequest | HandshakeTemplate, *definition: str) -> str:
    """Return the digest of a connection as its manifest is written: values of variables are not part of it.

    Replicas with two versions of a manifest share what belongs to equal connections, and nothing else.

    Args:
        handshake: The connection.
        definition: Further texts that must be equal, such as the definition of a feed.
    """
    template, rules = handshake.template, handshake.connection_rules
    auth = template.auth.model_dump(mode="json") if template.auth is not None else None  # secrets are masked
    names = sorted(name.lower() for name in template.headers)
    return text_digest(written_url(template), names, rules.login, auth, *definition)


def text_digest(*parts: Any) -> str:
    """Return the digest of values, as a part of a name."""
    return sha256(encode_json(list(parts)).encode()).hexdigest()[:DIGEST_LENGTH]
