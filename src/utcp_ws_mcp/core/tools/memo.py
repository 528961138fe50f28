"""Compile once what several places of a manifest write in the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic_core import to_json

from ...manifest.models.base import Json
from ..diagnostics import Diagnostics

T = TypeVar("T")


class Memo(Generic[T]):
    """What parts of a document were compiled into, by the JSON of each part."""

    def __init__(self) -> None:
        self._compiled: dict[bytes, T] = {}

    def get(self, part: Json, compile_part: Callable[[Diagnostics], T], diagnostics: Diagnostics) -> T:
        """Return what an equal part was compiled into; else compile it.

        What is wrong with the part is added to `diagnostics`. It is not shared, so that each place is reported.
        """
        try:
            key = to_json(part)
        except ValueError:  # a lone surrogate
            return compile_part(diagnostics)
        if key in self._compiled:
            return self._compiled[key]
        problem_count = len(diagnostics.problems)
        compiled = compile_part(diagnostics)
        if len(diagnostics.problems) == problem_count:
            self._compiled[key] = compiled
        return compiled
