"""What is typed into the panel Connect: the endpoint, and the messages that were sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from ..authoring.recording import endpoint_fields
from ..errors import StudioRefused
from ..manifest.variables import VARIABLE
from ..records import MutableRecord, field

MAX_HISTORY: Final = 100
"""Messages that the box remembers."""


class ConnectForm(MutableRecord):
    """The fields as they were typed. `headers` has one `Name: value` in each line, `protocols` commas."""

    not_in_repr: ClassVar = ("url", "headers", "protocols", "message", "history", "_unsent")
    url: str = ""
    headers: str = ""
    protocols: str = ""
    message: str = ""
    binary: bool = False
    history: list[str] = field(default_factory=list)
    _recalled: int = 0
    _unsent: str = ""

    def endpoint(self) -> dict[str, Any]:
        """Return the fields of a call template.

        Raises:
            StudioRefused: if something cannot be meant.
        """
        url = self.url.strip()
        if not url.lower().startswith(("ws://", "wss://")):
            raise StudioRefused(f"{url!r} is no URL of a WebSocket. Write ws:// or wss://, a host, and a path.")
        protocols = [word for each in self.protocols.split(",") if (word := each.strip())]
        return endpoint_fields(url, dict(self._headers()), protocols)

    def _headers(self) -> Iterator[tuple[str, str]]:
        for line in self.headers.splitlines():
            name, colon, value = line.partition(":")
            if line.strip() and not (colon and name.strip()):
                raise StudioRefused(f"the header {line.strip()!r} has no colon. Write Name: value in each line.")
            if line.strip():
                yield name.strip(), value.strip()

    def variables(self) -> list[str]:
        """Return the names of the variables that are used, in order."""
        texts = (self.url, self.headers, self.protocols, "" if self.binary else self.message)
        return list(dict.fromkeys(name for text in texts for name in VARIABLE.findall(text) if name))

    def outgoing(self) -> str | bytes:
        """Return the message to send.

        Raises:
            StudioRefused: if it is to be binary, and is not hexadecimal.
        """
        if not self.binary:
            return self.message
        try:
            return bytes.fromhex(self.message)
        except ValueError:
            raise StudioRefused('a binary message is not hexadecimal. Write its bytes as "00ff…".') from None

    def remember(self) -> None:
        """Add the message to the history."""
        if self.message in self.history:
            self.history.remove(self.message)
        self.history = [*self.history[-(MAX_HISTORY - 1) :], self.message]
        self._recalled = 0

    def recall(self, steps: int) -> str:
        """Return the message that many steps further back in the history; before its beginning, what was not sent."""
        if not self._recalled:
            self._unsent = self.message
        self._recalled = max(0, min(len(self.history), self._recalled + steps))
        return self.history[-self._recalled] if self._recalled else self._unsent
