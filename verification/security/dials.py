"""Every address that this process connects to, as the operating system would get it."""

from __future__ import annotations

import sys
from typing import Any


class ConnectRecorder:
    """Records what is passed to `connect`, from now to the end of the process, and refuses it.

    Only the ports in `let_through` are really connected to; so nothing leaves this machine.
    """

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.allowed_ports: set[int] = set()
        sys.addaudithook(self._audit)

    def take_addresses(self) -> list[str]:
        """The addresses since the last time."""
        taken, self.addresses = self.addresses, []
        return taken

    def _audit(self, event: str, details: tuple[Any, ...]) -> None:
        if event != "socket.connect":
            return
        address = details[1]
        if isinstance(address, tuple) and address[1] in self.allowed_ports:
            return
        self.addresses.append(str(address[0] if isinstance(address, tuple) else address))
        raise ConnectionRefusedError(111, "refused by the measurement")
