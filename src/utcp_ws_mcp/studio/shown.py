"""Show messages of endpoints as bounded plain text, without control characters and without secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..core.codecs.message import decode, excerpt, redact_beginning, text_or_bytes
from ..manifest.invisible import escape_invisible
from ..manifest.secret_names import redact_by_key
from ..recorder.manifest import format_json

Redact = Callable[[str], str]

MAX_PREVIEW: Final = 240
"""Characters of a message in its line."""

MAX_SHOWN: Final = 100_000
"""Characters of a message that is opened."""

MAX_FORMATTED: Final = 1 << 20
"""Characters of JSON that is formatted; longer ones are shown as they arrived."""

_DUMPED: Final = 4096
"""Bytes of binary data that are shown in hexadecimal."""


def preview(message: str | bytes, redact: Redact) -> str:
    """Return the beginning of a message on one line."""
    return excerpt(message, MAX_PREVIEW, lambda text: redact_by_key(redact(text)))


def pretty(message: str | bytes, redact: Redact) -> str:
    """Return a message as it is read: JSON formatted, binary data in hexadecimal, long ones cut."""
    text = _readable(message)
    shown = redact_beginning(text, MAX_SHOWN, lambda part: redact_by_key(redact(part)))
    cut = f"\n… (cut: {len(text):,} characters)" if len(shown) > MAX_SHOWN or len(shown) < len(text) - MAX_SHOWN else ""
    return escape_invisible(shown[:MAX_SHOWN].replace("\r\n", "\n")) + cut


def _readable(message: str | bytes) -> str:
    if isinstance(message, bytes):
        text = text_or_bytes(message)
        if isinstance(text, str) and text.isprintable():
            return text
        rows = (message[start : start + 16].hex(" ") for start in range(0, min(len(message), _DUMPED), 16))
        return "\n".join(rows)
    value = decode(message).value if len(message) <= MAX_FORMATTED else message
    return format_json(value) if isinstance(value, dict | list) else message


def plain(message: str | bytes) -> str:
    """Return a message as text for a search; binary data in hexadecimal."""
    return message if isinstance(message, str) else message.hex()


def size_of(message: str | bytes) -> int:
    """Return the size of a message in bytes."""
    return len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode("utf-8", "replace"))


def shown_size(size: int) -> str:
    """Return a number of bytes for people."""
    if size < 1024:
        return f"{size} B"
    return f"{size / 1024:.1f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
