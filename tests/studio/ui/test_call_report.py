"""What the page shows of a call."""

from __future__ import annotations

from typing import Any

import pytest
from nicegui import ui
from nicegui.testing import User

from utcp_ws_mcp.studio.calls import CallReport, ShownBlock
from utcp_ws_mcp.studio.timeline import Stage
from utcp_ws_mcp.studio.ui.call_report import COLOURS, draw_report, draw_time_line, milliseconds

from ..pages import Site, shown


def report(**given: Any) -> CallReport:
    fields: dict[str, Any] = {
        "blocks": (), "structured": "", "is_error": False, "facts": (), "cancelled": False, "seconds": 0.25,
        "stages": (), "trace": "",
    }  # fmt: skip
    return CallReport(**{**fields, **given})


def drawn(user: User) -> list[str]:
    return [each.text for each in shown(user, ui.label)]


async def test_a_result_has_its_blocks_its_structure_its_stages_and_its_trace(site: Site) -> None:
    blocks = (ShownBlock("text", "sunny"), ShownBlock("image", "image/png, 4 bytes", "data:image/png;base64,AAAA"))
    stages = (Stage("send", 0.0, 0.001, "the request was sent"),)
    user = await site.open(lambda: draw_report(report(blocks=blocks, structured="{}", stages=stages, trace="> hi")))
    assert drawn(user) == [
        "The host gets this result after 250.0 ms.",
        "sunny",
        "image/png, 4 bytes",
        "Structured content",
        "{}",
        "Time line",
        "send: 1.0 ms (the request was sent)",
        "Trace",
        "> hi",
    ]
    (picture,) = shown(user, ui.image)
    assert (picture.source, picture.props["alt"]) == ("data:image/png;base64,AAAA", "picture of the result")
    by_text = {each.text: each for each in shown(user, ui.label)}
    assert [by_text[text].props.get("aria-label") for text in ("sunny", "> hi")] == ["Result", "Trace"]
    assert all("studio-pre" in by_text[text].classes for text in ("sunny", "{}", "> hi"))
    headings = [each.text for each in shown(user, ui.label) if each.props.get("role") == "heading"]
    assert headings == ["Time line", "Trace"]
    assert "studio-error" not in shown(user, ui.label)[0].classes


async def test_structured_content_that_a_block_repeats_is_shown_once(site: Site) -> None:
    blocks = (ShownBlock("text", "note"), ShownBlock("text", "{}"))
    user = await site.open(lambda: draw_report(report(blocks=blocks, structured="{}")))
    assert (drawn(user).count("{}"), "Structured content" in drawn(user)) == (1, False)
    user = await site.open(lambda: draw_report(report(blocks=blocks)))
    assert "Structured content" not in drawn(user)


async def test_a_failure_has_its_facts_and_its_colour(site: Site) -> None:
    user = await site.open(
        lambda: draw_report(report(is_error=True, facts=("code: x", "request: not sent"), seconds=2.5))
    )
    assert drawn(user)[:2] == ["The call failed after 2.50 s.", "code: x, request: not sent"]
    assert drawn(user)[2:] == ["Time line", "Trace", "nothing was sent or received"]
    assert "studio-error" in shown(user, ui.label)[0].classes


async def test_a_cancelled_call_says_only_when(site: Site) -> None:
    user = await site.open(lambda: draw_report(report(cancelled=True, is_error=True, facts=("code: x",))))
    assert drawn(user)[:2] == ["Cancelled after 250.0 ms.", "Time line"]


async def test_the_bar_has_the_share_of_each_stage_and_is_hidden_from_screen_readers(site: Site) -> None:
    stages = [Stage("queue", 0.0, 0.0, "free"), Stage("send", 0.0, 1.0, "sent"), Stage("reply", 1.0, 3.0, "came")]
    user = await site.open(lambda: draw_time_line(stages))
    styles = [each._style for each in shown(user, ui.element) if "background" in each._style]
    assert [each["width"] for each in styles] == ["0.00%", "25.00%", "75.00%"]
    assert [each["background"] for each in styles] == [COLOURS[stage.name] for stage in stages]
    (bar,) = (each for each in shown(user, ui.row) if each.props.get("aria-hidden") == "true")
    assert len(bar.default_slot.children) == 3
    user = await site.open(lambda: draw_time_line([Stage("end", 0.0, 0.0, "made")]))
    assert drawn(user) == ["end: 0.0 ms (made)"]


DURATIONS = [(0.0, "0.0 ms"), (0.99949, "999.5 ms"), (0.9999999, "1,000.0 ms"), (1, "1.00 s"), (1234.5, "1,234.50 s")]


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_a_duration_has_a_unit_that_fits(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text
