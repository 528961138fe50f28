"""How long the first list of tools waits for endpoints that are about as fast as the first one."""

from typing import Any

import pytest

from utcp_ws_mcp.client import discovery
from utcp_ws_mcp.client.discovery import FAST_DISCOVERY_MARGIN, DiscoveryManager


class Clock:
    """Stands for anyio: the time, and the deadlines of waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.deadlines: list[float] = []

    def current_time(self) -> float:
        return self.now

    def CancelScope(self, *, deadline: float) -> Any:  # noqa: N802  # the name in anyio
        self.deadlines.append(deadline)
        return pytest.MonkeyPatch.context()  # any context manager


@pytest.mark.parametrize(("imported_at", "wait"), [(None, 0.5), (100.4, 0.1), (100.49, FAST_DISCOVERY_MARGIN)])
async def test_a_list_waits_as_long_as_the_first_manual_took_without_the_import_of_the_client(
    imported_at: float | None, wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(discovery, "anyio", clock)
    manager = DiscoveryManager(None, lambda entry: pytest.fail("there is no entry"))  # type: ignore[arg-type]
    if imported_at is not None:
        clock.now = imported_at
        manager.on_client_imported()
    clock.now = 100.5
    manager.on_manual()

    await manager.wait_for_fast(10)

    assert clock.deadlines == [pytest.approx(100.5 + wait)]
