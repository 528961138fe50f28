"""The correlation ids of the requests on one connection, and its counter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

IdKind = Literal["uuid", "counter", "string_counter"]


class RequestIds:
    """Gives ids in the order of the requests.

    Args:
        kind: How ids are made.
        make_uuid: Returns a new UUID.
    """

    def __init__(self, kind: IdKind, make_uuid: Callable[[], str]) -> None:
        self._kind: IdKind = kind
        self._make_uuid = make_uuid
        self._last_id = 0
        self._counter = 0

    def next_id(self) -> int | str:
        """Return the next correlation id."""
        if self._kind == "uuid":
            return self._make_uuid()
        self._last_id += 1
        return self._last_id if self._kind == "counter" else str(self._last_id)

    def take_back(self, request_id: int | str) -> None:
        """Give the id of a request that was not sent to the next one, if ids are counted.

        Some endpoints count the requests themselves, and so expect numbers without a gap.
        """
        if self._kind != "uuid":
            self._last_id = int(request_id) - 1

    def count(self) -> int:
        """Return 1, 2, 3 …"""
        self._counter += 1
        return self._counter

    @property
    def functions(self) -> dict[str, Callable[[], Any]]:
        """Return the functions by which what a connection sends takes an id, by their names in templates."""
        return {"next_id": self.next_id, "counter": self.count}
