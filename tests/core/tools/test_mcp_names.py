"""The names that hosts see."""

from __future__ import annotations

import re
from itertools import permutations

import pytest

from utcp_ws_mcp.core.tools.mcp_names import MAX_NAME_LENGTH, ToolKey, host_names, may_belong

KEYS = [("a", "b_c"), ("a_b", "c"), ("m", "get.user"), ("m", "get_user"), ("m", "x" * 70), ("m", "x" * 71), ("m", "t")]
PAIR = [("a", "b_c"), ("a_b", "c")]


def ranked(*keys: ToolKey) -> dict[ToolKey, int]:
    return dict.fromkeys(keys, 0)


def test_every_tool_has_a_name_of_its_own_that_hosts_accept() -> None:
    names = host_names(ranked(*KEYS))
    assert list(names) == KEYS
    assert len({*names.values()}) == len(KEYS)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,45}", name) for name in names.values())
    assert names["m", "t"] == "m_t"


@pytest.mark.parametrize("order", list(permutations(PAIR)), ids=["first", "second"])
def test_a_name_that_two_tools_would_have_is_that_of_neither(order: list[ToolKey]) -> None:
    assert "a_b_c" not in host_names(ranked(*order)).values()
    assert host_names(ranked(*order, *KEYS)).items() >= host_names(ranked(*order)).items()


@pytest.mark.parametrize("order", list(permutations(PAIR)), ids=["first", "second"])
@pytest.mark.parametrize("ranks", [(0, 1), (3, 9)], ids=["a tool of the manifest", "a tool that was approved before"])
def test_a_newcomer_never_changes_the_name_of_another_tool(order: list[ToolKey], ranks: tuple[int, int]) -> None:
    names = host_names(dict(zip(order, ranks, strict=True)))
    assert names[order[0]] == "a_b_c"
    assert re.fullmatch(r"a_b_c_[0-9a-f]{8}", names[order[1]])


@pytest.mark.parametrize("rank", [0, 1])
def test_a_tool_that_is_called_like_the_hash_of_another_takes_nothing_from_it(rank: int) -> None:
    hashed = host_names(ranked(*PAIR))[PAIR[0]]
    forged = ("a", hashed.removeprefix("a_"))
    names = host_names({forged: rank, **ranked(*PAIR)})
    assert names[PAIR[0]] == hashed
    assert len({*names.values()}) == 3
    assert all(len(name) <= MAX_NAME_LENGTH for name in names.values())


def test_a_newcomer_whose_hash_is_the_name_of_an_older_tool_gets_a_longer_one() -> None:
    hashed = host_names(ranked(*PAIR))[PAIR[1]]
    names = host_names({("a", hashed.removeprefix("a_")): 0, PAIR[0]: 0, PAIR[1]: 1})
    assert names["a", hashed.removeprefix("a_")] == hashed
    assert len({*names.values()}) == 3


@pytest.mark.parametrize(("manual", "server"), [("demo", "demo"), ("my.api", "my-api"), ("my_api", "My-API")])
def test_a_host_that_adds_the_name_of_the_server_does_not_see_it_twice(manual: str, server: str) -> None:
    names = host_names(ranked((manual, "add"), ("other", "add")), server)
    assert list(names.values()) == ["add", "other_add"]
    assert may_belong("add", manual, server)
    assert not may_belong("add", "other", server)


@pytest.mark.parametrize("name", ["my.api.add", "my_api_add"])
def test_a_tool_is_found_by_either_of_its_names(name: str) -> None:
    assert may_belong(name, "my.api")
    assert not may_belong(name, "api")
