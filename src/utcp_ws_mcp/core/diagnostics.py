"""Collect the problems of templates, so that an author gets all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from ..errors import BridgeError, Problem
from ..manifest.validation import join_path


class CompileError(Exception):
    """Everything that makes a tool impossible to call."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


class Diagnostics:
    """Collects the problems below one JSON path."""

    def __init__(self, path: str) -> None:
        self.problems: list[Problem] = []
        self._path = path

    def collect(self, key: str) -> AbstractContextManager[None, bool]:
        """Return a context that adds a BridgeError raised in it as a problem of this key, and continues."""
        return _Collector(self, key)

    def add(self, key: str, message: str) -> None:
        """Add a problem of this key."""
        self.problems.append(Problem(join_path(self._path, key), message))

    def raise_if_any(self) -> None:
        """Raise the collected problems.

        Raises:
            CompileError: if there are any.
        """
        if self.problems:
            raise CompileError(self.problems)


class _Collector(AbstractContextManager[None, bool]):
    """The context of `Diagnostics.collect`. A class, because `contextlib.contextmanager` takes twice the time, and each
    tool needs two dozen of them.
    """

    __slots__ = ("_diagnostics", "_key")

    def __init__(self, diagnostics: Diagnostics, key: str) -> None:
        self._diagnostics = diagnostics
        self._key = key

    def __exit__(self, error_type: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, BridgeError):
            return False
        self._diagnostics.add(self._key, str(error))
        return True
