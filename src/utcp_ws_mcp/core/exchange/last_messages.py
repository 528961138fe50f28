"""The last messages of a connection that answered no call: they may say why one waits, or why the server closes."""

from __future__ import annotations

from typing import Final

from ..codecs.message import Message
from .reply_rules import Role

_UNEXPECTED: Final = (Role.DROPPED, Role.HELD)
"""Roles of messages that no call expected."""

_PROCESSED: Final = (Role.AUTO_REPLIED, Role.HEARTBEAT)
"""Roles of messages that the connection itself took; a rule that is too wide takes replies as well."""


FATES: Final = {
    Role.IGNORED: "was ignored (ignore)",
    Role.ACK: "only confirms receipt (reply.ack)",
    Role.AUTO_REPLIED: "was answered (auto_reply)",
    Role.HEARTBEAT: "answered a heartbeat (heartbeat.expect)",
}
"""What became of a message that did not answer a call, for the error of that call; any other did not match."""


class LastMessages:
    """The last messages that no call got.

    Attributes:
        count: Messages so far.
        explains_close: The last message, if no call expected it; None once a further request was sent.
    """

    def __init__(self) -> None:
        self.count = 0
        self.explains_close: Message | None = None
        self._unexpected: tuple[int, Message, Role] | None = None
        self._processed: tuple[int, Message, Role] | None = None

    def note(self, message: Message, role: Role) -> None:
        """Note what a message was classified as."""
        self.count += 1
        if role in _PROCESSED:
            self._processed = (self.count, message, role)
        elif role in _UNEXPECTED:
            self._unexpected = (self.count, message, role)
            self.explains_close = message
        else:
            self.explains_close = None

    def note_login_message(self, message: Message, *, expected: bool) -> None:
        """Note a message of the login, which is explained by its step if it was expected."""
        self.note(message, Role.LOGIN if expected else Role.DROPPED)

    def since(self, count: int) -> tuple[Message, Role] | None:
        """Return the last message after the first `count` that no call expected, or else that the connection took."""
        for noted in (self._unexpected, self._processed):
            if noted is not None and noted[0] > count:
                return noted[1], noted[2]
        return None
