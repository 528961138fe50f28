"""Changes of a host: shown first, made afterwards."""

from __future__ import annotations

import difflib
import shlex
import subprocess  # the host's own command is the one way to change Claude Code
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..errors import InstallError
from .config_file import ConfigFile, replace_config_file

COMMAND_TIMEOUT: Final = 60
REDACTED: Final = "…"


class Change(Protocol):
    """What `shown` describes and `make` does; the sentence of `make` says what happened."""

    @property
    def diff(self) -> str:
        """The change as a person reads it, with a line break at its end; empty if there is nothing to change."""

    def apply(self) -> str:
        """Make it.

        Raises:
            InstallError: if that fails.
        """


@dataclass(frozen=True, slots=True)
class FileChange:
    """Another text for a file. `hidden` are parts of it that are not shown."""

    file: ConfigFile
    new_text: str
    secrets: Iterable[str] = field(default=(), repr=False)

    @property
    def diff(self) -> str:
        """The lines that change."""
        before, after = self._redacted_lines(self.file.text), self._redacted_lines(self.new_text)
        path = str(self.file.path)
        old = path if self.file.content is not None else "(no file yet)"
        return "".join(f"{line}\n" for line in difflib.unified_diff(before, after, old, path, n=0, lineterm=""))

    def apply(self) -> str:
        """Write the file; the old content goes beside it."""
        replace_config_file(self.file, self.new_text)
        kept = f"; what it was is in {self.file.backup_path}" if self.file.content is not None else ""
        return f"{self.file.path} is written{kept}"

    def _redacted_lines(self, text: str) -> list[str]:
        for hidden in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(f'"{hidden}"', f'"{REDACTED}"')
        return text.splitlines()


@dataclass(frozen=True, slots=True)
class CommandChange:
    """Commands of the host itself, one after the other."""

    commands: Sequence[Sequence[str]]

    @property
    def diff(self) -> str:
        """The command lines."""
        return "".join(f"$ {shlex.join(command)}\n" for command in self.commands)

    def apply(self) -> str:
        """Run them up to the first that fails."""
        return "\n".join(map(_run_command, self.commands))


def _run_command(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # an argument list, no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise InstallError(f"{command[0]} could not be run: {type(failed).__name__}") from failed
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise InstallError(f"{shlex.join(command[:3])} failed: {said}")
    return done.stdout.strip()
