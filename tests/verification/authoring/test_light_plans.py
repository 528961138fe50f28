"""The part of `make author` that needs no installation."""

from __future__ import annotations

import pytest

from verification.authoring.adversary import attack
from verification.authoring.plan import Plan
from verification.authoring.plans import LIGHT, REAL
from verification.authoring.run import carry_out

MAX_CALLS = 5
MAX_READ = 3_000
MIN_REAL_SERVERS = 10


@pytest.mark.parametrize("plan", LIGHT, ids=lambda plan: plan.server)
async def test_a_plan_leads_to_a_right_answer_in_few_calls(plan: Plan) -> None:
    report = await carry_out(plan)
    assert report.problem == ""
    assert report.calls <= MAX_CALLS
    assert report.tokens_read <= MAX_READ


def test_the_plans_reach_at_least_ten_real_servers() -> None:
    assert len({plan.server for plan in REAL}) >= MIN_REAL_SERVERS


async def test_an_endpoint_that_gives_orders_gets_nothing() -> None:
    assert await attack() == []
