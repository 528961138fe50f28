"""Calls and feeds from the page, against servers on loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import Peer, echo, entry, peer, silent
from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.client.state_files import STATE_DIR_VARIABLE
from utcp_ws_mcp.demo.endpoint import demo_endpoint, draw_square
from utcp_ws_mcp.studio import live_bridge
from utcp_ws_mcp.studio.calls import MAX_TRACE_CHARACTERS, CallReport, RunningCall, TraceText
from utcp_ws_mcp.studio.followed_feed import MAX_EVENTS, FollowedFeed
from utcp_ws_mcp.studio.live_bridge import LiveBridge

from .serving import load, serving

FEED = {"name": "ticks", "match": "message.tick is defined", "item": "message.tick"}


async def call(live: LiveBridge, name: str, **arguments: Any) -> CallReport:
    with anyio.fail_after(10):
        return await RunningCall(live).run(name, arguments, lambda: None)


def demo(port: int) -> dict[str, Any]:
    return {"name": "demo", "url": f"ws://localhost:{port}", "pin": "off"}


async def test_a_report_has_the_result_the_time_line_and_the_trace(tmp_path: Path) -> None:
    async with demo_endpoint() as port, serving(tmp_path, demo(port)) as live:
        first = await call(live, "demo.add", a=1, b=2)
        second = await call(live, "demo.add", a=3, b=4)
    assert [block.text for block in first.blocks] == ['{"sum":3}']
    assert (first.structured, first.is_error, first.facts) == ('{"sum":3}', False, ())
    assert [stage.name for stage in second.stages] == ["queue", "send", "reply", "end"]
    assert '"sum"' in second.trace
    assert "reply.match holds" in second.trace
    assert '"sum": 3' not in second.trace


async def test_a_failed_call_says_its_code_and_whether_it_was_executed(tmp_path: Path) -> None:
    async with demo_endpoint() as port, serving(tmp_path, demo(port)) as live:
        divided = await call(live, "demo.divide", a=1, b=0)
        unknown = await call(live, "demo.nothing")
    assert divided.is_error
    assert "division by zero" in divided.blocks[0].text
    assert divided.facts == ("code: tool-error", "request: answered")
    assert unknown.is_error
    assert "nothing" in unknown.blocks[0].text


async def test_a_picture_is_shown_as_one(tmp_path: Path) -> None:
    async with demo_endpoint() as port, serving(tmp_path, demo(port)) as live:
        report = await call(live, "demo.picture", colour="#ff0000")
    assert report.blocks[0].picture.startswith("data:image/png;base64,")
    assert report.blocks[0].text == f"image/png, {len(draw_square('#ff0000')):,} bytes"


async def test_the_items_of_a_stream_are_there_while_it_runs(tmp_path: Path) -> None:
    seen: list[int] = []
    async with demo_endpoint() as port, serving(tmp_path, demo(port)) as live:
        running = RunningCall(live)
        with anyio.fail_after(10):
            await running.run("demo.countdown", {"start": 2}, lambda: seen.append(len(running.items)))
    assert seen == [1, 2, 3]
    assert list(running.items) == ["2", "1", "0"]


async def test_a_call_can_be_cancelled(tmp_path: Path) -> None:
    async with peer(silent) as seen, serving(tmp_path, entry(seen, "ask")) as live:
        running = RunningCall(live)
        reports: list[CallReport] = []

        async def run() -> None:
            reports.append(await running.run("m.ask", {}, lambda: None))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await seen.until(lambda: bool(seen.received))
            running.cancel()
    assert (reports[0].cancelled, reports[0].is_error, reports[0].blocks) == (True, False, ())
    assert reports[0].stages[-1].name == "end"


async def test_a_change_of_the_manifest_changes_the_tools(tmp_path: Path) -> None:
    async with peer(silent) as seen, serving(tmp_path, entry(seen, "old")) as live:
        await live.serve(load(tmp_path, entry(seen, "new")), "other text", lambda _: pytest.fail("it is open"))
        assert list(live.bridge.tools) == ["m.new"]
        assert live.served == "other text"


async def test_discovered_tools_are_trusted_on_first_use_without_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv(STATE_DIR_VARIABLE, str(state))
    async with demo_endpoint() as port, serving(tmp_path, {**demo(port), "pin": "tofu"}) as live:
        assert not (await call(live, "demo.add", a=1, b=2)).is_error
    assert not state.exists()


async def test_a_tool_that_changed_since_the_user_approved_it_is_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_DIR_VARIABLE, str(tmp_path / "state"))
    async with demo_endpoint() as port:
        await PinStore.default().trust("demo", f"ws://localhost:{port}", {"add": "0" * 64})
        async with serving(tmp_path, {**demo(port), "pin": "tofu"}) as live:
            refused = await call(live, "demo.add", a=1, b=2)
            assert "demo.add" in live.bridge.withheld
    assert refused.is_error


async def test_two_panels_that_open_at_once_share_one_bridge(tmp_path: Path) -> None:
    live, started = LiveBridge(), []
    async with peer(silent) as seen, anyio.create_task_group() as tasks:
        loaded = load(tmp_path, entry(seen, "ask"))

        def start(coroutine: Any) -> None:
            started.append(coroutine)
            tasks.start_soon(lambda: coroutine)

        async with anyio.create_task_group() as panels:
            panels.start_soon(live.serve, loaded, "text", start)
            panels.start_soon(live.serve, loaded, "text", start)
        live.close()
    assert len(started) == 1


async def test_a_bridge_that_is_closing_is_opened_again(tmp_path: Path) -> None:
    live = LiveBridge()
    async with peer(silent) as seen, anyio.create_task_group() as tasks:
        loaded = load(tmp_path, entry(seen, "ask"))
        with anyio.fail_after(10):
            for _ in range(2):
                await live.serve(loaded, "text", lambda coroutine: tasks.start_soon(lambda: coroutine))
                live.close()
            await live.serve(loaded, "text", lambda coroutine: tasks.start_soon(lambda: coroutine))
        assert live.is_open
        live.close()


async def test_endpoints_and_feeds_show_their_state(tmp_path: Path) -> None:
    async with peer(silent) as seen, serving(tmp_path, entry(seen, "ask", feeds=[FEED])) as live:
        assert [(each["name"], each["state"]) for each in live.endpoints()] == [("m", "idle")]
        assert [each["name"] for each in live.feeds()] == ["m.ticks"]
    assert live.endpoints() == live.feeds() == []


async def test_secrets_are_in_no_part_of_a_report(tmp_path: Path) -> None:
    async def repeat(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"result": "s3cret-token-12345"}))

    document = {"headers": {"Authorization": "Bearer ${API_TOKEN}"}}
    async with (
        peer(repeat) as seen,
        serving(tmp_path, entry(seen, "ask", **document), API_TOKEN="s3cret-token-12345") as live,
    ):
        report = await call(live, "m.ask")
    assert "s3cret" not in repr(report)
    assert report.blocks


async def test_a_feed_keeps_its_newest_events_and_its_gaps(tmp_path: Path) -> None:
    async def tick(connection: Any) -> None:
        for number in range(MAX_EVENTS + 5):
            await connection.send(json.dumps({"tick": f"<b>{number}\u202e"}))

    async with peer(silent, greet=tick) as seen, serving(tmp_path, entry(seen, feeds=[FEED], tools=[])) as live:
        feed = FollowedFeed(live, "m.ticks")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.run, {})
            with anyio.fail_after(10):
                while feed.count < MAX_EVENTS + 5:
                    await anyio.wait_all_tasks_blocked()
            assert feed.state == "open"
            feed.stop()
    assert len(feed.rows) == MAX_EVENTS
    assert feed.rows[-1].text == f'"<b>{MAX_EVENTS + 4}\\u202e"'
    assert feed.state == "stopped"
    assert feed.problem == ""


async def test_a_feed_that_cannot_be_followed_says_why(tmp_path: Path) -> None:
    async with peer(silent) as seen, serving(tmp_path, entry(seen, "ask", feeds=[FEED])) as live:
        feed = FollowedFeed(live, "m.tocks")
        await feed.run({})
    assert "m.ticks" in feed.problem


def test_a_long_trace_keeps_its_beginning_and_its_end() -> None:
    trace = TraceText()
    for number in range(400):
        trace.write(f"{number:4} " + "x" * 1_000)
    text = trace.text()
    assert text.startswith("   0 ")
    assert "\n 399 " in f"\n{text}".replace("x 399", "x\n 399")
    assert "left out" in text
    assert len(text) < 2 * MAX_TRACE_CHARACTERS + 5_000


async def test_the_numbers_are_sampled_while_the_bridge_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_bridge, "SAMPLE_SECONDS", 0.001)
    async with peer(echo) as seen, serving(tmp_path, entry(seen, "ask")) as live:
        await live.bridge.call_tool("m.ask", {})
        with anyio.fail_after(10):
            while sum(live.numbers.rates("m", "sent")) < 1:
                await anyio.lowlevel.checkpoint()
        assert live.numbers.total("m", "sent") == 1


async def test_others_learn_when_the_tools_change_and_when_the_bridge_is_closed(tmp_path: Path) -> None:
    changes: list[bool] = []
    live = LiveBridge(lambda: changes.append(live.is_open))
    async with peer(silent) as seen, anyio.create_task_group() as tasks:
        start = lambda coroutine: tasks.start_soon(lambda: coroutine)  # noqa: E731
        await live.serve(load(tmp_path, entry(seen, "a")), "a", start)
        assert (live.served, changes) == ("a", [])
        await live.serve(load(tmp_path, entry(seen, "b")), "b", start)
        assert (live.served, changes) == ("b", [True])
        live.close()
    assert (live.served, live.is_open, changes) == (None, False, [True, False])


async def test_an_observer_sees_events_until_it_leaves(tmp_path: Path) -> None:
    first, second = list[Any](), list[Any]()
    async with peer(echo) as seen, serving(tmp_path, entry(seen, "ask")) as live:
        leave = live.observe(first.append)
        live.observe(second.append)
        await live.bridge.call_tool("m.ask", {})
        count = len(first)
        leave()
        await live.bridge.call_tool("m.ask", {})
    assert (len(first), len(second) > count > 0) == (count, True)


async def test_a_bridge_that_cannot_be_opened_does_not_keep_others_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError("no bridge")

    monkeypatch.setattr(live_bridge, "Bridge", fail)
    live, failed = LiveBridge(), list[BaseException]()

    async def run(coroutine: Any) -> None:
        try:
            await coroutine
        except OSError as error:
            failed.append(error)

    async with peer(silent) as seen, anyio.create_task_group() as tasks:
        with anyio.fail_after(10):
            await live.serve(load(tmp_path, entry(seen, "a")), "a", lambda coroutine: tasks.start_soon(run, coroutine))
    assert (len(failed), live.is_open, live.served) == (1, False, None)  # so that the next panel tries again
