"""T5: every fault, in every mode of sharing, met by a discovery, by a call and by an idle connection."""

from __future__ import annotations

import asyncio
import re
import time
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
from .faults import FAULT_CASES, Phase
from .proxy import Proxy, proxy
from .replies import answer_to
from .subjects import SLACK, TIMEOUT, Cell, Mode, Scene, Subject, bridge_subject
from .world import HealthyEndpoint, healthy_endpoint, token_server

CONCURRENCY: Final = 16
"""Cells that are played side by side. Most of them wait most of the time."""

DETECTION_CHECKS: Final = 10
"""Rounds of the event loop, each of 10 ms at least, in which the end of an idle connection is noticed."""

Flaw = Literal["wrong error", "wrong outcome", "late", "not healed", "others touched"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of a call: a result, or an error, after some seconds."""

    number: int
    result: Any
    error: Exception | None
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether it has the right answer."""
        return isinstance(self.result, dict) and self.result.get("answer") == answer_to(self.number)


class CellRun:
    """One cell being played. `exact`: an error must have the right class and words, not only be one."""

    def __init__(self, cell: Cell, world: HealthyEndpoint, path: Proxy, tokens: Proxy, *, exact: bool) -> None:
        self._cell, self._world, self._path, self._tokens, self._exact = cell, world, path, tokens, exact
        self._fault_active = False
        self.flaws: list[Flaw] = []

    async def run(self, subject: Subject) -> None:
        """Use the endpoint in trouble and another one while the trouble lasts, and when it is over."""
        async with AsyncExitStack() as stack:
            if self._cell.phase != "idle":
                self._begin()
            scene = Scene(self._cell, self._path.port, self._world.port, self._tokens.port, self._resolve)
            call = await stack.enter_async_context(subject(scene))
            if self._cell.phase == "idle":
                self._expect((await self._attempt(call, "faulty")).is_right, "wrong error")
                self._expect((await self._attempt(call, "good")).is_right, "others touched")
                self._begin()
                for _ in range(DETECTION_CHECKS):
                    await asyncio.sleep(0.01)
            troubled, other = await asyncio.gather(self._attempt(call, "faulty"), self._attempt(call, "good"))
            self._check_attempt(troubled)
            self._expect(other.is_right, "others touched")
            self._end()
            self._expect((await self._attempt(call, "faulty")).is_right, "not healed")
            self._expect((await self._attempt(call, "good")).is_right, "others touched")

    async def _resolve(self, host: str, port: int) -> list[str]:
        if self._fault_active and self._cell.fault_case.where == "name" and host.startswith("faulty"):
            raise OSError("no such name")
        return ["127.0.0.1"]

    def _begin(self) -> None:
        trouble, owned = self._cell.fault_case, self._cell.mode != "shared" or self._cell.phase == "discovery"
        self._fault_active = True
        self._path.set_fault(trouble.connection_fault(self._cell.phase, exclusive=owned))
        self._path.end_connections(trouble.ending, trouble.close_bytes)
        if trouble.where == "token":
            self._tokens.set_fault(trouble.fault)

    def _end(self) -> None:
        """Connections that the trouble has left hanging stay as they are."""
        self._fault_active = False
        self._path.clear_fault()
        self._tokens.clear_fault()

    async def _attempt(self, call: Caller, name: str) -> Attempt:
        number, started = next(self._world.numbers), time.monotonic()
        result, error = None, None
        try:
            async with asyncio.timeout(TIMEOUT + SLACK):
                result = await call(name, n=number)
        except Exception as failed:
            error = failed
        return Attempt(number, result, error, time.monotonic() - started)

    def _check_attempt(self, attempt: Attempt) -> None:
        """Hold what came of a call against what had to come of it."""
        expected, says = self._cell.fault_case.expected(self._cell.phase, pooled=self._cell.mode != "one-shot")
        error = attempt.error
        if expected is None:
            self._expect(attempt.is_right, "wrong error")
        elif self._exact:
            self._expect(type(error) is expected and bool(re.search(says, str(error))), "wrong error")
        else:
            self._expect(error is not None, "wrong error")
        denied = getattr(error, "outcome", None) is Outcome.NOT_SENT and attempt.number in self._world.executed
        self._expect(not denied, "wrong outcome")
        self._expect(attempt.seconds < TIMEOUT + SLACK, "late")

    def _expect(self, holds: bool, flaw: Flaw) -> None:
        if not holds and flaw not in self.flaws:
            self.flaws.append(flaw)


def cells() -> list[Cell]:
    """The whole matrix."""
    return [Cell(*each) for each in product(FAULT_CASES, get_args(Mode), get_args(Phase))]


async def run_cell(subject: Subject, matrix: Sequence[Cell], *, exact: bool = True) -> Mapping[Cell, Sequence[Flaw]]:
    """Play cells side by side; what was wrong in each."""
    flaws: dict[Cell, Sequence[Flaw]] = {}
    left = iter(matrix)

    async def work(world: HealthyEndpoint, tokens: int) -> None:
        for cell in left:
            async with proxy(world.port) as path, proxy(tokens) as before_tokens:
                played = CellRun(cell, world, path, before_tokens, exact=exact)
                await played.run(subject)
                flaws[cell] = played.flaws

    async with healthy_endpoint() as real, token_server() as tokens, asyncio.TaskGroup() as workers:
        for _ in range(CONCURRENCY):
            workers.create_task(work(real, tokens))
    return flaws


async def measure(size: Size) -> Sequence[Figure]:
    """The matrix in a random order, so that cells meet different ones beside them; a figure for each phase."""
    matrix = cells()
    played: Counter[Phase] = Counter()
    flawed: dict[Phase, list[str]] = {phase: [] for phase in get_args(Phase)}
    for _ in range(size.of(1, 20)):
        size.random().shuffle(matrix)
        for cell, flaws in (await run_cell(bridge_subject, matrix)).items():
            played[cell.phase] += 1
            flawed[cell.phase] += [f"{cell}: {', '.join(flaws)}"] if flaws else []
    return [_figure(phase, played[phase], flawed[phase]) for phase in played]


def _figure(phase: Phase, played: int, flawed: Sequence[str]) -> Figure:
    what = f"{len(FAULT_CASES)} faults in 3 modes, met by: {phase}"
    result = "; ".join([f"{played - len(flawed)} of {played}", *flawed[:5]])
    target = f"{played} of {played}: right error in time, truth about the request, healed, others untouched"
    return Figure("T5", what, result, target, met=not flawed)


if __name__ == "__main__":
    run(measure)
