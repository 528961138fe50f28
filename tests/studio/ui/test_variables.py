"""Fields for the values of variables."""

from __future__ import annotations

from nicegui import ui

from utcp_ws_mcp.studio.session import StudioOptions, StudioSession, Topic
from utcp_ws_mcp.studio.ui.context import PageContext
from utcp_ws_mcp.studio.ui.variables import VariableFields

from ..pages import Site, field, shown


async def test_each_variable_has_a_field_that_hides_its_value_and_says_whether_it_is_set(site: Site) -> None:
    session = StudioSession(StudioOptions(environ={"OLD": "x"}))
    user = await site.panel(session, lambda context: VariableFields(context, lambda: ["OLD", "NEW"]).draw())

    old, new = await field(user, "Value of OLD"), await field(user, "Value of NEW")
    assert (old.props["placeholder"], new.props["placeholder"]) == ("set", "not set")
    assert [(each.value, each.props["type"], each.props["autocomplete"]) for each in (old, new)] == [
        ("", "password", "new-password")
    ] * 2
    assert "x" not in [each.value for each in shown(user, ui.input)]
    tips = [each.text for each in shown(user, ui.tooltip)]
    assert tips == ["Stays in the memory of the studio; drafts and files contain the name only."] * 2


async def test_what_is_typed_is_the_value_for_the_session_until_the_field_is_emptied(site: Site) -> None:
    session = StudioSession(StudioOptions())
    announced: list[str] = []
    session.listen(Topic.VARIABLES, lambda: announced.append("variables"))
    user = await site.panel(session, lambda context: VariableFields(context, lambda: ["KEY"]).draw())

    key = await field(user, "Value of KEY")
    key.value = "s3cret"
    assert session.environ == {"KEY": "s3cret"}
    key.value = None
    assert (session.environ, len(announced)) == ({}, 2)


async def test_the_fields_stay_until_there_are_other_variables(site: Site) -> None:
    names, drawn = ["A"], list[VariableFields]()

    def draw(context: PageContext) -> None:
        drawn.append(VariableFields(context, lambda: names))
        drawn[0].draw()

    user = await site.panel(StudioSession(StudioOptions()), draw)
    first = await field(user, "Value of A")
    drawn[0].show()
    assert await field(user, "Value of A") is first
    names[:] = ["B", "C"]
    drawn[0].show()
    assert [each.props["label"] for each in shown(user, ui.input)] == ["Value of B", "Value of C"]
