"""Tool names that every host accepts: `^[A-Za-z0-9_-]{1,64}$`, unique, derived from `manual` and `tool`.

This is not part of `listing`, because `lint` checks names as well, and must not import the server.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from ..manifest.sanitize import ascii_tool_name

MAX_NAME_LENGTH: Final = 64
_HASH_LENGTH = 8


def mcp_names(full_names: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return the (manual, tool) of each MCP name, in order.

    If a name is too long, or if several tools would have it, all of them get a short hash at the end: a new tool must
    not take over the name that an older one had.
    """
    names = {key: ascii_tool_name("_".join(key)) for key in full_names}
    while ambiguous := _ambiguous(names):
        names |= {key: _name_with_hash(*key) for key in ambiguous}
    return {name: key for key, name in names.items()}


def _ambiguous(names: Mapping[tuple[str, str], str]) -> list[tuple[str, str]]:
    """Return the tools that need a hash and have none yet."""
    counts = Counter(names.values())
    need_hash = [key for key, name in names.items() if len(name) > MAX_NAME_LENGTH or counts[name] > 1]
    return [key for key in need_hash if names[key] != _name_with_hash(*key)]


def _name_with_hash(manual: str, tool: str) -> str:
    digest = hashlib.sha256(f"{manual}\0{tool}".encode("utf-8", "replace")).hexdigest()[:_HASH_LENGTH]
    return f"{ascii_tool_name(f'{manual}_{tool}')[: MAX_NAME_LENGTH - _HASH_LENGTH - 1]}_{digest}"
