"""A conversation as the page shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from utcp_ws_mcp.errors import MissingVariable, StudioRefused
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.recorder.messages import Mark
from utcp_ws_mcp.studio import conversation as module
from utcp_ws_mcp.studio import session as session_module
from utcp_ws_mcp.studio.calls import RunningCall
from utcp_ws_mcp.studio.connect_form import ConnectForm
from utcp_ws_mcp.studio.conversation import Conversation, Direction, State
from utcp_ws_mcp.studio.drafting import draft_conversation
from utcp_ws_mcp.studio.session import Sessions, StudioOptions, StudioSession
from utcp_ws_mcp.studio.shown import MAX_PREVIEW, MAX_SHOWN, pretty, preview, shown_size

from ..peer import PATIENCE, Peer, peer
from .serving import load


async def answer(_: Peer, connection: Any, message: Any) -> None:
    if message == "flood":
        for number in range(10_000):
            await connection.send(json.dumps({"type": "tick", "number": number}))
        await connection.send(json.dumps({"type": "end"}))
    elif message == "large":
        await connection.send('{"text": "' + "x" * (16 << 20) + '"}')
    else:
        await connection.send(json.dumps({"type": "tick"}))
        await connection.send(json.dumps({"id": message["id"], "got": message}))


async def test_every_change_gives_a_later_version() -> None:
    versions = [0]
    async with Talk() as conversation:
        for number in range(3):
            versions.append(conversation.version)
            await conversation.send(f'{{"id": {number}}}')
            await until(conversation, lambda number=number: len(conversation.lines) >= 3 * number + 3)
        versions.append(conversation.version)
        conversation.clear()
        versions.append(conversation.version)
    assert versions == sorted(set(versions))


async def until(conversation: Conversation, condition: Any) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():
            version = conversation.version
            while version == conversation.version and not condition():
                await anyio.lowlevel.checkpoint()


class Talk:
    """A conversation with a peer, which ends with the block."""

    def __init__(
        self, environ: dict[str, str] | None = None, conversation: Conversation | None = None, **form: Any
    ) -> None:
        self.conversation = conversation or Conversation()
        self._environ, self._form = environ or {}, form

    async def __aenter__(self) -> Conversation:
        self._peer = peer(answer)
        seen = await self._peer.__aenter__()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        form = ConnectForm(url=seen.url, **self._form)
        self._tasks.start_soon(self.conversation.run, form, self._environ)
        await until(self.conversation, lambda: self.conversation.state is State.OPEN)
        return self.conversation

    async def __aexit__(self, *raised: object) -> None:
        await self.conversation.close()
        await self._tasks.__aexit__(*raised)
        await self._peer.__aexit__(*raised)


async def test_both_directions_appear_and_the_recorder_says_what_they_are() -> None:
    async with Talk() as conversation:
        await conversation.send('{"id": 1, "op": "get"}')
        await conversation.send('{"id": 2, "op": "get"}')
        await until(conversation, lambda: len(conversation.lines) == 7)
        await conversation.classify()
    lines = [(line.direction, line.role) for line in conversation.lines if line.direction is not Direction.NOTE]
    assert [direction for direction, _ in lines].count(Direction.SENT) == 2
    assert {role for direction, role in lines if direction is Direction.SENT} == {"request"}
    assert {role for direction, role in lines if direction is Direction.RECEIVED} == {"event", "reply"}
    assert conversation.lines[-1].direction is Direction.NOTE
    assert conversation.state is State.CLOSED


async def test_the_values_of_variables_are_sent_and_not_shown() -> None:
    async with Talk({"TOKEN": "very-secret-value"}) as conversation:
        await conversation.send('{"id": 1, "token": "${TOKEN}"}')
        await until(conversation, lambda: len(conversation.lines) == 4)
        with pytest.raises(MissingVariable):
            await conversation.send('{"id": 2, "token": "${OTHER}"}')
    shown = " ".join(pretty(line.message, line.redact) for line in conversation.lines)
    assert "very-secret-value" in str([line.message for line in conversation.lines])
    assert "very-secret-value" not in shown
    drafted = await draft_conversation(conversation)
    assert "very-secret-value" not in drafted.text
    assert "${TOKEN}" in drafted.text


async def test_the_manifest_says_what_it_takes_a_message_for_once_there_is_one() -> None:
    session = StudioSession(StudioOptions())
    async with Talk(conversation=session.conversation) as conversation:
        await conversation.send('{"id": 1, "op": "get"}')
        await until(conversation, lambda: len(conversation.lines) == 4)
        (reply,) = (line.number for line in conversation.lines if '"got"' in str(line.message))
        assert await session.judgement(reply) is None
        tool = {"name": "get", "tool_call_template": {"message": {"id": "{{ request_id }}", "op": "get"}}}
        manifest = {"name": "m", "url": conversation.endpoint["url"], "tools": [tool]}
        session.set_text(json.dumps({**manifest, "reply": {"match": "message.id == request_id"}}))
        found = await session.judgement(reply)
        assert found is not None
        assert found.role == "reply"
        session.set_text("{")
        assert await session.judgement(reply) is None


async def test_a_mark_changes_what_similar_messages_are_taken_for_and_the_draft() -> None:
    async with Talk() as conversation:
        await conversation.send('{"id": 1, "op": "get"}')
        await until(conversation, lambda: len(conversation.lines) == 4)
        tick = next(line for line in conversation.lines if "tick" in str(line.message))
        before = (await draft_conversation(conversation)).text
        conversation.mark(tick.number, Mark.ERROR)
        await conversation.classify()
        assert (tick.role, conversation.mark_of(tick)) == ("error", Mark.ERROR)
        assert (await draft_conversation(conversation)).text != before
        conversation.mark(tick.number, None)
        assert (await draft_conversation(conversation)).text == before


async def test_only_messages_of_the_last_connection_can_be_marked() -> None:
    conversation = Conversation()
    conversation.observer(str)(events.MessageReceived("m", "x", "reply"))
    with pytest.raises(StudioRefused):
        conversation.mark(0, Mark.EVENT)
    with pytest.raises(StudioRefused):
        await draft_conversation(conversation)


async def test_a_call_of_a_tool_appears_with_the_rules_that_decided() -> None:
    conversation = Conversation()
    observe = conversation.observer(lambda text: text.replace("secret", "***"))
    observe(events.MessageSent("m", '{"a": "secret"}'))
    observe(events.MessageReceived("m", "hello", "reply"))
    observe(events.MatchExplained("m", ("reply.match: true",)))

    sent, received = conversation.lines
    assert preview(sent.message, sent.redact) == '{"a": "***"}'
    assert (sent.role, received.role, received.reasons) == ("request", "reply", ("reply.match: true",))


async def test_ten_thousand_messages_are_all_there_and_the_draft_is_made_from_the_first() -> None:
    async with Talk() as conversation:
        await conversation.send("flood")
        await until(conversation, lambda: "end" in str(conversation.lines[-1].message))
        assert len(conversation.lines) == 10_003
        assert len(list(conversation.matching("9999"))) == 1
        assert len(conversation.recording.messages) == module.MAX_RECORDED
        assert conversation.recording.full.is_set()
        await conversation.classify()
        assert [line.role for line in conversation.matching('"number": 9999')] == ["event"]


async def test_a_message_of_16_megabytes_is_shown_cut() -> None:
    async with Talk() as conversation:
        await conversation.send("large")
        await until(conversation, lambda: len(conversation.lines) == 3)
        line = conversation.lines[-1]
    assert shown_size(line.size) == "16.0 MiB"
    assert len(line.message) == module.MAX_LINE_CHARACTERS
    assert len(preview(line.message, line.redact)) <= MAX_PREVIEW + 1
    assert MAX_SHOWN < len(pretty(line.message, line.redact)) < MAX_SHOWN + 100


async def test_the_oldest_lines_are_dropped_and_their_numbers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINES", 3)
    conversation = Conversation()
    for number in range(5):
        conversation.observer(str)(events.MessageReceived("m", f"message {number}", ""))

    assert [line.number for line in conversation.matching("")] == [2, 3, 4]
    assert (conversation.line(1), conversation.line(4)) == (None, conversation.lines[-1])
    assert [line.number for line in conversation.matching("MESSAGE", since=4)] == [4]
    conversation.clear()
    assert list(conversation.matching("")) == []


async def test_what_does_not_work_is_a_line() -> None:
    conversation = Conversation()
    await conversation.run(ConnectForm(url="http://h/"), {})
    await conversation.run(ConnectForm(url="ws://localhost:1/"), {})
    await conversation.run(ConnectForm(url="ws://localhost:1/${PATH_X}"), {})
    with pytest.raises(StudioRefused):
        await conversation.send("x")

    assert [line.direction for line in conversation.lines] == [Direction.NOTE] * 3
    assert "PATH_X" in str(conversation.lines[-1].message)
    assert conversation.problem == conversation.lines[-1].message


async def test_a_problem_is_forgotten_when_a_connection_is_opened() -> None:
    conversation = Conversation(problem="refused")
    async with peer(answer) as seen, anyio.create_task_group() as tasks:
        tasks.start_soon(conversation.run, ConnectForm(url=seen.url), {})
        with anyio.fail_after(10):
            while conversation.state is not State.OPEN:
                await anyio.lowlevel.checkpoint()
        assert conversation.problem == ""
        await conversation.close()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('{"b": [1]}', '{\n  "b": [1]\n}'),
        ("\x1b[31mred", "␛[31mred"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        (b"\x00\xff", "00 ff"),
        (b"text", "text"),
    ],
)
def test_every_message_is_shown_as_plain_text(message: str | bytes, shown: str) -> None:
    assert pretty(message, str) == shown


def test_a_form_says_what_cannot_be_meant() -> None:
    for form in (ConnectForm(url="h"), ConnectForm(url="ws://h/", headers="no colon")):
        with pytest.raises(StudioRefused):
            form.endpoint()
    with pytest.raises(StudioRefused):
        ConnectForm(message="0x", binary=True).outgoing()


def test_a_form_gives_the_endpoint_its_variables_and_the_history() -> None:
    form = ConnectForm(" ws://h/${A} ", "X-Key: ${B}\n\n", "v1, v2", "${C} ${A}")

    assert form.endpoint() == {"url": "ws://h/${A}", "headers": {"X-Key": "${B}"}, "protocol": ["v1", "v2"]}
    assert form.variables() == ["A", "B", "C"]
    for message in ("a", "b", "a"):
        form.message = message
        form.remember()
    assert form.history == ["b", "a"]
    form.message = "not sent"
    assert [form.recall(steps) for steps in (1, 1, 1, -1, -1, -1)] == ["a", "b", "b", "a", "not sent", "not sent"]
    assert ConnectForm(message="00ff", binary=True).outgoing() == b"\x00\xff"


async def test_a_tab_that_is_left_ends_its_connection_unless_its_page_was_loaded_again() -> None:
    sessions = Sessions(StudioOptions())
    session = sessions.enter("tab")
    async with Talk(conversation=session.conversation) as conversation:
        assert sessions.enter("tab") is session
        await sessions.leave("tab")
        assert conversation.state is State.OPEN
        await sessions.leave("tab")
        await until(conversation, lambda: conversation.state is State.CLOSED)
    async with Talk(conversation=session.conversation) as conversation:
        await sessions.close()
        await until(conversation, lambda: conversation.state is State.CLOSED)


async def test_tabs_that_were_left_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MAX_SESSIONS", 2)
    sessions = Sessions(StudioOptions())
    first, second = sessions.enter("first"), sessions.enter("second")
    await sessions.leave("first")
    sessions.enter("third")

    assert sessions.enter("second") is second
    assert sessions.enter("first") is not first


async def test_messages_of_called_tools_appear_in_the_conversation_of_the_tab(tmp_path: Path) -> None:
    session = Sessions(StudioOptions()).enter("tab")
    async with peer(answer) as seen, anyio.create_task_group() as tasks:
        tool = {"message": {"id": "{{ request_id }}"}, "reply": {"match": "message.id == request_id"}}
        entry = {
            "name": "m",
            "url": seen.url,
            "request_id": "counter",
            "network": {"allow": ["loopback"], "plaintext": True},
            "tools": [{"name": "t", "description": "d", "tool_call_template": tool}],
        }
        await session.live.serve(load(tmp_path, entry), 1, lambda run: tasks.start_soon(lambda: run))
        await RunningCall(session.live).run("m.t", {}, lambda: None)
        session.live.close()
    received = [line for line in session.conversation.lines if line.direction is Direction.RECEIVED]
    assert [line.role for line in received] == ["dropped", "reply"]
    assert "reply.match holds" in " ".join(received[1].reasons)
