"""Fixtures that every test may use."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# No deadline: how long an example takes depends on what else the machine does.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")  # in CI the same examples each time


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
