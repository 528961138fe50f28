"""Errors of the network, or of the endpoint's side of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from .base import BridgeError, Outcome, RetryAfter, end_sentence


def after_items(count: int) -> str:
    """Return how many items came before an error, for its message."""
    return f"after {count} {'item' if count == 1 else 'items'}"


class NetworkError(BridgeError, ConnectionError):
    """The network, or the endpoint's side of it, failed.

    `close_code` is the code with which the endpoint closed the connection (RFC 6455 §7.4), or None if it has not.
    """

    close_code: int | None = None


class ConnectError(NetworkError):
    """No connection could be opened, or its login failed at `step`, such as `on_connect[1]`. No request was sent."""

    def __init__(
        self,
        address: str,
        reason: str,
        *,
        code: str,
        step: str = "",
        retry_after: RetryAfter | None = None,
        close_code: int | None = None,
    ) -> None:
        self.address, self.step, self.retry_after, self.close_code = address, step, retry_after, close_code
        self.reason = _with_retry_after(reason, retry_after)
        what = f"{address}: login failed at {step}" if step else f"cannot connect to {address}"
        super().__init__(f"{what}: {self.reason}", code=code)

    def redact(self, redactor: Callable[[str], str]) -> None:
        """Remove secrets from the message: servers repeat what they reject."""
        self.reason, self.message = redactor(self.reason), redactor(self.message)
        self.args = (self.message,)


class HandshakeRejected(ConnectError):
    """The endpoint answered the WebSocket upgrade with another HTTP status than 101 (RFC 6455 §4.1)."""

    def __init__(
        self, address: str, status: int, hint: str = "", detail: str = "", *, retry_after: RetryAfter | None = None
    ) -> None:
        self.status = status
        reason = end_sentence(f"the upgrade was answered with HTTP {status}{detail}") + (f" {hint}" if hint else "")
        super().__init__(address, reason, code="handshake-rejected", retry_after=retry_after)


class ConnectionLost(NetworkError):
    """An open connection ended while a call waited. Without a close frame, `close_code` is 1006."""

    code = "connection-lost"
    close_code: int

    def __init__(
        self, address: str, close_reason: str, outcome: Outcome, partial: Sequence[object] = (), close_code: int = 1006
    ) -> None:
        self.address, self.close_reason, self.outcome, self.close_code = address, close_reason, outcome, close_code
        self.partial = tuple(partial)
        after = f" {after_items(len(self.partial))}" if self.partial else ""
        super().__init__(f"the connection to {address} was lost{after}: {end_sentence(close_reason)} {outcome.value}")


class SessionLost(NetworkError):
    """The endpoint's session ended: during the call, or before it, so that the call would have used another session.

    `reason` is what ended it, `partial` holds the items of a stream that arrived before.
    """

    code = "session-lost"

    def __init__(self, address: str, reason: str, outcome: Outcome, partial: Sequence[object] = ()) -> None:
        self.address, self.reason, self.outcome, self.partial = address, reason, outcome, tuple(partial)
        count = len(self.partial)
        after = f" after {count} {'item' if count == 1 else 'items'}" if count else ""
        fix = " Call again to use the new session." if outcome is Outcome.NOT_SENT else ""
        super().__init__(f"the session at {address} was lost{after}: {end_sentence(reason)} {outcome.value}{fix}")


class DiscoveryTimeout(NetworkError):
    """An endpoint that was asked for its manual and did not return one within `seconds`."""

    code = "discovery-timeout"

    def __init__(self, manual: str, seconds: float) -> None:
        self.manual, self.seconds = manual, seconds
        super().__init__(f"{manual}: timed out after {seconds:g} s waiting for the UTCP manual. {_LIST_TOOLS}")


class DiscoveryInterrupted(NetworkError):
    """An endpoint that was asked for its manual, and whose connection ended before; `reason` says how."""

    code = "connection-lost"

    def __init__(self, manual: str, reason: str, close_code: int | None = None) -> None:
        self.manual, self.reason, self.close_code = manual, reason, close_code
        super().__init__(f"{manual}: {end_sentence(reason)} {_LIST_TOOLS}")


_LIST_TOOLS: Final = 'If the endpoint does not speak UTCP, list its tools in the manifest ("tools": […]).'


class TokenRequestError(NetworkError):
    """The token endpoint returned no token. Nothing was sent to the tool's endpoint."""

    code = "token-request-failed"

    def __init__(self, address: str, reason: str, *, retry_after: RetryAfter | None = None) -> None:
        self.address, self.retry_after = address, retry_after
        super().__init__(f"no token from {address}: {_with_retry_after(reason, retry_after)}")


def _with_retry_after(reason: str, retry_after: RetryAfter | None) -> str:
    return reason if retry_after is None else f"{end_sentence(reason)} {retry_after}"
