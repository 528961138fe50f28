"""The tools that are known now: those that manifests list, those that endpoints announced, and the withheld ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..core.tools.catalog import compile_tools_in_steps
from ..core.tools.mcp_names import host_names, may_belong
from ..core.tools.tool import CompiledTool
from ..errors import ApprovalRefused, BridgeError, Problem, UnknownTool
from ..manifest.bound_variables import DisabledEntry
from ..manifest.loader import ManifestEntry, ResolvedTool
from ..manifest.manual_outline import outline_manual
from ..manifest.models.base import Json
from ..manifest.remote_manual import read_manual_in_steps, skipped_tool_warning
from ..manifest.sanitize import ascii_tool_name
from ..manifest.validation import closest_match
from .approvals import Approvals, ApprovedTools, WithheldTool
from .manifest_files import LoadedManifest, check_unique_names
from .pin_store import PinStore
from .sliced_work import SlicedWork

MAX_WARNINGS: Final = 20
"""Warnings about one manual that are reported."""

MAX_MANUAL_SECONDS: Final = 1.0
"""Seconds of CPU time to read a manual, and to compile its tools; for 128 ordinary tools a tenth is enough."""


@dataclass(frozen=True, slots=True)
class SavedManual:
    """What saving a manual did.

    Attributes:
        count: The number of tools in the manual that can be called.
        changed: Whether the tools of the repository changed.
        is_known: Whether it is the manual that was read last.
    """

    count: int
    changed: bool
    is_known: bool


@dataclass(slots=True)
class _Reading:
    """A manual that was read for an entry, and what was compiled of it for the tools that may be offered."""

    entry: ManifestEntry = field(repr=False)
    digest: str
    tools: Sequence[ResolvedTool] = field(repr=False)
    warnings: Sequence[str] = field(repr=False)
    definitions: Mapping[str, Json] = field(repr=False)
    offered: frozenset[str] = frozenset()
    compiled: tuple[list[CompiledTool], list[Problem]] | None = field(default=None, repr=False)


class ToolRepository:
    """The tools of a bridge by `manual.tool`.

    Args:
        manifests: The loaded manifests.
        pin_store: Stores which discovered tools are approved.
        warn: Called with each text that an operator should read.
        redact: Removes credentials from the texts of manuals.

    Raises:
        InvalidManifest: If two call templates have the same name.
    """

    def __init__(
        self,
        manifests: Sequence[LoadedManifest],
        pin_store: PinStore,
        warn: Callable[[str], None],
        redact: Callable[[str], str] = str,
    ) -> None:
        check_unique_names(manifests)
        self._manifests = manifests
        self._approvals = Approvals(pin_store)
        self._warn = warn
        self._redact = redact
        self._readings: dict[str, _Reading] = {}
        self._reported: dict[str, frozenset[str]] = {}
        self._listed_tools = _listed_tools(manifests)
        self._discovered_tools: dict[str, list[CompiledTool]] = {}
        self._tools_by_name: dict[str, CompiledTool] = {}
        self._rebuild_index()

    @property
    def entries(self) -> list[ManifestEntry]:
        """The call templates that run."""
        return [entry for each in self._manifests for entry in each.manifest.entries]

    @property
    def disabled_entries(self) -> list[DisabledEntry]:
        """The call templates that cannot run, because variables are missing."""
        return [entry for each in self._manifests for entry in each.manifest.disabled]

    @property
    def withheld(self) -> Mapping[str, WithheldTool]:
        """The tools that are not offered, by `manual.tool`."""
        return self._approvals.withheld

    @property
    def tools(self) -> Mapping[str, CompiledTool]:
        """The tools by `manual.tool`, in the order of the manifests."""
        return self._tools_by_name

    def find(self, name: str) -> CompiledTool | None:
        """Return the tool `manual.tool`, or the one that hosts see under a name; None if there is none."""
        return self._tools_by_name.get(name) or self._tools_by_name.get(self._host_names().get(name, ""))

    def unknown_tool(
        self, name: str, failures: Mapping[str, BridgeError], server_name: str | None = None
    ) -> BridgeError:
        """Return the error for a name that no tool has, with the nearest one in the form that the caller uses.

        Args:
            name: The name.
            failures: Why manuals could not be fetched, by the name of the call template.
            server_name: The name of this server in the host (`host_names`); None if no host calls.
        """
        for disabled in self.disabled_entries:
            if may_belong(name, disabled.name, server_name or ""):
                return disabled.error()
        for withheld, tool in self.withheld.items():
            if name in (withheld, ascii_tool_name(withheld)):
                return UnknownTool(name, reason=f"it is withheld: {tool.reason}")
        for manual, failed in failures.items():
            if may_belong(name, manual, server_name or ""):
                return UnknownTool(name, reason=f"the tools of {manual!r} are not known: {failed.message}")
        return UnknownTool(name, self._nearest(name, for_host=server_name is not None))

    def _nearest(self, name: str, *, for_host: bool) -> str | None:
        """Return the name that is meant, as the caller writes names. Any form finds it, also one without the manual."""
        shown = {full: host for host, full in self._host_names().items()}
        forms: dict[str, str] = {}
        for full, tool in self._tools_by_name.items():
            answer = shown[full] if for_host else full
            forms |= {tool.name: answer, shown[full]: answer, full: answer}
        found = closest_match(name, forms)
        return forms[found] if found else None

    def _host_names(self) -> dict[str, str]:
        """Return each `manual.tool` by the name that hosts see."""
        names = host_names({(tool.manual, tool.name): tool.rank for tool in self._tools_by_name.values()})
        return {shown: ".".join(key) for key, shown in names.items()}

    def replace_manifests(self, manifests: Sequence[LoadedManifest]) -> set[str]:
        """Use these manifests from now on.

        Returns:
            The names of the call templates that did not change. They keep their discovered tools.

        Raises:
            InvalidManifest: If two call templates have the same name; then nothing changes.
        """
        check_unique_names(manifests)
        before = {entry.name: entry for entry in self.entries}
        self._manifests = manifests
        self._listed_tools = _listed_tools(manifests)
        unchanged = {
            entry.name for entry in self.entries if entry.name in before and entry.is_equivalent(before[entry.name])
        }
        for name in before.keys() - unchanged:
            self._discovered_tools.pop(name, None)
            self._reported.pop(name, None)
            self._readings.pop(name, None)
            self._approvals.forget(name)
        self._rebuild_index()
        return unchanged

    async def save_manual(self, entry: ManifestEntry, manual: Any) -> SavedManual:
        """Replace the discovered tools of an entry by those of a manual; tools that the manifest lists win.

        A manual that did not change is not read again.

        Args:
            entry: The entry that requested the manual.
            manual: The JSON value that the endpoint announced.
        """
        known = self._readings.get(entry.name)
        reading = await self._read(manual, entry)
        approved = await self._approvals.check(entry, reading.tools, reading.definitions)
        count, changed = await self._offer(entry, reading, approved, reading.warnings)
        return SavedManual(count, changed, is_known=reading is known)

    async def _read(self, manual: Any, entry: ManifestEntry) -> _Reading:
        """Read a manual, unless it is the one that was read last."""
        work = SlicedWork(MAX_MANUAL_SECONDS)
        outline = await work.run(outline_manual(manual, entry))
        known = self._readings.get(entry.name)
        if known is None or known.entry is not entry or known.digest != outline.digest:
            tools, warnings = await work.run(read_manual_in_steps(outline, entry, self._redact))
            definitions = {tool.digest: tool.raw for tool in outline.tools}
            known = self._readings[entry.name] = _Reading(entry, outline.digest, tools, warnings, definitions)
        return known

    async def offer_remembered(self, entry: ManifestEntry, manual: Any) -> bool:
        """Offer the approved tools of a manual of an earlier run, until the endpoint has announced its own.

        Returns:
            Whether the tools of the repository changed.
        """
        reading = await self._read(manual, entry)
        approved = await self._approvals.check_remembered(entry, reading.tools)
        if entry.name in self._discovered_tools or entry not in self.entries:
            return False  # the endpoint, or a reload, was faster
        return (await self._offer(entry, reading, approved, None))[1]

    async def _offer(
        self,
        entry: ManifestEntry,
        reading: _Reading,
        approved: ApprovedTools,
        warnings: Sequence[str] | None,
    ) -> tuple[int, bool]:
        """Offer tools of an entry, and report the warnings about them; None for none."""
        ranks = {tool.tool.name: rank for tool, rank in approved.tools}
        offered = frozenset(ranks)
        if reading.compiled is None or reading.offered != offered:
            reading.offered = offered
            work = SlicedWork(MAX_MANUAL_SECONDS)
            reading.compiled = await work.run(compile_tools_in_steps(entry, [tool for tool, _ in approved.tools]))
        compiled, problems = reading.compiled
        if warnings is not None:
            skipped = [skipped_tool_warning(entry.name, problem) for problem in problems]
            self._report(entry.name, [*warnings, *approved.warnings, *skipped])
        listed = {tool.original_name for tool in self._listed_tools.get(entry.name, ())}
        discovered = [
            replace(tool, rank=ranks[tool.original_name]) for tool in compiled if tool.original_name not in listed
        ]
        before = self._discovered_tools.get(entry.name, [])
        self._discovered_tools[entry.name] = discovered
        self._rebuild_index()
        return len(compiled), list(map(_shown_form, discovered)) != list(map(_shown_form, before))

    def _report(self, manual: str, warnings: Sequence[str]) -> None:
        """Report the warnings about a manual that the last one of its endpoint did not cause."""
        known = self._reported.get(manual, frozenset())
        self._reported[manual] = frozenset(warnings)
        fresh = [warning for warning in warnings if warning not in known]
        for warning in fresh[:MAX_WARNINGS]:
            self._warn(warning)
        if len(fresh) > MAX_WARNINGS:
            message = f"{len(fresh) - MAX_WARNINGS} more warnings about the manual are not shown."
            self._warn(str(Problem(manual, message, code="warnings-omitted")))

    async def approve(self, name: str, digest: str) -> None:
        """Approve a withheld `manual.tool`, as it was shown with a digest. It is offered from the next start on.

        Raises:
            ApprovalRefused: If it is not withheld, or has another digest now.
            PinStoreError: If the approval cannot be saved.
        """
        entry = next((entry for entry in self.entries if name.startswith(f"{entry.name}.")), None)
        if entry is None:
            raise ApprovalRefused(name, "no call template of the manifest has this name")
        await self._approvals.approve(entry, name.removeprefix(f"{entry.name}."), digest)

    def _rebuild_index(self) -> None:
        self._tools_by_name = {
            tool.full_name: tool
            for entry in self.entries
            for tools in (self._listed_tools, self._discovered_tools)
            for tool in tools.get(entry.name, ())
        }


def _listed_tools(manifests: Sequence[LoadedManifest]) -> dict[str, list[CompiledTool]]:
    return {name: list(tools) for each in manifests for name, tools in each.tools.items()}


def _shown_form(tool: CompiledTool) -> tuple[Any, ...]:
    """Return what hosts see of a tool, and what its calls depend on."""
    return (
        *(tool.full_name, tool.description, tool.inputs, tool.outputs, tool.tags, tool.annotations, tool.rank),
        *(tool.idempotent, tool.template, tool.defaults, tool.hidden),
    )
