"""What is chosen, what a second import changes, and what names say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.merging import merge
from utcp_ws_mcp.importers.model import MAX_DESCRIPTION
from utcp_ws_mcp.importers.naming import argument_name, hints, is_reading, manual_name, summarize, tool_name

from .sides import feeds, imported, tools


def api(*names: str, tags: dict[str, str] | None = None, deprecated: tuple[str, ...] = (), **others: Any) -> Any:
    methods = [
        {
            "name": name,
            "params": [],
            "result": {"name": "result"},
            "tags": [{"name": (tags or {}).get(name, "plain")}],
            "deprecated": name in deprecated,
        }
        for name in names
    ]
    return {"openrpc": "1.3.2", "info": {"title": "Node"}, "methods": methods, **others}


MANY = [*(f"getValue{number}" for number in range(40)), *(f"setValue{number}" for number in range(40))]


def test_of_many_operations_only_stable_ones_that_read_are_imported_by_default() -> None:
    result = imported(api(*MANY, deprecated=("getValue0",)))
    assert {*tools(result)} == {f"getValue{number}" for number in range(1, 40)}
    assert result.report[0].endswith("80 operations: 39 imported, 41 left out (may change something 40, deprecated 1).")
    assert any("--all takes them all" in line for line in result.report)


def test_few_operations_are_all_imported() -> None:
    assert len(tools(imported(api(*MANY[20:60], deprecated=("getValue30",))))) == 40


def test_a_tag_that_is_named_is_imported_whatever_it_changes() -> None:
    tags = dict.fromkeys(MANY, "mine")
    assert len(tools(imported(api(*MANY, tags=tags), tags=["mine"]))) == 80


def test_all_and_include_take_what_the_default_leaves_out() -> None:
    assert len(tools(imported(api(*MANY), everything=True))) == 80
    assert {*tools(imported(api(*MANY), include=["setValue1?"]))} == {f"setValue1{digit}" for digit in range(10)}


def test_exclude_and_read_only_leave_out() -> None:
    assert {*tools(imported(api("getA", "getB", "setA"), exclude=["*A"]))} == {"getB"}
    assert {*tools(imported(api("getA", "setA"), read_only=True))} == {"getA"}


def test_where_nothing_reads_what_is_stable_is_imported() -> None:
    assert len(tools(imported(api(*(f"do{number}" for number in range(70)), deprecated=("do1",))))) == 69


def test_a_choice_of_nothing_says_what_was_left_out() -> None:
    with pytest.raises(ImportFailed, match=r"Left out \(not included\): getA, getB\.") as failed:
        imported(api("getA", "getB"), include=["nothing*"])
    assert failed.value.code == "nothing-to-import"


# A second import


def second(existing: Any, *names: str, **others: Any) -> tuple[Any, Any]:
    return merge(json.loads(json.dumps(existing)), imported(api(*names, **others)).manifest)


def test_a_second_import_of_the_same_changes_nothing() -> None:
    first = imported(api("a", "b")).manifest
    merged, difference = second(first, "a", "b")
    assert (merged, difference.is_empty, difference.lines()) == (first, True, ["no difference"])


def test_new_and_removed_operations_are_added_and_removed() -> None:
    merged, difference = second(imported(api("a", "b")).manifest, "b", "c")
    assert [tool["name"] for tool in merged["tools"]] == ["b", "c"]
    assert (difference.added, difference.removed) == (["c"], ["a"])


def test_what_the_author_changed_is_kept_and_what_not_is_updated() -> None:
    first = imported(api("a", "b", "c")).manifest
    first["tools"][0]["description"] = "Mine."
    first["tools"].append({"name": "own", "description": "Written by hand."})
    first["timeout"] = 5
    first["name"] = "renamed"
    newer = api("a", "b")
    for method in newer["methods"]:
        method["summary"] = "Newer."
    merged, difference = merge(first, imported(newer, url="wss://moved.example.com/").manifest)
    assert [(tool["name"], tool["description"]) for tool in merged["tools"]] == [
        ("a", "Mine."),
        ("b", "Newer."),
        ("own", "Written by hand."),
    ]
    assert (merged["timeout"], merged["name"], merged["url"]) == (5, "renamed", first["url"])
    assert (difference.kept, difference.updated, difference.removed) == (["a"], ["b"], ["c"])
    assert difference.fields == ["url"]


def test_feeds_are_merged_like_tools() -> None:
    notified = {"notifications": [{"name": "changed"}]}
    first = imported(api("a")).manifest
    merged, difference = second(first, "a", **notified)
    assert [feed["name"] for feed in merged["feeds"]] == ["notifications"]
    assert difference.added == ["notifications"]


def test_endpoints_of_a_manifest_with_several_are_merged_by_their_name() -> None:
    first = imported(api("a")).manifest
    other = {"name": "other", "url": "wss://other.example.com/", "tools": []}
    both = {"manual_call_templates": [other, first]}
    merged, _ = second(both, "a", "b")
    assert [len(entry["tools"]) for entry in merged["manual_call_templates"]] == [0, 2]
    alone, difference = second({"manual_call_templates": [other, other | {"name": "third"}]}, "a")
    assert [entry["name"] for entry in alone["manual_call_templates"]] == ["other", "third", "node"]
    assert difference.added == ["node.a"]


# Names


@pytest.mark.parametrize(
    ("name", "text", "reads"),
    [
        ("getBalance", "", True),
        ("eth_getBalance", "", True),
        ("Player.GetItem", "", True),
        ("eth_sendTransaction", "Returns the hash.", False),
        ("deleteAll", "", False),
        ("eth_accounts", "Returns the accounts.", True),
        ("Account.id", "Get the ID.", True),
        ("restart", "Restarts the program.", False),
        ("core.playback.stop", "", False),
    ],
)
def test_a_name_says_whether_an_operation_only_reads(name: str, text: str, reads: bool) -> None:
    assert is_reading(name, text) is reads


def test_the_hints_of_what_destroys_say_so() -> None:
    assert hints("removeUser", False) == {"readOnlyHint": False, "destructiveHint": True}
    assert hints("addUser", False) == {"readOnlyHint": False, "destructiveHint": False}


@given(st.text(max_size=100), st.sets(st.text(max_size=5), max_size=5))
def test_names_are_accepted_by_hosts_and_expressions_and_are_free(name: str, taken: set[str]) -> None:
    import re

    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,70}", tool_name(name, taken))
    assert tool_name(name, taken) not in taken
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,69}", argument_name(name, taken))
    assert argument_name(name, taken) not in taken
    assert re.fullmatch(r"[a-z][a-z0-9_]*", manual_name(name))


@given(st.text(max_size=2000), st.text(min_size=1, max_size=30))
def test_a_description_is_never_empty_and_never_long(text: str, name: str) -> None:
    described = summarize(text, None, name=name)
    assert described.strip()
    assert len(described) <= MAX_DESCRIPTION + 1


def test_events_of_a_feed_are_listed_as_far_as_they_fit() -> None:
    names = [f"something_has_happened_{number}" for number in range(100)]
    feed = feeds(imported(api("a", notifications=[{"name": name} for name in names])))["notifications"]
    assert "something_has_happened_1," in feed["description"]
    assert " more." in feed["description"]
    assert len(feed["description"]) < MAX_DESCRIPTION


def test_a_document_without_operations_is_said_to_have_none() -> None:
    with pytest.raises(ImportFailed, match="nothing is imported: it describes no operation") as failed:
        imported({"openrpc": "1.3.2", "info": {"title": "Empty"}, "methods": []}, url="wss://x.example.com")
    assert failed.value.code == "nothing-to-import"
