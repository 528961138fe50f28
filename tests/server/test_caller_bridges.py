"""The bridges of callers: who shares one, when there is room for another, and when one is closed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE
from utcp_ws_mcp import Bridge, load_manifest
from utcp_ws_mcp.errors import CallerValueMissing, TooManyCallers, UnknownTool
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.observability.redaction import SinkRedactor
from utcp_ws_mcp.server import callers as module
from utcp_ws_mcp.server.auth.access import Caller
from utcp_ws_mcp.server.auth.caller_variables import CallerVariables
from utcp_ws_mcp.server.auth.identity import Identity
from utcp_ws_mcp.server.callers import CallerBridge, CallerBridges

VARIABLES = CallerVariables({"KEY": "X-Key"})


def document(name: str = "m", **fields: Any) -> dict[str, Any]:
    headers = {"x-key": "${caller:KEY}"}
    return {"name": name, "url": "ws://127.0.0.1:1/", "headers": headers, "tools": [{"name": "t"}], **fields}


def caller(key: str, subject: str | None = None, issuer: str = "https://i/") -> Caller:
    return Caller(None if subject is None else Identity(issuer, subject), None, {"KEY": [key.encode()]})


class Callers:
    """The bridges of the callers of a manifest."""

    def __init__(self, folder: Path, main: Bridge, bridges: CallerBridges, sinks: SinkRedactor) -> None:
        self._folder = folder
        self.main, self.bridges, self.sinks = main, bridges, sinks

    async def lease(self, key: str, subject: str | None = None, tool: str = "m.t", **options: Any) -> CallerBridge:
        with anyio.fail_after(PATIENCE):
            return await self.bridges.lease(self.main.tools[tool], caller(key, subject, **options))

    async def used(self, key: str, subject: str | None = None) -> CallerBridge:
        """Lease a bridge, and release it."""
        held = await self.lease(key, subject)
        held.release()
        return held

    @property
    def count(self) -> int:
        return len(list(self.bridges.bridges()))

    def reload(self, *documents: Any) -> None:
        self.main.reload([loaded(self._folder, *documents)])


def loaded(folder: Path, *documents: Any) -> Any:
    file = folder / "manifest.json"
    file.write_text(json.dumps(documents))
    return load_manifest(file, {}, callers=VARIABLES.stand_ins)


@asynccontextmanager
async def callers_of(folder: Path, *documents: Any) -> AsyncIterator[Callers]:
    async with Bridge([loaded(folder, *(documents or [document()]))]) as main:
        sinks = SinkRedactor(main.redactor)
        async with CallerBridges(main, VARIABLES, sinks, events.noop) as bridges:
            yield Callers(folder, main, bridges, sinks)


async def test_a_bridge_belongs_to_a_call_template_a_value_and_a_subject(tmp_path: Path) -> None:
    async with callers_of(tmp_path, document(), document("n")) as callers:
        first = await callers.used("key-of-ada")
        assert await callers.used("key-of-ada") is first
        others = [
            await callers.used("key-of-bob"),
            await callers.used("key-of-ada", "ada"),
            await callers.used("key-of-ada", "bob"),
            await callers.lease("key-of-ada", tool="n.t"),
            await callers.lease("key-of-ada", "ada", issuer="https://other/"),
        ]
        assert len({id(each) for each in (first, *others)}) == 6
        assert await callers.used("key-of-ada", "ada") is others[1]
        assert callers.count == 6
        assert [each.owner for each in (first, others[1])] == [None, ("https://i/", "ada")]
        assert repr(first) == "<CallerBridge of m, 0 leases>"
        assert repr(others[3]) == "<CallerBridge of n, 1 leases>"


async def test_the_secrets_of_a_caller_are_removed_where_its_texts_go(tmp_path: Path) -> None:
    async with callers_of(tmp_path) as callers:
        callers.main.redactor.add_values(["own-of-operator"])
        held = await callers.lease("key-of-ada")
        text = "key-of-ada own-of-operator key-of-bob"
        assert held.redact_result(text) == held.guard(text) == "*** *** key-of-bob"
        assert callers.sinks.guard(text) == "*** *** key-of-bob"
        held.release()
        callers.bridges.retire_idle()
        assert callers.sinks.guard("key-of-ada") == "***"
        callers.reload(document(timeout=5))
        await anyio.wait_all_tasks_blocked()
        assert callers.sinks.guard("key-of-ada") == "key-of-ada"


async def test_a_value_that_is_missing_and_a_tool_that_is_gone_open_nothing(tmp_path: Path) -> None:
    async with callers_of(tmp_path) as callers:
        tool = callers.main.tools["m.t"]
        for given in (None, Caller(None, None)):
            with pytest.raises(CallerValueMissing):
                await callers.bridges.lease(tool, given)
        callers.reload(document("other"))
        with pytest.raises(UnknownTool):
            await callers.bridges.lease(tool, caller("key-of-ada"))
        assert callers.count == 0


async def test_the_one_that_was_idle_longest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BRIDGES", 3)
    async with callers_of(tmp_path) as callers:
        busy = await callers.lease("key-of-busy")
        first, second = await callers.used("key-number-1"), await callers.used("key-number-2")
        assert await callers.used("key-number-1") is first  # so that the second one is idle longest
        third = await callers.used("key-number-3")
        assert (first.is_retired, second.is_retired, third.is_retired) == (False, True, False)
        assert callers.count == 3
        running = [busy, await callers.lease("key-number-1"), await callers.lease("key-number-3")]
        with pytest.raises(TooManyCallers, match="callers have calls with 3 different values running"):
            await callers.lease("key-number-4")
        running[1].release()
        fourth = await callers.lease("key-number-4")
        assert running[1].is_retired
        assert not fourth.is_retired


async def test_a_subject_displaces_only_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BRIDGES_OF_SUBJECT", 2)
    async with callers_of(tmp_path) as callers:
        other = await callers.used("key-number-1", "bob")
        own = [await callers.used(f"key-number-{number}", "ada") for number in range(2)]
        assert not any(each.is_retired for each in own)
        await callers.used("key-number-2", "ada")
        assert [each.is_retired for each in (other, *own)] == [False, True, False]
        for number in (1, 2):
            await callers.lease(f"key-number-{number}", "ada")
        with pytest.raises(TooManyCallers, match="you have calls with 2 different values running"):
            await callers.lease("key-number-3", "ada")
        for number in range(5):
            await callers.used(f"key-number-{number}")  # without a subject, there is no such bound


async def test_a_bridge_that_is_not_used_for_ten_minutes_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with callers_of(tmp_path) as callers:
        idle, busy = await callers.used("key-of-ada"), await callers.lease("key-of-bob")
        now = anyio.current_time()
        idle.used_at = busy.used_at = now
        clock = {"now": now + module.IDLE_SECONDS - 0.5}
        monkeypatch.setattr(module.anyio, "current_time", lambda: clock["now"])
        callers.bridges.retire_idle()
        assert not idle.is_retired
        clock["now"] = now + module.IDLE_SECONDS
        callers.bridges.retire_idle()
        assert (idle.is_retired, busy.is_retired) == (True, False)
        busy.release()
        assert busy.used_at == clock["now"]
    assert module.IDLE_SECONDS == 600


async def test_a_retired_bridge_is_closed_when_its_last_call_has_ended(tmp_path: Path) -> None:
    async with callers_of(tmp_path) as callers:
        held = await callers.lease("key-of-ada")
        assert await callers.lease("key-of-ada") is held
        callers.reload(document(timeout=5))
        assert (held.is_retired, held.ended.is_set(), callers.count) == (True, False, 0)
        held.release()
        assert not held.ended.is_set()
        held.release()
        assert held.ended.is_set()
        assert await callers.lease("key-of-ada") is not held


async def test_a_reload_closes_only_the_bridges_of_what_has_changed(tmp_path: Path) -> None:
    documents = [document(), document("n"), document("o")]
    async with callers_of(tmp_path, *documents) as callers:
        held = [await callers.lease("key-of-ada", tool=f"{name}.t") for name in "mno"]
        callers.reload(*documents[:1], document("n", timeout=5))
        assert [each.is_retired for each in held] == [False, True, True]


async def test_a_defect_of_one_bridge_leaves_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with callers_of(tmp_path) as callers:
        good = await callers.used("key-of-ada")
        enter = Bridge.__aenter__

        async def fail(self: Bridge) -> Any:
            raise ValueError("a bug")

        monkeypatch.setattr(Bridge, "__aenter__", fail)
        await callers.used("key-of-bob")
        await anyio.wait_all_tasks_blocked()
        monkeypatch.setattr(Bridge, "__aenter__", enter)
        assert callers.count == 1
        assert await callers.used("key-of-ada") is good
        assert callers.sinks.guard("key-of-bob") == "key-of-bob"
    assert "internal error in a bridge of m" in caplog.text


async def test_idle_bridges_are_looked_for_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_INTERVAL", 0)
    monkeypatch.setattr(module, "IDLE_SECONDS", 0)
    async with callers_of(tmp_path) as callers:
        for key in ("key-of-ada", "key-of-bob"):
            await callers.used(key)
            with anyio.fail_after(PATIENCE):
                while callers.count:
                    await anyio.lowlevel.checkpoint()
