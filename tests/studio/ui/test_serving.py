"""Serving the manifest that is typed, for the panels that call its tools."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from utcp_ws_mcp.errors import InvalidManifest
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession
from utcp_ws_mcp.studio.ui.serving import NOTHING_YET, serve_typed

from ..pages import Site, until

SERVED: dict[str, Any] = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "get"}]}


@pytest.fixture
async def session(site: Site) -> AsyncIterator[StudioSession]:
    opened = StudioSession(StudioOptions())
    await site.panel(opened, lambda context: None)
    yield opened
    await opened.close()
    await until(lambda: not opened.live.is_open)


REFUSED: list[tuple[str, str]] = [
    ("{}\n", NOTHING_YET),
    ("[]", "new manifest:1:1: there is nothing to serve: "),
    (json.dumps({**SERVED, "timeout": "soon"}), "new manifest:1:"),
    ("{", "new manifest:1:2: "),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED)
async def test_a_manifest_that_cannot_be_served_says_why(
    site: Site, session: StudioSession, text: str, problem: str
) -> None:
    session.set_text(text)
    said = await serve_typed(site.context)
    assert (said.startswith(problem), session.live.is_open, " more)" in said) == (True, False, False)


async def test_of_many_problems_the_first_is_shown_and_the_others_are_counted(
    site: Site, session: StudioSession
) -> None:
    session.set_text(json.dumps({**SERVED, "timeout": "soon", "heartbeat": 3, "unknown": 1}))
    said = await serve_typed(site.context)
    with pytest.raises(InvalidManifest) as invalid:
        session.load()
    assert said == f"{invalid.value.problems[0].format('new manifest')} (and 2 more)"
    session.set_text(json.dumps({**SERVED, "timeout": "soon", "heartbeat": 3}))
    assert (await serve_typed(site.context)).endswith(" (and 1 more)")


async def test_a_manifest_is_served_again_only_if_it_or_a_variable_changed(site: Site, session: StudioSession) -> None:
    session.set_text(json.dumps(SERVED))
    assert await serve_typed(site.context) == ""
    assert list(session.live.bridge.tools) == ["m.get"]
    served: list[object] = []
    serve = session.live.serve

    async def note(loaded: Any, version: object, start: Any) -> None:
        served.append(version)
        await serve(loaded, version, start)

    session.live.serve = note  # type: ignore[method-assign]
    assert (await serve_typed(site.context), served) == ("", [])
    session.set_variable("KEY", "x")
    assert (await serve_typed(site.context), len(served)) == ("", 1)
    session.set_text(json.dumps({**SERVED, "tools": [{"name": "put"}]}))
    assert (await serve_typed(site.context), len(served)) == ("", 2)
    assert list(session.live.bridge.tools) == ["m.put"]


async def test_a_manifest_whose_variables_are_missing_is_served_so_that_they_can_be_named(
    site: Site, session: StudioSession
) -> None:
    session.set_text(json.dumps({**SERVED, "headers": {"X-Key": "${KEY}"}}))
    assert await serve_typed(site.context) == ""
    assert len(session.live.bridge.disabled_entries) == 1
