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

    Attributes:
        functions: The functions by which what a connection sends takes an id, by their names in templates.
    """

    def __init__(self, kind: IdKind, make_uuid: Callable[[], str]) -> None:
        self._kind: IdKind = kind
        self._make_uuid = make_uuid
        self._last_id = 0
        self._counter = 0
        self._before = (0, 0)
        self.functions: dict[str, Callable[[], Any]] = {"next_id": self.next_id, "counter": self.count}

    def begin(self) -> int | str:
        """Return the correlation id of a request that is opened now."""
        self._before = self._last_id, self._counter
        return self.next_id()

    def take_back(self) -> None:
        """Give what the last request has taken to the next one, because it was not sent.

        Some endpoints count the requests themselves, and so expect numbers without a gap.
        """
        self._last_id, self._counter = self._before

    def next_id(self) -> int | str:
        """Return the next correlation id."""
        if self._kind == "uuid":
            return self._make_uuid()
        self._last_id += 1
        return self._last_id if self._kind == "counter" else str(self._last_id)

    def count(self) -> int:
        """Return 1, 2, 3 …"""
        self._counter += 1
        return self._counter
