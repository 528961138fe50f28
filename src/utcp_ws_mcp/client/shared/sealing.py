"""Encryption of what replicas share in the store, with a key that never enters it."""

from __future__ import annotations

import hmac
from hashlib import sha256
from os import urandom
from typing import Final

from ...core.codecs.message import encode_json
from ...core.fleet_keys import DIGEST_LENGTH
from ...errors import ServeOptionsError

MIN_KEY_LENGTH: Final = 32
"""Characters of a key: `openssl rand -base64 32` prints 44."""
NONCE_BYTES: Final = 12


def check_key(key: str, source: str) -> str:
    """Return a key that may encrypt; `source` is where it was given.

    Raises:
        ServeOptionsError: if it is too short to be random.
    """
    if len(key) < MIN_KEY_LENGTH:
        raise ServeOptionsError(
            f"{source}: a key has at least {MIN_KEY_LENGTH} characters. `openssl rand -base64 32` prints a good one.",
            code="invalid-shared-key",
        )
    return key


class Sealer:
    """Encrypts and decrypts with AES-256-GCM (NIST SP 800-38D), and names what was encrypted.

    Args:
        key: The key of the operator, a long random text.
        purpose: What is encrypted; each purpose has keys of its own.
    """

    def __init__(self, key: str, purpose: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        secret = key.encode("utf-8", "surrogateescape")
        self._cipher = AESGCM(hmac.digest(secret, f"utcp-ws-mcp: encrypt {purpose}".encode(), sha256))
        self._naming = hmac.digest(secret, f"utcp-ws-mcp: name {purpose}".encode(), sha256)

    def name(self, *parts: str | None) -> str:
        """Return a name for texts from which they cannot be computed without the key."""
        return hmac.new(self._naming, encode_json(list(parts)).encode(), sha256).hexdigest()[:DIGEST_LENGTH]

    def seal(self, text: str, place: str) -> bytes:
        """Return an encrypted text; it can be decrypted only as what is stored at this place."""
        nonce = urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Return the text.

        Raises:
            ValueError: if the bytes were not encrypted with this key for this place.
        """
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):  # ValueError: too short
            raise ValueError("it was not encrypted with the key of this replica") from None
