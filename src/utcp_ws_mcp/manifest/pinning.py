"""Notice when a discovered tool is no longer what it was (manifest language, section 10, `pin`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .models.base import Json
from .sanitize import visible_name

Mode = Literal["tofu", "strict", "off"]
Pinned = Mapping[str, str]
"""The digest of each approved tool, by its name."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which tools of a manual are offered, which are withheld and why, and what is to be remembered.

    `new` are those of the offered ones that came after the manual was first seen.
    """

    offered: frozenset[str]
    withheld: Mapping[str, str]
    pinned: Pinned
    new: frozenset[str] = frozenset()


def digest(tool: Json) -> str:
    """A digest of a tool's definition: of its JSON, whatever the order of keys."""
    canonical = json.dumps(tool, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def judge(mode: Mode, pinned: Pinned, found: Mapping[str, str]) -> Verdict:
    """Compare the tools that were found with those that are pinned.

    "tofu" trusts a tool when it is first seen; "strict" only what was approved; "off" everything. A tool that hosts
    would take for an approved one, because only characters differ that they do not accept, is none.
    """
    visible = {visible_name(name): name for name in pinned}
    withheld: dict[str, str] = {}
    unseen: dict[str, str] = {}
    for name, seen in found.items():
        known = pinned.get(name)
        if mode == "off" or known == seen:
            continue
        if known is not None:
            withheld[name] = "its definition has changed since it was approved"
        elif other := visible.get(visible_name(name)):
            withheld[name] = f"hosts would take it for {other}, which was approved"
        elif mode == "strict":
            withheld[name] = "it was never approved"
        else:
            unseen[name] = seen
    new = frozenset(unseen if pinned else ())
    return Verdict(frozenset(found) - withheld.keys(), withheld, {**pinned, **unseen}, new)
