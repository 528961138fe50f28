"""Send the messages that end at the endpoint what a caller began and no longer waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import anyio

from ..core.exchange.cancellation import CancelMessage
from .eager import ensure_task

if TYPE_CHECKING:
    from .connection import Connection

CANCEL_TIMEOUT: Final = 1.0
"""Seconds for sending these messages. It is short, because a call that was cancelled waits for it."""


async def send_cancel_messages(connection: Connection, messages: Sequence[CancelMessage]) -> None:
    """Send the messages that are due because the caller of an exchange leaves (`Cancellations.end`)."""
    await ensure_task()
    # Shielded: a cancelled call, above all, must tell the endpoint to stop.
    with anyio.move_on_after(CANCEL_TIMEOUT, shield=True):
        for purpose, value in messages:
            try:
                await connection.send(connection.encode(value), purpose)
            except ValueError as error:
                connection.on_send_failed(purpose, str(error))
