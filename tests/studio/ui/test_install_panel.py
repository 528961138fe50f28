"""The panel Install: what it shows before anything is written, and what is written then."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from nicegui import ui
from nicegui.testing import User

from utcp_ws_mcp.hosts.change import FileChange
from utcp_ws_mcp.hosts.hosts import supported_hosts
from utcp_ws_mcp.studio.installing import host_titles
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession, open_session
from utcp_ws_mcp.studio.ui.panels import install as module

from ...peer import PATIENCE
from ..pages import Site, field, press, shown, texts, until

MANIFEST = {"name": "m", "url": "wss://api.example/x", "tools": [{"name": "t"}]}


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The trial start of a server is none of the page's; note that it is made."""
    made: list[str] = []
    monkeypatch.setattr(module, "compile_byte_code", lambda: made.append("compiled"))
    return made


def session_for(folder: Path, document: Any = MANIFEST) -> StudioSession:
    file = folder / "m.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    session = open_session(StudioOptions(file))
    session.installation.host, session.installation.file = "cursor", str(folder / "mcp.json")
    session.panel = "install"
    return session


def button(user: User, text: str) -> Any:
    (found,) = shown(user, ui.button, text) or [None]
    return found


async def test_the_change_is_shown_and_written_only_when_it_is_applied(
    site: Site, tmp_path: Path, compiled: Any
) -> None:
    user = await site.panel(session_for(tmp_path), module.build)
    config = tmp_path / "mcp.json"
    (diff,) = shown(user, ui.label, "+++")
    assert str(tmp_path / "m.json") in diff.text
    assert diff.props["aria-label"] == "Change of the configuration"
    assert (config.exists(), button(user, "Apply").enabled, button(user, "Open the manifest")) == (False, True, None)
    press(user, "Apply")
    await until(lambda: shown(user, ui.label, f"{config} is written."))
    assert list(json.loads(config.read_text(encoding="utf-8"))["mcpServers"]) == ["m"]
    (done,) = shown(user, ui.label, f"{config} is written.")
    assert done.text.splitlines()[1].startswith("Cursor has a server 'm'")
    assert (done.props["role"], diff.visible, button(user, "Apply").enabled) == ("status", False, False)
    await until(lambda: compiled == ["compiled"])
    (await field(user, "Name of the server in the host")).value = "other"
    assert (done.text, diff.visible) == ("", True)


async def test_a_server_that_is_there_already_needs_no_change(site: Site, tmp_path: Path) -> None:
    session = session_for(tmp_path)
    user = await site.panel(session, module.build)
    press(user, "Apply")
    await until((tmp_path / "mcp.json").exists)
    user = await site.panel(session, module.build)
    assert shown(user, ui.label, "Nothing to change: Cursor has a server 'm'")
    assert not button(user, "Apply").enabled


async def test_what_is_typed_changes_what_would_be_written(site: Site, tmp_path: Path) -> None:
    session = session_for(tmp_path)
    user = await site.panel(session, module.build)
    host, name = await field(user, "Host"), await field(user, "Name of the server in the host")
    file = await field(user, "Configuration file of the host")
    assert (host.options, host.value) == (host_titles(), "cursor")
    assert (name.props["hint"], file.props["hint"]) == (
        "if it is empty, the name in the manifest",
        "only if it is not in its usual place",
    )
    assert {(each.props["autocomplete"], each.props["debounce"]) for each in (name, file)} == {("off", "300")}
    other = next(each for each in supported_hosts() if each not in ("cursor", "claude-code"))
    name.value, host.value, file.value = "weather", other, str(tmp_path / "other.json")
    form = session.installation
    assert (form.host, form.name, form.file) == (other, "weather", str(tmp_path / "other.json"))
    assert shown(user, ui.label, "weather")
    assert shown(user, ui.label, "other.json")
    name.value, file.value = None, None
    assert (form.name, form.file) == ("", "")


async def test_what_cannot_be_installed_is_a_problem_that_leads_to_the_manifest(site: Site) -> None:
    session = StudioSession(StudioOptions(), panel="install")
    user = await site.panel(session, module.build)
    (problem,) = shown(user, ui.label, "Save the manifest first")
    assert (problem.props["role"], "studio-error" in problem.classes) == ("alert", True)
    assert (button(user, "Apply").enabled, shown(user, ui.label, "Nothing to change")) == (False, [])
    press(user, "Open the manifest")
    assert site.opened == ["manifest"]


async def test_what_is_not_saved_is_said_and_the_panel_follows_the_manifest_while_it_is_open(
    site: Site, tmp_path: Path
) -> None:
    session = session_for(tmp_path)
    user = await site.panel(session, module.build)
    session.set_text(json.dumps({**MANIFEST, "name": "other"}))
    assert shown(user, ui.label, "What was typed since the manifest was saved is not installed.")
    assert button(user, "Open the manifest") is not None
    session.panel = "tools"
    session.save(tmp_path / "m.json")
    assert shown(user, ui.label, "What was typed since")
    session.open_panel("install")
    await until(lambda: not shown(user, ui.label, "What was typed since"))
    assert shown(user, ui.label, '"other"')
    assert button(user, "Open the manifest") is None


async def test_a_change_cannot_be_applied_twice_at_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied, goes_on = list[str](), threading.Event()

    def apply(_: FileChange) -> str:
        applied.append("once")
        goes_on.wait(PATIENCE)
        return "written"

    monkeypatch.setattr(FileChange, "apply", apply)
    user = await site.panel(session_for(tmp_path), module.build)
    press(user, "Apply")
    await until(lambda: applied)
    assert not button(user, "Apply").enabled
    goes_on.set()
    await until(lambda: button(user, "Apply").enabled)


async def test_a_change_that_fails_says_why_and_can_be_applied_again(site: Site, tmp_path: Path, compiled: Any) -> None:
    user = await site.panel(session_for(tmp_path), module.build)
    (tmp_path / "mcp.json").write_text('{"mcpServers": {}}', encoding="utf-8")  # after the panel has read it
    press(user, "Apply")
    await until(lambda: shown(user, ui.label, "mcp.json was changed"))
    assert (button(user, "Apply").enabled, compiled) == (True, [])
    assert "Cursor has a server" not in " ".join(texts(user))
