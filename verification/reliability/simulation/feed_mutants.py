"""Defects of feeds that the simulation must find."""

from __future__ import annotations

from typing import Final

from utcp_ws_mcp.client.feeds.keeper import FeedKeeper
from utcp_ws_mcp.client.feeds.live_feed import LiveFeed
from utcp_ws_mcp.client.feeds.subscription import FeedSubscription
from utcp_ws_mcp.core.exchange.exchange import Exchange
from utcp_ws_mcp.core.feeds.buffer import EventBuffer
from utcp_ws_mcp.core.feeds.positions import Positions

from .mutants import Mutant

FEED_MUTANTS: Final = (
    Mutant("a cut replay is not asked for again", Positions, "resume_after", "if self._replaying", "if False"),
    Mutant("a repeated event is new", Positions, "note", "if is_repeated:", "if False:"),
    Mutant("a reconnection is no gap", FeedKeeper, "_note_open", "if not subscription.resumed", "if False"),
    Mutant(
        "a refused replay is no gap",
        FeedSubscription,
        "_resume",
        "self.resumed, self.resume_error = False, error.cause",
        "self.resumed = True",
    ),
    Mutant("too many early messages are no gap", FeedKeeper, "_note_open", "if subscription.overflowed", "if False"),
    Mutant("what comes before the confirmation is lost", Exchange, "_open_stream", "self.early_messages.take()", "()"),
    Mutant("missed is one more", EventBuffer, "_evicted_after", "oldest - 1 - offset", "oldest - offset"),
    Mutant("a page passes gaps", EventBuffer, "_page", "max(seen, cursor.gap)", "self._last_gap"),
    Mutant("missed is known beside a gap", EventBuffer, "_page", "known and not gaps", "known"),
    Mutant("the limits are not kept", EventBuffer, "append", "self.expire(at)", "pass"),
    Mutant(
        "an older value of a key is the newest",
        EventBuffer,
        "append",
        "self._offset_by_key[key] = event.offset",
        "self._offset_by_key[key] = superseded if superseded in self._events else event.offset",
    ),
    Mutant(
        "the values of keys are in the order of their first events",
        EventBuffer,
        "append",
        "self._offset_by_key.pop(key, None)",
        "self._offset_by_key.get(key)",
    ),
    Mutant("an event wakes no reader", LiveFeed, "publish", "self._wake()", "pass"),
    Mutant("a failure ends no wait", LiveFeed, "_wait", "self._failures != failures or", ""),
    Mutant("a cancelled read stays", LiveFeed, "read", "self._waiting.discard(wakeup)", "pass"),
    Mutant(
        "a feed does not open again",
        FeedKeeper,
        "_pause",
        "await wakeup.wait(anyio.current_time() + delay)",
        "await anyio.sleep(1e6)",
    ),
    Mutant(
        "the rest of a long list is lost",
        FeedSubscription,
        "next_message",
        "while found.rest is not None",
        "while False",
    ),
    Mutant(
        "a part of a long list is added twice",
        FeedKeeper,
        "_publish_in_parts",
        "rest = rest[EVENTS_IN_A_ROW:]",
        "rest = rest[EVENTS_IN_A_ROW - 1 :]",
    ),
    Mutant("a lease of a feed leaks", FeedSubscription, "_finish", "lease.release()", "pass"),
)
