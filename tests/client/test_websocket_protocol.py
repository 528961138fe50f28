"""The WebSocket over a transport of memory: delivery, flow control, limits, pings, closing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from utcp_ws_mcp.client import turn
from utcp_ws_mcp.client import websocket as module
from utcp_ws_mcp.client.inbox import MAX_WAITING_MESSAGES, Taken
from utcp_ws_mcp.client.incoming import FRAMES_BETWEEN_CHECKS
from utcp_ws_mcp.client.messages import MAX_FRAGMENTS
from utcp_ws_mcp.client.websocket import MAX_UNREAD_BYTES, WebSocket
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.manifest.models.call_template import Limits


class MemoryTransport(asyncio.Transport):
    """Keeps what is written; `unread` is how much of it the peer has not read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.unread = 0
        self.reading = True
        self.closing = self.aborted = False
        self.protocol: WebSocket

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unread

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Whatever is written fits."""

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


class Receiver:
    """Takes the messages of a WebSocket apart at their spaces, one part in each turn."""

    def __init__(self, socket: WebSocket) -> None:
        self.received: list[Any] = []
        self.last = ""
        self._socket = socket
        self._parts: list[Any] = []

    def take(self, message: Any) -> Taken:
        assert not self._parts, "the message overtakes the rest of the last one"
        self._parts = message.split(" ") if isinstance(message, str) else [message]
        return self.take_rest()

    def take_rest(self) -> Taken:
        while self._parts:
            self.received.append(self._parts.pop(0))
            if self.received[-1] == self.last:
                return Taken.LAST
            if self._parts and self._socket.turn.check():
                return Taken.PART
        return Taken.WHOLE


class Wire:
    """A WebSocket, and the other side of its connection."""

    def __init__(self, **limits: Any) -> None:
        self.transport = MemoryTransport()
        self.socket = module.make_websocket(parse_url("wss://a.example/p?q=1"), "/p?q=1", (), Limits(**limits))
        self.transport.protocol = self.socket
        self.socket.connection_made(self.transport)
        self.server = ServerProtocol()
        self.receiver = Receiver(self.socket)

    @property
    def received(self) -> list[Any]:
        """Return what the application has got."""
        return self.receiver.received

    async def open(self, *greetings: str) -> None:
        """Open, with greetings right behind the response."""
        opening = asyncio.create_task(self.socket.open([("Authorization", "Bearer s3cret")]))
        await asyncio.sleep(0)
        request = self.sent()[0]
        assert request.path == "/p?q=1"
        self.server.send_response(self.server.accept(request))
        for greeting in greetings:
            self.server.send_text(greeting.encode())
        self.deliver()
        await opening

    def sent(self) -> list[Any]:
        """Return what the client has sent since the last time."""
        data, self.transport.written = bytes(self.transport.written), bytearray()
        self.server.receive_data(data)
        return self.server.events_received()

    def deliver(self, *frames: Frame | bytes) -> None:
        """Deliver what the server has to send, and frames, as one piece of TCP."""
        data = self.server.data_to_send()
        data += [frame if isinstance(frame, bytes) else frame.serialize(mask=False) for frame in frames]
        self.socket.data_received(b"".join(data))

    def receive(self, last: str = "") -> asyncio.Task[bool]:
        """Receive messages up to `last`."""
        self.receiver.last = last
        return asyncio.create_task(self.socket.receive(self.receiver))


def text(data: str | bytes, **more: Any) -> Frame:
    return Frame(Opcode.TEXT, data.encode() if isinstance(data, str) else data, **more)


async def test_messages_that_follow_the_handshake_at_once_wait_until_they_are_received() -> None:
    wire = Wire()
    await wire.open("one", "two")
    assert not wire.transport.reading

    receiving = wire.receive()
    await asyncio.sleep(0)
    assert wire.received == ["one", "two"]
    assert wire.transport.reading
    receiving.cancel()


async def test_messages_after_the_last_one_that_is_wanted_wait_for_the_next_receive() -> None:
    wire = Wire()
    await wire.open()
    login = wire.receive(last="two")
    await asyncio.sleep(0)
    wire.deliver(text("one"), text("two"), text("three"), text("four"))
    assert await login
    assert wire.received == ["one", "two"]

    assert await wire.receive(last="three")
    assert await wire.receive(last="four")
    assert wire.received == ["one", "two", "three", "four"]


async def test_a_connection_that_has_ended_still_gives_the_messages_that_wait() -> None:
    wire = Wire()
    await wire.open("one", "two")
    wire.transport.abort()
    await asyncio.sleep(0)

    assert await wire.receive(last="one")
    assert not await wire.receive()
    assert wire.received == ["one", "two"]


async def test_reading_stops_while_too_many_messages_wait() -> None:
    wire = Wire()
    await wire.open()
    login = wire.receive(last="0")
    await asyncio.sleep(0)
    wire.deliver(*(text(str(number)) for number in range(MAX_WAITING_MESSAGES)))
    assert await login
    assert wire.transport.reading
    wire.deliver(text("one more"))
    assert not wire.transport.reading


async def turns(number: int) -> None:
    """Let the event loop go round."""
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no turn end because the machine is busy."""
    monkeypatch.setattr(turn, "TURN_SECONDS", 1e9)


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch, long_turns: None) -> None:
    """Let others get their turn as often as the clock is read."""
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)


