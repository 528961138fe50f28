"""Tables and plots of numbers that change."""

from __future__ import annotations

from nicegui import ui

from utcp_ws_mcp.studio.ui import plot as plot_module
from utcp_ws_mcp.studio.ui.plot import MAX_LINES, MIN_LINE, Plot
from utcp_ws_mcp.studio.ui.state_table import StateTable

from ..pages import Site, shown


async def open_plot(site: Site) -> tuple[Plot, ui.echart]:
    drawn: list[Plot] = []
    user = await site.open(lambda: drawn.append(Plot("Messages", "messages")))
    (chart,) = shown(user, ui.echart)
    return drawn[0], chart


async def test_a_plot_has_a_line_for_each_series_and_says_what_is_newest(site: Site) -> None:
    plot, chart = await open_plot(site)
    assert (chart.props["role"], chart.props["aria-label"]) == ("img", "Messages")
    plot.show({"a\u200b" + "x" * 100: [1.00049, 2.0], "b": [4.0] * 3, "none": []})
    name = ("a\\u200b" + "x" * 100)[:60]
    assert chart.options["xAxis"]["data"] == [-2, -1, 0]
    assert [(each["name"], each["data"]) for each in chart.options["series"]] == [
        (name, [1.0, 2.0]),
        ("b", [4.0, 4.0, 4.0]),
        ("none", []),
    ]
    assert chart.props["aria-label"] == f"Messages, now: {name} 2 messages, b 4 messages"
    assert {each["type"] for each in chart.options["series"]} == {"line"}


async def test_a_plot_without_lines_is_hidden_and_says_nothing(site: Site) -> None:
    plot, chart = await open_plot(site)
    plot.hide()
    assert not chart.visible
    plot.show({"a": [1.0]})
    assert chart.visible
    plot.show({})
    assert (chart.visible, chart.props["aria-label"]) == (False, "Messages, now: nothing")
    assert (chart.options["series"], chart.options["xAxis"]["data"]) == ([], [])


async def test_points_are_shown_only_where_a_line_would_hide_them_and_no_more_lines_than_can_be_distinguished(
    site: Site,
) -> None:
    plot, chart = await open_plot(site)
    plot.show({"few": [1.0] * (MIN_LINE - 1), "many": [1.0] * MIN_LINE, **{str(each): [1.0] for each in range(9)}})
    assert [each["showSymbol"] for each in chart.options["series"]][:2] == [True, False]
    assert len(chart.options["series"]) == MAX_LINES


async def test_names_in_a_plot_are_no_html(site: Site) -> None:
    _, chart = await open_plot(site)
    assert chart.options["tooltip"]["renderMode"] == "richText"
    assert (chart.options["animation"], chart.options["yAxis"]["min"]) == (False, 0)
    assert chart.options["title"]["text"] == "Messages"
    assert chart.options["title"]["textStyle"]["color"] == plot_module._TEXT


async def test_a_table_changes_only_the_cells_that_differ(site: Site) -> None:
    drawn: list[StateTable] = []
    user = await site.open(lambda: drawn.append(StateTable("Feeds", [("name", "Feed"), ("count", "Events")])))
    texts = lambda: [each.text for each in shown(user, ui.label)]  # noqa: E731
    assert texts() == ["Feeds", "Feed", "Events"]
    drawn[0].show([{"name": "a", "count": 1, "more": "x"}, {"name": "b", "count": None}])
    assert texts()[3:] == ["a", "1", "b", "None"]
    cells = shown(user, ui.label)
    drawn[0].show([{"name": "c", "count": 2}, {"name": "b", "count": 3}])
    assert (texts()[3:], shown(user, ui.label)) == (["c", "2", "b", "3"], cells)
    drawn[0].show([{"name": "d", "count": 4}])
    assert texts()[3:] == ["d", "4"]
    drawn[0].show([])
    assert texts()[3:] == []


async def test_a_table_can_be_read_and_scrolled_with_the_keyboard(site: Site) -> None:
    user = await site.open(lambda: StateTable("Feeds", [("name", "Feed")]))
    (region,) = (each for each in shown(user, ui.element) if each.props.get("role") == "region")
    assert (region.props["aria-label"], region.props["tabindex"]) == ("Feeds", "0")
    (heading,) = shown(user, ui.label, "Feeds")
    assert (heading.props["role"], heading.props["aria-level"]) == ("heading", "3")
    assert [each.tag for each in shown(user, ui.element) if each.props.get("scope") == "col"] == ["th"]


async def test_the_title_and_the_names_of_the_lines_stand_above_the_axes(site: Site) -> None:
    plot, chart = await open_plot(site)
    plot.show({"a": [1.0]})
    options = chart.options
    assert [(options[part]["left"], options[part]["top"]) for part in ("title", "legend", "grid")] == [
        (0, 0),
        (0, 16),
        (44, 46),
    ]
    assert (options["grid"]["right"], options["grid"]["bottom"], options["legend"]["padding"]) == (8, 22, 5)
    assert (options["legend"]["textStyle"]["fontSize"], options["yAxis"]["splitNumber"]) == (11, 2)
    assert options["xAxis"]["boundaryGap"] is False  # a line begins at the axis
    assert options["yAxis"]["splitLine"]["lineStyle"]["opacity"] == 0.3
    assert options["series"][0]["lineStyle"]["width"] == 1.5
    assert (MAX_LINES, MIN_LINE) == (6, 30)
