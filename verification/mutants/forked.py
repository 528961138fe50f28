"""Try mutants in children of one process of pytest: most are killed there, in a fraction of the time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from . import fork_plugin
from .fork_plugin import ANSWERS, FAILED, JOBS, Job
from .pytest_contexts import test_function
from .sandbox import Attempt, Sandbox, timeout_of

_PLUGIN: Final = fork_plugin.__name__
_TIMEOUT: Final = 60.0
"""Seconds of a child: one that hangs is tried again in a process of its own, which has more time."""


def find_killed(sandbox: Sandbox, attempts: Sequence[Attempt]) -> dict[int, str]:
    """Return the tests that fail, by the positions of the attempts whose mutants they kill.

    The others have to be tried in a process of their own: constants of a module are computed when it is imported, and
    a mutant that survives may be in a function that the import has called.
    """
    jobs = [make_job(number, each, sandbox.folder) for number, each in enumerate(attempts) if _is_suitable(each)]
    killed: dict[int, str] = {}
    while jobs:
        answers = _run(sandbox, jobs)
        failures = ((number, text) for number, text in answers if text.startswith(FAILED))
        killed |= {number: test_function(text.removeprefix(FAILED)) for number, text in failures}
        # The mutant behind the answers has ended the process; without any, the tests cannot be collected.
        jobs = jobs[len(answers) + 1 :] if answers else []
    return killed


def make_job(number: int, attempt: Attempt, folder: Path) -> Job:
    """Return the job of an attempt in a copy of the repository."""
    source = attempt.mutant.apply((folder / attempt.mutant.path).read_bytes()).decode()
    return Job(number, attempt.mutant.path, source, attempt.tests, min(_TIMEOUT, timeout_of(attempt.seconds)))


def _is_suitable(attempt: Attempt) -> bool:
    return attempt.mutant.in_function and bool(attempt.tests)


def _run(sandbox: Sandbox, jobs: Sequence[Job]) -> list[tuple[int, str]]:
    """Return the answers, which are fewer than the jobs if the process has ended."""
    of_jobs, of_answers = sandbox.folder / "build-jobs.json", sandbox.folder / "build-answers.jsonl"
    of_jobs.write_text(json.dumps([asdict(job) for job in jobs]), encoding="utf-8")
    of_answers.write_text("", encoding="utf-8")
    files = sorted({test.partition("::")[0] for job in jobs for test in job.tests})
    environ = {**sandbox.environ(), JOBS: str(of_jobs), ANSWERS: str(of_answers)}
    command = [sandbox.python, "-m", "pytest", "-q", "-p", _PLUGIN, *files]
    subprocess.run(command, cwd=sandbox.folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return [(number, text) for number, text in map(json.loads, of_answers.read_text(encoding="utf-8").splitlines())]
