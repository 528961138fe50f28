"""The tools that are known now: those that manifests list, those that endpoints announced, and the withheld ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core.tools.catalog import compile_tools, pin_settings
from ..core.tools.host_names import host_names, may_belong
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, MissingVariable, PinStoreError, Problem, UnknownTool
from ..manifest.loader import DisabledEntry, ManifestEntry, ResolvedTool
from ..manifest.pinning import check_pins
from ..manifest.remote_manual import read_manual, skipped_tool_warning
from ..manifest.sanitize import ascii_tool_name
from ..manifest.validation import closest_match
from .manifest_files import LoadedManifest, check_unique_names
from .pin_store import PinStore


class ToolRepository:
    """The tools of a bridge by `manual.tool`.

    Args:
        manifests: The loaded manifests.
        pin_store: Stores which discovered tools are approved.
        warn: Called with each text that an operator should read.

    Attributes:
        withheld: The reason for each `manual.tool` that is withheld.

    Raises:
        InvalidManifest: If two call templates have the same name.
    """

    def __init__(self, manifests: Sequence[LoadedManifest], pin_store: PinStore, warn: Callable[[str], None]) -> None:
        check_unique_names(manifests)
        self.withheld: dict[str, str] = {}
        self._manifests = manifests
        self._pin_store = pin_store
        self._warn = warn
        self._digests: dict[str, dict[str, str]] = {}
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
    def tools(self) -> Mapping[str, CompiledTool]:
        """The tools by `manual.tool`, in the order of the manifests."""
        return self._tools_by_name

    def find(self, name: str) -> CompiledTool | None:
        """Return the tool `manual.tool`, or the one that hosts see under a name; None if there is none."""
        return self._tools_by_name.get(name) or self._tools_by_name.get(self._host_names().get(name, ""))

    def unknown_tool(self, name: str, failures: Mapping[str, BridgeError], server_name: str = "") -> BridgeError:
        """Return the error for a name that no tool has.

        Args:
            name: The name.
            failures: Why manuals could not be fetched, by the name of the call template.
            server_name: The name of this server in the host (`host_names`).
        """
        for disabled in self.disabled_entries:
            if may_belong(name, disabled.name, server_name):
                return MissingVariable(disabled.missing, disabled.name)
        for withheld, reason in self.withheld.items():
            if name in (withheld, ascii_tool_name(withheld)):
                return UnknownTool(name, reason=f"it is withheld: {reason}")
        for manual, failed in failures.items():
            if may_belong(name, manual, server_name):
                return UnknownTool(name, reason=f"the tools of {manual!r} are not known: {failed.message}")
        return UnknownTool(name, closest_match(name, [*self._tools_by_name, *self._host_names()]))

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
            self.withheld = {tool: why for tool, why in self.withheld.items() if not tool.startswith(f"{name}.")}
        self._rebuild_index()
        return unchanged

    def save_manual(self, entry: ManifestEntry, manual: Any) -> tuple[int, bool]:
        """Replace the discovered tools of an entry by those of a manual; tools that the manifest lists win.

        Args:
            entry: The entry that requested the manual.
            manual: The JSON value that the endpoint announced.

        Returns:
            The number of tools in the manual that can be called, and whether the tools of the repository changed.
        """
        tools, warnings = read_manual(manual, entry)
        approved = self._filter_approved(entry, tools, warnings)
        compiled, problems = compile_tools(entry, approved)
        warnings += [skipped_tool_warning(entry.name, problem) for problem in problems]
        for warning in warnings:
            self._warn(warning)
        listed = {tool.original_name for tool in self._listed_tools.get(entry.name, ())}
        discovered = [replace(tool, rank=1) for tool in compiled if tool.original_name not in listed]
        changed = discovered != self._discovered_tools.get(entry.name, [])
        self._discovered_tools[entry.name] = discovered
        self._rebuild_index()
        return len(compiled), changed

    def approve(self, name: str) -> None:
        """Approve a withheld `manual.tool`. It is offered from the next start on.

        Raises:
            PinStoreError: If the approval cannot be saved.
        """
        entry = next(entry for entry in self.entries if name.startswith(f"{entry.name}."))
        tool, (origin, _) = name.removeprefix(f"{entry.name}."), pin_settings(entry)
        approved = {**self._pin_store.get(entry.name, origin), tool: self._digests[entry.name][tool]}
        self._pin_store.save(entry.name, origin, approved)

    def _filter_approved(
        self, entry: ManifestEntry, tools: Sequence[ResolvedTool], warnings: list[str]
    ) -> list[ResolvedTool]:
        """Return the tools that may be offered: unchanged since their approval, or trusted on first use."""
        origin, mode = pin_settings(entry)
        self._digests[entry.name] = {tool.tool.name: tool.digest for tool in tools}
        checked = check_pins(mode, self._pin_store.get(entry.name, origin), self._digests[entry.name])
        if mode != "off":
            try:
                self._pin_store.save(entry.name, origin, checked.approved)
            except PinStoreError as failed:  # the tools work without it; they are new again at the next start
                warnings.append(str(failed))
        for name in sorted(checked.new):
            message = "the tool is new in its manual. It is offered."
            warnings.append(str(Problem(f"{entry.name}.{name}", message, code="tool-added")))
        for name, problem in checked.withheld.items():
            full_name = f"{entry.name}.{name}"
            self.withheld[full_name] = problem.message
            message = f"withheld: {problem.message} Review it with `utcp-ws-mcp approve`."
            warnings.append(str(Problem(full_name, message, code=problem.code)))
        return [tool for tool in tools if tool.tool.name in checked.offered]

    def _rebuild_index(self) -> None:
        self._tools_by_name = {
            tool.full_name: tool
            for entry in self.entries
            for tools in (self._listed_tools, self._discovered_tools)
            for tool in tools.get(entry.name, ())
        }


def _listed_tools(manifests: Sequence[LoadedManifest]) -> dict[str, list[CompiledTool]]:
    return {name: list(tools) for each in manifests for name, tools in each.tools.items()}
