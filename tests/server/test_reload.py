"""A manifest that is edited while it is served, by a real process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.peer import PATIENCE, entry, jsonrpc, peer

from .stdio.test_transport import Host, host_of

RPC = {"preset": "jsonrpc2"}
CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


def edit(folder: Path, text: str, name: str = "manifest.json") -> None:
    """Replace a file as editors do."""
    (folder / "new").write_text(text)
    (folder / "new").replace(folder / name)


async def names(host: Host, number: int) -> list[str]:
    listed = await host.request(number, "tools/list")
    return [tool["name"] for tool in listed["result"]["tools"]]


async def said(host: Host) -> str:
    """The next line on stderr."""
    assert host.process.stderr is not None
    with anyio.fail_after(PATIENCE):
        return (await BufferedByteReceiveStream(host.process.stderr).receive_until(b"\n", 1 << 16)).decode()


async def test_an_edit_takes_effect_and_the_host_is_notified(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, host_of(tmp_path, entry(seen, "old", **RPC)) as host:
        await host.initialize()
        assert await names(host, 1) == ["m_old"]
        edit(tmp_path, json.dumps(entry(seen, "new", **RPC)))
        assert await host.receive() == CHANGED
        assert await names(host, 2) == ["m_new"]
        called = await host.request(3, "tools/call", name="m_new", arguments={"n": 1})
        assert called["result"]["structuredContent"] == {"n": 1}


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ('{"url": ', ":1:9: invalid JSON"),
        ('{"url": "wss://a.b/", "timeout": "soon", "x": 1}', "(and 1 more); the tools are not changed"),
        ('{"url": "wss://a.b/${UNSET_X}"}', "UNSET_X is not set"),
        (None, "cannot be read: there is no such file"),
    ],
)
async def test_an_invalid_edit_keeps_the_old_manifest_logs_one_line_and_can_be_fixed(
    tmp_path: Path, broken: str | None, sentence: str
) -> None:
    async with peer(jsonrpc) as seen, host_of(tmp_path, entry(seen, "old", **RPC)) as host:
        await host.initialize()
        if broken is None:
            (tmp_path / "manifest.json").unlink()
        else:
            edit(tmp_path, broken)
        line = await said(host)
        assert sentence in line
        assert line.endswith("; the tools are not changed")
        assert await names(host, 1) == ["m_old"]
        edit(tmp_path, json.dumps(entry(seen, "new", **RPC)))
        assert await host.receive() == CHANGED
        assert await names(host, 2) == ["m_new"]


async def test_a_new_secret_in_the_file_of_variables_is_used_and_hidden(tmp_path: Path) -> None:
    document: dict[str, Any] = {"on_connect": [{"send": {"token": "{{ vars.TOKEN }}"}}]}
    (tmp_path / ".env").write_text("TOKEN=the-first-secret\n")

    async def answer(seen: Any, connection: Any, message: Any) -> None:
        if "method" in message:
            await connection.send(json.dumps({"id": message["id"], "error": {"message": seen.received[-2]["token"]}}))

    async with peer(answer) as seen, host_of(tmp_path, entry(seen, "t", **RPC, **document)) as host:
        await host.initialize()
        assert await names(host, 1) == ["m_t"]  # a host without a list gets no notice of that it changed
        await host.request(2, "tools/call", name="m_t", arguments={})
        edit(tmp_path, "TOKEN=another-secret\n", ".env")
        assert await host.receive() == CHANGED
        called = await host.request(3, "tools/call", name="m_t", arguments={})
    assert [message["token"] for message in seen.received if "token" in message] == [
        "the-first-secret",
        "another-secret",
    ]
    assert called["result"]["content"][0]["text"] == "the endpoint said: *** [tool-error]"
