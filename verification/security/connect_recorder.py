"""Record every address that this process passes to the operating system for a connection."""

from __future__ import annotations

import sys
from typing import Any


class ConnectRecorder:
    """Records and refuses every call of `connect`, until the end of the process (audit hooks cannot be removed).

    Only the ports in `allowed_ports` are connected, so that nothing leaves this machine.
    """

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.allowed_ports: set[int] = set()
        sys.addaudithook(self._audit)

    def take_addresses(self) -> list[str]:
        """Return the addresses since the last call of this method."""
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
