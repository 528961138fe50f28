"""A reader that follows the feed by its cursor, each read at the next replica, and checks what it gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .site import CallFailed, Site

WAIT_SECONDS = 1.0
READ_TIMEOUT = 4.0
"""Seconds after which a read is repeated with the same cursor: the replica that got it may be paused."""


@dataclass
class Reader:
    """What was read.

    Attributes:
        in_order: Whether events come in order: replayed ones come among new ones.
        cursor: Where the next read begins.
        numbers: The numbers of the events, by the life of the feed and the offset.
        named: Positions after which a gap was named, in the same form.
        last: The position and the number of the last event.
        repeated: Reads that failed, and were repeated.
        doubled: Events that came twice.
        unexplained: Events that are missing where no gap was named.
        disordered: Events that came before an earlier one.
        wrong_missed: Pages whose `missed` says something else than their gaps.
    """

    in_order: bool = True
    cursor: str = ""
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    named: set[tuple[str, int]] = field(default_factory=set)
    last: tuple[str, int, int] | None = None
    repeated: int = 0
    doubled: int = 0
    unexplained: int = 0
    disordered: int = 0
    wrong_missed: int = 0
    _seen: set[int] = field(default_factory=set)

    @property
    def faults(self) -> int:
        """Return how often something was wrong."""
        return self.doubled + self.unexplained + self.disordered + self.wrong_missed

    async def follow(self, site: Site) -> None:
        """Read until the task is cancelled."""
        while True:
            await self.read(site)

    async def read_until(self, site: Site, number: int) -> None:
        """Read until an event was read."""
        while number not in self._seen:
            await self.read(site)

    async def read(self, site: Site) -> None:
        """Read a page."""
        position = {"cursor": self.cursor} if self.cursor else {}
        arguments = {"wait_seconds": WAIT_SECONDS, "max_events": 500, **position}
        try:
            self.add(await site.call("m_f_events", arguments, timeout=READ_TIMEOUT))
        except CallFailed:
            self.repeated += 1

    def add(self, page: dict[str, Any]) -> None:
        """Check a page."""
        before, self.cursor = self.cursor.partition("-")[0], page["cursor"]
        life = self.cursor.partition("-")[0]
        is_new = before not in ("", life)
        gaps = {(life, gap["after"]) for gap in page["gaps"]}
        self.named |= gaps
        self.wrong_missed += page["missed"] != (None if gaps or is_new else 0)
        for event in page["events"]:
            self._add_event(life, event["offset"], event["data"])

    def _add_event(self, life: str, offset: int, number: int) -> None:
        if number in self._seen:
            self.doubled += 1
            return
        if self.last is not None and self.in_order:
            last_life, last_offset, last_number = self.last
            if life == last_life:
                is_next = offset == last_offset + 1
                self.disordered += not is_next or number < last_number
                if not is_next or (life, last_offset) not in self.named:
                    self.unexplained += max(0, number - last_number - 1)
            else:
                self.disordered += number < last_number
        self._seen.add(number)
        self.last = life, offset, number
        self.numbers[life, offset] = number

    @property
    def read_numbers(self) -> set[int]:
        """Return the numbers of all events that were read."""
        return set(self._seen)
