"""A copy of the repository, in which mutants are tried: the working tree is never changed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from .operators import Mutant

START_SECONDS: Final = 30.0
"""What a run of pytest may take beside its tests."""

SLOWDOWN: Final = 5.0
"""How much longer tests may take than they took when they were measured."""


class Verdict(StrEnum):
    """What the tests said about a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"  # counts as killed: a test that hangs is noticed
    SURVIVED = "survived"
    UNTESTED = "no test"  # no test is known to run the line, and those of its folder pass


@dataclass(frozen=True, slots=True)
class Trial:
    """The verdict about a mutant, and by how many tests of those that could notice it."""

    mutant: Mutant
    verdict: Verdict
    tests_run: int
    tests_known: int
    detail: str = ""


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
        self._python = _make_python(folder)
        # A changed file can have the time and size of the original: compare its contents instead.
        compileall = [self._python, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "src"]
        subprocess.run(compileall, cwd=folder, check=True)

    def run(self, mutant: Mutant, tests: list[str], seconds: float, *, known: bool, of: int) -> Trial:
        """Run tests, which take `seconds` without the mutant, until one fails."""
        if not tests:
            return Trial(mutant, Verdict.UNTESTED, 0, 0)
        path = self.folder / mutant.path
        original = path.read_bytes()
        path.write_bytes(mutant.apply(original))
        try:
            code, output = self._pytest(tests, START_SECONDS + SLOWDOWN * seconds)
        finally:
            path.write_bytes(original)
        if code == 0:
            return Trial(mutant, Verdict.SURVIVED if known else Verdict.UNTESTED, len(tests), of)
        if code is None:
            return Trial(mutant, Verdict.TIMEOUT, len(tests), of)
        summary = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return Trial(mutant, Verdict.KILLED, len(tests), of, (summary or output.splitlines()[-1:] or [""])[0])

    def _pytest(self, tests: list[str], timeout: float) -> tuple[int | None, str]:
        """Return the exit code of pytest and its output; None if it does not end in time."""
        arguments = self.folder / "build-tests.txt"
        arguments.write_text("\n".join(tests), encoding="utf-8")
        environ = {**os.environ, "CI": "1"}
        environ.pop("PYTHONPATH", None)
        command = [self._python, "-m", "pytest", "-q", "-x", "--tb=no", f"@{arguments}"]
        # A session of its own: a mutant may leave processes behind.
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environ,
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


def _make_python(folder: Path) -> str:
    """Return a Python that imports the copy, also in processes that tests start with an empty environment."""
    venv.create(folder / ".venv", symlinks=True)
    of_sandbox = {"base": str(folder / ".venv"), "platbase": str(folder / ".venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", of_sandbox))
    theirs = sysconfig.get_path("purelib")
    lines = (str(folder / "src"), f"import site; site.addsitedir({theirs!r})")
    (packages / "mutants.pth").write_text("\n".join(lines), encoding="utf-8")
    return str(Path(sysconfig.get_path("scripts", "venv", of_sandbox)) / Path(sys.executable).name)
