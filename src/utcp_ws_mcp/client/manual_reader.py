"""Read the manuals of endpoints, and compile those of their tools that may be offered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

import anyio

from ..core.tools.catalog import compile_tools_in_steps
from ..core.tools.tool import CompiledTool
from ..manifest.entries import ManifestEntry, ResolvedTool
from ..manifest.manual_outline import outline_manual
from ..manifest.models.base import Json
from ..manifest.remote_manual import read_manual_in_steps, skipped_tool_warning
from ..manifest.steps import Steps
from ..records import MutableRecord, replace
from .approvals import Approvals, ApprovedTools, WithheldTool
from .pin_store import PinStore

MIN_SLICE: Final = 0.005
"""Seconds of work before others are served; a wait costs more than the smallest steps."""

MAX_MANUAL_SECONDS: Final = 1.0
"""Seconds of CPU time to read a manual, and to compile its tools; for 128 ordinary tools a tenth is enough."""


T = TypeVar("T")


class SlicedWork:
    """Work on the event loop, in slices: calls of other endpoints do not wait for it.

    It may take `max_seconds` of CPU time; what is left of it then is skipped.
    """

    def __init__(self, max_seconds: float) -> None:
        self._left = max_seconds

    async def run(self, steps: Steps[T]) -> T:
        """Return the result of work in steps. Others get at least as much time as the work takes."""
        began = time.thread_time()
        try:
            next(steps)
            while True:
                if (used := time.thread_time() - began) >= MIN_SLICE:
                    self._left -= used
                    await anyio.sleep(used)
                    began = time.thread_time()
                steps.send(self._left <= 0)
        except StopIteration as done:
            result: T = done.value
            return result


class Reading(MutableRecord):
    """A manual that was read for an entry, and what was compiled of it for the tools that may be offered."""

    not_in_repr: ClassVar = ("entry", "tools", "warnings", "definitions", "compiled", "skipped")
    entry: ManifestEntry
    digest: str
    tools: Sequence[ResolvedTool]
    warnings: Sequence[str]
    definitions: Mapping[str, Json]
    offered: frozenset[str] = frozenset()
    compiled: Sequence[CompiledTool] = ()
    skipped: Sequence[str] = ()


class ManualReader:
    """Reads manuals; one that did not change is not read again.

    Args:
        pin_store: Stores which tools are approved.
        redact: Removes credentials from the texts of manuals.
    """

    def __init__(self, pin_store: PinStore, redact: Callable[[str], str]) -> None:
        self._approvals = Approvals(pin_store)
        self._redact = redact
        self._readings: dict[str, Reading] = {}

    @property
    def withheld(self) -> Mapping[str, WithheldTool]:
        """The tools that are not offered, by `manual.tool`."""
        return self._approvals.withheld

    def forget(self, manual: str) -> None:
        """Forget a manual and what is withheld of it."""
        self._readings.pop(manual, None)
        self._approvals.forget(manual)

    def last(self, entry: ManifestEntry) -> Reading | None:
        """Return the last reading of an entry."""
        return self._readings.get(entry.name)

    async def read(self, manual: Any, entry: ManifestEntry) -> Reading:
        """Read a manual, unless it is the one that was read last."""
        work = SlicedWork(MAX_MANUAL_SECONDS)
        outline = await work.run(outline_manual(manual, entry))
        known = self._readings.get(entry.name)
        if known is None or known.entry is not entry or known.digest != outline.digest:
            tools, warnings = await work.run(read_manual_in_steps(outline, entry, self._redact))
            definitions = {tool.digest: tool.raw for tool in outline.tools}
            known = self._readings[entry.name] = Reading(entry, outline.digest, tools, warnings, definitions)
        return known

    async def check(self, reading: Reading) -> ApprovedTools:
        """Return the tools that may be offered: unchanged since their approval, or trusted on first use."""
        return await self._approvals.check(reading.entry, reading.tools, reading.definitions)

    async def check_remembered(self, reading: Reading) -> ApprovedTools:
        """Return the tools of a manual of an earlier run that may be offered: those that were approved."""
        return await self._approvals.check_remembered(reading.entry, reading.tools)

    async def compile_tools(self, reading: Reading, approved: ApprovedTools) -> list[CompiledTool]:
        """Return the tools that may be offered, compiled and with their ranks; `reading.skipped` says which are not."""
        ranks = {tool.tool.name: rank for tool, rank in approved.tools}
        offered = frozenset(ranks)
        if reading.offered != offered:
            reading.offered = offered
            work = SlicedWork(MAX_MANUAL_SECONDS)
            tools = [tool for tool, _ in approved.tools]
            reading.compiled, problems = await work.run(compile_tools_in_steps(reading.entry, tools))
            reading.skipped = [skipped_tool_warning(reading.entry.name, problem) for problem in problems]
        return [replace(tool, rank=ranks[tool.original_name]) for tool in reading.compiled]

    async def approve(self, entry: ManifestEntry, name: str, digest: str) -> None:
        """Approve a withheld tool of an entry, as it was shown with a digest.

        Raises:
            ApprovalRefused: If it is not withheld, or has another digest now.
            PinStoreError: If the approval cannot be saved.
        """
        await self._approvals.approve(entry, name, digest)
