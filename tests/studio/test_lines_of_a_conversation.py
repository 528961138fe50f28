"""What becomes a line of a conversation, how many are kept, and what a draft is made from."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.errors import MissingVariable, StudioRefused
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.recorder.messages import Mark, RecordedMessage
from utcp_ws_mcp.studio import conversation as module
from utcp_ws_mcp.studio import shown
from utcp_ws_mcp.studio.connect_form import MAX_HISTORY, ConnectForm
from utcp_ws_mcp.studio.conversation import Conversation, Direction, State
from utcp_ws_mcp.studio.drafting import draft_conversation
from utcp_ws_mcp.studio.shown import MAX_PREVIEW, plain, pretty, preview, shown_size, size_of
from utcp_ws_mcp.studio.transient_pins import TransientPinStore

from ..peer import PATIENCE, echo, peer

URL = "wss://a.example/"


def loaded(*messages: RecordedMessage, names: tuple[str, ...] = ()) -> Conversation:
    conversation = Conversation()
    conversation.load({"url": URL}, parse_url(URL), messages, names)
    return conversation


def received(value: Any, **more: Any) -> RecordedMessage:
    return RecordedMessage(sent=False, value=value, **more)


def test_the_limits_are_those_of_the_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/studio.md").read_text(encoding="utf-8")
    for limit, words in ((shown.MAX_SHOWN, "cut to {} characters"), (module.MAX_LINES, "last {} lines are kept")):
        assert words.format(f"{limit:,}") in guide
    assert f"the first {module.MAX_RECORDED:,} messages of a connection" in guide
    assert (module.MAX_LINE_CHARACTERS, module.MAX_KEPT, module.MAX_RECORDED_BYTES) == (1 << 20, 64 << 20, 32 << 20)
    assert module._LIMITS == {"max_message_bytes": 32 << 20, "connect_timeout": 15}


NOTED: list[tuple[events.Event, list[str]]] = [
    (events.ConnectionOpened("m", "ws://a/", 0.0125), ["connected to ws://a/ in 12 ms"]),
    (events.ConnectionClosed("m", "ws://a/", "1000 bye", remote=True), ["the connection ended: 1000 bye"]),
    (events.HttpRequestFinished("m", "GET", "http://a/", 204), ["GET http://a/: HTTP 204"]),
    (events.MessageSendFailed("m", "heartbeat", "too large"), ["heartbeat was not sent: too large"]),
    (events.DiscoveryFailed("m", "no answer", 1.0, unreachable=True), ["no answer"]),
    (events.WarningIssued("careful"), ["careful"]),
    (events.RequestSent("m.t", "ws://a/", 0.1), []),
    (events.MatchExplained("m", ("why",)), []),
]


@pytest.mark.parametrize(("event", "notes"), NOTED)
def test_events_that_are_no_messages_are_notes(event: events.Event, notes: list[str]) -> None:
    conversation = Conversation()
    conversation.observer(str)(event)
    lines = list(conversation.lines)
    assert [(line.direction, line.message, line.role) for line in lines] == [
        (Direction.NOTE, note, "") for note in notes
    ]


def test_what_is_sent_for_a_call_has_its_purpose_or_is_the_request() -> None:
    conversation = Conversation()
    observe = conversation.observer(str)
    observe(events.MessageSent("m", "x"))
    observe(events.MessageSent("m", "y", "heartbeat"))
    assert [line.role for line in conversation.lines] == ["request", "heartbeat"]
    assert [(line.number, line.is_own, line.recorded) for line in conversation.lines] == [
        (0, False, None),
        (1, False, None),
    ]


def test_a_line_has_the_seconds_since_the_conversation_began() -> None:
    conversation = Conversation()
    conversation._started -= 5
    conversation.observer(str)(events.MessageReceived("m", "x", ""))
    assert 5 <= conversation.lines[0].seconds < 5 + PATIENCE


def test_a_line_keeps_the_beginning_of_a_message_and_the_size_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_CHARACTERS", 4)
    conversation = Conversation()
    for message in ("äbcd", "äbcde", b"12345"):
        conversation.observer(str)(events.MessageReceived("m", message, ""))
    assert [(line.message, line.size) for line in conversation.lines] == [("äbcd", 5), ("äbcd", 6), (b"1234", 5)]


def test_no_more_than_some_characters_are_kept_and_a_cleared_list_begins_at_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 10)
    conversation = Conversation()
    observe = conversation.observer(str)
    for text in ("aaaa", "bbb", "ccc"):
        observe(events.MessageReceived("m", text, ""))
    assert len(conversation.lines) == 3
    observe(events.MessageReceived("m", "d", ""))
    assert [line.message for line in conversation.lines] == ["bbb", "ccc", "d"]
    observe(events.MessageReceived("m", "e" * 10, ""))
    assert [line.message for line in conversation.lines] == ["e" * 10]
    conversation.clear()
    observe(events.MessageReceived("m", "f" * 10, ""))
    assert [line.number for line in conversation.lines] == [5]


def test_recorded_messages_are_shown_as_texts_and_are_those_of_the_draft() -> None:
    conversation = loaded(
        RecordedMessage(sent=True, value={"op": "ä"}), received("text"), received(b"\0"), received([1])
    )
    lines = list(conversation.lines)
    assert [line.message for line in lines] == ['{"op": "ä"}', "text", b"\0", "[1]"]
    assert [line.direction for line in lines] == [Direction.SENT, *[Direction.RECEIVED] * 3]
    assert [(line.is_own, line.recorded) for line in lines] == [(True, at) for at in range(4)]
    assert (conversation.state, conversation.roles_are_stale, conversation.url) == (State.CLOSED, True, parse_url(URL))
    assert conversation.own_messages() == [(at, at == 0, line.message) for at, line in enumerate(lines)]


def test_of_many_recorded_messages_the_first_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORDED", 2)
    assert len(loaded(*[received(n) for n in ([1], [2], [3])]).lines) == 2


def test_another_conversation_makes_lines_of_the_one_before_no_part_of_the_draft() -> None:
    conversation = loaded(received([1]))
    version = conversation.version
    conversation.load({"url": URL}, parse_url(URL), [received([2])], [])
    assert [(line.is_own, line.recorded) for line in conversation.lines] == [(False, None), (True, 0)]
    assert conversation.own_messages() == [(1, False, "[2]")]
    assert conversation.version > version
    conversation.clear()
    assert (conversation.recording.messages, conversation.own_messages()) == ([], [])


async def test_variables_of_a_recording_get_values_that_are_in_no_message() -> None:
    conversation = loaded(RecordedMessage(sent=True, value={"op": "get", "token": "${TOKEN}"}), names=("TOKEN",))
    first = conversation.recording.used_variables["TOKEN"]
    assert len(first) == 64
    assert first not in (await draft_conversation(conversation)).text


def test_lines_are_found_by_their_numbers_and_words() -> None:
    conversation = loaded(received("Apple"), received(b"\x01\xff"), received("pear"))
    conversation.lines[2].role = "event"
    assert [conversation.line(n) for n in (-1, 0, 2, 3)] == [None, conversation.lines[0], conversation.lines[2], None]
    for words, since, numbers in (
        ("", 0, [0, 1, 2]), ("  APPLE ", 0, [0]), ("01ff", 0, [1]), ("event", 0, [2]), ("", 1, [1, 2]), ("", 9, [])
    ):  # fmt: skip
        assert [line.number for line in conversation.matching(words, since)] == numbers
    assert Conversation().line(0) is None


def test_a_mark_changes_the_version_of_the_labels_and_only_marks_messages_of_the_draft() -> None:
    conversation = loaded(received("a"), received("b"))
    conversation.roles_are_stale = False
    before = conversation.version, conversation.labels_version
    conversation.mark(1, Mark.EVENT)
    assert [conversation.mark_of(line) for line in conversation.lines] == [None, Mark.EVENT]
    assert conversation.roles_are_stale
    assert (conversation.version > before[0], conversation.labels_version > before[1]) == (True, True)
    conversation.lines[0].recorded = None
    for number in (0, 2):
        with pytest.raises(StudioRefused, match="this line is not part of the draft"):
            conversation.mark(number, Mark.EVENT)
    assert conversation.mark_of(conversation.lines[0]) is None


async def test_messages_beyond_those_of_the_draft_get_the_role_of_most_of_their_kind() -> None:
    conversation = loaded(*[received({"type": "tick", "n": n}) for n in range(3)])
    for value in ({"type": "tick", "n": 4}, {"type": "other"}, 5):
        conversation.observer(str)(events.MessageReceived("m", json.dumps(value), ""))
        conversation.lines[-1].is_own = True
    conversation.observer(str)(events.MessageReceived("m", '{"type": "tick"}', "reply"))
    versions = conversation.version, conversation.labels_version
    await conversation.classify()
    roles = [line.role for line in conversation.lines]
    assert roles[3] == max(set(roles[:3]), key=roles[:3].count)
    assert roles[4:] == ["", "", "reply"]
    assert conversation.roles_are_stale is False
    assert (conversation.version > versions[0], conversation.labels_version > versions[1]) == (True, True)


async def test_a_message_that_is_nested_too_deeply_has_no_role_and_no_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RecursionError

    conversation = loaded(received("a"))
    monkeypatch.setattr(module, "message_roles", fail)
    await conversation.classify()
    assert conversation.lines[0].role == ""
    monkeypatch.setattr(type(conversation.recording), "draft", fail)
    with pytest.raises(StudioRefused, match="nothing can be drafted: a message is nested too deeply"):
        await draft_conversation(conversation)


async def test_roles_of_a_conversation_that_was_replaced_meanwhile_are_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conversation = loaded(received({"type": "tick"}))

    def replace(*given: Any) -> Any:
        conversation.load({"url": URL}, parse_url(URL), [received("a"), received("b")], [])
        return []

    monkeypatch.setattr(module, "message_roles", replace)
    await conversation.classify()
    assert [line.role for line in conversation.lines] == ["", "", ""]


async def test_a_second_connection_is_not_opened_beside_the_first() -> None:
    conversation = Conversation()
    async with peer(echo) as seen, anyio.create_task_group() as tasks:
        form = ConnectForm(url=seen.url, protocols="", message="")
        tasks.start_soon(conversation.run, form, {"KEY": "value"})
        await seen.until(lambda: bool(seen.upgrades))
        await conversation.run(form, {})
        with anyio.fail_after(PATIENCE):
            while conversation.state is not State.OPEN:
                await anyio.lowlevel.checkpoint()
        assert (len(seen.upgrades), conversation.url) == (1, parse_url(seen.url))
        await conversation.send(b"\0\1")
        await conversation.send('"${KEY}"')
        with pytest.raises(MissingVariable):
            await conversation.send("${OTHER}")
        await seen.until(lambda: len(seen.received) == 2)
        assert seen.received == [b"\0\1", "value"]
        sent = [line.message for line in conversation.lines if line.direction is Direction.SENT]
        assert sent == [b"\0\1", '"${KEY}"']
        conversation.clear()
        assert len(conversation.recording.messages) >= 2  # still connected: the draft keeps them
        await conversation.close()
    assert (conversation.state, seen.open) == (State.CLOSED, [])
    with pytest.raises(StudioRefused, match="there is no connection. Connect first; the message is still there."):
        await conversation.send("x")


# The texts of lines

SIZES = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), ((1 << 20) - 1, "1024.0 KiB"),
         (1 << 20, "1.0 MiB"), (5 << 19, "2.5 MiB")]  # fmt: skip


@pytest.mark.parametrize(("size", "text"), SIZES)
def test_a_size_has_a_unit_that_fits(size: int, text: str) -> None:
    assert shown_size(size) == text


def test_the_size_of_a_message_is_that_of_its_bytes() -> None:
    assert [size_of(each) for each in ("abc", "ä", b"\xff\xfe", "\ud800", "")] == [3, 2, 2, 1, 0]
    assert [plain(each) for each in ("abc", b"\xff\x00")] == ["abc", "ff00"]


def test_a_preview_is_one_short_line_without_secrets() -> None:
    assert preview('{"password": "abcdefgh", "a": 1}', str).count("abcdefgh") == 0
    assert preview("a\nb", str).count("\n") == 0
    assert len(preview("x" * 1_000, str)) <= MAX_PREVIEW + 1
    assert preview("x" * MAX_PREVIEW, str) == "x" * MAX_PREVIEW


def test_a_long_message_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MAX_SHOWN", 10)
    assert pretty("x" * 10, str) == "x" * 10
    assert pretty("x" * 11, str) == "x" * 10 + "\n… (cut: 11 characters)"
    assert pretty("a\r\nb", str) == "a\nb"


def test_json_is_formatted_up_to_a_length_and_numbers_and_texts_are_shown_as_they_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert shown.MAX_FORMATTED == 1 << 20
    monkeypatch.setattr(shown, "MAX_FORMATTED", 8)
    assert pretty('{"a": 1}', str) == '{\n  "a": 1\n}'
    assert pretty('{"a":  1}', str) == '{"a":  1}'
    assert [pretty(each, str) for each in ("[1]", " 5 ", '"x"')] == ["[\n  1\n]", " 5 ", '"x"']


def test_bytes_are_shown_in_rows_of_sixteen_up_to_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown._DUMPED == 4096
    monkeypatch.setattr(shown, "_DUMPED", 32)
    rows = pretty(bytes(range(33)), str).splitlines()
    assert rows == [bytes(range(start, start + 16)).hex(" ") for start in (0, 16)]
    assert pretty(b"\xff" * 3, str) == "ff ff ff"
    assert pretty("ä".encode(), str) == "ä"


# What is typed


def test_the_url_of_the_form_needs_a_scheme_of_web_sockets() -> None:
    for url in ("WSS://a/", " ws://a/ "):
        assert ConnectForm(url=url).endpoint() == {"url": url.strip()}
    for url in ("", "a.example", "http://a/"):
        with pytest.raises(StudioRefused, match="is no URL of a WebSocket. Write ws:// or wss://, a host, and a path."):
            ConnectForm(url=url).endpoint()


def test_each_header_needs_a_name_and_a_colon() -> None:
    form = ConnectForm(url="ws://a/", headers=" X-A : b:c \n\n  \nX-B:", protocols=" a ,, b,")
    assert form.endpoint() == {"url": "ws://a/", "headers": {"X-A": "b:c", "X-B": ""}, "protocol": ["a", "b"]}
    for line in ("X-A", ": b", "  : b"):
        with pytest.raises(StudioRefused) as refused:
            ConnectForm(url="ws://a/", headers=f"X-C: d\n{line}").endpoint()
        assert f"the header {line.strip()!r} has no colon. Write Name: value in each line." in str(refused.value)


def test_variables_are_those_of_all_fields_but_not_of_a_binary_message() -> None:
    form = ConnectForm("ws://${A}/", "X: ${B}", "${C}", "${D} ${A} $${E}")
    assert form.variables()[:4] == ["A", "B", "C", "D"]
    form.binary = True
    assert form.variables() == ["A", "B", "C"]
    form.message = "0 0ff"
    with pytest.raises(StudioRefused, match="a binary message is not hexadecimal"):
        form.outgoing()
    form.message = "00 ff"
    assert form.outgoing() == b"\x00\xff"


def test_the_history_is_bounded_and_a_new_message_begins_it_again() -> None:
    form = ConnectForm()
    for number in range(MAX_HISTORY + 1):
        form.message = str(number)
        form.remember()
    assert (MAX_HISTORY, form.history[0], form.history[-1], len(form.history)) == (100, "1", "100", 100)
    form.message = "typed"
    assert [form.recall(2), form.recall(-1), form.recall(200)] == ["99", "100", "1"]
    form.remember()
    form.message = "other"
    assert [form.recall(1), form.recall(-5)] == ["typed", "other"]


async def test_approvals_of_the_studio_are_forgotten_with_it_and_those_of_the_user_hold(tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    store = TransientPinStore(file)
    number = await store.trust("m", "ws://a", {"t": "1" * 64})
    await store.trust("m", "ws://a", {"t": "2" * 64, "u": "3" * 64})
    pins = await store.get("m", "ws://a")
    assert {name: each.digest for name, each in pins.approved.items()} == {"t": "1" * 64, "u": "3" * 64}
    assert {each.number for each in pins.approved.values()} == {number}
    assert (await store.get("m", "ws://b")).approved == {}
    assert (await store.get("n", "ws://a")).approved == {}
    assert (file.exists(), (await TransientPinStore(file).get("m", "ws://a")).approved) == (False, {})
    assert list(tmp_path.iterdir()) == []


async def test_a_connection_that_is_being_opened_can_be_given_up() -> None:
    arrived = anyio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        writer.close()

    conversation = Conversation()
    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server, anyio.create_task_group() as tasks:
        port = server.sockets[0].getsockname()[1]
        tasks.start_soon(conversation.run, ConnectForm(url=f"ws://127.0.0.1:{port}/"), {})
        with anyio.fail_after(PATIENCE):
            await arrived.wait()
            assert conversation.state is State.CONNECTING
            await conversation.close()
            while conversation.state is not State.CLOSED:
                await anyio.lowlevel.checkpoint()
    assert (conversation.problem, list(conversation.lines)) == ("", [])
