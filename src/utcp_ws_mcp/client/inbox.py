"""What has arrived on a connection: it is passed on at once where it is wanted, and waits otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from .messages import Data
from .turn import Turn

if TYPE_CHECKING:
    from asyncio import Future

MAX_WAITING_MESSAGES: Final = 16
"""Messages that wait for a receiver before the connection stops reading from its socket."""


class Taken(Enum):
    """What a receiver has done with a message."""

    WHOLE = "the next one is wanted"
    PART = "the rest waits for the next turn"
    LAST = "no other one is wanted"


WHOLE, PART, LAST = Taken


class Receiver(Protocol):
    """What processes the messages of a connection."""

    def take(self, message: Data) -> Taken:
        """Process a message, until the turn is over."""

    def take_rest(self) -> Taken:
        """Process what was left of the last message, if anything was."""


class Inbox:
    """The messages of one connection.

    Args:
        create_future: Returns a new future of the event loop.
        read_more: Reads from the socket, or lets further messages wait in it.
        turn: The turn of the connection.
    """

    def __init__(
        self, create_future: Callable[[], Future[bool]], read_more: Callable[[bool], None], turn: Turn
    ) -> None:
        self._create_future = create_future
        self._read_more = read_more
        self._turn = turn
        self._receiver: Receiver | None = None
        self._receiving: Future[bool] | None = None
        self._has_rest = False  # the receiver has only a part of a message
        self._waiting: deque[Data] = deque()
        self._has_ended = False

    @property
    def is_read(self) -> bool:
        """Return whether a receiver takes the next message."""
        return self._receiver is not None

    def open(self, receiver: Receiver) -> Future[bool]:
        """Pass all messages on to a receiver, beginning with those that wait when `go_on` is called.

        Returns:
            What has the result True when the receiver wants no more messages, and False when the connection has ended.
        """
        self._receiver, self._has_rest = receiver, True  # the last receiver may have left one
        self._receiving = self._create_future()
        return self._receiving

    def close(self) -> None:
        """Let everything wait for the next receiver."""
        self._receiving = self._receiver = None

    def add(self, message: Data) -> None:
        """Take a message that has arrived."""
        if self._receiver is None:
            self._waiting.append(message)
            if len(self._waiting) >= MAX_WAITING_MESSAGES:
                self._read_more(False)
        elif (taken := self._receiver.take(message)) is not WHOLE:
            self._note(taken)

    def go_on(self) -> None:
        """Pass on what waits, until the turn is over."""
        while self._receiver is not None and not self._turn.is_over:
            if self._has_rest:
                self._has_rest = False
                self._note(self._receiver.take_rest())
            elif self._waiting:
                self._note(self._receiver.take(self._waiting.popleft()))
                self._turn.check()
            else:
                self._read_more(True)
                if self._has_ended:
                    self._settle(False)
                return

    def clear(self) -> None:
        """Forget what waits."""
        self._has_rest = False
        self._waiting.clear()

    def end(self) -> None:
        """Let the receiver end when it has got what waits: the connection has ended."""
        self._has_ended = True
        self.go_on()

    def _note(self, taken: Taken) -> None:
        if taken is LAST:
            self._receiver = None
            self._settle(True)
        else:
            self._has_rest = taken is PART

    def _settle(self, wants_no_more: bool) -> None:
        if self._receiving is not None and not self._receiving.done():
            self._receiving.set_result(wants_no_more)
