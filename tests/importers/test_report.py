"""What the report of an import says, and which operations are chosen."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from utcp_ws_mcp.importers.model import Description, Event, Format, ImportOptions, Operation, Skipped, Status
from utcp_ws_mcp.importers.report import Figures, count, report_lines
from utcp_ws_mcp.importers.selection import MAX_DEFAULT_TOOLS, Selection, select


def described(*operations: Operation, **fields: Any) -> Description:
    return Description(**{"title": "Shop", "format": Format.CDP, "endpoints": {}, "operations": operations, **fields})


def report_of(*operations: Operation, options: ImportOptions | None = None, **fields: Any) -> list[str]:
    return report_lines(described(*operations, **fields), select(operations, options or ImportOptions()))


def tool(name: str, **fields: Any) -> Operation:
    return Operation(name, tool={"name": name}, **fields)


def test_a_report_has_figures_notes_reasons_and_variables_in_this_order() -> None:
    lines = report_of(
        tool("a"),
        tool("b"),
        tool("c"),
        options=ImportOptions(exclude=["b"]),
        version="1.3",
        notes=["Note."],
        skipped=[Skipped("d", "odd"), Skipped("e", "odd"), Skipped("f", "binary")],
        variables={"KEY": "the key", "URL": "the URL"},
    )
    assert lines == [
        "Shop (Chrome DevTools Protocol 1.3), 6 operations: 2 imported, 1 left out (excluded 1), 3 skipped.",
        "Note.",
        "Left out (excluded): b.",
        "Skipped d, e: odd.",
        "Skipped f: binary.",
        "Set KEY: the key",
        "Set URL: the URL",
    ]


def test_what_there_is_not_is_not_said() -> None:
    assert report_of(tool("a")) == ["Shop (Chrome DevTools Protocol), 1 operation: 1 imported."]


def test_the_most_usual_reason_comes_first() -> None:
    options = ImportOptions(exclude=["a"], read_only=True)
    (figures, *_) = report_of(tool("a"), tool("b"), tool("c"), tool("d", read_only=True), options=options)
    assert "3 left out (may change something 2, excluded 1)" in figures


@pytest.mark.parametrize(("number", "more"), [(12, ""), (13, " and 1 more")])
def test_of_many_names_with_one_reason_the_first_are_listed(number: int, more: str) -> None:
    names = [f"n{index}" for index in range(number)]
    lines = report_of(tool("a"), skipped=[Skipped(name, "odd") for name in names])
    assert lines[1] == f"Skipped {', '.join(names[:12])}{more}: odd."


def test_an_operation_with_several_messages_counts_once_as_imported_if_one_of_them_is() -> None:
    kept, left = tool("m1", sources=["op"]), tool("m2", sources=["op", "other"])
    selection = select([kept, left, tool("third")], ImportOptions(exclude=["m2", "third"]))
    skipped = [Skipped("op", "x"), Skipped("other", "x"), Skipped("fourth", "x"), Skipped("fourth", "y")]
    figures = count(described(skipped=skipped), selection)
    assert figures == Figures(1, Counter({"excluded": 2}), 1)
    assert figures.total == 4


def test_what_is_imported_only_if_asked_for_names_the_options_that_ask() -> None:
    asked = "--all imports those as well; --include GLOB or --tag NAME imports only what it names."
    assert report_of(tool("a"), tool("b", only_if_asked=True))[-2:] == ["Left out (only if asked for): b.", asked]
    many = [*(tool(f"t{number}", read_only=number > 0) for number in range(61)), tool("b", only_if_asked=True)]
    assert report_of(*many)[-1].startswith("There are many operations: --include GLOB or --tag NAME chooses some, ")
    assert asked not in report_of(*many)


# The choice


def chosen(*operations: Operation, **options: Any) -> list[str]:
    return [each.name for each in select(operations, ImportOptions(**options)).kept]


EVENT = Operation("event", event=Event("f", "message.x", "y"), read_only=True)
FEED = Operation("feed", feed={"name": "feed"}, read_only=True)
RARE = tool("rare", only_if_asked=True, tags=["rare"])
TAGGED = tool("tagged", tags=["one", "two"], read_only=True)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["plain", "event", "feed", "tagged"]),
        ({"events": "none"}, ["plain", "tagged"]),
        ({"events": "streams"}, ["plain", "event", "feed", "tagged"]),
        ({"everything": True}, ["plain", "event", "feed", "rare", "tagged"]),
        ({"include": ["r*", "event"]}, ["event", "rare"]),
        ({"include": ["*"], "exclude": ["rare", "f*"]}, ["plain", "event", "tagged"]),
        ({"tags": ["rare"]}, ["rare"]),
        ({"tags": ["two", "three"]}, ["tagged"]),
        ({"read_only": True}, ["event", "feed", "tagged"]),
    ],
)
def test_the_options_choose(options: dict[str, Any], names: list[str]) -> None:
    assert chosen(tool("plain"), EVENT, FEED, RARE, TAGGED, **options) == names


def test_an_operation_is_named_by_its_sources_too() -> None:
    assert chosen(tool("message", sources=["op"]), tool("other"), include=["op"]) == ["message"]


def many(number: int, **fields: Any) -> list[Operation]:
    return [tool(f"t{index}", **fields) for index in range(number)]


@pytest.mark.parametrize(("number", "left"), [(MAX_DEFAULT_TOOLS - 1, 60), (MAX_DEFAULT_TOOLS, 1)])
def test_more_than_60_tools_are_reduced_to_those_that_read(number: int, left: int) -> None:
    selection = select([*many(number), tool("reads", read_only=True), EVENT], ImportOptions())
    assert len(selection.kept) == left + 1
    assert selection.by_default is (left == 1)
    assert MAX_DEFAULT_TOOLS == 60


def test_events_are_no_tools_of_which_there_could_be_too_many() -> None:
    events = [Operation(f"e{index}", event=Event("f", "message.x", index)) for index in range(99)]
    assert len(chosen(*events, tool("writes"))) == 100


@pytest.mark.parametrize("options", [{"everything": True}, {"include": ["*"]}, {"tags": ["x"]}])
def test_what_is_asked_for_is_not_reduced(options: dict[str, Any]) -> None:
    assert len(chosen(*many(99, tags=["x"]), **options)) == 99


def test_of_many_tools_the_reason_of_each_is_said() -> None:
    operations = [
        *many(60, read_only=True),
        tool("writes"),
        tool("old", read_only=True, status=Status.DEPRECATED),
        tool("new", read_only=True, status=Status.EXPERIMENTAL),
        tool("excluded"),
    ]
    selection = select(operations, ImportOptions(exclude=["excluded"]))
    assert [(each.operation.name, each.reason) for each in selection.left_out] == [
        ("excluded", "excluded"),
        ("writes", "may change something"),
        ("old", "deprecated"),
        ("new", "experimental"),
    ]


def test_where_only_events_read_all_stable_tools_are_kept() -> None:
    kept = chosen(*many(61), tool("old", status=Status.DEPRECATED), EVENT)
    assert kept == [*(f"t{index}" for index in range(61)), "event"]


def test_a_selection_is_by_default_only_if_it_was_reduced() -> None:
    assert Selection([], []).by_default is False
