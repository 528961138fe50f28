"""The tools that are known now: those that manifests list, those that endpoints announced, and the withheld ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..core.tools.mcp_names import host_names, may_belong
from ..core.tools.tool import CompiledTool
from ..errors import ApprovalRefused, BridgeError, Problem, UnknownTool
from ..manifest.entries import DisabledEntry, ManifestEntry
from ..manifest.sanitize import ascii_tool_name
from ..manifest.validation import closest_match
from ..records import Record
from .manifest_files import LoadedManifest, check_unique_names

if TYPE_CHECKING:
    from .approvals import ApprovedTools, WithheldTool
    from .manual_reader import ManualReader, Reading
    from .pin_store import PinStore

MAX_WARNINGS: Final = 20
"""Warnings about one manual that are reported."""


class SavedManual(Record):
    """What saving a manual did.

    Attributes:
        count: The number of tools in the manual that can be called.
        changed: Whether the tools of the repository changed.
        is_known: Whether it is the manual that was read last.
    """

    count: int
    changed: bool
    is_known: bool


class ToolRepository:
    """The tools of a bridge by `manual.tool`.

    `awaiting_callers` are the call templates that need values of a caller: their tools are known, and not called.

    Args:
        manifests: The loaded manifests.
        pin_store: Stores which discovered tools are approved; None: in the state folder of the user.
        warn: Called with each text that an operator should read.
        redact: Removes credentials from the texts of manuals.

    Raises:
        InvalidManifest: If two call templates have the same name.
    """

    def __init__(
        self,
        manifests: Sequence[LoadedManifest],
        pin_store: PinStore | None,
        warn: Callable[[str], None],
        redact: Callable[[str], str] = str,
    ) -> None:
        check_unique_names(manifests)
        self._manifests = manifests
        self._pin_store = pin_store
        self._warn = warn
        self._redact = redact
        self._manual_reader: ManualReader | None = None
        self._reported: dict[str, frozenset[str]] = {}
        self._listed_tools = _listed_tools(manifests)
        self._discovered_tools: dict[str, list[CompiledTool]] = {}
        self._tools_by_name: dict[str, CompiledTool] = {}
        self.awaiting_callers: frozenset[str] = frozenset()
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
    def manifests(self) -> Sequence[LoadedManifest]:
        """The loaded manifests."""
        return self._manifests

    @property
    def withheld(self) -> Mapping[str, WithheldTool]:
        """The tools that are not offered, by `manual.tool`."""
        return self._manual_reader.withheld if self._manual_reader is not None else {}

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
            if self._manual_reader is not None:
                self._manual_reader.forget(name)
        self._rebuild_index()
        return unchanged

    async def save_manual(self, entry: ManifestEntry, manual: Any) -> SavedManual:
        """Replace the discovered tools of an entry by those of a manual; tools that the manifest lists win.

        A manual that did not change is not read again.

        Args:
            entry: The entry that requested the manual.
            manual: The JSON value that the endpoint announced.
        """
        reader = self._get_manual_reader()
        known = reader.last(entry)
        reading = await reader.read(manual, entry)
        approved = await reader.check(reading)
        count, changed = await self._offer(reading, approved, report=True)
        return SavedManual(count, changed, is_known=reading is known)

    async def offer_remembered(self, entry: ManifestEntry, manual: Any) -> bool:
        """Offer the approved tools of a manual of an earlier run, until the endpoint has announced its own.

        Returns:
            Whether the tools of the repository changed.
        """
        reader = self._get_manual_reader()
        reading = await reader.read(manual, entry)
        approved = await reader.check_remembered(reading)
        if entry.name in self._discovered_tools or entry not in self.entries:
            return False  # the endpoint, or a reload, was faster
        return (await self._offer(reading, approved, report=False))[1]

    async def _offer(self, reading: Reading, approved: ApprovedTools, *, report: bool) -> tuple[int, bool]:
        """Offer tools of a manual; return how many it has, and whether the tools of the repository changed."""
        entry = reading.entry
        compiled = await self._get_manual_reader().compile_tools(reading, approved)
        if report:
            self._report(entry.name, [*reading.warnings, *approved.warnings, *reading.skipped])
        listed = {tool.original_name for tool in self._listed_tools.get(entry.name, ())}
        discovered = [tool for tool in compiled if tool.original_name not in listed]
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
        await self._get_manual_reader().approve(entry, name.removeprefix(f"{entry.name}."), digest)

    def _get_manual_reader(self) -> ManualReader:
        if self._manual_reader is None:
            # Imported when an endpoint announces its manual: the first answer to a host does not wait for this.
            from .manual_reader import ManualReader
            from .pin_store import PinStore

            store = PinStore.default() if self._pin_store is None else self._pin_store
            self._manual_reader = ManualReader(store, self._redact)
        return self._manual_reader

    def _rebuild_index(self) -> None:
        self.awaiting_callers = frozenset(entry.name for entry in self.entries if entry.awaits_caller)
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
