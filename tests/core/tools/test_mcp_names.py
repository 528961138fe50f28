"""The names that hosts see."""

from __future__ import annotations

import re
from itertools import permutations

import pytest

from utcp_ws_mcp.core.tools.mcp_names import MAX_NAME_LENGTH, ToolKey, has_server_name, host_names, may_belong

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


NEWCOMER = ("a_b", "c")


def hashes() -> list[str]:
    """Return the names with longer and longer hashes that a newcomer gets while others have the shorter ones."""
    found: list[str] = []
    for _ in range(4):
        found.append(host_names({**having("a_b_c", *found), NEWCOMER: 1})[NEWCOMER])
    return found


def having(*names: str) -> dict[ToolKey, int]:
    """Return tools that have these names."""
    return {("a", name.removeprefix("a_")): 0 for name in names}


def test_a_name_of_45_characters_is_kept_and_a_longer_one_ends_with_a_hash() -> None:
    assert MAX_NAME_LENGTH == 45
    names = host_names(ranked(("m", "x" * 43), ("m", "y" * 44)))
    assert names["m", "x" * 43] == "m_" + "x" * 43
    assert re.fullmatch(r"m_y{34}_[0-9a-f]{8}", names["m", "y" * 44])


def test_a_hash_grows_while_its_name_is_that_of_another_tool() -> None:
    digests = [name.removeprefix("a_b_c_") for name in hashes()]
    assert re.fullmatch("[0-9a-f]{32}", digests[3])
    assert digests == [digests[3][:length] for length in (8, 16, 24, 32)]


def test_a_tool_keeps_its_longest_hash_if_others_have_all_of_its_names() -> None:
    found = hashes()
    assert host_names({**having("a_b_c", *found), NEWCOMER: 1})[NEWCOMER] == found[3]


def test_tools_with_long_names_that_begin_alike_have_different_hashes() -> None:
    names = host_names(ranked(("m", "x" * 50), ("m", "x" * 51), ("m_x", "x" * 49)))
    assert len({name[-8:] for name in names.values()}) == 3


def test_the_names_are_in_the_order_of_the_tools_whatever_their_ranks() -> None:
    keys = [("c", "t"), ("a", "t"), ("b", "t")]
    names = host_names(dict(zip(keys, (2, 0, 1), strict=True)))
    assert list(names.items()) == [(key, f"{key[0]}_t") for key in keys]
    assert host_names({}) == {}


def test_a_tool_of_a_lower_rank_keeps_its_name_among_several_newcomers() -> None:
    names = host_names({("a", "b_c"): 2, ("a_b", "c"): 2, ("a_b_c", ""): 0, ("a", "b.c"): 1})
    assert names["a", "b.c"] == "a_b_c"
    assert all(re.fullmatch(r"a_b_c_[0-9a-f]{8}", names[key]) for key in (("a", "b_c"), ("a_b", "c")))


@pytest.mark.parametrize(
    ("manual", "server", "same"),
    [
        ("demo", "demo", True),
        ("De-mo", "d.emo", True),
        ("demo", "demo2", False),
        ("demo", "", False),
        ("--", "", False),
    ],
)
def test_the_name_of_a_manual_is_compared_with_the_server_by_letters_and_digits(
    manual: str, server: str, same: bool
) -> None:
    assert has_server_name(manual, server) is same


@pytest.mark.parametrize(
    ("name", "found"), [("m.t", True), ("m_t", True), ("mt", False), ("n_m_t", False), ("m", False), ("", False)]
)
def test_a_name_belongs_to_a_manual_that_it_begins_with(name: str, found: bool) -> None:
    assert may_belong(name, "m") is found
