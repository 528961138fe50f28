"""The simulation is deterministic and finds defects."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from utcp_ws_mcp.client.call import Call
from verification.reliability.simulation.feed_mutants import FEED_MUTANTS
from verification.reliability.simulation.feed_run import simulate_feed
from verification.reliability.simulation.loop import Stuck, VirtualLoop
from verification.reliability.simulation.mutants import MUTANTS, Mutant, apply_mutant
from verification.reliability.simulation.run import simulate

SEEDS = range(40)
FOUND = {
    883163178421: "a reload reset the rate limit requests_per_second",
    140719342776: "what came before the request of a stream with HTTP steps was its item",
    140719345066: "what came before the request of an idle stream with HTTP steps was its item",
    140719356198: "a request with HTTP steps was sent into a session that had ended meanwhile",
    5016974: "a call that started before a reload opened a connection in the new pool",
    5054968: "a call that had received its manual counted as waiting after the next failure",
    5090445: "a running discovery counted as a lost call",
    6020803: "the deadline of a streaming call ignored the wait for its manual",
    9026339: "the backoff of an abandoned discovery started at the refusal of its connection",
    5181014: "a close frame that the network lost counted as received",
}
"""Seeds that found a defect, and the defect."""

FEED_SEEDS = range(12)
QUICK = [mutant for mutant in MUTANTS if mutant.what in ("a lease is released twice", "a loss says not sent")]


def digests() -> list[str]:
    return [simulate(seed).digest for seed in SEEDS]


def test_a_seed_repeats_a_run():
    assert simulate(7, log=True) == simulate(7, log=True)
    assert len(set(digests())) == len(SEEDS)


def test_a_seed_repeats_a_run_in_another_process():
    code = "from tests.verification.reliability.test_simulation import digests; print(*digests())"
    again = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "17", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.split() == digests()


def test_the_first_seeds_have_no_violation():
    assert [verdict for verdict in map(simulate, SEEDS) if verdict.violations] == []


@pytest.mark.parametrize("seed", FOUND, ids=str)
def test_a_defect_that_a_seed_found_stays_fixed(seed: int):
    assert simulate(seed).violations == (), FOUND[seed]


@pytest.mark.parametrize("mutant", QUICK, ids=lambda mutant: mutant.what)
def test_an_injected_defect_is_found(mutant: Mutant):
    with apply_mutant(mutant):
        assert any(simulate(seed).violations for seed in SEEDS)
    assert not any(simulate(seed).violations for seed in range(3))


def test_a_seed_of_feeds_repeats_a_run():
    assert simulate_feed(7, log=True) == simulate_feed(7, log=True)


def test_the_first_seeds_of_feeds_have_no_violation():
    assert [verdict for verdict in map(simulate_feed, FEED_SEEDS) if verdict.violations] == []


@pytest.mark.parametrize("mutant", FEED_MUTANTS, ids=lambda mutant: mutant.what)
def test_each_injected_defect_of_feeds_is_found(mutant: Mutant):
    with apply_mutant(mutant):
        assert any(simulate_feed(seed).violations for seed in range(400))


@pytest.mark.parametrize("mutant", [*MUTANTS, *FEED_MUTANTS], ids=lambda mutant: mutant.what)
def test_every_defect_can_be_injected(mutant: Mutant):
    before = vars(mutant.owner)[mutant.method]
    with apply_mutant(mutant):
        assert vars(mutant.owner)[mutant.method] is not before
    assert vars(mutant.owner)[mutant.method] is before


def test_a_defect_whose_line_is_missing_raises_an_error():
    with (
        pytest.raises(LookupError, match="no longer holds"),
        apply_mutant(Mutant("", Call, "_finish", "no such line", "")),
    ):
        pass


def test_a_task_that_waits_without_a_timer_raises_stuck():
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    loop = VirtualLoop()
    task = loop.create_task(wait())
    with pytest.raises(Stuck, match="no timer is set"):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_virtual_hours_need_no_real_time():
    loop = VirtualLoop()
    loop.run_until_complete(asyncio.sleep(7200))
    assert loop.now == pytest.approx(7200)
    loop.close()
