"""Serving the page on loopback: who gets it, what is announced, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx
import pytest
from nicegui import Client
from nicegui import app as page_app
from nicegui.nicegui import _on_handshake
from nicegui.testing.general import nicegui_reset_globals
from starlette.formparsers import MultiPartParser

from utcp_ws_mcp.errors import BridgeError, InvalidManifest
from utcp_ws_mcp.importers.reading import MAX_SOURCE_BYTES
from utcp_ws_mcp.server.http.graceful import GracefulServer
from utcp_ws_mcp.studio.session import Sessions, StudioOptions, StudioSession
from utcp_ws_mcp.studio.ui import server as module

from ..pages import until


class Running:
    """A studio in this process."""

    def __init__(self) -> None:
        self.server: Any = None
        self.sessions: Any = None
        self.level = ""
        self.url = ""

    async def get(self, path: str = "", **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(headers=headers, verify=False) as client:
            return await client.get(self.url + path)


@asynccontextmanager
async def running(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: StudioOptions
) -> AsyncIterator[Running]:
    found = Running()

    class Kept(GracefulServer):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            found.server = self

    def configure_logging(level: str, redact: Any) -> None:
        found.level, found.sessions = level, redact.__self__

    monkeypatch.setattr(module, "GracefulServer", Kept)
    monkeypatch.setattr(module, "configure_logging", configure_logging)
    monkeypatch.setattr(MultiPartParser, "spool_max_size", MultiPartParser.spool_max_size)
    with nicegui_reset_globals():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(module.run_studio, options, 0, open_browser=False))
            await until(lambda: found.server is not None and found.server.started)
            announced = capsys.readouterr().out
            pattern = r"The studio is at (http://127\.0\.0\.1:\d+/[\w-]{32}/) \(press Ctrl-C to end it\)\."
            said = re.fullmatch(rf"{pattern} Open it in a browser on this machine\.\n", announced)
            assert said is not None
            found.url = said[1]
            yield found
            found.server.should_exit = True
        Client.page_routes.clear()  # or the modules of their functions would be imported again


async def test_the_page_is_served_at_its_token_and_each_tab_of_the_browser_has_a_session(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed: list[object] = []
    close = StudioSession.close

    async def note(session: StudioSession) -> None:
        closed.append(session)
        await close(session)

    monkeypatch.setattr(StudioSession, "close", note)
    async with running(monkeypatch, capsys, StudioOptions(environ={"KEY": "x"})) as found:
        page = await found.get()
        assert (page.status_code, "<title>utcp-ws-mcp studio</title>" in page.text) == (200, True)
        assert ('lang="en-US"' in page.text, "server" in page.headers) == (True, False)
        assert "studioIsUnsaved" in page.text
        assert re.search(r'href="[^"]+studio\.css', page.text) or ".studio-row" in page.text
        assert (await found.get("../")).status_code == 403
        assert [(await found.get(path)).status_code for path in ("docs", "redoc", "openapi.json")] == [404] * 3
        identifier = re.search(r"'client_id': '([0-9a-f-]+)'", page.text)
        assert identifier is not None
        client = Client.instances[identifier[1]]
        tab, before = str(uuid4()), set(client.elements)
        handshake = {"client_id": client.id, "tab_id": tab, "document_id": str(uuid4())}
        assert await _on_handshake(f"test-{uuid4()}", handshake)
        await until(lambda: len(client.elements) > len(before) + 50)
        session = found.sessions.enter(tab)
        assert (session.options.environ, closed) == ({"KEY": "x"}, [])
        await found.sessions.leave(tab)
        assert closed == []
        client.delete()
        await until(lambda: closed)
        assert closed == [session]
        closed.clear()
    assert closed == [session]  # again, with the server


async def test_the_server_says_nothing_of_itself_and_keeps_what_is_uploaded_in_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(monkeypatch, capsys, StudioOptions()) as found:
        config = found.server.config
        assert (config.server_header, config.access_log, config.log_config, config.proxy_headers) == (
            False, False, None, False
        )  # fmt: skip
        assert (config.lifespan, config.ws, config.timeout_graceful_shutdown) == ("on", "wsproto", 1)
        assert MultiPartParser.spool_max_size == MAX_SOURCE_BYTES + 1
        assert (found.level, type(found.sessions)) == ("warning", Sessions)
        assert page_app.config.reconnect_timeout == 20  # seconds in which a laptop may sleep
        assert page_app.config.binding_refresh_interval is None
        assert (page_app.config.dark, page_app.config.show_welcome_message) == (None, False)


async def test_a_manifest_or_a_port_that_cannot_be_used_ends_the_command_before_anything_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.json"
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidManifest):
        await module.run_studio(StudioOptions(file), 0, open_browser=False)
    file.write_text(json.dumps({"name": "m"}), encoding="utf-8")
    with module.listen(0) as taken, pytest.raises(BridgeError) as refused:
        await module.run_studio(StudioOptions(file), taken.getsockname()[1], open_browser=False)
    assert (refused.value.code, capsys.readouterr().out) == ("port-in-use", "")


ANNOUNCED = [(True, True, True), (True, False, False), (False, True, False)]


@pytest.mark.parametrize(("wanted", "has_display", "opens"), ANNOUNCED)
async def test_a_browser_is_opened_if_it_is_wanted_and_there_is_a_display(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wanted: bool, has_display: bool, opens: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(module.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    if has_display:
        monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(module.webbrowser, "open", opened.append)
    module._announce("http://127.0.0.1:1/t/", open_browser=wanted)
    await until(lambda: len(opened) == opens)
    said = "The studio is at http://127.0.0.1:1/t/ (press Ctrl-C to end it)."
    assert capsys.readouterr().out == said + ("\n" if opens else " Open it in a browser on this machine.\n")


DISPLAYS: list[tuple[str, dict[str, str], bool]] = [
    ("linux", {}, False),
    ("linux", {"DISPLAY": ""}, False),
    ("linux", {"DISPLAY": ":0"}, True),
    ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
    ("linux", {"BROWSER": "firefox"}, True),
    ("darwin", {}, True),
    ("win32", {}, True),
]


@pytest.mark.parametrize(("platform", "environ", "has_display"), DISPLAYS)
def test_a_browser_with_a_window_needs_a_display(
    monkeypatch: pytest.MonkeyPatch, platform: str, environ: dict[str, str], has_display: bool
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module.sys, "platform", platform)
    assert module._has_display() is has_display
