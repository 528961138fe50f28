"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from utcp_ws_mcp.observability.logging import StderrHandler

# No deadline: how long an example takes depends on what else the machine does.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")  # in CI the same examples each time


def pytest_collection_finish() -> None:
    """Keep the garbage collector from visiting the collected tests, about a million objects, again and again."""
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def log_of_others() -> Iterator[None]:
    """Take back what commands and servers configure in the process of the tests: other tests read stderr."""
    hook = sys.excepthook
    yield
    for name in (None, "utcp_ws_mcp", "mcp", "uvicorn", "opentelemetry"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [
            each for each in logger.handlers if not isinstance(each, StderrHandler | logging.NullHandler)
        ]
        logger.propagate = True
        logger.setLevel(logging.WARNING if name is None else logging.NOTSET)
    logging.captureWarnings(capture=False)
    sys.excepthook = hook
