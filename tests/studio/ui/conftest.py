"""One server of pages for the tests of a module: its start takes longer than a test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ..pages import Site, serving_pages


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with serving_pages() as served:
        yield served
