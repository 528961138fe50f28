"""What `check` says of the manifest that is typed, with the places in its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from ..authoring.admission import missing_variables
from ..authoring.examination import examine, field_description
from ..errors import InvalidManifest, Problem
from ..records import Record
from .session import StudioSession

MAX_FINDINGS: Final = 200
"""Findings that are shown."""

_VALUE: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"?|[\[{]|[^\s,\]}]+|.')


class Severity(StrEnum):
    """How bad a finding is. `MISSING`: a call template is disabled until a variable is set."""

    ERROR = "error"
    MISSING = "missing"
    WARNING = "warning"
    NOTE = "note"


class Finding(Record):
    """What is to be said of a place in the text.

    Attributes:
        severity: How bad it is.
        path: The JSON path; empty for the whole manifest.
        message: What to change.
        code: Its code.
        line: The line, from 1.
        column: The column, from 1.
        description: The description of the field, or an empty text.
    """

    severity: Severity
    path: str
    message: str
    code: str
    line: int
    column: int
    description: str = ""

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{self.severity}: {place}{self.message} [{self.code}]"

    def span(self, text: str) -> tuple[int, int]:
        """Return where the value of the finding begins and ends in the text that was checked."""
        lines = text.split("\n")
        if self.line > len(lines):
            return len(text), len(text)
        start = sum(len(line) + 1 for line in lines[: self.line - 1]) + min(self.column - 1, len(lines[self.line - 1]))
        found = _VALUE.match(text, start)
        return (start, found.end()) if found else (start, start)


class Checked(Record):
    """What is to be said of a manifest: the findings in the order of its text, and the variables that are missing."""

    findings: list[Finding]
    missing: tuple[str, ...]


def check_text(session: StudioSession) -> Checked:
    """Check the manifest as it is typed now."""
    text = session.manifest.text
    if session.manifest.is_new:
        return Checked([], ())
    try:
        loaded = session.load()
    except InvalidManifest as invalid:
        return Checked(_sorted(_findings(Severity.ERROR, invalid.problems)), ())
    found = examine(text, loaded, session.load)
    groups = (
        (Severity.ERROR, found.errors),
        (Severity.MISSING, found.missing),
        (Severity.WARNING, found.warnings),
        (Severity.NOTE, found.notes),
    )
    warned = [Problem("", warning, code="ignored") for warning in loaded.manifest.warnings]
    findings = [each for severity, problems in groups for each in _findings(severity, problems)]
    return Checked(_sorted([*_findings(Severity.WARNING, warned), *findings]), missing_variables(loaded.manifest))


def _findings(severity: Severity, problems: tuple[Problem, ...] | list[Problem]) -> Iterator[Finding]:
    for problem in problems:
        line, column = problem.position or (1, 1)
        description = field_description(problem) if severity is Severity.ERROR else ""
        yield Finding(severity, problem.path, problem.message, problem.code, line, column, description)


def _sorted(findings: Iterator[Finding] | list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda each: (each.line, each.column))[:MAX_FINDINGS]
