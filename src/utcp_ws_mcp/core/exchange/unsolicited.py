"""What an endpoint sends without a request. After it, the first message after a request may not be its reply."""

from __future__ import annotations

from collections import deque
from typing import Final

from ..codecs.message import Message
from .reply_rules import Role

REMEMBERED_MESSAGES: Final = 16
"""Replies without ids, and dropped messages, that are recognized when the endpoint sends them again."""

_ANSWERS: Final = {Role.REPLY, Role.ITEM, Role.END, Role.ERROR, Role.ACK}


class UnsolicitedMessages:
    """The unsolicited messages of one connection.

    Attributes:
        last: The last one; a greeting, late replies and the first copy of a reply are none.
        is_suspect: Whether a reply came a second time: the next message may be a further copy.
        greeting_is_over: Whether what the endpoint sent on its own at the start has arrived: it answered a ping, or a
            request.
    """

    def __init__(self) -> None:
        self.last: Message | None = None
        self.is_suspect = False
        self.greeting_is_over = False
        self._replies: deque[int] = deque(maxlen=REMEMBERED_MESSAGES)
        self._dropped: deque[int] = deque(maxlen=REMEMBERED_MESSAGES)

    def note_delivered(self, message: Message, role: Role, *, is_first_message: bool) -> None:
        """Note a message that an exchange got; `is_first_message`: only because it was the first one."""
        self.greeting_is_over = self.greeting_is_over or role in _ANSWERS
        if is_first_message:
            self._replies.append(hash(message.raw))

    def note_dropped(self, message: Message, *, is_late: bool) -> None:
        """Note a message that no exchange got; `is_late`: it may be the late reply to an earlier request."""
        digest = hash(message.raw)
        is_copy = digest in self._replies and digest not in self._dropped
        if is_copy and not is_late:
            self.is_suspect = True
        elif self.greeting_is_over and not is_late:
            self.last = message
        self._dropped.append(digest)

    def note_repeated(self, message: Message) -> bool:
        """Return whether the endpoint has sent the same message without a request, and note that it does so again."""
        if hash(message.raw) not in self._dropped:
            return False
        self.last = message
        return True