def flood(count: int = 3 * FRAMES_BETWEEN_CHECKS) -> list[Frame]:
    return [text(str(number)) for number in range(count)]


@pytest.mark.usefixtures("short_turns")
async def test_others_get_their_turn_within_what_a_flood_brings_at_once() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(*flood())
    for parts in (1, 2, 3):
        assert wire.received == [str(number) for number in range(parts * FRAMES_BETWEEN_CHECKS)]
        assert wire.transport.reading is (parts == 3)
        await turns(2)
    receiving.cancel()


@pytest.mark.usefixtures("short_turns")
async def test_the_rest_of_a_flood_is_delivered_before_the_connection_ends() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(*flood())
    wire.socket.connection_lost(None)
    assert not await receiving
    assert wire.received == [str(number) for number in range(3 * FRAMES_BETWEEN_CHECKS)]


@pytest.mark.usefixtures("short_turns")
async def test_reading_does_not_go_on_after_a_flood_that_is_not_received() -> None:
    wire = Wire()
    await wire.open()
    login = wire.receive(last="0")
    await asyncio.sleep(0)
    wire.deliver(*flood())
    assert await login
    await turns(6)
    assert not wire.transport.reading

    receiving = wire.receive()
    await turns(2 * 3 * FRAMES_BETWEEN_CHECKS)
    assert wire.received == [str(number) for number in range(3 * FRAMES_BETWEEN_CHECKS)]
    assert wire.transport.reading
    receiving.cancel()


@pytest.mark.usefixtures("short_turns")
async def test_a_close_frame_behind_a_flood_ends_the_connection_after_its_messages() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(*flood(), Frame(Opcode.CLOSE, b"\x03\xe8"), text("too late"))
    assert not await receiving
    assert wire.received == [str(number) for number in range(3 * FRAMES_BETWEEN_CHECKS)]


@pytest.mark.usefixtures("short_turns")
async def test_others_get_their_turn_within_a_long_message_and_nothing_overtakes_its_rest() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    pong = asyncio.create_task(wire.socket.ping())
    await asyncio.sleep(0)
    ping = wire.sent()[-1]
    wire.server.data_to_send()
    wire.deliver(text("a b c"), Frame(Opcode.PONG, bytes(ping.data)), text("d"))
    for parts in ("a", "ab"):
        assert wire.received == list(parts)
        assert not wire.transport.reading
        assert not pong.done()
        await turns(2)
    assert wire.received == ["a", "b", "c", "d"]
    assert wire.transport.reading
    assert await pong
    receiving.cancel()


@pytest.mark.usefixtures("short_turns")
async def test_what_arrives_although_reading_is_paused_waits_behind_the_rest_of_a_message() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(text("a b c"))
    wire.deliver(text("d"))
    await turns(4)
    assert wire.received == ["a", "b", "c", "d"]
    receiving.cancel()


@pytest.mark.usefixtures("short_turns")
@pytest.mark.parametrize("size", [1, 2, 7, 9])
async def test_a_frame_that_has_arrived_in_part_waits_behind_the_rest_of_a_message(size: int) -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    next_one = text("the next").serialize(mask=False)
    wire.deliver(text("a b c"), next_one[:size])
    wire.deliver(next_one[size:])
    await turns(6)
    assert wire.received == ["a", "b", "c", "the", "next"]
    assert wire.transport.reading
    receiving.cancel()


@pytest.mark.usefixtures("short_turns")
async def test_the_rest_of_a_message_is_delivered_in_parts_before_the_connection_ends() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(text("a b c"), text("d"), Frame(Opcode.CLOSE, b"\x03\xe8"), text("too late"))
    wire.socket.connection_lost(None)
    assert wire.received == ["a"]
    assert not await receiving
    assert wire.received == ["a", "b", "c", "d"]
    assert wire.socket.protocol.close_rcvd is not None


@pytest.mark.usefixtures("short_turns")
async def test_what_breaks_the_protocol_behind_a_long_message_fails_the_connection_after_its_rest() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(text("a b"), text(b"\xff"), text("after"))
    assert not wire.sent()
    await turns(2)
    assert int.from_bytes(wire.sent()[-1].data[:2]) == 1007
    wire.transport.abort()
    assert not await receiving
    assert wire.received == ["a", "b"]


