"""Notice when a discovered tool is no longer what it was (manifest language, section 10, `pin`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .models.base import Json
from .sanitize import ascii_tool_name

PinMode = Literal["tofu", "strict", "off"]
ApprovedDigests = Mapping[str, str]
"""The digest of each approved tool, by its name."""


@dataclass(frozen=True, slots=True)
class PinCheck:
    """Which tools of a manual are offered, which are withheld and why, and what is to be remembered.

    `new` are those of the offered ones that came after the manual was first seen.
    """

    offered: frozenset[str]
    withheld: Mapping[str, str]
    approved: ApprovedDigests
    new: frozenset[str] = frozenset()


def tool_digest(tool: Json) -> str:
    """A digest of a tool's definition: of its JSON, whatever the order of keys."""
    canonical = json.dumps(tool, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def check_pins(mode: PinMode, approved: ApprovedDigests, discovered: Mapping[str, str]) -> PinCheck:
    """Compare the tools that were found with those that are pinned.

    "tofu" trusts a tool when it is first seen; "strict" only what was approved; "off" everything. A tool that hosts
    would take for an approved one, because only characters differ that they do not accept, is none.
    """
    visible = {ascii_tool_name(name): name for name in approved}
    withheld: dict[str, str] = {}
    unseen: dict[str, str] = {}
    for name, seen in discovered.items():
        known = approved.get(name)
        if mode == "off" or known == seen:
            continue
        if known is not None:
            withheld[name] = "its definition has changed since it was approved"
        elif other := visible.get(ascii_tool_name(name)):
            withheld[name] = f"hosts would take it for {other}, which was approved"
        elif mode == "strict":
            withheld[name] = "it was never approved"
        else:
            unseen[name] = seen
    new = frozenset(unseen if approved else ())
    return PinCheck(frozenset(discovered) - withheld.keys(), withheld, {**approved, **unseen}, new)
