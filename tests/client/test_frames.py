"""Messages as frames of a client: the parser of websockets reads them, and each has a new mask."""

import pytest
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from utcp_ws_mcp.client.frames import MASKS, MessageFrames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_a_server_reads_the_message_in_one_frame(opcode: Opcode, size: int) -> None:
    server = ServerProtocol(state=OPEN, max_size=None)
    payload = b"x" * size

    server.receive_data(MessageFrames().serialize(opcode, payload))

    (frame,) = server.events_received()
    assert (frame.opcode, bytes(frame.data), frame.fin) == (opcode, payload, True)


def test_no_mask_is_used_twice() -> None:
    numbers = iter(range(2 * MASKS))
    frames = MessageFrames(lambda count: b"".join(next(numbers).to_bytes(4, "big") for _ in range(count // 4)))

    masks = [frames.serialize(Opcode.TEXT, b"")[2:] for _ in range(2 * MASKS)]

    assert masks == [number.to_bytes(4, "big") for number in range(2 * MASKS)]


def test_the_payload_is_masked() -> None:
    frames = MessageFrames(lambda count: b"\x01\x02\x03\x04" * (count // 4))

    assert frames.serialize(Opcode.TEXT, b"\x00" * 5) == b"\x81\x85\x01\x02\x03\x04\x01\x02\x03\x04\x01"
