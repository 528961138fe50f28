"""Names that every host accepts: `^[A-Za-z0-9_-]{1,64}$`, unique, made from `manual` and `tool`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from ..manifest.sanitize import visible_name

MAX_NAME: Final = 64
_HASH = 8


def mcp_names(full_names: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """The MCP name of each (manual, tool), in order.

    A name that is too long, or that several tools would have, ends in a short hash for all of them: so no tool takes
    the name that another one had.
    """
    names = {key: visible_name("_".join(key)) for key in full_names}
    while ambiguous := _ambiguous(names):
        names |= {key: _hashed(*key) for key in ambiguous}
    return {name: key for key, name in names.items()}


def _ambiguous(names: Mapping[tuple[str, str], str]) -> list[tuple[str, str]]:
    """The tools that need a hash and have none yet."""
    times = Counter(names.values())
    needy = [key for key, name in names.items() if len(name) > MAX_NAME or times[name] > 1]
    return [key for key in needy if names[key] != _hashed(*key)]


def _hashed(manual: str, tool: str) -> str:
    digest = hashlib.sha256(f"{manual}\0{tool}".encode("utf-8", "replace")).hexdigest()[:_HASH]
    return f"{visible_name(f'{manual}_{tool}')[: MAX_NAME - _HASH - 1]}_{digest}"
