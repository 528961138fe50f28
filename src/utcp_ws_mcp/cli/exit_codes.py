"""The exit codes of the command line, in one place."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command reports to the shell.

    - `SUCCESS` (0): the command did what it was asked to do.
    - `FAILURE` (1): the input was correct, but a call or a discovery failed, `serve` could not write its answers, or
      the user declined a change.
    - `USAGE_ERROR` (2): the input must be changed: an option, a manifest, a setting or a file. click uses 2 as well.
    - `INTERRUPTED` (130): Ctrl-C, as shells report it (128 + SIGINT).
    """

    SUCCESS = 0
    FAILURE = 1
    USAGE_ERROR = 2
    INTERRUPTED = 130
