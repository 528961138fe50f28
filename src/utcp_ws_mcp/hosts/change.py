"""Changes of a host's configuration: shown first, applied afterwards."""

from __future__ import annotations

import difflib
import shlex
import subprocess  # the host's own command is the one way to change Claude Code
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, Protocol

from ..errors import InstallError, end_sentence
from ..records import Record
from .config_file import ConfigFile, replace_config_file

COMMAND_TIMEOUT: Final = 60
"""The timeout of a host's command in seconds."""

REDACTED: Final = "…"


class Change(Protocol):
    """A change that can be shown before it is applied."""

    @property
    def diff(self) -> str:
        """The change as a person reads it, with a line break at its end; empty if nothing changes."""

    def apply(self) -> str:
        """Apply the change, and return a message that says what happened.

        Raises:
            InstallError: If that fails.
        """


class FileChange(Record):
    """A new text for a file. `secrets` are values of the text that the diff hides."""

    not_in_repr: ClassVar = ("new_text", "secrets")
    file: ConfigFile
    new_text: str
    secrets: Iterable[str] = ()

    @property
    def diff(self) -> str:
        """The lines that change, as a unified diff without context."""
        before, after = self._redacted_lines(self.file.text), self._redacted_lines(self.new_text)
        path = str(self.file.path)
        old = path if self.file.content is not None else "(no file yet)"
        return "".join(f"{line}\n" for line in difflib.unified_diff(before, after, old, path, n=0, lineterm=""))

    def apply(self) -> str:
        """Replace the file, and save its old content next to it."""
        replace_config_file(self.file, self.new_text)
        backup = f" The old content is in {self.file.backup_path}." if self.file.content is not None else ""
        return f"{self.file.path} is written.{backup}"

    def _redacted_lines(self, text: str) -> list[str]:
        for secret in sorted(self.secrets, key=len, reverse=True):  # a short one can be part of a long one
            text = text.replace(f'"{secret}"', f'"{REDACTED}"')
        return text.splitlines()


class CommandChange(Record):
    """Commands of the host itself, for a file that the host writes while it runs."""

    commands: Sequence[Sequence[str]]

    @property
    def diff(self) -> str:
        """The command lines."""
        return "".join(f"$ {shlex.join(command)}\n" for command in self.commands)

    def apply(self) -> str:
        """Run the commands up to the first that fails."""
        return "\n".join(map(_run_command, self.commands))


def _run_command(command: Sequence[str]) -> str:
    try:
        completed = subprocess.run(  # noqa: S603  # an argument list, no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        message = f"{command[0]} could not be run: {type(failed).__name__}."
        raise InstallError(message, code="host-command-failed") from failed
    if completed.returncode:
        reason = (completed.stderr or completed.stdout).strip() or f"exit code {completed.returncode}"
        message = f"{shlex.join(command[:3])} failed: {end_sentence(reason)}"
        raise InstallError(message, code="host-command-failed")
    return completed.stdout.strip()
