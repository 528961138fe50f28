"""The part of `make author` that needs no installation."""

from __future__ import annotations

import pytest

from verification.authoring.adversary import attack
from verification.authoring.plan import Plan
from verification.authoring.plans import LIGHT
from verification.authoring.run import carry_out

MAX_CALLS = 5
MAX_READ = 3_000


@pytest.mark.parametrize("plan", LIGHT, ids=lambda plan: plan.server)
async def test_a_plan_leads_to_a_right_answer_in_few_calls(plan: Plan) -> None:
    report = await carry_out(plan)
    assert report.problem == ""
    assert report.calls <= MAX_CALLS
    assert report.tokens_read <= MAX_READ


async def test_an_endpoint_that_gives_orders_gets_nothing() -> None:
    assert await attack() == []
