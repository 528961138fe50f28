"""Collect what is wrong with templates, so that an author reads everything at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from ..errors import BridgeError, Problem
from ..manifest.validation import join


class TemplateProblem(Exception):
    """What makes a tool impossible to call."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


class Problems:
    """The problems below one JSON path."""

    def __init__(self, path: str) -> None:
        self.found: list[Problem] = []
        self._path = path

    def at(self, key: str) -> AbstractContextManager[None, bool]:
        """Note an error of compiling as a problem of this key, and go on."""
        return _Noting(self, key)

    def note(self, key: str, problem: str) -> None:
        """Note a problem of this key."""
        self.found.append(Problem(join(self._path, key), problem))

    def raise_any(self) -> None:
        """Raise what was noted.

        Raises:
            TemplateProblem: if anything was.
        """
        if self.found:
            raise TemplateProblem(self.found)


class _Noting(AbstractContextManager[None, bool]):
    """What `Problems.at` gives; a generator would cost twice as much, and each tool needs two dozen."""

    __slots__ = ("_key", "_problems")

    def __init__(self, problems: Problems, key: str) -> None:
        self._problems = problems
        self._key = key

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, BridgeError):
            return False
        self._problems.note(self._key, str(error))
        return True
