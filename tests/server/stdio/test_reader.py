"""Lines from the host: from a pipe, and from a file, which no event loop can wait for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from utcp_ws_mcp.server.stdio import reader as module
from utcp_ws_mcp.server.stdio.reader import MAX_LINE_SIZE, READ_SIZE, Reader

INPUTS: dict[str, tuple[bytes, list[bytes]]] = {
    "nothing": (b"", []),
    "one line": (b"a\n", [b"a"]),
    "a last line without a break": (b"a\nb", [b"a", b"b"]),
    "blank lines": (b"\n \n\ta\n\r\n", [b"\ta"]),
    "a line that comes in several pieces": (
        b"a" * (3 * READ_SIZE) + b"\nb\nc",
        [b"a" * (3 * READ_SIZE), b"b", b"c"],
    ),
    "more pieces than may be queued": (b"x\n" * (READ_SIZE * 80), [b"x"] * (READ_SIZE * 80)),
}


@contextmanager
def source(kind: str, content: bytes, folder: Path) -> Iterator[int]:
    """Yield a descriptor of a file, or of a pipe whose other end is closed behind what it can hold."""
    path = folder / "input"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    if kind == "file":
        yield descriptor
        os.close(descriptor)
        return
    import subprocess

    with subprocess.Popen(["cat"], stdin=descriptor, stdout=subprocess.PIPE) as cat:
        os.close(descriptor)
        assert cat.stdout is not None
        yield cat.stdout.fileno()


async def read_all(descriptor: int) -> tuple[list[bytes], Reader]:
    lines: list[bytes] = []
    ended = anyio.Event()
    with anyio.fail_after(30):
        reader = Reader(descriptor, lines.append, ended.set)
        await ended.wait()
    return lines, reader


@pytest.mark.parametrize("kind", ["file", "pipe"])
@pytest.mark.parametrize(("content", "lines"), INPUTS.values(), ids=INPUTS)
async def test_every_line_is_passed_on_and_then_the_end(
    kind: str, content: bytes, lines: list[bytes], tmp_path: Path
) -> None:
    with source(kind, content, tmp_path) as descriptor:
        found, _ = await read_all(descriptor)
    assert found == lines


@pytest.mark.parametrize("kind", ["file", "pipe"])
async def test_a_line_that_is_too_long_ends_the_session_with_a_reason(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_LINE_SIZE", READ_SIZE)
    with source(kind, b"a\n" + b"b" * (3 * READ_SIZE) + b"\nc\n", tmp_path) as descriptor:
        found, _ = await read_all(descriptor)
    assert found == [b"a"]
    assert f"more than {READ_SIZE} bytes on stdin; the session ends" in caplog.text


async def test_a_line_at_the_limit_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_SIZE", READ_SIZE)
    with source("file", b"b" * READ_SIZE + b"\n", tmp_path) as descriptor:
        found, _ = await read_all(descriptor)
    assert found == [b"b" * READ_SIZE]


async def test_a_reader_that_was_stopped_passes_nothing_on(tmp_path: Path) -> None:
    lines: list[bytes] = []
    arrived = anyio.Event()
    with source("file", b"a\nb\nc\n", tmp_path) as descriptor, anyio.fail_after(30):

        def stop_at_first(line: bytes) -> None:
            lines.append(line)
            reader.stop()
            arrived.set()

        reader = Reader(descriptor, stop_at_first, lambda: None)
        await arrived.wait()
    assert lines == [b"a"]


def test_the_limit_of_a_line_is_that_of_the_documentation() -> None:
    assert MAX_LINE_SIZE == 64 * 1024 * 1024


@pytest.mark.parametrize("kind", ["file", "pipe"])
async def test_a_descriptor_that_cannot_be_read_is_the_end(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int, size: int) -> bytes:
        raise OSError

    with source(kind, b"a\n", tmp_path) as descriptor:
        monkeypatch.setattr(module.os, "read", fail)
        found, _ = await read_all(descriptor)
        monkeypatch.undo()
    assert found == []


@pytest.mark.parametrize("early", [BlockingIOError, InterruptedError])
async def test_a_pipe_that_is_not_ready_is_read_again(
    early: type[OSError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [early()]
    read = os.read

    def fail_once(descriptor: int, size: int) -> bytes:
        if failures:
            raise failures.pop()
        return read(descriptor, size)

    with source("pipe", b"a\n", tmp_path) as descriptor:
        monkeypatch.setattr(module.os, "read", fail_once)
        found, _ = await read_all(descriptor)
        monkeypatch.undo()
    assert (found, failures) == ([b"a"], [])
