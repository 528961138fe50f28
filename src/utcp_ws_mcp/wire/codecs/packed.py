"""MessagePack, for the codec and for the filters; its package is optional."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def load_msgpack() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """What packs a value, and what unpacks exactly one.

    Raises:
        ImportError: if the package is not installed.
    """
    import msgpack

    return msgpack.packb, lambda data: msgpack.unpackb(data, strict_map_key=False)
