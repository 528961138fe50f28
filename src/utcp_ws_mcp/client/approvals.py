"""Decide which tools of a manual from the network may be offered, with what was approved before (`pin`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from ..core.tools.catalog import pin_settings
from ..errors import ApprovalRefused, PinStoreError, Problem
from ..manifest.entries import ManifestEntry, ResolvedTool
from ..manifest.models.base import Json
from ..manifest.pinning import check_pins
from ..records import Record
from .pin_store import ManualPins, PinStore

DIGEST_LENGTH: Final = 32
"""Characters of a digest that `approve` shows and takes: 128 bits, so that no two definitions with the same exist."""

UNPINNED_RANK: Final = 1 << 31
"""The rank of a tool whose approval is not stored: it never changes the name of another one."""


class WithheldTool(Record):
    """A tool that is not offered: why, the digest that approves it, and its definition as the endpoint announced it."""

    not_in_repr: ClassVar = ("definition",)
    reason: str
    digest: str
    definition: Json


class ApprovedTools(Record):
    """The tools of a manual that may be offered, each with its rank (`host_names`), and the warnings about the rest."""

    tools: Sequence[tuple[ResolvedTool, int]]
    warnings: Sequence[str]


class Approvals:
    """What was approved of the manuals of a bridge.

    Attributes:
        withheld: The tools that are withheld, by `manual.tool`.
    """

    def __init__(self, store: PinStore) -> None:
        self.withheld: dict[str, WithheldTool] = {}
        self._store = store

    def forget(self, manual: str) -> None:
        """Forget what is withheld of a manual."""
        self.withheld = {name: tool for name, tool in self.withheld.items() if not name.startswith(f"{manual}.")}

    async def check(
        self, entry: ManifestEntry, tools: Sequence[ResolvedTool], definitions: Mapping[str, Json]
    ) -> ApprovedTools:
        """Return the tools that may be offered: unchanged since their approval, or trusted on first use.

        `definitions` are the tools as the endpoint announced them, by digest.
        """
        origin, mode = pin_settings(entry)
        self.forget(entry.name)
        if mode == "off":
            return ApprovedTools([(tool, UNPINNED_RANK) for tool in tools], ())
        pins = await self._store.get(entry.name, origin)
        digests = {tool.tool.name: tool.digest for tool in tools}
        checked = check_pins(mode if pins.trusts_first_use else "strict", pins.digests, digests)
        warnings = [_damage_warning(entry.name, pins.damage)] if pins.damage is not None else []
        number = UNPINNED_RANK
        if checked.trusted:
            try:
                number = await self._store.trust(entry.name, origin, checked.trusted)
            except PinStoreError as failed:  # the tools work without it; they are new again at the next start
                warnings.append(str(failed))
        for name in sorted(checked.new):
            message = "the tool is new in its manual. It is offered."
            warnings.append(str(Problem(f"{entry.name}.{name}", message, code="tool-added")))
        for name, problem in checked.withheld.items():
            full_name, digest = f"{entry.name}.{name}", digests[name]
            self.withheld[full_name] = WithheldTool(problem.message, digest, definitions.get(digest))
            message = f"withheld: {problem.message} Review it with `utcp-ws-mcp approve`."
            warnings.append(str(Problem(full_name, message, code=problem.code)))
        return ApprovedTools(_ranked(tools, checked.offered, pins, number), warnings)

    async def check_remembered(self, entry: ManifestEntry, tools: Sequence[ResolvedTool]) -> ApprovedTools:
        """Return the tools of a manual of an earlier run that may be offered: those that were approved."""
        origin, mode = pin_settings(entry)
        if mode == "off":
            return ApprovedTools([(tool, UNPINNED_RANK) for tool in tools], ())
        pins = await self._store.get(entry.name, origin)
        digests = {tool.tool.name: tool.digest for tool in tools}
        return ApprovedTools(_ranked(tools, check_pins("strict", pins.digests, digests).offered, pins, 0), ())

    async def approve(self, entry: ManifestEntry, name: str, digest: str) -> None:
        """Approve a withheld tool of an entry, as it was shown with a digest. It is offered from the next start on.

        Raises:
            ApprovalRefused: If it is not withheld, or has another digest now.
            PinStoreError: If the approval cannot be saved.
        """
        full_name = f"{entry.name}.{name}"
        tool = self.withheld.get(full_name)
        if tool is None:
            raise ApprovalRefused(full_name, "it is not withheld")
        if len(digest) < DIGEST_LENGTH or not tool.digest.startswith(digest):
            raise ApprovalRefused(full_name, f"its definition has the digest {tool.digest[:DIGEST_LENGTH]} now")
        origin, _ = pin_settings(entry)
        await self._store.approve(entry.name, origin, {name: tool.digest})


def _ranked(
    tools: Sequence[ResolvedTool], offered: frozenset[str], pins: ManualPins, number: int
) -> list[tuple[ResolvedTool, int]]:
    known = {name: approval.number for name, approval in pins.approved.items()}
    return [(tool, known.get(tool.tool.name, number)) for tool in tools if tool.tool.name in offered]


def _damage_warning(manual: str, damage: str) -> str:
    message = (
        f"the file of approved tools cannot be read, so that tools are withheld which you approved before: {damage}. "
        "Restore it, or approve the tools again: that keeps the file under another name."
    )
    return str(Problem(manual, message, code="pins-not-readable"))
