"""Which discovered tools are offered, withheld or trusted on first use."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.manifest.pinning import PinMode, check_pins, tool_digest

CHANGED, NEVER = "tool-changed", "tool-not-approved"
CHECKS: dict[str, tuple[PinMode, dict[str, str], dict[str, str], dict[str, str], dict[str, str], set[str]]] = {
    # mode, approved, discovered, withheld with its code, trusted, new
    "off": ("off", {"a": "1"}, {"a": "2", "b": "3"}, {}, {}, set()),
    "first seen": ("tofu", {}, {"a": "1"}, {}, {"a": "1"}, set()),
    "seen": ("tofu", {"a": "1"}, {"a": "1"}, {}, {}, set()),
    "a new one": ("tofu", {"a": "1"}, {"a": "1", "b": "2"}, {}, {"b": "2"}, {"b"}),
    "changed": ("tofu", {"a": "1"}, {"a": "2"}, {"a": CHANGED}, {}, set()),
    "alike": ("tofu", {"a.b": "1"}, {"a.b": "1", "a b": "1"}, {"a b": "tool-name-similar"}, {}, set()),
    "strict": ("strict", {"a": "1"}, {"a": "1", "b": "2"}, {"b": NEVER}, {}, set()),
    "strict and changed": ("strict", {"a": "1"}, {"a": "2"}, {"a": CHANGED}, {}, set()),
}


@pytest.mark.parametrize(("mode", "approved", "discovered", "withheld", "trusted", "new"), CHECKS.values(), ids=CHECKS)
def test_a_tool_is_offered_unless_it_was_changed_or_not_approved(
    mode: PinMode, approved: Any, discovered: Any, withheld: Any, trusted: Any, new: Any
) -> None:
    check = check_pins(mode, approved, discovered)
    assert check.offered == discovered.keys() - withheld.keys()
    assert {name: problem.code for name, problem in check.withheld.items()} == withheld
    assert (check.trusted, check.new) == (trusted, new)


def test_an_endpoint_cannot_have_any_number_of_tools_trusted() -> None:
    approved = {f"a{number}": "1" for number in range(1023)}
    check = check_pins("tofu", approved, {"b": "1", "c": "1"})
    assert check.trusted == {"b": "1"}
    assert check.withheld["c"].message == "1,024 tools of its manual were trusted before, more than any has."


def test_the_digest_of_a_tool_does_not_depend_on_the_order_of_its_keys() -> None:
    assert tool_digest({"a": 1, "b": [2]}) == tool_digest({"b": [2], "a": 1}) != tool_digest({"a": 1, "b": [3]})
