"""What a connection may still be used for, as far as its exchanges and its session say.

| what happened | a further exchange may start |
| --- | --- |
| a caller left before its reply, and a late one would be recognized | only a multiplexed one |
| the same, and a late one could be assigned to another call | no |
| an unsolicited message came, and the next reply would be the first message | no |
| the session has ended | no |
| another connection needs the place (`vacate`) | as before; feeds leave |

Whether the connection is open is not known here. The pool closes one that no exchange may use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .reply_rules import Concurrency, ReplyRules

LATE_REPLIES_POSSIBLE: Final = "a late reply to an ended call could be assigned to another call"
UNSOLICITED_MESSAGE: Final = "an unsolicited message arrived"
SESSION_ENDED: Final = "the session has ended"


class Availability:
    """What one connection may still be used for. Exchanges that are pending go on in any case.

    Args:
        wake_all: Wakes whatever waits for messages, so that feeds see that they must leave.

    Attributes:
        reusable: Whether a further exchange may start: the next message would be recognized as its reply.
        unusable_reason: Why no further exchange may start, or no exclusive one.
        incomplete: Exchanges for which more may come although their callers no longer wait.
        session_ended: Whether a message said that the session has ended.
        vacated: Whether the place of the connection is needed: a feed goes on with another one.
    """

    def __init__(self, wake_all: Callable[[], None]) -> None:
        self.reusable = True
        self.unusable_reason = ""
        self.incomplete = 0
        self.session_ended = False
        self.vacated = False
        self._wake_all = wake_all

    @property
    def feeds_must_leave(self) -> bool:
        """Return whether a feed must go on with another connection.

        One that no further call may use keeps its place from them as long as a feed stays. It does until the place is
        needed: a subscription that fails again and again would interrupt all other feeds each time.
        """
        return self.session_ended or self.vacated

    def end_session(self) -> None:
        """Allow no further exchange: a message says that the session answers none."""
        self.session_ended = True
        self.unusable_reason = ""  # that the session has ended says more than any reason before
        self._restrict(SESSION_ENDED)
        self._wake_all()

    def vacate(self) -> None:
        """Let the feeds leave the connection, which no further exchange may use: another one needs its place."""
        self.vacated = True
        self._wake_all()

    def retire(self) -> None:
        """Allow no further exchange because of an unsolicited message."""
        self._restrict(UNSOLICITED_MESSAGE)

    def close(self) -> None:
        """Allow no further exchange: the connection has ended."""
        self.reusable = False

    def note_incomplete(self, rules: ReplyRules) -> None:
        """Note that more may come for an exchange with these rules, whose caller no longer waits."""
        if not rules.never_sends:
            self.incomplete += 1
            self._restrict(LATE_REPLIES_POSSIBLE, exclusive_only=rules.late_replies_are_recognized)
        elif rules.concurrency is Concurrency.EXCLUSIVE:
            self._restrict("")

    def _restrict(self, reason: str, *, exclusive_only: bool = False) -> None:
        """Allow no further exchange, or no exclusive one; the first reason is the one that is shown."""
        self.unusable_reason = self.unusable_reason or reason
        self.reusable = self.reusable and exclusive_only
