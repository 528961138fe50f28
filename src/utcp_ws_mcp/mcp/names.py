"""Names that every host accepts: `^[A-Za-z0-9_-]{1,64}$`, unique, made from `manual` and `tool`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

MAX_NAME: Final = 64
_HASH = 8


def mcp_names(full_names: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """The MCP name of each (manual, tool), in order. A name that is taken or too long ends in a short hash."""
    named: dict[str, tuple[str, str]] = {}
    for manual, tool in full_names:
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", f"{manual}_{tool}")
        name = plain if len(plain) <= MAX_NAME else _hashed(plain, manual, tool)
        if name in named:
            name = _hashed(plain, manual, tool)
        named[name] = (manual, tool)
    return named


def _hashed(plain: str, manual: str, tool: str) -> str:
    digest = hashlib.sha256(f"{manual}\0{tool}".encode("utf-8", "replace")).hexdigest()[:_HASH]
    return f"{plain[: MAX_NAME - _HASH - 1]}_{digest}"