@pytest.mark.usefixtures("short_turns")
async def test_the_rest_of_a_message_whose_receiver_leaves_waits_for_the_next_one() -> None:
    wire = Wire()
    await wire.open()
    login = wire.receive(last="b")
    await asyncio.sleep(0)
    wire.deliver(text("a b c"), text("d"))
    assert await login
    assert wire.received == ["a", "b"]

    receiving = wire.receive()
    await turns(1)
    assert wire.received == ["a", "b", "c", "d"]
    receiving.cancel()


@pytest.mark.usefixtures("short_turns")
async def test_a_receiver_that_leaves_in_the_middle_of_a_message_gets_no_more_of_it() -> None:
    wire = Wire()
    await wire.open()
    login = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(text("a b c"), text("d"))
    login.cancel()
    await turns(6)
    assert wire.received == ["a"]

    assert await wire.receive(last="d")
    assert wire.received == ["a", "b", "c", "d"]


@pytest.mark.usefixtures("short_turns")
async def test_messages_that_wait_are_delivered_in_turns() -> None:
    wire = Wire()
    await wire.open("a", "b", "c")
    receiving = wire.receive()
    await asyncio.sleep(0)
    for parts in ("a", "ab", "abc"):
        assert wire.received == list(parts)
        await turns(2)
    assert wire.transport.reading
    receiving.cancel()


@pytest.mark.usefixtures("short_turns")
async def test_closing_does_not_wait_for_a_message_that_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.0)
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(text("a " * 10_000))
    await wire.socket.close(1000)
    assert not await receiving
    assert len(wire.received) < 10_000


async def test_nothing_is_processed_while_the_turns_are_held() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.socket.turn.hold()
    wire.socket.turn.hold()
    wire.deliver(text("a"))
    wire.socket.turn.release()
    await turns(4)
    assert wire.received == []
    assert not wire.transport.reading

    wire.socket.turn.release()
    await turns(2)
    assert wire.received == ["a"]
    assert wire.transport.reading
    receiving.cancel()


async def test_what_waits_while_the_turns_are_held_is_delivered_before_the_connection_ends() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.socket.turn.hold()
    wire.deliver(text("a"))
    wire.transport.abort()
    await turns(4)
    assert not receiving.done()
    wire.socket.turn.release()
    assert not await receiving
    assert wire.received == ["a"]


FAILURES = {
    "a text that is not UTF-8": ([text(b"\xff")], 1007),
    "a fragment that is not UTF-8": ([text(b"\xff", fin=False), Frame(Opcode.CONT, b"")], 1007),
    "too many fragments": (
        [
            text("a", fin=False),
            *(Frame(Opcode.CONT, b"a", fin=n == MAX_FRAGMENTS) for n in range(1, MAX_FRAGMENTS + 1)),
        ],
        1009,
    ),
    "too many bytes": ([text("a" * 2000)], 1009),
    "too many bytes in fragments": ([text("a" * 600, fin=False), Frame(Opcode.CONT, b"a" * 600)], 1009),
    "a reserved bit": ([b"\xc1\x01a"], 1002),
}


