"""Name the place of a problem in the file: what a preset brings stands in the file as its `preset`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..errors import Problem
from ..manifest.entries import ManifestEntry
from ..manifest.inheritance import CALL_TEMPLATE_KEYS, apply_preset
from ..manifest.models.base import Json
from ..manifest.validation import join_path
from ..records import replace

_STEP = re.compile(r"[^.\[\]]+")


class Places:
    """The objects of a manifest in which fields of call templates are written."""

    def __init__(self, document: Json, entries: Iterable[ManifestEntry]) -> None:
        self._owners: dict[str, tuple[str, ...]] = {}
        self._document = document
        for entry in entries:
            self._owners[entry.path] = (entry.path,)
            for tool in entry.tools:
                own = join_path(tool.path, "tool_call_template")
                self._owners[own] = (own, entry.path)

    def relocate(self, problem: Problem) -> Problem:
        """Return the problem; one of a field that only a preset contains stands at the `preset` of the file."""
        fitting = [path for path in self._owners if problem.path.startswith(path)]
        owner = max(fitting, key=len, default=None)
        if owner is None:
            return problem
        field = problem.path[len(owner) :].removeprefix(".")
        key = next(iter(_STEP.findall(field)), "")
        for path in self._owners[owner] if key in CALL_TEMPLATE_KEYS else ():
            written = self._value_at(path)
            if not isinstance(written, dict) or key in written:
                break
            if key == "message" and "request_data_template" in written:
                return replace(problem, path=join_path(path, "request_data_template"))
            if key in apply_preset({"preset": written.get("preset")}):
                message = f"{field} of this preset: {problem.message}"
                return replace(problem, path=join_path(path, "preset"), message=message)
        return problem

    def _value_at(self, path: str) -> Any:
        value = self._document
        for step in _STEP.findall(path):
            try:
                value = value[int(step)] if isinstance(value, list) else value[step]
            except (KeyError, IndexError, TypeError, ValueError):
                return None
        return value
