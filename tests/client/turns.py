"""The turns that requests get under `limits.requests_per_second`, in a time that passes only while they wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from utcp_ws_mcp.client.pool import lease


class Turns:
    """Stands for the clock of rate limiters, and keeps when each request got its turn.

    Args:
        is_ready: Returns whether a request may have a turn at all, such as whether its connection is open.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, is_ready: Callable[[], bool] = lambda: True) -> None:
        self.starts: list[float] = []
        self.all_ready = True
        self._is_ready = is_ready
        self._now = 0.0
        monkeypatch.setattr(lease, "anyio", self)

    def current_time(self) -> float:
        return self._now

    async def sleep_until(self, deadline: float) -> None:
        self.all_ready &= self._is_ready()
        self.starts.append(deadline)
        self._now = max(self._now, deadline)
