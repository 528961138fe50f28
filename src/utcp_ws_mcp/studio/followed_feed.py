"""A feed whose events the page shows as they come."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import anyio

from ..client.feeds.reading import FeedGap, FeedItem
from ..errors import BridgeError
from ..manifest.invisible import escape_invisible
from ..records import MutableRecord, Record, field
from .live_bridge import LiveBridge

MAX_EVENTS: Final = 500
"""Events that are kept, the newest."""

MAX_SHOWN_EVENT: Final = 2_000
"""Characters of an event that are shown."""


class FeedRow(Record):
    """An event or a gap of a feed: its number, when it came (text), and what it is."""

    number: int
    at: str
    text: str
    is_gap: bool = False


class FollowedFeed(MutableRecord):
    """Follows one feed until it is stopped.

    Attributes:
        name: `manual.feed`.
        rows: The newest events and gaps, the newest last.
        count: How many events and gaps there were.
        state: What the feed says of itself.
        problem: Why it cannot be followed; empty while it is.
    """

    live: LiveBridge
    name: str
    rows: deque[FeedRow] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    count: int = 0
    state: str = "opening"
    problem: str = ""
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def run(self, arguments: Mapping[str, Any]) -> None:
        """Follow the feed with these arguments until `stop`, or until it fails."""
        with self._scope:
            try:
                async for item in self.live.bridge.feed(self.name, arguments, on_state=self._set_state):
                    self.count += 1
                    self.rows.append(self._row(item))
            except BridgeError as failed:
                self.problem = str(failed)
        self.state = "stopped"

    def stop(self) -> None:
        """Follow the feed no longer."""
        self._scope.cancel()

    def _set_state(self, state: str) -> None:
        self.state = state

    def _row(self, item: FeedItem | FeedGap) -> FeedRow:
        if isinstance(item, FeedGap):
            missed = f"{item.missed} events are missing" if item.missed is not None else "events may be missing"
            return FeedRow(item.after, "", f"{missed}: {item.reason}", is_gap=True)
        text = self.live.redactor.redact_result(json.dumps(item.data, ensure_ascii=False))
        more = f"… (cut: {len(text):,} characters)" if len(text) > MAX_SHOWN_EVENT else ""
        at = time.strftime("%H:%M:%S", time.localtime(item.at))
        return FeedRow(item.offset, at, escape_invisible(text[:MAX_SHOWN_EVENT]) + more)