@pytest.mark.parametrize(("frames", "code"), FAILURES.values(), ids=FAILURES)
async def test_what_breaks_the_protocol_ends_the_connection_and_nothing_after_it_is_delivered(
    frames: list[Frame | bytes], code: int
) -> None:
    wire = Wire(max_message_bytes=1024 if code == 1009 and len(frames) < 9 else 1 << 20)
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(text("before"), *frames, text("after"))
    await turns(2 * len(frames) // FRAMES_BETWEEN_CHECKS + 1)  # as many as this takes at most
    close = wire.sent()[-1]
    assert close.opcode is Opcode.CLOSE
    assert int.from_bytes(close.data[:2]) == code
    assert wire.received == ["before"]
    wire.transport.abort()
    assert not await receiving


async def test_a_close_frame_ends_the_connection_after_the_messages_before_it() -> None:
    wire = Wire()
    await wire.open()
    receiving = wire.receive()
    await asyncio.sleep(0)
    wire.deliver(text("last"), Frame(Opcode.CLOSE, b"\x03\xe8bye"))
    assert wire.received == ["last"]
    assert wire.transport.closing
    assert not await receiving
    assert wire.socket.protocol.state is State.CLOSED


# --- peers that do not read ---


def ping(size: int) -> Frame:
    return Frame(Opcode.PING, b"x" * size)


async def test_a_peer_that_leaves_too_many_pongs_unread_is_disconnected() -> None:
    wire = Wire()
    await wire.open()
    while not wire.transport.aborted:
        wire.transport.unread = len(wire.transport.written)  # nothing is read
        wire.deliver(*(ping(125) for _ in range(1000)))
        await turns(2 * 1000 // FRAMES_BETWEEN_CHECKS)
        assert len(wire.transport.written) < 2 * MAX_UNREAD_BYTES
    assert wire.socket.abort_reason == "the server does not read the replies to its pings and messages"


async def test_a_peer_that_reads_may_send_any_number_of_pings() -> None:
    wire = Wire()
    await wire.open()
    for _ in range(MAX_UNREAD_BYTES // 100_000):
        wire.deliver(*(ping(125) for _ in range(1000)))
        await turns(2 * 1000 // FRAMES_BETWEEN_CHECKS)
        wire.transport.unread = 0
    assert not wire.transport.aborted


async def test_a_request_may_be_larger_than_what_automatic_replies_may_leave_unread() -> None:
    wire = Wire()
    await wire.open()
    wire.socket.send_nowait("x" * (MAX_UNREAD_BYTES + 1))
    wire.transport.unread = len(wire.transport.written)
    wire.deliver(ping(125))
    assert not wire.transport.aborted

    wire.socket.send_nowait("x" * (MAX_UNREAD_BYTES + 1), automatic=True)
    assert wire.transport.aborted


async def test_a_peer_that_reads_nothing_of_what_waits_is_disconnected() -> None:
    wire = Wire(ping_interval=1, ping_timeout=0.01)
    await wire.open()
    wire.transport.unread = 100_000
    wire.socket.pause_writing()
    await wire.socket.drain()
    assert wire.socket.abort_reason == "the server stopped reading"


async def test_a_peer_that_reads_something_has_more_time() -> None:
    wire = Wire(ping_interval=1, ping_timeout=0.01)
    await wire.open()
    wire.transport.unread = 100_000
    wire.socket.pause_writing()
    draining = asyncio.create_task(wire.socket.drain())

    def read_some() -> None:
        wire.transport.unread -= 1000
        if wire.transport.unread > 90_000:
            asyncio.get_running_loop().call_later(0.005, read_some)
        else:
            wire.socket.resume_writing()

    read_some()
    await draining
    assert not wire.transport.aborted


# --- pings ---


async def test_a_pong_settles_the_pings_before_it() -> None:
    wire = Wire(ping_interval=0)
    await wire.open()
    pings = [asyncio.create_task(wire.socket.ping()) for _ in range(3)]
    await asyncio.sleep(0)
    second = wire.sent()[1]
    wire.server.data_to_send()  # without its own pongs
    wire.deliver(Frame(Opcode.PONG, b"unsolicited"), Frame(Opcode.PONG, bytes(second.data)))
    assert await asyncio.gather(*pings[:2]) == [True, True]
    assert not pings[2].done()

    wire.transport.abort()
    assert await pings[2] is False
    assert await wire.socket.ping() is False


async def test_a_peer_that_answers_no_keepalive_ping_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.0)
    wire = Wire(ping_interval=0.01, ping_timeout=0.01)
    await wire.open()
    assert not await wire.receive()
    assert wire.socket.abort_reason == "the server stopped answering pings"
    assert [frame.opcode for frame in wire.sent()] == [Opcode.PING, Opcode.CLOSE]


async def test_a_peer_whose_pong_may_be_behind_what_waits_is_not_disconnected() -> None:
    wire = Wire(ping_interval=0.01, ping_timeout=0.01)
    await wire.open()
    wire.socket.turn.hold()
    wire.deliver(text("a"))
    sent: list[Any] = []
    while len(sent) < 3:
        await asyncio.sleep(0.005)
        sent += wire.sent()
    assert {frame.opcode for frame in sent} == {Opcode.PING}
    assert not wire.socket.abort_reason
    wire.transport.abort()


# --- closing ---


async def test_closing_waits_for_the_close_frame_of_the_peer() -> None:
    wire = Wire()
    await wire.open()
    closing = asyncio.create_task(wire.socket.close(1000, "done"))
    await asyncio.sleep(0)
    close = wire.sent()[0]
    assert bytes(close.data) == b"\x03\xe8done"
    assert not wire.transport.closing
    wire.deliver()
    await closing
    assert not wire.transport.aborted


async def test_closing_ends_although_the_peer_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.0)
    wire = Wire()
    await wire.open("unread")
    await wire.socket.close(1000)
    assert wire.transport.aborted


async def test_messages_that_are_not_received_do_not_delay_closing() -> None:
    wire = Wire()
    await wire.open(*map(str, range(MAX_WAITING_MESSAGES + 1)))
    closing = asyncio.create_task(wire.socket.close(1000))
    await asyncio.sleep(0)
    assert wire.transport.reading
    wire.sent()
    wire.deliver()
    await closing
    assert not wire.transport.aborted


async def test_no_log_shows_a_credential(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wire = Wire()
    await wire.open("hello")
    assert "s3cret" not in caplog.text
