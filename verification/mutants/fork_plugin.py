"""A pytest plugin: try mutants in children of a process that has collected the tests, instead of running the tests.

A child replaces the code of the functions that its parent has imported. Processes that tests start import the changed
file. Starting pytest takes longer than most tests that notice a mutant, and a child needs only some milliseconds.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Final

import pytest

from verification.mutants.pytest_contexts import test_function as function_of

JOBS: Final = "MUTANTS_JOBS"
ANSWERS: Final = "MUTANTS_ANSWERS"
"""The environment variables that name the file of the jobs and the file for the answers: an object of JSON a line."""

PASSED: Final = "passed"
FAILED: Final = "failed "
DIED: Final = "died"
HANGS: Final = "hangs"
_ANSWER_BYTES: Final = 4096
_MEMORY: Final = 4 << 30
"""Bytes of a child: a mutant that never stops to append fails its test, before the machine has no memory left."""

_failed: list[str] = []


@dataclass(frozen=True, slots=True)
class Job:
    """A mutant: its number, the changed file, its new source, the tests to run, and how many seconds they may take."""

    number: int
    path: str
    source: str
    tests: Sequence[str]
    timeout: float


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that fails."""
    if report.failed:
        _failed.append(report.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Try the mutants, and write for each what came."""
    jobs = [Job(**each) for each in json.loads(Path(os.environ[JOBS]).read_bytes())]
    server = _Server(session)
    gc.collect()
    gc.freeze()  # the collector of a child would copy all memory of its parent
    with Path(os.environ[ANSWERS]).open("w", encoding="utf-8") as answers:
        for job in jobs:
            print(json.dumps([job.number, server.attempt(job)]), file=answers, flush=True)
    return True


class _Server:
    """Runs tests in children, with a mutant and without."""

    def __init__(self, session: pytest.Session) -> None:
        self._items: defaultdict[str, list[pytest.Item]] = defaultdict(list)
        for item in session.items:
            self._items[function_of(item.nodeid)].append(item)
        self._functions = imported_functions()
        self._sound: set[str] = set()

    def attempt(self, job: Job) -> str:
        """Return what a mutant does; a test that fails in a child without it as well does not count."""
        path = Path(job.path).absolute()
        original = path.read_text(encoding="utf-8")
        path.write_text(job.source, encoding="utf-8")
        try:
            answer = self._run(job.tests, job.timeout, path, job.source)
        finally:
            path.write_text(original, encoding="utf-8")
        killer = function_of(answer.removeprefix(FAILED))
        if answer.startswith(FAILED) and killer not in self._sound:
            if self._run([killer], job.timeout, path, original) != PASSED:
                return DIED
            self._sound.add(killer)
        return answer

    def _run(self, tests: Sequence[str], timeout: float, path: Path, source: str) -> str:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            os.write(writer, self._run_in_child(tests, path, source).encode()[:_ANSWER_BYTES])
            os._exit(0)
        os.close(writer)
        try:
            is_done = select.select([reader], [], [], timeout)[0]
            return (os.read(reader, _ANSWER_BYTES).decode() or DIED) if is_done else HANGS
        finally:
            os.close(reader)
            _end(child)

    def _run_in_child(self, tests: Sequence[str], path: Path, source: str) -> str:
        try:
            replace_code(self._functions.get(str(path), ()), compile(source, path, "exec", dont_inherit=True))
            items = [item for test in tests for item in self._items[test]]
            for item, following in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if _failed:
                    return FAILED + _failed[0]
        except BaseException:  # the child must never return to the loop of its parent
            return DIED
        return PASSED


def _end(child: int) -> None:
    """End a child, and the processes of its group."""
    for kill, number in ((os.killpg, child), (os.kill, child)):
        try:
            kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os.waitpid(child, 0)


def imported_functions() -> Mapping[str, Sequence[FunctionType]]:
    """Return all functions by the files in which they are defined."""
    functions: defaultdict[str, list[FunctionType]] = defaultdict(list)
    for each in gc.get_objects():
        if type(each) is FunctionType:
            functions[each.__code__.co_filename].append(each)
    return functions


def replace_code(functions: Sequence[FunctionType], module: CodeType) -> None:
    """Give functions of a module the code that they have in its new source.

    Raises:
        ValueError: if a function uses another number of names of the functions around it.
    """
    changed = {(code.co_qualname, code.co_firstlineno): code for code in _codes(module)}
    for function in functions:
        old = function.__code__
        new = changed.get((old.co_qualname, old.co_firstlineno))
        if new is not None and new != old:
            function.__code__ = new


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
