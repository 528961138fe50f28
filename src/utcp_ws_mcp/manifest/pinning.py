"""Detect discovered tools that have changed since they were approved (section 10, `pin`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final, Literal

from ..errors import Problem
from ..records import Record
from .models.base import Json
from .sanitize import ascii_tool_name

MAX_APPROVED_TOOLS: Final = 1024
"""Tools of one manual that are trusted on first use, over all runs: an endpoint may invent names without end."""

PinMode = Literal["tofu", "strict", "off"]
ApprovedDigests = Mapping[str, str]
"""The digest of each approved tool, by the name of the tool."""


class PinCheck(Record):
    """The result of a check of a manual.

    Attributes:
        offered: The tools that may be offered.
        withheld: A problem without a path for each tool that is withheld: the reason.
        trusted: The digests of tools that are trusted on first use, to save.
        new: The offered tools that were added since the manual was first seen.
    """

    offered: frozenset[str]
    withheld: Mapping[str, Problem]
    trusted: ApprovedDigests
    new: frozenset[str] = frozenset()


def tool_digest(tool: Json) -> str:
    """Return the SHA-256 digest of the JSON of a tool, independent of the order of keys."""
    return hashlib.sha256(canonical_json(tool).encode()).hexdigest()


def canonical_json(value: Json) -> str:
    """Return the JSON of a value, independent of the order of keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def check_pins(mode: PinMode, approved: ApprovedDigests, discovered: Mapping[str, str]) -> PinCheck:
    """Compare the tools of a manual with the approved ones.

    A tool whose name looks like that of an approved tool in hosts, because only characters differ that hosts replace,
    is never trusted on first use.

    Args:
        mode: "tofu" trusts a tool on first use, "strict" only approved tools, "off" all tools.
        approved: The digests of the approved tools.
        discovered: The digests of the tools of the manual.
    """
    approved_in_hosts = {ascii_tool_name(name): name for name in approved}
    withheld: dict[str, Problem] = {}
    unseen: dict[str, str] = {}
    for name, digest in discovered.items():
        approved_digest = approved.get(name)
        if mode == "off" or approved_digest == digest:
            continue
        if approved_digest is not None:
            message = "its definition has changed since it was approved."
            withheld[name] = Problem("", message, code="tool-changed")
        elif other := approved_in_hosts.get(ascii_tool_name(name)):
            message = f"hosts show its name like that of {other!r}, which was approved."
            withheld[name] = Problem("", message, code="tool-name-similar")
        elif mode == "strict":
            withheld[name] = Problem("", "it was never approved.", code="tool-not-approved")
        elif len(approved) + len(unseen) >= MAX_APPROVED_TOOLS:
            message = f"{MAX_APPROVED_TOOLS:,} tools of its manual were trusted before, more than any has."
            withheld[name] = Problem("", message, code="too-many-approved")
        else:
            unseen[name] = digest
    new = frozenset(unseen if approved else ())
    return PinCheck(frozenset(discovered) - withheld.keys(), withheld, unseen, new)
