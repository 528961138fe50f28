"""The simulation: a seed is always the same, and defects do not stay unseen."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from utcp_ws_mcp.client.call import Call
from verification.reliability.simulation.loop import Stuck, VirtualLoop
from verification.reliability.simulation.mutants import MUTANTS, Mutant, apply_mutant
from verification.reliability.simulation.run import simulate

SEEDS = range(40)
FOUND = {
    883163178421: "a reload forgot the pace that requests_per_second asks for",
    5016974: "a call that began before a reload opened its connection among the new ones",
    5054968: "a request for a manual that came was counted again after the next failure",
    5090445: "a discovery that was under way was counted as a call that was forgotten",
    6020803: "a streaming call did not count the wait for its manual",
    9026339: "a question that was given up before its connection was refused was taken to pause from the refusal on",
    5181014: "a close frame that was cut on its way was counted as one that arrived",
}
"""Seeds that have found something, and what."""

QUICK = [mutant for mutant in MUTANTS if mutant.what in ("a lease is released twice", "a loss says not sent")]


def digests() -> list[str]:
    return [simulate(seed).digest for seed in SEEDS]


def test_a_seed_does_the_same_again():
    assert simulate(7, log=True) == simulate(7, log=True)
    assert len(set(digests())) == len(SEEDS)


def test_a_seed_does_the_same_in_another_process():
    code = "from tests.verification.reliability.test_simulation import digests; print(*digests())"
    again = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "17", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.split() == digests()


def test_the_first_seeds_are_without_a_violation():
    assert [verdict for verdict in map(simulate, SEEDS) if verdict.violations] == []


@pytest.mark.parametrize("seed", FOUND, ids=str)
def test_what_a_seed_has_found_stays_mended(seed: int):
    assert simulate(seed).violations == (), FOUND[seed]


@pytest.mark.parametrize("mutant", QUICK, ids=lambda mutant: mutant.what)
def test_a_defect_is_found(mutant: Mutant):
    with apply_mutant(mutant):
        assert any(simulate(seed).violations for seed in SEEDS)
    assert not any(simulate(seed).violations for seed in range(3))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_every_defect_can_still_be_put_in(mutant: Mutant):
    before = vars(mutant.owner)[mutant.method]
    with apply_mutant(mutant):
        assert vars(mutant.owner)[mutant.method] is not before
    assert vars(mutant.owner)[mutant.method] is before


def test_a_defect_whose_line_is_gone_is_an_error():
    with (
        pytest.raises(LookupError, match="no longer holds"),
        apply_mutant(Mutant("", Call, "_finish", "no such line", "")),
    ):
        pass


def test_what_waits_for_ever_is_told():
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    loop = VirtualLoop()
    task = loop.create_task(wait())
    with pytest.raises(Stuck, match="nothing will happen"):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_hours_pass_at_once():
    loop = VirtualLoop()
    loop.run_until_complete(asyncio.sleep(7200))
    assert loop.now == pytest.approx(7200)
    loop.close()
