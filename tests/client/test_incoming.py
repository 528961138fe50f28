"""Messages that are taken without the parser of websockets are those that it reads, however TCP cuts the frames."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import WebSocketURI

from utcp_ws_mcp.client.incoming import IncomingProtocol

MAX_SIZE = 300
TEXT, BINARY, CONTINUATION, PING, CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PING, Opcode.CLOSE


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True, mask: bool = False) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=mask)


SEQUENCES = {
    "messages": [frame(TEXT, b"one"), frame(BINARY, b"\xff"), frame(TEXT, b""), frame(TEXT, "two €".encode())],
    "lengths": [frame(TEXT, b"x" * size) for size in (125, 126, MAX_SIZE)],
    "control frames": [frame(TEXT, b"one"), frame(PING, b"p"), frame(TEXT, b"two"), frame(CLOSE, b"\x03\xe8")],
    "fragments": [frame(TEXT, b"a", fin=False), frame(PING, b""), frame(CONTINUATION, b"b"), frame(TEXT, b"c")],
    "a message inside another": [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")],
    "a continuation of nothing": [frame(TEXT, b"a"), frame(CONTINUATION, b"b"), frame(TEXT, b"c")],
    "after a close frame": [frame(CLOSE, b"\x03\xe8"), frame(TEXT, b"late")],
    "too large": [frame(TEXT, b"one"), frame(TEXT, b"x" * (MAX_SIZE + 1)), frame(TEXT, b"two")],
    "masked": [frame(TEXT, b"one"), frame(TEXT, b"two", mask=True), frame(TEXT, b"three")],
    "reserved bits": [frame(TEXT, b"one"), b"\xc1\x03two", frame(TEXT, b"three")],
    "invalid UTF-8": [frame(TEXT, b"one"), frame(TEXT, b"\xff"), frame(TEXT, b"two")],
    "64-bit length": [b"\x81\x7f" + (3).to_bytes(8, "big") + b"one", frame(TEXT, b"two")],
}


def read(kind: type[ClientProtocol], data: bytes, cuts: Iterable[int]) -> tuple[object, ...]:
    """Return the events after the handshake, the state, and what is sent, for data that arrives in pieces."""
    client = kind(WebSocketURI(False, "a.example", 80, "/", ""), max_size=MAX_SIZE)
    server = ServerProtocol()
    response = server.accept(client.connect()).serialize()
    whole = response + data
    places = [0, *(len(response) + cut for cut in cuts), len(whole)]
    for start, end in pairwise(places):
        client.receive_data(whole[start:end])
    _, *events = client.events_received()
    sent = [piece[:2] for piece in client.data_to_send()]  # what follows is masked
    return [_plain(event) for event in events], client.state, client.close_sent, client.close_rcvd, sent


def _plain(event: object) -> tuple[object, ...]:
    if isinstance(event, str):
        return TEXT, event.encode(), True
    if isinstance(event, bytes):
        return BINARY, event, True
    assert isinstance(event, Frame)
    return event.opcode, bytes(event.data), event.fin


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_events_are_those_of_the_parser_wherever_the_data_is_cut(name: str) -> None:
    data = b"".join(SEQUENCES[name])
    expected = read(ClientProtocol, data, ())

    for cut in range(len(data) + 1):
        assert read(IncomingProtocol, data, (cut,)) == expected
    assert read(IncomingProtocol, data, ()) == expected
    assert read(IncomingProtocol, data, range(len(data))) == expected


def test_whole_messages_reach_the_events_without_the_parser() -> None:
    client = IncomingProtocol(WebSocketURI(False, "a.example", 80, "/", ""))
    client.receive_data(ServerProtocol().accept(client.connect()).serialize())
    client.events_received()

    client.receive_data(frame(TEXT, b"one") + frame(BINARY, b"two"))

    assert client.events_received() == ["one", b"two"]
