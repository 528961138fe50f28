"""A second import into a manifest that exists."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from utcp_ws_mcp.importers.merging import Difference, merge, with_marks


def item(name: str, description: str = "First.") -> dict[str, Any]:
    return {"name": name, "description": description}


def manifest(*tools: Any, **fields: Any) -> dict[str, Any]:
    return with_marks({"$comment": "first", "name": "api", "url": "wss://a/", "tools": list(tools), **fields})


def names(items: list[Any]) -> list[Any]:
    return [each["name"] if isinstance(each, dict) else each for each in items]


def test_a_difference_says_each_subject_that_has_one() -> None:
    difference = Difference(["a", "b"], ["c"], ["d"], ["e"], ["url"])
    assert difference.lines() == [
        "+ new: a, b",
        "~ changed in the description: c",
        "- no longer imported: d",
        "= changed by you, kept: e",
        "= fields of the endpoint that the import would write otherwise, kept: url",
    ]


@pytest.mark.parametrize(
    ("difference", "is_empty"),
    [
        (Difference(added=["a"]), False),
        (Difference(updated=["a"]), False),
        (Difference(removed=["a"]), False),
        (Difference(kept=["a"], fields=["url"]), True),
        (Difference(), True),
    ],
)
def test_what_is_kept_is_no_change(difference: Difference, is_empty: bool) -> None:
    assert difference.is_empty is is_empty


def test_every_imported_tool_and_feed_is_marked_by_its_form() -> None:
    marked = manifest(item("a"), item("a", "Other."), feeds=[item("a")])
    one, other = (tool["$comment"] for tool in marked["tools"])
    assert one.startswith("imported as ")
    assert len(one) == len("imported as ") + 12
    assert marked["feeds"][0]["$comment"] == one != other
    listed = with_marks({"manual_call_templates": [{"name": "x", "tools": [item("a")]}, "odd"]})
    assert listed["manual_call_templates"] == [{"name": "x", "tools": [{**item("a"), "$comment": one}]}, "odd"]


def test_a_comment_of_the_second_import_replaces_that_of_the_first_only_if_something_changes() -> None:
    first = manifest(item("a"))
    changed, _ = merge(first, {**manifest(item("a", "Second.")), "$comment": "second"})
    assert [*changed.items()][0] == ("$comment", "second")
    same, _ = merge(first, {**manifest(item("a")), "$comment": "second"})
    assert same["$comment"] == "first"
    newer = manifest(item("b"))
    del newer["$comment"]
    assert merge(first, newer)[0]["$comment"] == "first"


def test_an_update_is_no_change_of_what_the_author_wrote() -> None:
    first = manifest(item("same"), item("newer"), item("mine"), item("mine too"), item("gone"), item("gone and mine"))
    first["tools"][2]["description"] = first["tools"][5]["description"] = "Mine."
    first["tools"][3]["description"] = "Second."
    second = manifest(item("same"), item("newer", "Second."), item("mine"), item("mine too", "Second."), item("added"))
    first["tools"] += ["odd", {"description": "without a name"}]
    merged, difference = merge(copy.deepcopy(first), second)
    assert merged["tools"] == [
        second["tools"][0],
        second["tools"][1],
        *first["tools"][2:4],
        first["tools"][5],
        "odd",
        {"description": "without a name"},
        second["tools"][4],
    ]
    assert difference == Difference(["added"], ["newer"], ["gone"], ["mine"], [])


def test_another_order_of_keys_is_no_change_of_the_author() -> None:
    first = manifest(item("a"))
    first["tools"][0] = dict(reversed(first["tools"][0].items()))
    merged, difference = merge(first, manifest(item("a", "Second.")))
    assert merged["tools"][0]["description"] == "Second."
    assert difference.updated == ["a"]


def test_a_mark_of_another_form_does_not_make_a_tool_untouched() -> None:
    first = manifest(item("a"))
    first["tools"][0]["$comment"] = "imported as 000000000000"
    merged, difference = merge(first, manifest(item("a", "Second.")))
    assert merged["tools"] == first["tools"]
    assert difference.kept == ["a"]


def test_fields_of_the_endpoint_stay_as_they_are_and_are_named() -> None:
    first = {**manifest(item("a")), "url": "wss://b/", "name": "mine", "timeout": 3}
    second = manifest(item("a"), preset="jsonrpc2", feeds=[item("news")])
    merged, difference = merge(first, second)
    assert {key: merged[key] for key in ("name", "url", "timeout")} == {
        "name": "mine", "url": "wss://b/", "timeout": 3
    }  # fmt: skip
    assert "preset" not in merged
    assert difference.fields == ["url", "preset"]
    assert names(merged["feeds"]) == ["news"]


def test_lists_that_neither_side_has_are_not_written_and_empty_ones_stay() -> None:
    first = manifest(item("a"))
    assert "feeds" not in merge(first, manifest(item("a")))[0]
    assert merge({**first, "feeds": []}, manifest(item("a")))[0]["feeds"] == []
    assert merge(first, {"name": "api"})[0]["tools"] == []


def test_the_one_endpoint_is_the_same_whatever_its_name() -> None:
    first = {**manifest(item("a")), "name": "mine"}
    merged, difference = merge(first, manifest(item("a"), item("b")))
    assert (merged["name"], names(merged["tools"]), difference.added) == ("mine", ["a", "b"], ["b"])


def entry(name: str, *tools: Any, **fields: Any) -> dict[str, Any]:
    return {"name": name, "tools": list(tools), **fields}


def test_of_several_endpoints_each_is_merged_with_the_one_of_its_name() -> None:
    first = with_marks({"manual_call_templates": [entry("x", item("a")), entry("y", item("b")), 3]})
    second = with_marks({"manual_call_templates": [entry("y", item("c")), entry("z", item("d"), feeds=[item("e")])]})
    merged, difference = merge(first, second)
    assert [(each["name"], names(each["tools"])) for each in merged["manual_call_templates"]] == [
        ("x", ["a"]),
        ("y", ["c"]),
        ("z", ["d"]),
    ]
    assert difference == Difference(["c", "z.d", "z.e"], [], ["b"], [], [])


def test_a_second_endpoint_makes_a_list_of_a_manifest_with_one() -> None:
    first = manifest(item("a"))
    second = with_marks(
        {"$comment": "second", "manual_call_templates": [entry("api", item("a")), entry("z", item("d"))]}
    )
    merged, difference = merge(first, second)
    assert [*merged] == ["$comment", "manual_call_templates"]
    assert merged["$comment"] == "second"
    assert [each["name"] for each in merged["manual_call_templates"]] == ["api", "z"]
    assert "$comment" not in merged["manual_call_templates"][0]
    assert difference.added == ["z.d"]
