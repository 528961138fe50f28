"""T5: every fault in every connection mode, during discovery, during a call and on an idle connection."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, get_args

from utcp_ws_mcp.errors import Outcome
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .clients import Caller
from .contenders import SLACK, TIMEOUT, Cell, Mode, Scene, Subject, bridge_subject
from .faults import FAULT_CASES, Phase
from .healthy_endpoint import HealthyEndpoint, healthy_endpoint, token_server
from .proxy import Proxy, proxy
from .reply_disturbances import answer_to

CONCURRENCY: Final = 16
"""Cells that run concurrently. They wait most of the time."""

DETECTION_CHECKS: Final = 10
"""Steps of at least 10 ms in which the bridge must detect the end of an idle connection."""

Flaw = Literal["wrong error", "wrong outcome", "late", "no recovery", "others affected"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result or the error of a call, and its duration."""

    number: int
    result: Any
    error: Exception | None
    seconds: float

    @property
    def is_correct(self) -> bool:
        """Whether the call has the correct answer."""
        return isinstance(self.result, dict) and self.result.get("answer") == answer_to(self.number)


class CellRun:
    """The run of one cell. With `exact`, an error must have the expected class and message."""

    def __init__(
        self, cell: Cell, healthy: HealthyEndpoint, faulty_path: Proxy, token_path: Proxy, *, exact: bool
    ) -> None:
        self._cell, self._healthy, self._exact = cell, healthy, exact
        self._faulty_path, self._token_path = faulty_path, token_path
        self._fault_active = False
        self.flaws: list[Flaw] = []

    async def run(self, subject: Subject) -> None:
        """Call a faulty and a healthy endpoint while the fault is active, and again after it."""
        async with AsyncExitStack() as stack:
            if self._cell.phase != "idle":
                self._begin()
            scene = Scene(self._cell, self._faulty_path.port, self._healthy.port, self._token_path.port, self._resolve)
            call = await stack.enter_async_context(subject(scene))
            if self._cell.phase == "idle":
                self._expect((await self._attempt(call, "faulty")).is_correct, "wrong error")
                self._expect((await self._attempt(call, "good")).is_correct, "others affected")
                self._begin()
                for _ in range(DETECTION_CHECKS):
                    await asyncio.sleep(0.01)
            faulty, other = await asyncio.gather(self._attempt(call, "faulty"), self._attempt(call, "good"))
            self._check_attempt(faulty)
            self._expect(other.is_correct, "others affected")
            self._end()
            self._expect((await self._attempt(call, "faulty")).is_correct, "no recovery")
            self._expect((await self._attempt(call, "good")).is_correct, "others affected")

    async def _resolve(self, host: str, port: int) -> list[str]:
        if self._fault_active and self._cell.fault_case.where == "name" and host.startswith("faulty"):
            raise OSError("no such name")
        return ["127.0.0.1"]

    def _begin(self) -> None:
        fault_case, exclusive = self._cell.fault_case, self._cell.mode != "shared" or self._cell.phase == "discovery"
        self._fault_active = True
        self._faulty_path.set_fault(fault_case.connection_fault(self._cell.phase, exclusive=exclusive))
        self._faulty_path.end_connections(fault_case.ending, fault_case.close_bytes)
        if fault_case.where not in ("path", "name"):
            self._token_path.set_fault(fault_case.fault)

    def _end(self) -> None:
        """Clear the fault for new connections; connections that hang stay so, as in a real network."""
        self._fault_active = False
        self._faulty_path.clear_fault()
        self._token_path.clear_fault()

    async def _attempt(self, call: Caller, name: str) -> Attempt:
        number, started = next(self._healthy.numbers), asyncio.get_running_loop().time()
        result, error = None, None
        try:
            async with asyncio.timeout(TIMEOUT + SLACK):
                result = await call(name, n=number)
        except Exception as failed:
            error = failed
        return Attempt(number, result, error, asyncio.get_running_loop().time() - started)

    def _check_attempt(self, attempt: Attempt) -> None:
        """Compare the end of a call with the expected one."""
        expected, pattern = self._cell.fault_case.expected(self._cell.phase, pooled=self._cell.mode != "one-shot")
        error = attempt.error
        if expected is None:
            self._expect(attempt.is_correct, "wrong error")
        elif self._exact:
            self._expect(type(error) is expected and bool(re.search(pattern, str(error))), "wrong error")
        else:
            self._expect(error is not None, "wrong error")
        executed = attempt.number in self._healthy.executed
        not_sent = getattr(error, "outcome", None) is Outcome.NOT_SENT
        self._expect(not (executed and not_sent), "wrong outcome")
        self._expect(attempt.seconds < TIMEOUT + SLACK, "late")

    def _expect(self, holds: bool, flaw: Flaw) -> None:
        if not holds and flaw not in self.flaws:
            self.flaws.append(flaw)


def cells() -> list[Cell]:
    """Return the whole matrix."""
    return [Cell(*each) for each in product(FAULT_CASES, get_args(Mode), get_args(Phase))]


async def run_cell(subject: Subject, matrix: Sequence[Cell], *, exact: bool = True) -> Mapping[Cell, Sequence[Flaw]]:
    """Run cells concurrently and return the flaws of each."""
    flaws: dict[Cell, Sequence[Flaw]] = {}
    remaining = iter(matrix)

    async def work(healthy: HealthyEndpoint, token_port: int) -> None:
        for cell in remaining:
            async with proxy(healthy.port) as faulty_path, proxy(token_port) as token_path:
                cell_run = CellRun(cell, healthy, faulty_path, token_path, exact=exact)
                await cell_run.run(subject)
                flaws[cell] = cell_run.flaws

    async with healthy_endpoint() as endpoint, token_server() as token_port, asyncio.TaskGroup() as workers:
        for _ in range(CONCURRENCY):
            workers.create_task(work(endpoint, token_port))
    return flaws


async def measure(size: Size) -> Sequence[Figure]:
    """Run the matrix in a random order, so that each run combines other cells, and return a figure for each phase."""
    matrix = cells()
    counts: Counter[Phase] = Counter()
    flawed: dict[Phase, list[str]] = {phase: [] for phase in get_args(Phase)}
    for _ in range(size.of(1, 20)):
        size.random().shuffle(matrix)
        for cell, flaws in (await run_cell(bridge_subject, matrix)).items():
            counts[cell.phase] += 1
            flawed[cell.phase] += [f"{cell}: {', '.join(flaws)}"] if flaws else []
    return [_figure(phase, counts[phase], flawed[phase]) for phase in counts]


def _figure(phase: Phase, count: int, flawed: Sequence[str]) -> Figure:
    what = f"{len(FAULT_CASES)} faults in 3 modes, phase: {phase}"
    result = "; ".join([f"{count - len(flawed)} of {count}", *flawed[:5]])
    target = f"{count} of {count}: expected error in time, correct outcome, recovery, no effect on others"
    return Figure("T5", what, result, target, met=not flawed)


if __name__ == "__main__":
    run(measure)
