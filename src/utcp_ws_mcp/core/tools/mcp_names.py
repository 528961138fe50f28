"""Tool names that every host accepts: `^[A-Za-z0-9_-]{1,45}$`, unique, derived from `manual` and `tool`."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from ...manifest.sanitize import ascii_tool_name

MAX_NAME_LENGTH: Final = 45
"""Model APIs accept 64 characters, and hosts put up to 19 of them in front, such as `mcp__websocket__`."""

_HASH_LENGTHS: Final = (0, 8, 16, 24, 32)

ToolKey = tuple[str, str]
"""The manual and the name of a tool."""


def host_names(ranks: Mapping[ToolKey, int], server_name: str = "") -> dict[ToolKey, str]:
    """Return the name of each tool that hosts see, in the order of the tools.

    A name that is too long gets a short hash at its end. If several tools would have one name, the tool of the lowest
    rank has it, and the others get a hash; among tools of equal rank all get one: what the name means must not depend
    on the order in which they came.

    Args:
        ranks: The rank of each tool: 0 for a tool of the manifest, greater for one that was approved later.
        server_name: The name of this server in the host. Tools of a manual of this name are offered without it,
            because hosts put the name of the server in front.
    """
    names: dict[ToolKey, str] = {}
    for rank in sorted(set(ranks.values())):
        group = [key for key, each in ranks.items() if each == rank]
        names |= _names_of_equals(group, frozenset(names.values()), server_name)
    return {key: names[key] for key in ranks}


def may_belong(name: str, manual: str, server_name: str = "") -> bool:
    """Return whether a name, `manual.tool` or one that hosts see, may be that of a tool of a manual."""
    return name.startswith((f"{manual}.", f"{ascii_tool_name(manual)}_")) or has_server_name(manual, server_name)


def _names_of_equals(keys: list[ToolKey], taken: frozenset[str], server_name: str) -> dict[ToolKey, str]:
    levels = dict.fromkeys(keys, 0)
    while True:
        names = {key: _name(key, _HASH_LENGTHS[level], server_name) for key, level in levels.items()}
        counts = Counter(names.values())
        unfit = {name for name in counts if len(name) > MAX_NAME_LENGTH or name in taken or counts[name] > 1}
        ambiguous = [key for key in keys if names[key] in unfit and levels[key] < len(_HASH_LENGTHS) - 1]
        if not ambiguous:
            return names
        # A tool that is called like the hash of another one takes nothing from it: the lower level gives way.
        lowest: dict[str, int] = {}
        for key in ambiguous:
            lowest[names[key]] = min(levels[key], lowest.get(names[key], levels[key]))
        for key in ambiguous:
            levels[key] += levels[key] == lowest[names[key]]


def _name(key: ToolKey, hash_length: int, server_name: str) -> str:
    manual, tool = key
    name = ascii_tool_name(tool if has_server_name(manual, server_name) else f"{manual}_{tool}")
    if not hash_length:
        return name
    digest = hashlib.sha256(f"{manual}\0{tool}".encode("utf-8", "replace")).hexdigest()[:hash_length]
    return f"{name[: MAX_NAME_LENGTH - hash_length - 1]}_{digest}"


def has_server_name(manual: str, server_name: str) -> bool:
    """Return whether a manual has the name of the server, apart from case and punctuation."""
    return bool(server_name) and _letters(manual) == _letters(server_name)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
