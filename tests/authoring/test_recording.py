"""A recording of a conversation: what is kept, what variables become, and when the next message is sent."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from utcp_ws_mcp.authoring import recording as module
from utcp_ws_mcp.authoring.recording import Recording, endpoint_fields, open_recorded
from utcp_ws_mcp.errors import BridgeError, InvalidManifest, MissingVariable
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.recorder.messages import RecordedMessage

from ..peer import echo, peer


def received(text: str | bytes) -> events.MessageReceived:
    return events.MessageReceived("m", text, "dropped")


def test_received_messages_are_kept_and_shown_without_a_role_of_the_recording() -> None:
    shown: list[events.Event] = []
    recording = Recording({}, shown.append)
    recording.observe(events.WarningIssued("careful"))
    assert not recording.arrived.is_set()
    recording.observe(received('{"a": 1}'))
    assert shown == [events.WarningIssued("careful"), events.MessageReceived("m", '{"a": 1}', "")]
    assert recording.messages == [RecordedMessage(sent=False, value={"a": 1})]
    assert (recording.arrived.is_set(), recording.full.is_set()) == (True, False)


def test_a_recording_is_full_after_some_messages() -> None:
    recording = Recording({}, max_messages=2)
    for text in "ab":
        recording.observe(received(text))
    assert not recording.full.is_set()
    recording.observe(received("c"))
    assert (recording.full.is_set(), [each.value for each in recording.messages]) == (True, ["a", "b"])


def test_a_recording_is_full_after_some_bytes() -> None:
    recording = Recording({}, max_bytes=4)
    recording.observe(received("abc"))
    recording.observe(received("d"))
    assert not recording.full.is_set()
    recording.observe(received("e"))
    recording.observe(received(""))
    assert (recording.full.is_set(), [each.value for each in recording.messages]) == (True, ["abc", "d"])


def test_variables_are_substituted_and_remembered_if_they_are_set() -> None:
    recording = Recording({"KEY": "s3cret-value", "WORD": "development", "OTHER": "unused-value"})
    text = recording.substitute("${KEY} ${UNSET} $${KEY} ${WORD}")
    assert text.startswith("s3cret-value ${UNSET} ")
    assert text.endswith(" development")
    assert recording.used_variables == {"KEY": "s3cret-value", "WORD": "development"}
    assert "s3cret-value" not in recording.redact("it is s3cret-value")
    assert recording.redact("unused-value") == "unused-value"
    assert "s3cret-value" not in recording.guard("it is s3cret-value")
    assert recording.guard("in development") == "in development"
    assert "development" not in recording.redact("in development")
    assert "s3cret" not in repr(recording)


def test_all_variables_that_are_missing_are_named_once() -> None:
    recording = Recording({"KEY": "x"})
    recording.require_variables("${KEY} $${NOT} text")
    with pytest.raises(MissingVariable) as missing:
        recording.require_variables("${B} ${A} ${B} ${KEY}")
    assert tuple(missing.value.names) == ("B", "A")


class Sent:
    """A connection that notes what is sent."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def send(self, messages: list[Any]) -> None:
        self.messages += messages


async def test_a_message_is_sent_with_values_and_recorded_with_names() -> None:
    recording, connection = Recording({"KEY": "s3cret-value"}), Sent()
    await recording.send_text(connection, '{"k": "${KEY}"}')  # type: ignore[arg-type]
    await recording.send_binary(connection, b"\0")  # type: ignore[arg-type]
    assert connection.messages == ['{"k": "s3cret-value"}', b"\0"]
    assert recording.messages == [
        RecordedMessage(sent=True, value={"k": "${KEY}"}),
        RecordedMessage(sent=True, value=b"\0"),
    ]


@pytest.mark.parametrize("text", ["5", "true", "null", '"x"', "-1.5e3", "PING"])
async def test_what_is_no_object_or_array_is_recorded_as_the_text_that_was_sent(text: str) -> None:
    recording, connection = Recording({}), Sent()
    await recording.send_text(connection, text)  # type: ignore[arg-type]
    assert (connection.messages, recording.messages) == ([text], [RecordedMessage(sent=True, value=text)])


async def test_the_next_message_waits_for_silence_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_IDLE_PERIODS == 10
    recording = Recording({})
    with anyio.fail_after(5):
        await recording.wait_until_idle(0.001)

    async def disturb() -> None:
        while True:
            recording.observe(received("x"))
            for _ in range(3):  # the event loop has other work between messages
                await checkpoint()

    monkeypatch.setattr(module, "MAX_IDLE_PERIODS", 2)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(disturb)
            await recording.wait_until_idle(0.01)
            tasks.cancel_scope.cancel()
    assert len(recording.messages) > 2


ENDPOINTS: list[tuple[tuple[str, dict[str, str], list[str]], dict[str, Any]]] = [
    (("ws://a/", {}, []), {"url": "ws://a/"}),
    (("ws://a/", {"X": "y"}, ["p"]), {"url": "ws://a/", "headers": {"X": "y"}, "protocol": ["p"]}),
]


@pytest.mark.parametrize(("typed", "fields"), ENDPOINTS)
def test_only_what_was_typed_is_in_the_fields_of_an_endpoint(typed: Any, fields: dict[str, Any]) -> None:
    assert endpoint_fields(*typed) == fields


async def test_a_connection_is_opened_with_its_variables_limits_and_events() -> None:
    shown: list[events.Event] = []
    recording = Recording({"KEY": "s3cret-value"}, shown.append)
    async with peer(echo) as seen, anyio.create_task_group() as tasks:
        endpoint = {"url": f"{seen.url}?k=${{KEY}}", "headers": {"X-Key": "${KEY}"}}
        connection, url = await open_recorded(endpoint, recording, limits={"max_message_bytes": 1024})
        assert (seen.upgrades[0].headers["X-Key"], seen.upgrades[0].path) == ("s3cret-value", "/?k=s3cret-value")
        assert (url.host, url.port) == ("localhost", seen.port)
        assert recording.used_variables == {"KEY": "s3cret-value"}
        assert isinstance(shown[0], events.ConnectionOpened)
        tasks.start_soon(connection.receive_loop)
        await recording.send_text(connection, '{"a": "' + "x" * 1024 + '"}')
        await seen.until(lambda: bool(seen.closed))  # the reply is larger than the limit
    assert not connection.is_open
    assert [each.sent for each in recording.messages] == [True]


async def test_what_cannot_be_opened_says_why() -> None:
    with pytest.raises(MissingVariable):
        await open_recorded({"url": "ws://localhost/${PATH_X}"}, Recording({}))
    with pytest.raises(BridgeError, match="localhost:1"):
        await open_recorded({"url": "ws://localhost:1/"}, Recording({}))
    with pytest.raises(InvalidManifest):
        await open_recorded({"url": "ws://localhost/", "headers": {"X": "{{ nope( }}"}}, Recording({}))
