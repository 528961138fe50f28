"""Run the commands and programs of the documentation; they print what it shows."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from scripts.pictures import COLUMNS, FOLDER, PICTURES, draw, read_picture
from utcp_ws_mcp.demo.endpoint import demo_endpoint

from .examples import PAGES, ROOT, Block, read_blocks
from .playback import run_python, steady


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


DEMO_PORT = "8765"
"""The port of the demo in the documentation; tests use a free one."""

PROGRAMS = list(read_programs())
SESSIONS = list(read_sessions())


@pytest.mark.parametrize(("manifest", "shown"), SESSIONS, ids=[shown.place for _, shown in SESSIONS])
async def test_every_session_at_a_terminal_goes_as_it_is_shown(manifest: Block, shown: Block, tmp_path: Path) -> None:
    assert steady(await session_output(manifest, shown, tmp_path)) == steady(shown.text)


async def session_output(manifest: Block, shown: Block, folder: Path) -> str:
    """Run the command lines of a session, and return what a terminal shows."""
    async with demo_endpoint() as port:
        (folder / "manifest.json").write_text(manifest.text.replace(DEMO_PORT, str(port)), encoding="utf-8")
        seen = [await run_command(line, folder) for line in shown.text.splitlines() if line.startswith("$ ")]
    return "".join(seen).replace(f"127.0.0.1:{port}", f"127.0.0.1:{DEMO_PORT}")


async def run_command(line: str, folder: Path) -> str:
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
    assert await program_output(code, tmp_path) == shown.text


async def program_output(code: Block, folder: Path) -> str:
    """Run a Python program of a page beside the manifest of the demo, and return what it prints on stdout."""
    manifest = (ROOT / "manifests" / "demo.json").read_text(encoding="utf-8")
    async with demo_endpoint() as port:
        (folder / "manifest.json").write_text(manifest.replace(DEMO_PORT, str(port)), encoding="utf-8")
        return await run_python(["-c", code.text.replace(DEMO_PORT, str(port))], folder, stderr=subprocess.PIPE)
