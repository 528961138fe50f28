"""The tools that are known now: those that manifests list, those that endpoints have told, and which are withheld."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.tools.catalog import compile_tools, pinned_origin
from ..core.tools.tool import Plan
from ..errors import UnknownTool, UnknownVariable
from ..manifest.loader import Entry, ToolEntry
from ..manifest.pinning import judge
from ..manifest.remote_manual import read_manual
from ..manifest.shapes import Disabled
from ..manifest.validation import nearest
from .manifest_files import Loaded, check_unique
from .pin_store import Pins


class Manuals:
    """The manuals of a bridge. `notice` gets each sentence that an operator should read.

    `withheld` says of each `manual.tool` that is not offered why.

    Raises:
        InvalidManifest: where two call templates have one name.
    """

    def __init__(self, loaded: Sequence[Loaded], pins: Pins, notice: Callable[[str], None]) -> None:
        check_unique(loaded)
        self.withheld: dict[str, str] = {}
        self._loaded = loaded
        self._pins = pins
        self._notice = notice
        self._digests: dict[str, dict[str, str]] = {}
        self._listed = {name: list(plans) for each in loaded for name, plans in each.plans.items()}
        self._found: dict[str, list[Plan]] = {}
        self._by_name: dict[str, Plan] = {}
        self._index()

    @property
    def entries(self) -> list[Entry]:
        """The call templates that run."""
        return [entry for each in self._loaded for entry in each.manifest.entries]

    @property
    def disabled(self) -> list[Disabled]:
        """The call templates that cannot run, because variables are missing."""
        return [entry for each in self._loaded for entry in each.manifest.disabled]

    @property
    def tools(self) -> Mapping[str, Plan]:
        """The tools by `manual.tool`, in the order of the manifests."""
        return self._by_name

    def find(self, name: str) -> Plan:
        """The plan of a tool.

        Raises:
            UnknownVariable: where its call template cannot run.
            UnknownTool: if there is no such tool.
        """
        try:
            return self._by_name[name]
        except KeyError:
            for disabled in self.disabled:
                if name.startswith(f"{disabled.name}."):
                    raise UnknownVariable(disabled.missing, disabled.name) from None
            raise UnknownTool(name, nearest(name, self._by_name)) from None

    def replace(self, loaded: Sequence[Loaded]) -> set[str]:
        """Take these manifests from now on; the names of call templates that are as they were, and keep their manuals.

        Raises:
            InvalidManifest: where two call templates have one name; then everything stays.
        """
        check_unique(loaded)
        old = {entry.name: entry for entry in self.entries}
        self._loaded = loaded
        self._listed = {name: list(plans) for each in loaded for name, plans in each.plans.items()}
        same = {entry.name for entry in self.entries if entry.name in old and entry.is_like(old[entry.name])}
        for name in old.keys() - same:
            self._found.pop(name, None)
            self.withheld = {tool: why for tool, why in self.withheld.items() if not tool.startswith(f"{name}.")}
        self._index()
        return same

    def take(self, entry: Entry, manual: Any) -> tuple[int, bool]:
        """A manual arrived: how many tools it brings, and whether that changes the tools.

        Its tools replace the ones found before; those that the manifest lists win.
        """
        tools, notices = read_manual(manual, entry)
        tools = self._approved(entry, tools, notices)
        plans, problems = compile_tools(entry, tools)
        notices += [f"{entry.name}: its manual, {problem}; left out" for problem in problems]
        for notice in notices:
            self._notice(notice)
        listed = {plan.tool for plan in self._listed.get(entry.name, ())}
        found = [plan for plan in plans if plan.tool not in listed]
        changes = found != self._found.get(entry.name, [])
        self._found[entry.name] = found
        self._index()
        return len(plans), changes

    def approve(self, name: str) -> str | None:
        """Take a withheld `manual.tool` in, from the next start on; what went wrong, or None."""
        entry = next(entry for entry in self.entries if name.startswith(f"{entry.name}."))
        tool, (origin, _) = name.removeprefix(f"{entry.name}."), pinned_origin(entry)
        pinned = {**self._pins.of(entry.name, origin), tool: self._digests[entry.name][tool]}
        return self._pins.keep(entry.name, origin, pinned)

    def _approved(self, entry: Entry, tools: Sequence[ToolEntry], notices: list[str]) -> list[ToolEntry]:
        """The tools that are what they were when they were approved, or are seen for the first time."""
        origin, mode = pinned_origin(entry)
        self._digests[entry.name] = {tool.tool.name: tool.digest for tool in tools}
        verdict = judge(mode, self._pins.of(entry.name, origin), self._digests[entry.name])
        if mode != "off" and (wrong := self._pins.keep(entry.name, origin, verdict.pinned)):
            notices.append(wrong)
        notices += [f"{entry.name}.{name} is new in its manual, and offered" for name in sorted(verdict.new)]
        for name, why in verdict.withheld.items():
            self.withheld[f"{entry.name}.{name}"] = why
            notices.append(f"{entry.name}.{name} is withheld: {why}; `utcp-ws-mcp approve` shows it and takes it in")
        return [tool for tool in tools if tool.tool.name in verdict.offered]

    def _index(self) -> None:
        plans = {name: [*self._listed.get(name, ()), *self._found.get(name, ())] for name in self._names()}
        self._by_name = {plan.full_name: plan for listed in plans.values() for plan in listed}

    def _names(self) -> list[str]:
        return [entry.name for entry in self.entries]
