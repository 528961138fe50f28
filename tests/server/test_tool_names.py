"""The names that hosts see."""

from __future__ import annotations

import re
from itertools import permutations

import pytest

from utcp_ws_mcp.server.tool_names import MAX_NAME_LENGTH, mcp_names

KEYS = [("a", "b_c"), ("a_b", "c"), ("m", "get.user"), ("m", "get_user"), ("m", "x" * 70), ("m", "x" * 71), ("m", "t")]


def test_every_tool_has_a_name_of_its_own_that_hosts_accept() -> None:
    names = mcp_names(KEYS)
    assert list(names.values()) == KEYS
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)
    assert "m_t" in names


@pytest.mark.parametrize("order", list(permutations([("a", "b_c"), ("a_b", "c")])), ids=["first", "second"])
def test_a_name_that_two_tools_would_have_is_that_of_neither(order: list[tuple[str, str]]) -> None:
    assert "a_b_c" not in mcp_names(order)
    assert mcp_names([*order, *KEYS]).items() >= mcp_names(order).items()


def test_a_tool_that_is_called_like_the_hash_of_another_takes_nothing_from_it() -> None:
    pair = [("a", "b_c"), ("a_b", "c")]
    hashed = next(iter(mcp_names(pair)))
    forged = ("a", hashed.removeprefix("a_"))
    names = mcp_names([forged, *pair])
    assert names[hashed] == pair[0]
    assert len(names) == 3
    assert all(len(name) <= MAX_NAME_LENGTH for name in names)
