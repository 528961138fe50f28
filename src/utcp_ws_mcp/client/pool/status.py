"""What a pool reports: its status, and the error of calls at the shutdown."""

from __future__ import annotations

from ...errors import BridgeError, ConnectionLost, Outcome
from ...records import Record


class PoolStats(Record):
    """The status of a manual: open connections, waiting calls, and the last error if no connection opened since.

    `used` is the number of the open connections on which calls are running.
    """

    connections: int = 0
    waiting: int = 0
    last_error: BridgeError | None = None
    used: int = 0


def shutdown_error(address: str) -> ConnectionLost:
    """Return the error of calls that wait, or arrive, while the bridge is being closed."""
    return ConnectionLost(address, "utcp-ws-mcp is shutting down", Outcome.NOT_SENT)
