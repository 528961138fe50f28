"""What changes of files do, beside what the process and the bridge do with them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import anyio
import pytest

from tests.peer import PATIENCE
from utcp_ws_mcp import Bridge, load_manifest
from utcp_ws_mcp.manifest.variables import CallerValues
from utcp_ws_mcp.server import reload as module
from utcp_ws_mcp.server.reload import _file_signatures, _reload, watch_manifests


def written(folder: Path, **fields: Any) -> Path:
    file = folder / "manifest.json"
    file.write_text(json.dumps({"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}))
    return file


def test_an_internal_error_while_reloading_keeps_the_manifests(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = [load_manifest(written(tmp_path))]
    broken = mock.create_autospec(Bridge, instance=True)
    broken.reload.side_effect = RuntimeError("a bug")
    with caplog.at_level(logging.ERROR, "utcp_ws_mcp"):
        assert _reload(broken, loaded, []) is loaded
    assert "internal error while the manifests were reloaded" in caplog.text


@pytest.mark.parametrize("name", ["manifest.json", ".env", "named.env", "option.env"])
def test_every_file_of_a_manifest_counts(tmp_path: Path, name: str) -> None:
    loader = {"variable_loader_type": "dotenv", "env_file_path": "named.env"}
    file, option = tmp_path / "manifest.json", tmp_path / "option.env"
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}]}
    file.write_text(json.dumps({"load_variables_from": [loader], "manual_call_templates": [entry]}))
    for each in (tmp_path / "named.env", option):
        each.write_text("A=1\n")
    loaded = [load_manifest(file, env_files=[option])]
    before = _file_signatures(loaded)
    assert _file_signatures(loaded) == before
    with (tmp_path / name).open("a") as changed:
        changed.write("\n")
    assert _file_signatures(loaded) != before


class Watch:
    """The watch of a manifest, whose checks a test orders one by one."""

    def __init__(self, folder: Path, bridge: Bridge) -> None:
        self._folder, self.bridge = folder, bridge
        self._orders, self._checks = anyio.create_memory_object_stream[None](0)
        self.waits: set[float] = set()

    async def wait(self, seconds: float) -> None:
        """Wait for the order of the next check."""
        self.waits.add(seconds)
        await self._checks.receive()

    def edit(self, *tools: str, **fields: Any) -> None:
        written(self._folder, tools=[{"name": name} for name in tools], **fields)

    async def check(self) -> list[str]:
        """Let the files be checked once; return the names of the tools then."""
        await self._orders.send(None)
        await anyio.wait_all_tasks_blocked()
        return [*self.bridge.tools]

    def close(self) -> None:
        self._orders.close()
        self._checks.close()


@asynccontextmanager
async def watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watch]:
    (given := folder / "given.env").write_text("HOST=a.example\n")
    loaded = [load_manifest(written(folder), env_files=[given])]
    async with Bridge(loaded) as bridge, AsyncExitStack() as stack:
        watch = Watch(folder, bridge)
        stack.callback(watch.close)
        clock = SimpleNamespace(sleep=watch.wait, create_task_group=anyio.create_task_group)
        monkeypatch.setattr(module, "anyio", clock)
        with anyio.fail_after(PATIENCE):
            async with watch_manifests(bridge, loaded, [given], CallerValues("value of {}".format, are_stand_ins=True)):
                await anyio.wait_all_tasks_blocked()  # the files are known now
                yield watch


async def test_an_edit_counts_once_two_checks_have_seen_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "utcp_ws_mcp")
    async with watched(tmp_path, monkeypatch) as watch:
        assert await watch.check() == ["m.t"]
        watch.edit("one")
        assert await watch.check() == ["m.t"]
        watch.edit("one", "two")
        assert await watch.check() == ["m.t"]
        assert await watch.check() == ["m.one", "m.two"]
        assert await watch.check() == ["m.one", "m.two"]
        (tmp_path / "manifest.json").unlink()
        await watch.check()
        assert caplog.messages == ["the manifests were reloaded: 2 tools"]
        watch.edit("three")
        await watch.check()
        assert await watch.check() == ["m.three"]
    assert watch.waits == {module.POLL_INTERVAL}
    assert caplog.messages == ["the manifests were reloaded: 2 tools", "the manifests were reloaded: 1 tools"]


def test_an_edit_is_seen_within_the_second_that_the_documentation_promises() -> None:
    assert 0.5 <= 2 * module.POLL_INTERVAL <= 1


async def test_a_file_that_was_changed_back_in_time_is_not_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "utcp_ws_mcp")
    async with watched(tmp_path, monkeypatch) as watch:
        file = tmp_path / "manifest.json"
        file.rename(tmp_path / "away")
        await watch.check()
        (tmp_path / "away").rename(file)
        assert await watch.check() == ["m.t"]
        assert await watch.check() == ["m.t"]
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"timeout": "soon", "x": 1},
            r"manifest\.json:\d+:\d+: x: unknown key.* \(and 1 more\); the tools are not changed$",
        ),
        ({"timeout": "soon"}, r"manifest\.json:\d+:\d+: .*\]; the tools are not changed$"),
        (
            {"url": "wss://a.example/${UNSET_X}"},
            r"manifest\.json: .*UNSET_X is not set.* \[variable-not-set\]; the tools are not changed$",
        ),
    ],
    ids=["two problems", "one problem", "no call template is left"],
)
async def test_an_invalid_edit_keeps_the_tools_and_is_one_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, Any],
    message: str,
) -> None:
    async with watched(tmp_path, monkeypatch) as watch:
        watch.edit("new", **fields)
        await watch.check()
        assert await watch.check() == ["m.t"]
        await watch.check()
        (warning,) = caplog.messages
        assert re.search(message, warning), warning
        watch.edit("fixed")
        await watch.check()
        assert await watch.check() == ["m.fixed"]


async def test_a_call_template_without_its_variable_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good = {"name": "good", "url": "wss://a.example/", "tools": [{"name": "t"}]}
    async with watched(tmp_path, monkeypatch) as watch:
        (tmp_path / "manifest.json").write_text(json.dumps([good, {**good, "name": "w", "url": "wss://${UNSET_X}/"}]))
        await watch.check()
        assert await watch.check() == ["good.t"]
    (warning,) = caplog.messages
    assert warning.startswith(f"{tmp_path / 'manifest.json'}: w: UNSET_X is not set")


async def test_the_files_of_variables_and_the_values_of_callers_are_those_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path, monkeypatch) as watch:
        (tmp_path / "given.env").write_text("HOST=b.example\n")
        watch.edit("new", url="wss://${HOST}/", headers={"x-key": "${caller:KEY}"})
        await watch.check()
        assert await watch.check() == ["m.new"]
        assert watch.bridge.awaiting_callers == {"m"}
