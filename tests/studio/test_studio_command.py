"""`utcp-ws-mcp studio` as a process: who reaches it, what it leaves, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from utcp_ws_mcp.cli import studio as command

START_SECONDS = 60
"""How long a busy machine may take; 3 s is the promise on one that is not."""


@dataclass
class Studio:
    """A running studio: its process, its port, its token and the folder in which it was started."""

    process: subprocess.Popen[str]
    port: int
    token: str
    folder: Path

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        with closing(connection):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read().decode("utf-8", "replace")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "NICEGUI"))}
    line = [sys.executable, "-m", "utcp_ws_mcp", "studio", "--no-browser", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, cwd=folder, env=environ, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    process = start(folder, "--port", "0")
    assert process.stdout is not None
    found = re.match(r"The studio is at http://127\.0\.0\.1:(\d+)/([\w-]{32})/ ", process.stdout.readline())
    assert found is not None, process.stderr and process.stderr.read()
    try:
        yield Studio(process, int(found[1]), found[2], folder)
    finally:
        process.kill()
        process.communicate()


def test_the_page_needs_the_token(studio: Studio) -> None:
    status, headers, body = studio.get(f"/{studio.token}/")
    assert (status, "<title>utcp-ws-mcp studio</title>" in body, 'lang="en-US"' in body) == (200, True, True)
    assert "set-cookie" not in {name.lower() for name in headers}
    assert headers["referrer-policy"] == "no-referrer"
    status, _, body = studio.get("/")
    assert (status, "lacks its token" in body, studio.token in body) == (403, True, False)


def test_all_that_the_page_loads_comes_from_the_studio(studio: Studio) -> None:
    _, _, page = studio.get(f"/{studio.token}/")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page) + re.findall(r'"(/[^"]+/static/[^"]+\.m?js)"', page)

    assert len(addresses) > 6
    assert [each for each in addresses if not each.startswith(f"/{studio.token}/")] == []
    assert [each for each in addresses if studio.get(each)[0] != 200] == []


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_another_page_reaches_neither_the_page_nor_its_web_socket(studio: Studio, header: dict[str, str]) -> None:
    assert studio.get(f"/{studio.token}/", **header)[0] in (403, 421)
    if "Origin" in header:
        url = f"ws://127.0.0.1:{studio.port}/{studio.token}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        with pytest.raises(InvalidStatus) as refused, connect(url, origin=header["Origin"]):  # type: ignore[arg-type]
            pass
        assert refused.value.response.status_code == 403


def test_the_web_socket_needs_the_token(studio: Studio) -> None:
    url = f"ws://127.0.0.1:{studio.port}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(InvalidStatus) as refused, connect(url):
        pass
    assert refused.value.response.status_code == 403


def test_it_ends_with_ctrl_c_and_leaves_nothing(studio: Studio) -> None:
    with socket.create_connection(("127.0.0.1", studio.port)):  # a browser that keeps its connection
        studio.process.send_signal(signal.SIGINT)
        _, errors = studio.process.communicate(timeout=START_SECONDS)

    assert (studio.process.returncode, errors) == (0, "")
    assert list(studio.folder.iterdir()) == []


def test_a_manifest_that_cannot_be_read_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(b"\xff")
    refused = start(tmp_path, "m.json")
    assert "[invalid-encoding]" in refused.communicate(timeout=START_SECONDS)[1]
    assert refused.returncode == 2


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "is_installed", lambda extra: False)
    with pytest.raises(SystemExit) as ended:
        command.studio.main([])
    said = capsys.readouterr().err

    assert ended.value.code == 2
    assert "pip install 'utcp-ws-mcp[studio]'" in said
    assert "[extra-not-installed]" in said
