"""The command `watch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, peer
from utcp_ws_mcp.cli.watch import WatchOptions, watch_feed
from utcp_ws_mcp.client.manifest_files import load_manifest


async def greet(connection: Any) -> None:
    for number in (1, 2, 3):
        await connection.send(json.dumps({"n": number}))


async def no_answer(seen: Peer, connection: Any, message: Any) -> None:
    pass


def options(**given: Any) -> WatchOptions:
    defaults: dict[str, Any] = {
        "feed": "m.numbers", "pairs": (), "input_json": None, "cursor": None, "where": None, "count": None,
        "duration": None, "as_json": False, "trace": False,
    }  # fmt: skip
    return WatchOptions(**{**defaults, **given})


async def watch(tmp_path: Path, **given: Any) -> int:
    feed = {"name": "numbers", "match": "message.n is defined", "item": "message.n"}
    async with peer(no_answer, greet=greet) as seen:
        file = tmp_path / "m.json"
        file.write_text(
            json.dumps({"name": "m", "url": seen.url, "feeds": [feed], "tools": [{"name": "find"}]}), encoding="utf-8"
        )
        return await watch_feed([load_manifest(file)], options(**given))


async def test_events_are_printed_one_on_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await watch(tmp_path, count=3) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["1", "2", "3"]
    assert "m.numbers is open" in printed.err


async def test_only_events_that_fulfil_the_condition_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await watch(tmp_path, where="data > 2", count=1, as_json=True) == 0
    event = json.loads(capsys.readouterr().out)
    assert (event["data"], event["offset"]) == (3, 3)


async def test_the_duration_ends_it_with_success(tmp_path: Path) -> None:
    assert await watch(tmp_path, duration=0.3) == 0


async def test_an_unknown_feed_is_a_failure_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await watch(tmp_path, feed="m.nothing") == 1
    sentence = "there is no feed 'm.nothing'. The feeds are: m.numbers. [unknown-feed]"
    assert sentence in capsys.readouterr().err.splitlines()  # tests before may have left a handler for the log


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("m.number", "there is no feed 'm.number'. Did you mean 'm.numbers'?"),
        ("m.numbers_events", "'m.numbers_events' is a tool that reads a feed. Did you mean 'm.numbers'?"),
        ("m.find", "'m.find' is a tool, not a feed. The feeds are: m.numbers."),
    ],
)
async def test_a_name_that_is_not_a_feed_is_answered_with_the_name_of_a_feed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    assert await watch(tmp_path, feed=name) == 1
    assert f"{sentence} [unknown-feed]" in capsys.readouterr().err.splitlines()
