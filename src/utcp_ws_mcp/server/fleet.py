"""The options of `serve --shared`: checked, and made the fleet that this replica joins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from ..errors import ServeOptionsError
from ..manifest.extras import is_installed, needs_extra
from ..observability.events import Observer
from ..observability.redaction import Redactor
from .http.defaults import SHARED_VARIABLE

if TYPE_CHECKING:
    from ..client.shared.fleet import Fleet
    from .http.config import SharedOptions

REPLICA_BYTES: Final = 8
"""Bytes of the name of a replica, which is random."""


@asynccontextmanager
async def join_fleet(options: SharedOptions | None, observe: Observer, redact: Redactor) -> AsyncIterator[Fleet | None]:
    """Join the fleet that the options name for the duration of a block; None without options.

    Raises:
        ServeOptionsError: if an option is invalid, redis-py is not installed, or the store refuses this replica.
    """
    if options is None:
        yield None
        return
    if not is_installed("redis"):
        raise ServeOptionsError(needs_extra("--shared", "redis"), code="package-missing")
    from ..client.shared.address import parse_store_address
    from ..client.shared.fleet import open_fleet
    from ..client.shared.sealing import check_key

    address = parse_store_address(options.url, options.source)
    if address.password is not None:
        if options.source == "--shared":
            raise ServeOptionsError(
                "--shared contains a password, which other users of this machine can see in the list of processes. "
                f"Write the URL into a file for --shared-file, or into {SHARED_VARIABLE}.",
                code="invalid-shared-url",
            )
        redact.add_tokens("--shared", [address.password])
    if options.key is not None:
        redact.add_tokens("--shared-key-file", [check_key(options.key, options.key_source)])
    replica = token_hex(REPLICA_BYTES)
    async with open_fleet(options.fleet, replica, address, observe, options.key, redact) as fleet:
        yield fleet
