"""Collect what is wrong with templates, so that an author reads everything at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..errors import BridgeError, Problem
from ..manifest.problems import join


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

    @contextmanager
    def at(self, key: str) -> Iterator[None]:
        """Note an error of compiling as a problem of this key, and go on."""
        try:
            yield
        except BridgeError as error:
            self.found.append(Problem(join(self._path, key), str(error)))

    def raise_any(self) -> None:
        """Raise what was noted.

        Raises:
            TemplateProblem: if anything was.
        """
        if self.found:
            raise TemplateProblem(self.found)
