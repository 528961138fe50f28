"""What a test of the log changes is changed back."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "utcp_ws_mcp", "mcp", "uvicorn", "opentelemetry")]
    hooks = sys.excepthook
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
    sys.excepthook = hooks
    logging.captureWarnings(capture=False)
