"""The command `watch`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from tests.peer import Peer, peer
from utcp_ws_mcp.cli.watch import WatchOptions, watch_feed
from utcp_ws_mcp.client.manifest_files import load_manifest

from .endpoint import served
from .program import run


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


def numbers(connection: ServerConnection) -> None:
    for number in (1, 2, 3):
        connection.send(json.dumps({"n": number, "text": f"é {number}"}))
    for _ in connection:
        pass


@pytest.fixture
def file(tmp_path: Path) -> Iterator[str]:
    """A manifest with a feed of numbers and one of texts, which an endpoint sends at once."""
    feeds = [
        {"name": "numbers", "match": "message.n is defined", "item": "{'n': message.n}"},
        {"name": "texts", "match": "message.text is defined", "item": "message.text"},
        {"name": "of", "match": "message.n == args.n", "inputs": {"properties": {"n": {"type": "integer"}}}},
    ]
    path = tmp_path / "m.json"
    with served(numbers) as url:
        path.write_text(json.dumps({"name": "m", "url": url, "feeds": feeds}), encoding="utf-8")
        yield str(path)


def test_an_event_is_json_on_one_line_unless_it_is_a_text(file: str) -> None:
    shown = run("watch", file, "m.numbers", "--count", "2")
    assert (shown.returncode, shown.stdout) == (0, '{"n": 1}\n{"n": 2}\n')
    assert run("watch", file, "texts", "--count", "2").stdout == "é 1\né 2\n"


def test_an_event_as_json_has_its_place_and_time(file: str) -> None:
    first, second = map(json.loads, run("watch", file, "texts", "--count", "2", "--json").stdout.splitlines())
    assert [*first] == ["offset", "at", "cursor", "data"]
    assert (first["offset"], first["data"], second["offset"]) == (1, "é 1", 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["at"])
    assert first["cursor"] != second["cursor"]


def test_arguments_and_a_condition_select_events(file: str) -> None:
    assert json.loads(run("watch", file, "of", "n=2", "--count", "1").stdout)["n"] == 2
    assert json.loads(run("watch", file, "of", "--input-json", '{"n": 3}', "--count", "1").stdout)["n"] == 3
    assert run("watch", file, "numbers", "--where", "data.n > 2", "--count", "1").stdout == '{"n": 3}\n'


async def test_a_condition_that_is_false_for_all_events_says_so_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utcp_ws_mcp.client.feeds.reading.SEARCH_SECONDS", 0.1)
    assert await watch(tmp_path, where="data.n > 2", duration=2) == 0
    hint = "m.numbers: where was false for 3 events. None of them has data.n; in the last one, data is no object."
    printed = capsys.readouterr()
    assert (printed.out, printed.err.splitlines().count(hint)) == ("", 1)


def test_the_state_of_a_feed_and_a_trace_are_on_stderr(file: str) -> None:
    shown = run("watch", file, "numbers", "--count", "1", "--trace")
    assert "m.numbers is open\n" in shown.stderr
    assert "= connected to ws://127.0.0.1" in shown.stderr
    assert "= connected" not in run("watch", file, "numbers", "--count", "1").stderr


def test_a_cursor_of_another_feed_is_a_gap_that_is_said(file: str) -> None:
    cursor = json.loads(run("watch", file, "texts", "--count", "2", "--json").stdout.splitlines()[1])["cursor"]
    shown = run("watch", file, "texts", "--count", "1", "--cursor", cursor)
    reason = "the cursor is of an earlier life of the feed; what came since then is unknown"
    assert f"gap after event 0, an unknown number of events missed: {reason}\n" in shown.stderr
    assert (shown.returncode, shown.stdout) == (0, "é 1\n")


REFUSED: dict[str, tuple[list[str], int, str]] = {
    "no feed": ([], 2, "no feed given: expected MANUAL.FEED"),
    "no event at all": (["numbers", "--count", "0"], 2, "0 is not in the range x>=1"),
    "no time at all": (["numbers", "--duration", "0"], 2, "0.0 is not in the range x>0"),
    "an argument without a name": (["numbers", "x"], 2, "expected KEY=VALUE"),
    "another argument": (["of", "n=x"], 1, "[invalid-arguments]"),
    "another feed": (["none"], 1, "there is no feed 'm.none'."),
}


@pytest.mark.parametrize(("words", "code", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_watched_is_said(file: str, words: list[str], code: int, sentence: str) -> None:
    refused = run("watch", file, *words)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert sentence in refused.stderr


def test_a_variable_that_is_not_set_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    feed = {"name": "f", "match": "true"}
    path.write_text(json.dumps({"name": "m", "url": "wss://a.example/", "headers": {"X": "${UNSET}"}, "feeds": [feed]}))
    refused = run("watch", str(path), "m.f")
    assert (refused.returncode, refused.stdout, refused.stderr.count("UNSET is not set")) == (1, "", 1)
