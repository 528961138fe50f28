"""Notice when a discovered tool is no longer what it was (manifest language, section 10, `pin`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .models import Json

Mode = Literal["tofu", "strict", "off"]
Pinned = Mapping[str, str]
"""The digest of each approved tool, by its name."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which tools of a manual are offered, which are withheld and why, and what is to be remembered."""

    offered: frozenset[str]
    withheld: Mapping[str, str]
    pinned: Pinned


def digest(tool: Json) -> str:
    """A digest of a tool's definition: of its JSON, whatever the order of keys."""
    canonical = json.dumps(tool, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def judge(mode: Mode, pinned: Pinned, found: Mapping[str, str]) -> Verdict:
    """Compare the tools that were found with those that are pinned.

    "tofu" trusts a tool when it is first seen; "strict" only what was approved; "off" everything.
    """
    withheld: dict[str, str] = {}
    remembered = dict(pinned)
    for name, seen in found.items():
        known = pinned.get(name)
        if mode == "off" or known == seen:
            continue
        if known is not None:
            withheld[name] = "its definition has changed since it was approved"
        elif mode == "strict":
            withheld[name] = "it was never approved"
        else:
            remembered[name] = seen
    return Verdict(frozenset(found) - withheld.keys(), withheld, remembered)
