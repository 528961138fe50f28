"""Run the commands and programs of the documentation; they print what it shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from scripts.pictures import COLUMNS, FOLDER, PICTURES, draw, read_picture
from utcp_ws_mcp.demo.endpoint import demo_endpoint

from .examples import PAGES, ROOT, Block, read_blocks


def read_programs() -> Iterator[tuple[Path, Block, Block]]:
    """Yield each block of Python, and the block below it with its output."""
    for page in PAGES:
        for code, shown in pairwise(read_blocks(page)):
            if code.language == "python":
                assert shown.kind == "prints", code.place
                yield page, code, shown


def read_sessions() -> Iterator[tuple[Block, Block]]:
    """Yield each session at a terminal, with the manifest above it."""
    for page in PAGES:
        manifest = None
        for block in read_blocks(page):
            manifest = block if block.kind == "manifest" else manifest
            if block.language == "console":
                assert manifest is not None, block.place
                yield manifest, block


PROGRAMS = list(read_programs())
SESSIONS = list(read_sessions())


@pytest.mark.parametrize(("manifest", "shown"), SESSIONS, ids=[shown.place for _, shown in SESSIONS])
async def test_every_session_at_a_terminal_goes_as_it_is_shown(manifest: Block, shown: Block, tmp_path: Path) -> None:
    async with demo_endpoint() as port:
        (tmp_path / "manifest.json").write_text(manifest.text.replace("8765", str(port)), encoding="utf-8")
        seen = [await session(line, tmp_path) for line in shown.text.splitlines() if line.startswith("$ ")]
    assert steady("".join(seen)) == steady(shown.text)


async def session(line: str, folder: Path) -> str:
    """Run a command line, and return what a terminal shows."""
    return f"{line}\n" + await run_python(["-m", "utcp_ws_mcp", *shlex.split(line)[2:]], folder)


@pytest.mark.parametrize("name", PICTURES)
async def test_every_picture_shows_what_its_command_prints_now(name: str) -> None:
    drawn = read_picture((FOLDER / f"{name}.svg").read_text(encoding="utf-8"))
    assert steady(drawn) == steady(await PICTURES[name]())


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_on_a_page(name: str) -> None:
    assert any(f"pictures/{name}.svg)" in page.read_text(encoding="utf-8") for page in PAGES)


def test_a_picture_breaks_long_lines_and_gives_them_back() -> None:
    shown = "$ call\n   0.001 < (reply) " + "<&>" * COLUMNS + "\n\nend\n"
    assert read_picture(draw(shown, "a & b")) == shown


@pytest.mark.parametrize(
    ("page", "code", "shown"), PROGRAMS, ids=[f"{page.name}:{code.place}" for page, code, _ in PROGRAMS]
)
async def test_every_program_of_the_documentation_prints_what_it_shows(
    page: Path, code: Block, shown: Block, tmp_path: Path
) -> None:
    manifest = (ROOT / "manifests" / "demo.json").read_text(encoding="utf-8")
    async with demo_endpoint() as port:
        (tmp_path / "manifest.json").write_text(manifest.replace("8765", str(port)), encoding="utf-8")
        program = ["-c", code.text.replace("8765", str(port))]
        assert await run_python(program, tmp_path, stderr=subprocess.PIPE) == shown.text


async def run_python(arguments: list[str], folder: Path, *, stderr: int = subprocess.STDOUT) -> str:
    """Run Python and return its output, with stderr unless that goes elsewhere."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [sys.executable, *arguments], cwd=folder, env=environ, check=False, stderr=stderr
        )
    return done.stdout.decode()


def steady(text: str) -> str:
    """Return the text without the parts that differ from run to run: ports and times."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"^ *\d+\.\d{3} ", "TIME ", text, flags=re.MULTILINE)
    return re.sub(r"\d+(\.\d)? (ms|s)\b", r"TIME \2", text)
