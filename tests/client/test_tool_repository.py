"""Manuals that arrive: read in slices, and once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio

from utcp_ws_mcp.client import manual_reader
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.manual_reader import SlicedWork
from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.client.tool_repository import ToolRepository


def repository(folder: Path, warnings: list[str], **fields: Any) -> ToolRepository:
    file = folder / "m.json"
    file.write_text(json.dumps({"name": "m", "url": "ws://127.0.0.1:9/m", **fields}))
    return ToolRepository([load_manifest(file, {})], PinStore(folder / "pins.json"), warnings.append)


def manual(*names: str, **more: Any) -> dict[str, Any]:
    return {"tools": [{"name": name, **more} for name in names]}


async def test_a_manual_that_did_not_change_is_not_read_again(tmp_path: Path, monkeypatch: Any) -> None:
    reads: list[int] = []
    read = manual_reader.read_manual_in_steps

    def counted(*args: Any) -> Any:
        reads.append(1)
        return read(*args)

    monkeypatch.setattr(manual_reader, "read_manual_in_steps", counted)
    known = repository(tmp_path, [])
    (entry,) = known.entries

    first = await known.save_manual(entry, manual("a", "b"))
    tools = list(known.tools.values())
    again = await known.save_manual(entry, manual("a", "b"))
    assert (first.count, first.changed, first.is_known) == (2, True, False)
    assert (again.count, again.changed, again.is_known) == (2, False, True)
    assert len(reads) == 1
    assert [tool.compiled_template for tool in tools] == [tool.compiled_template for tool in known.tools.values()]

    changed = await known.save_manual(entry, manual("a"))
    assert (changed.count, changed.changed, changed.is_known, len(reads)) == (1, True, False, 2)


async def test_a_known_manual_offers_a_tool_that_was_approved_meanwhile(tmp_path: Path) -> None:
    known = repository(tmp_path, [], pin="strict")
    (entry,) = known.entries
    assert (await known.save_manual(entry, manual("a"))).count == 0

    await known.approve("m.a", known.withheld["m.a"].digest)
    again = await known.save_manual(entry, manual("a"))

    assert (again.count, again.changed, again.is_known) == (1, True, True)


async def test_other_tasks_run_while_a_manual_is_read_and_compiled(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(manual_reader, "MIN_SLICE", 0.0)
    known = repository(tmp_path, [])
    (entry,) = known.entries
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count_turns)
        await known.save_manual(entry, manual(*(f"t{index}" for index in range(20))))
        tasks.cancel_scope.cancel()

    assert turns >= 3 * 20  # once for each tool that is measured, read, and compiled


async def test_work_that_takes_too_long_is_asked_to_stop() -> None:
    asked: list[bool] = []

    def steps() -> Any:
        while not (yield):
            asked.append(False)
            if len(asked) > 1000:
                return "endless"
        return "stopped"

    assert await SlicedWork(1e9).run(steps()) == "endless"
    assert await SlicedWork(-1.0).run(steps()) == "stopped"


async def test_tools_that_take_too_long_to_compile_are_left_out_with_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    known = repository(tmp_path, warnings)
    (entry,) = known.entries
    reading = await known._get_manual_reader().read(manual("a", "b", "c"), entry)
    steps = manual_reader.compile_tools_in_steps(entry, reading.tools)
    next(steps)
    try:
        steps.send(True)
    except StopIteration as done:
        compiled, (problem,) = done.value

    assert [tool.name for tool in compiled] == ["a"]
    assert (problem.path, problem.code) == ("tools[1]", "manual-too-large")


def elsewhere(*names: str) -> dict[str, Any]:
    """A manual whose tools are left out with a warning each, because they point at another origin."""
    return manual(*names, tool_call_template={"url": "ws://127.0.0.2:9/x"})


async def test_a_warning_about_a_manual_is_reported_once_while_its_cause_lasts(tmp_path: Path) -> None:
    warnings: list[str] = []
    known = repository(tmp_path, warnings)
    (entry,) = known.entries

    async def reported(offered: dict[str, Any]) -> list[str]:
        warnings.clear()
        await known.save_manual(entry, offered)
        return [warning.partition(":")[2].partition(":")[0].strip() for warning in warnings]

    assert await reported(elsewhere("a")) == ["tools[0]"]
    assert await reported(elsewhere("a", "b")) == ["tools[1]"]
    assert await reported(elsewhere("a")) == []
    assert await reported(manual("a")) == []
    assert await reported(elsewhere("a", "b")) == ["tools[0]", "tools[1]"]


async def test_of_many_warnings_about_a_manual_20_are_reported_and_the_others_counted(tmp_path: Path) -> None:
    for count, reported in ((20, 20), (21, 21), (25, 21)):
        warnings: list[str] = []
        known = repository(tmp_path, warnings)
        (entry,) = known.entries
        await known.save_manual(entry, elsewhere(*(f"t{number}" for number in range(count))))
        assert len(warnings) == reported
        assert ("more warnings about the manual are not shown." in warnings[-1]) is (count > 20)
        assert count <= 20 or f"{count - 20} more warnings" in warnings[-1]
