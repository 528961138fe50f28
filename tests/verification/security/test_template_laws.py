"""The laws of templates hold for some examples; `make security` uses more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from verification.security.template_laws import Law, laws
from verification.security.template_properties import try_law

LAWS = {law.statement: law for law in laws()}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_law_of_templates_holds(law: Law) -> None:
    assert try_law(law, 60, seed=7) == (60, None)


def below(number: Any) -> None:
    assert number < 100, "too big"


def test_a_law_that_fails_is_reported_with_its_smallest_counterexample() -> None:
    tried, broken = try_law(Law("Numbers are small.", st.integers(0, 10_000), below), 200, seed=7)

    assert tried > 0
    assert broken is not None
    assert broken.startswith("AssertionError: too big")
    assert broken.endswith(" on 100")
