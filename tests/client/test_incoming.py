"""What arrives on a connection gives the same messages and the same end whether or not messages pass the parser."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from utcp_ws_mcp.client.incoming import FRAMES_BETWEEN_CHECKS, Incoming
from utcp_ws_mcp.client.messages import Messages
from utcp_ws_mcp.client.turn import TURN_SECONDS, Turn

MAX_SIZE = 70_000
TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONT


def reserved(frame: bytes) -> bytes:
    """Return a frame with the reserved bit that the compression of messages uses."""
    return bytes((frame[0] | 0x40,)) + frame[1:]


PAYLOADS = st.one_of(
    st.binary(max_size=8),
    st.text(max_size=8).map(str.encode),
    st.sampled_from([125, 126, 127, 65_535, 65_536, MAX_SIZE, MAX_SIZE + 1]).map(lambda size: b"a" * size),
)
FRAMES = st.builds(
    lambda opcode, payload, fin, mask, reserve: reserve(Frame(opcode, payload, fin=fin).serialize(mask=mask)),
    st.sampled_from([TEXT, TEXT, TEXT, BINARY, CONTINUATION]),
    PAYLOADS,
    st.sampled_from([True, True, True, False]),
    st.sampled_from([False] * 20 + [True]),
    st.sampled_from([bytes] * 20 + [reserved]),
)
CONTROLS = st.one_of(
    st.binary(max_size=4).map(lambda payload: Frame(Opcode.PING, payload).serialize(mask=False)),
    st.binary(max_size=4).map(lambda payload: Frame(Opcode.PONG, payload).serialize(mask=False)),
    st.just(Frame(Opcode.CLOSE, Close(CloseCode.GOING_AWAY, "bye").serialize()).serialize(mask=False)),
)
MANY = st.integers(FRAMES_BETWEEN_CHECKS - 2, FRAMES_BETWEEN_CHECKS + 2).map(
    lambda count: Frame(TEXT, b"m").serialize(mask=False) * count
)
PIECES = st.one_of(FRAMES, FRAMES, FRAMES, CONTROLS, MANY, st.binary(max_size=3))


class Client:
    """A client, and what it has received and sent."""

    def __init__(self, *, passes_parser: bool, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.protocol = ClientProtocol(parse_uri("ws://a.example/"), max_size=MAX_SIZE)
        self.messages: list[Any] = []
        self.sent = bytearray()
        self.parsed = 0
        self._messages = Messages(self.messages.append, self._fail)
        self.turn = Turn(clock, self._never, lambda: None)
        self.incoming = Incoming(self.protocol, self._messages.add_whole, self._parse, self.turn)
        self._passes_parser = passes_parser
        self.protocol.send_request(self.protocol.connect())
        self._flush()

    def handshake(self) -> bytes:
        """Return what a server responds to the request."""
        server = ServerProtocol()
        server.receive_data(bytes(self.sent))
        [request] = server.events_received()
        assert isinstance(request, Request)
        self.sent.clear()
        server.send_response(server.accept(request))
        return b"".join(server.data_to_send())

    def feed(self, data: bytes) -> None:
        if self._passes_parser:
            while self.feed_turn(data):
                data = b""
        else:
            self._parse(data)

    def feed_turn(self, data: bytes = b"") -> bool:
        """Process data for a turn; return whether something waits for the next one."""
        self.turn.begin()
        self.incoming.feed(data)
        return self.turn.is_over

    def outcome(self) -> tuple[Any, ...]:
        """Return all that the application and the peer can see; masks are random, so only how much was sent."""
        protocol = self.protocol
        return self.messages, len(self.sent), protocol.state, protocol.close_rcvd, protocol.close_sent

    def _parse(self, data: bytes) -> None:
        self.parsed += len(data)
        self.protocol.receive_data(data)
        self._flush()
        for event in self.protocol.events_received():
            if isinstance(event, Frame) and event.opcode in (TEXT, BINARY, CONTINUATION):
                self._messages.add(event)

    def _never(self, *_: Any) -> None:
        raise AssertionError("the tests schedule all turns")

    def _flush(self) -> None:
        self.sent += b"".join(self.protocol.data_to_send())

    def _fail(self, code: CloseCode, reason: str) -> None:
        self._messages.discard()
        if self.protocol.state is State.OPEN:
            self.protocol.fail(code, reason)
            self._flush()


def both() -> tuple[Client, Client]:
    return Client(passes_parser=True, clock=late()), Client(passes_parser=False)


def late() -> Callable[[], float]:
    """Return a clock on which a turn is over at each look at it."""
    looks = count()
    return lambda: TURN_SECONDS * next(looks)


def opened(clock: Callable[[], float] = lambda: 0.0) -> Client:
    client = Client(passes_parser=True, clock=clock)
    client.feed(client.handshake())
    client.parsed = 0
    return client


@given(pieces=st.lists(PIECES, max_size=6), cuts=st.lists(st.integers(0, 80_000), max_size=8), joined=st.booleans())
def test_all_frames_give_the_same_as_with_the_parser_alone(pieces: list[bytes], cuts: list[int], joined: bool) -> None:
    fast, plain = both()
    data = b"".join(pieces) + bytes(8)  # so that the last head is there as a whole
    for client in (fast, plain):
        response = client.handshake()
        whole = response + data if joined else data
        if not joined:
            client.feed(response)
        edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
        for start, end in pairwise(edges):
            client.feed(whole[start:end])
    closes = [client.protocol.close_sent for client in (fast, plain)]
    # The parser alone reads all of a piece of TCP before its text is decoded, and so may find another reason to fail.
    if CloseCode.INVALID_DATA not in [close and close.code for close in closes]:
        assert fast.outcome() == plain.outcome()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, MAX_SIZE])
def test_a_whole_message_passes_the_parser(size: int) -> None:
    client = opened()
    client.feed(Frame(TEXT, b"a" * size).serialize(mask=False) + Frame(BINARY, b"b" * size).serialize(mask=False))
    assert client.messages == ["a" * size, b"b" * size]
    assert client.parsed == 0


def test_what_takes_longer_than_a_turn_is_processed_in_parts() -> None:
    client = opened(late())
    frames = [Frame(TEXT, b"%d" % number).serialize(mask=False) for number in range(2 * FRAMES_BETWEEN_CHECKS)]
    ping = Frame(Opcode.PING, b"").serialize(mask=False)
    assert client.feed_turn(b"".join(frames) + ping + frames[0][:1])
    assert len(client.messages) == FRAMES_BETWEEN_CHECKS
    assert client.feed_turn(frames[0][1:])
    assert len(client.messages) == 2 * FRAMES_BETWEEN_CHECKS
    assert not client.sent
    assert not client.feed_turn()
    assert client.messages == [*map(str, range(2 * FRAMES_BETWEEN_CHECKS)), "0"]
    assert client.sent


def test_what_ends_with_the_last_frame_of_a_part_has_no_rest() -> None:
    client = opened(late())
    assert not client.feed_turn(Frame(TEXT, b"a").serialize(mask=False) * FRAMES_BETWEEN_CHECKS)
    assert len(client.messages) == FRAMES_BETWEEN_CHECKS


def test_many_frames_are_processed_at_once_where_that_is_quick() -> None:
    handshake, start = 6.0, 7.0
    times = iter([handshake, start, *[start + 0.99 * TURN_SECONDS] * 9, start + TURN_SECONDS])
    client = opened(lambda: next(times))
    assert client.feed_turn(Frame(TEXT, b"a").serialize(mask=False) * 1000)
    assert len(client.messages) == 10 * FRAMES_BETWEEN_CHECKS


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_a_response_that_arrives_in_pieces_is_parsed_up_to_its_end(step: int) -> None:
    client = Client(passes_parser=True)
    response = client.handshake()
    data = response + Frame(TEXT, b"hello").serialize(mask=False) + Frame(TEXT, b"you").serialize(mask=False)
    for start in range(0, len(data), step):
        client.feed(data[start : start + step])
    assert client.messages == ["hello", "you"]


def test_the_body_of_a_response_that_rejects_the_handshake_reaches_the_parser() -> None:
    client = Client(passes_parser=True)
    client.handshake()
    client.feed(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot")
    client.feed(b" today\r\n\r\n")
    assert client.protocol.handshake_exc is not None
    assert "403" in str(client.protocol.handshake_exc)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(TEXT, b"masked").serialize(mask=True), CloseCode.PROTOCOL_ERROR),
        (reserved(Frame(TEXT, b"compressed").serialize(mask=False)), CloseCode.PROTOCOL_ERROR),
        (Frame(TEXT, b"a" * (MAX_SIZE + 1)).serialize(mask=False), CloseCode.MESSAGE_TOO_BIG),
        (Frame(TEXT, b"\xff").serialize(mask=False), CloseCode.INVALID_DATA),
        (Frame(CONTINUATION, b"of nothing").serialize(mask=False), CloseCode.PROTOCOL_ERROR),
    ],
    ids=["masked", "compressed", "too large", "not UTF-8", "a fragment of nothing"],
)
def test_a_frame_that_is_not_allowed_fails_the_connection(frame: bytes, code: CloseCode) -> None:
    client = opened()
    client.feed(frame + Frame(TEXT, b"later").serialize(mask=False))
    assert client.protocol.close_sent is not None
    assert client.protocol.close_sent.code == code
    assert client.messages == []


def test_a_whole_message_between_the_fragments_of_another_fails_the_connection() -> None:
    client = opened()
    client.feed(Frame(TEXT, b"first ", fin=False).serialize(mask=False) + Frame(TEXT, b"other").serialize(mask=False))
    assert client.protocol.close_sent is not None
    assert client.protocol.close_sent.code == CloseCode.PROTOCOL_ERROR
    assert client.messages == []


def test_messages_after_the_close_frame_of_the_peer_are_not_delivered() -> None:
    client = opened()
    close = Frame(Opcode.CLOSE, Close(CloseCode.NORMAL_CLOSURE, "").serialize()).serialize(mask=False)
    client.feed(close + Frame(TEXT, b"later").serialize(mask=False))
    assert client.messages == []


def test_a_message_of_several_pieces_of_tcp_is_joined_by_the_parser_and_the_next_one_passes_it() -> None:
    client = opened()
    large, small = Frame(TEXT, b"a" * 60_000).serialize(mask=False), Frame(TEXT, b"b").serialize(mask=False)
    client.feed(large[:10_000])
    client.feed(large[10_000:] + small)
    assert client.messages == ["a" * 60_000, "b"]
    assert client.parsed == len(large)
