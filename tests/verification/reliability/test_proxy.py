"""The proxy injects exactly the fault that is set, since the measurements depend on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from verification.reliability.proxy import HEALTHY, Fault, Flow, Proxy, proxy

HEAD = b"GET / HTTP/1.1\r\n\r\n"
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echoing(fault: Fault = HEALTHY) -> AsyncIterator[tuple[Proxy, Callable[[], object]]]:
    """Serve an echo server behind a proxy, and yield the proxy and a function that connects to it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    writers: list[asyncio.StreamWriter] = []
    async with server, asyncio.timeout(10), proxy(server.sockets[0].getsockname()[1], fault) as running:

        async def connect() -> Pair:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writers.append(writer)
            return reader, writer

        yield running, connect
        for writer in writers:
            writer.close()


async def read_all(pair: Pair, sent: bytes) -> bytes:
    """Send bytes and return everything that is received until the end of the connection."""
    reader, writer = pair
    writer.write(sent)
    return await reader.read()


async def test_a_proxy_without_a_fault_forwards_everything_and_closes_when_a_side_closes() -> None:
    async with echoing() as (_, connect):
        reader, writer = await connect()
        writer.write(HEAD)
        writer.write_eof()
        assert await reader.read() == HEAD


async def test_a_refusing_proxy_refuses_until_the_fault_is_cleared_and_keeps_its_port() -> None:
    async with echoing(Fault(refuse=True)) as (running, connect):
        with pytest.raises(ConnectionRefusedError):
            await connect()
        running.clear_fault()
        await connect()
        running.set_fault(Fault(refuse=True))
        with pytest.raises(ConnectionRefusedError):
            await connect()


@pytest.mark.parametrize("at", [0, 3, 17])
async def test_exactly_the_bytes_before_a_fin_are_forwarded(at: int) -> None:
    async with echoing(Fault(down=Flow(at=at, ending="fin"))) as (_, connect):
        assert await read_all(await connect(), HEAD) == HEAD[:at]


async def test_a_reset_raises_connection_reset_error() -> None:
    async with echoing(Fault(up=Flow(at=5, ending="rst"))) as (_, connect):
        with pytest.raises(ConnectionResetError):
            await read_all(await connect(), HEAD)


async def test_a_position_after_the_head_is_found_when_bytes_arrive_one_by_one() -> None:
    fault = Fault(up=Flow(piece=1), down=Flow(at=2, after_head=True, instead=b"!", ending="fin"))
    async with echoing(fault) as (_, connect):
        assert await read_all(await connect(), HEAD + b"abcd") == HEAD + b"ab!"


async def test_a_flip_changes_exactly_one_byte() -> None:
    async with echoing(Fault(down=Flow(at=1, ending="flip"))) as (_, connect):
        reader, writer = await connect()
        writer.write(b"abc")
        assert await reader.readexactly(3) == bytes([ord("a"), ord("b") ^ 0xFF, ord("c")])


async def test_a_stopped_connection_stays_open_and_silent_while_new_connections_work() -> None:
    async with echoing() as (running, connect):
        reader, writer = await connect()
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        running.end_connections("stop")
        writer.write(b"b")
        other, other_writer = await connect()
        other_writer.write(b"c")
        assert await other.readexactly(1) == b"c"
        silent = asyncio.ensure_future(reader.read(1))
        await asyncio.sleep(0)
        assert not silent.done()
        silent.cancel()


async def test_ended_connections_receive_the_given_bytes_and_the_end() -> None:
    async with echoing() as (running, connect):
        reader, writer = await connect()
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        running.end_connections("fin", b"bye")
        assert await reader.read() == b"bye"
