"""Changes of a host: shown first, made afterwards."""

from __future__ import annotations

import difflib
import shlex
import subprocess  # the host's own command is the one way to change Claude Code
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..errors import CannotInstall
from .config_file import HostFile, replace_host_file

SECONDS: Final = 60
HIDDEN: Final = "…"


class Change(Protocol):
    """What `shown` describes and `make` does; the sentence of `make` says what happened."""

    @property
    def shown(self) -> str:
        """The change as a person reads it, with a line break at its end; empty if there is nothing to change."""

    def make(self) -> str:
        """Make it.

        Raises:
            CannotInstall: if that fails.
        """


@dataclass(frozen=True, slots=True)
class FileChange:
    """Another text for a file. `hidden` are parts of it that are not shown."""

    file: HostFile
    after: str
    hidden: Iterable[str] = field(default=(), repr=False)

    @property
    def shown(self) -> str:
        """The lines that change."""
        before, after = self._lines(self.file.text), self._lines(self.after)
        path = str(self.file.path)
        old = path if self.file.content is not None else "(no file yet)"
        return "".join(f"{line}\n" for line in difflib.unified_diff(before, after, old, path, n=0, lineterm=""))

    def make(self) -> str:
        """Write the file; the old content goes beside it."""
        replace_host_file(self.file, self.after)
        kept = f"; what it was is in {self.file.backup}" if self.file.content is not None else ""
        return f"{self.file.path} is written{kept}"

    def _lines(self, text: str) -> list[str]:
        for hidden in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(f'"{hidden}"', f'"{HIDDEN}"')
        return text.splitlines()


@dataclass(frozen=True, slots=True)
class CommandChange:
    """Commands of the host itself, one after the other."""

    commands: Sequence[Sequence[str]]

    @property
    def shown(self) -> str:
        """The command lines."""
        return "".join(f"$ {shlex.join(command)}\n" for command in self.commands)

    def make(self) -> str:
        """Run them up to the first that fails."""
        return "\n".join(map(_run, self.commands))


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # an argument list, no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise CannotInstall(f"{command[0]} could not be run: {type(failed).__name__}") from failed
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise CannotInstall(f"{shlex.join(command[:3])} failed: {said}")
    return done.stdout.strip()
