"""A copy of the repository, in which mutants are tried: the working tree is never changed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from .operators import Mutant

START_SECONDS: Final = 30.0
"""What a run of pytest may take beside its tests."""

SLOWDOWN: Final = 5.0
"""How much longer tests may take than they took when they were measured."""

_SUMMARY: Final = re.compile(r"(?:FAILED|ERROR) (\S+?)(?:\[| - |$)")


class Verdict(StrEnum):
    """What the tests said about a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"  # counts as killed: a test that hangs is noticed
    UNSURE = "unsure"  # the tests fail without the mutant, too, or take as long
    SURVIVED = "survived"
    UNTESTED = "no test"  # no test is known to run the line, and those of its folder pass


@dataclass(frozen=True, slots=True)
class Trial:
    """The verdict about a mutant, and by how many tests of those that could notice it; `killer` failed."""

    mutant: Mutant
    verdict: Verdict
    tests_run: int
    tests_known: int
    killer: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A mutant with the tests to run, of the `known` or supposed ones that could notice it, and their seconds."""

    mutant: Mutant
    tests: Sequence[str]
    seconds: float
    known: bool
    of: int


def timeout_of(seconds: float) -> float:
    """Return how many seconds tests may take that took so many when they were measured."""
    return START_SECONDS + SLOWDOWN * seconds


class Sandbox:
    """A copy of the tracked and new files of a repository; one mutant at a time."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            check=True,
        )
        for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
            if (root / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, target)
        self.python = make_python(folder)
        # A changed file can have the time and size of the original: compare its contents instead.
        compileall = [self.python, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "src"]
        subprocess.run(compileall, cwd=folder, check=True)
        self._check_import()

    def _check_import(self) -> None:
        """Raise if a process that tests start would import the program from another place."""
        command = [self.python, "-c", "import utcp_ws_mcp; print(utcp_ws_mcp.__file__)"]
        found = subprocess.run(command, cwd=self.folder, env={}, capture_output=True, text=True, check=True).stdout
        if not Path(found.strip()).is_relative_to(self.folder):
            raise RuntimeError(f"mutants cannot be tried: {self.python} imports {found.strip()}, not the copy.")

    def run(self, attempt: Attempt) -> Trial:
        """Run the tests in a process of their own until one fails."""
        mutant, tests, of = attempt.mutant, list(attempt.tests), attempt.of
        if not tests:
            return Trial(mutant, Verdict.UNTESTED, 0, 0)
        timeout = timeout_of(attempt.seconds)
        path = self.folder / mutant.path
        original = path.read_bytes()
        path.write_bytes(mutant.apply(original))
        try:
            code, output = self._pytest(tests, timeout)
        finally:
            path.write_bytes(original)
        if code == 0:
            return Trial(mutant, Verdict.SURVIVED if attempt.known else Verdict.UNTESTED, len(tests), of)
        if code is None:
            is_slow = self._pytest(tests, timeout)[0] != 0
            return Trial(mutant, Verdict.UNSURE if is_slow else Verdict.TIMEOUT, len(tests), of)
        # A mutant may end the process before it has written anything.
        killer = next(iter(_failed_tests(output) or output.splitlines()[-1:]), "")
        return Trial(mutant, Verdict.KILLED, len(tests), of, killer)

    def find_failing(self, tests: list[str], seconds: float) -> set[str]:
        """Return those of some tests that fail without a mutant."""
        code, output = self._pytest(tests, timeout_of(seconds), stop_early=False)
        return set(tests) if code is None else set(_failed_tests(output))

    def environ(self) -> dict[str, str]:
        """Return the environment of tests."""
        return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"CI": "1"}

    def _pytest(self, tests: list[str], timeout: float, *, stop_early: bool = True) -> tuple[int | None, str]:
        """Return the exit code of pytest and its output; None if it does not end in time."""
        arguments = self.folder / "build-tests.txt"
        arguments.write_text("\n".join(tests), encoding="utf-8")
        command = [self.python, "-m", "pytest", "-q", "--tb=no", *(["-x"] if stop_early else []), f"@{arguments}"]
        # A session of its own: a mutant may leave processes behind.
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environ(),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return None, ""
        else:
            return process.returncode, output
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _failed_tests(output: str) -> list[str]:
    """Return the tests that the summary of pytest names, or the files that cannot be imported."""
    return [found[1] for line in output.splitlines() if (found := _SUMMARY.match(line))]


def make_python(folder: Path) -> str:
    """Return a Python that imports the copy, also in processes that tests start with an empty environment."""
    venv.create(folder / ".venv", symlinks=True)
    of_sandbox = {"base": str(folder / ".venv"), "platbase": str(folder / ".venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", of_sandbox))
    theirs = sysconfig.get_path("purelib")
    # The copy comes first: the other packages include the repository itself.
    line = f"import site, sys; site.addsitedir({theirs!r}); sys.path.insert(0, {str(folder / 'src')!r})"
    (packages / "mutants.pth").write_text(line, encoding="utf-8")
    scripts = Path(sysconfig.get_path("scripts", "venv", of_sandbox))
    python = scripts / Path(sys.executable).name
    # `install` writes the command that lies beside the interpreter, and tests expect it.
    command = scripts / "utcp-ws-mcp"
    command.write_text(f"#!{python}\nfrom utcp_ws_mcp.__main__ import run\n\nrun()\n", encoding="utf-8")
    command.chmod(0o755)
    return str(python)
