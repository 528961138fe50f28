"""The memory of another process, as Linux counts it: resident bytes, and the most there were since `Memory` began."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

MIB: Final = 1 << 20


class Memory:
    """The growth of a process's memory from now on."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)
        (self._folder / "clear_refs").write_text("5")  # the peak begins anew: proc(5)
        self._before = self._field("VmRSS")

    @property
    def growth(self) -> float:
        """MiB that the process had at its peak beyond what it had at first."""
        return (self._field("VmHWM") - self._before) / MIB

    def _field(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", (self._folder / "status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) * 1024
