"""The tools that are known now: those that manifests list, those that endpoints have told, and which are withheld."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.tools.catalog import compile_tools, pin_settings
from ..core.tools.tool import CompiledTool
from ..errors import MissingVariable, UnknownTool
from ..manifest.loader import DisabledEntry, ManifestEntry, ResolvedTool
from ..manifest.pinning import check_pins
from ..manifest.remote_manual import read_manual
from ..manifest.validation import closest_match
from .manifest_files import LoadedManifest, check_unique_names
from .pin_store import PinStore


class ToolRepository:
    """The manuals of a bridge. `notice` gets each sentence that an operator should read.

    `withheld` says of each `manual.tool` that is not offered why.

    Raises:
        InvalidManifest: where two call templates have one name.
    """

    def __init__(self, manifests: Sequence[LoadedManifest], pin_store: PinStore, warn: Callable[[str], None]) -> None:
        check_unique_names(manifests)
        self.withheld: dict[str, str] = {}
        self._manifests = manifests
        self._pin_store = pin_store
        self._warn = warn
        self._digests: dict[str, dict[str, str]] = {}
        self._manifest_tools = {name: list(plans) for each in manifests for name, plans in each.tools.items()}
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

    def find(self, name: str) -> CompiledTool:
        """The plan of a tool.

        Raises:
            MissingVariable: where its call template cannot run.
            UnknownTool: if there is no such tool.
        """
        try:
            return self._tools_by_name[name]
        except KeyError:
            for disabled in self.disabled_entries:
                if name.startswith(f"{disabled.name}."):
                    raise MissingVariable(disabled.missing, disabled.name) from None
            raise UnknownTool(name, closest_match(name, self._tools_by_name)) from None

    def replace_manifests(self, manifests: Sequence[LoadedManifest]) -> set[str]:
        """Take these manifests from now on; the names of call templates that are as they were, and keep their manuals.

        Raises:
            InvalidManifest: where two call templates have one name; then everything stays.
        """
        check_unique_names(manifests)
        old = {entry.name: entry for entry in self.entries}
        self._manifests = manifests
        self._manifest_tools = {name: list(plans) for each in manifests for name, plans in each.tools.items()}
        same = {entry.name for entry in self.entries if entry.name in old and entry.is_equivalent(old[entry.name])}
        for name in old.keys() - same:
            self._discovered_tools.pop(name, None)
            self.withheld = {tool: why for tool, why in self.withheld.items() if not tool.startswith(f"{name}.")}
        self._rebuild_index()
        return same

    def save_manual(self, entry: ManifestEntry, manual: Any) -> tuple[int, bool]:
        """A manual arrived: how many tools it brings, and whether that changes the tools.

        Its tools replace the ones found before; those that the manifest lists win.
        """
        tools, notices = read_manual(manual, entry)
        tools = self._filter_approved(entry, tools, notices)
        plans, problems = compile_tools(entry, tools)
        notices += [f"{entry.name}: its manual, {problem}; left out" for problem in problems]
        for notice in notices:
            self._warn(notice)
        listed = {plan.original_name for plan in self._manifest_tools.get(entry.name, ())}
        found = [plan for plan in plans if plan.original_name not in listed]
        changes = found != self._discovered_tools.get(entry.name, [])
        self._discovered_tools[entry.name] = found
        self._rebuild_index()
        return len(plans), changes

    def approve(self, name: str) -> str | None:
        """Take a withheld `manual.tool` in, from the next start on; what went wrong, or None."""
        entry = next(entry for entry in self.entries if name.startswith(f"{entry.name}."))
        tool, (origin, _) = name.removeprefix(f"{entry.name}."), pin_settings(entry)
        pinned = {**self._pin_store.get(entry.name, origin), tool: self._digests[entry.name][tool]}
        return self._pin_store.save(entry.name, origin, pinned)

    def _filter_approved(
        self, entry: ManifestEntry, tools: Sequence[ResolvedTool], notices: list[str]
    ) -> list[ResolvedTool]:
        """The tools that are what they were when they were approved, or are seen for the first time."""
        origin, mode = pin_settings(entry)
        self._digests[entry.name] = {tool.tool.name: tool.digest for tool in tools}
        verdict = check_pins(mode, self._pin_store.get(entry.name, origin), self._digests[entry.name])
        if mode != "off" and (wrong := self._pin_store.save(entry.name, origin, verdict.approved)):
            notices.append(wrong)
        notices += [f"{entry.name}.{name} is new in its manual, and offered" for name in sorted(verdict.new)]
        for name, why in verdict.withheld.items():
            self.withheld[f"{entry.name}.{name}"] = why
            notices.append(f"{entry.name}.{name} is withheld: {why}; `utcp-ws-mcp approve` shows it and takes it in")
        return [tool for tool in tools if tool.tool.name in verdict.offered]

    def _rebuild_index(self) -> None:
        plans = {
            name: [*self._manifest_tools.get(name, ()), *self._discovered_tools.get(name, ())]
            for name in self._entry_names()
        }
        self._tools_by_name = {plan.full_name: plan for listed in plans.values() for plan in listed}

    def _entry_names(self) -> list[str]:
        return [entry.name for entry in self.entries]
