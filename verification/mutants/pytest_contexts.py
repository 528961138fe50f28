"""A pytest plugin: name the running test function as the context of coverage, and write how long each one takes."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

DURATIONS = "MUTANTS_DURATIONS"
"""The environment variable that names the file for the durations in seconds."""

_durations: defaultdict[str, float] = defaultdict(float)
_failed: set[str] = set()


def test_function(node_id: str) -> str:
    """Return the node id without the parameters, which is the unit of selection."""
    return node_id.partition("[")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Switch the context before the fixtures of a test start."""
    measured = coverage.Coverage.current()
    if measured is not None:
        measured.switch_context(test_function(item.nodeid))
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the time of the set-up, the test and the teardown; remember failures."""
    function = test_function(report.nodeid)
    _durations[function] += report.duration
    if report.failed:
        _failed.add(function)


def pytest_sessionfinish() -> None:
    """Write the durations of the tests that pass: only these can notice a mutant."""
    passed = {name: round(seconds, 4) for name, seconds in _durations.items() if name not in _failed}
    Path(os.environ[DURATIONS]).write_text(json.dumps(passed), encoding="utf-8")
