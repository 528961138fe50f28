"""Measure the memory of another process with Linux's counters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

MIB: Final = 1 << 20


class Memory:
    """The growth of the resident memory of a process since this object was created."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)
        (self._folder / "clear_refs").write_text("5")  # resets the peak counter VmHWM, see proc(5)
        self._before = self._field("VmRSS")

    @property
    def growth(self) -> float:
        """The difference in MiB between the peak and the initial memory."""
        return (self._field("VmHWM") - self._before) / MIB

    def _field(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", (self._folder / "status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) * 1024
