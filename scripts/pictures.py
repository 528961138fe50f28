"""Terminal pictures for the documentation: SVG files that show what commands print (`make pictures`).

Each is drawn from a real run on this machine, and follows the reader's choice of light or dark.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import anyio

from tests.docs.examples import VARIABLES, read_examples
from tests.docs.playback import Endpoint

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "pictures"
COLUMNS: Final = 104
ROW: Final = 19
COLUMN: Final = 8.43
MARGIN: Final = 20
SVG: Final = "{http://www.w3.org/2000/svg}"

COLOURS: Final = {
    "ground": ("#ffffff", "#0d1117"),
    "edge": ("#d0d7de", "#30363d"),
    "text": ("#1f2328", "#e6edf3"),
    "command": ("#0550ae", "#79c0ff"),
    "dim": ("#59636e", "#9198a1"),
    "sent": ("#8250df", "#d2a8ff"),
    "good": ("#116329", "#7ee787"),
    "bad": ("#a40e26", "#ff7b72"),
}
"""The colours of each part, light and dark; all texts reach the contrast of WCAG 2.2 AA."""

KINDS: Final = (
    (r"\$ ", "command"),
    (r" *\d+\.\d{3} > ", "sent"),
    (r" *\d+\.\d{3} < \((reply|item|end)\)", "good"),
    (r" *\d+\.\d{3} [=<] | +·", "dim"),
    (r" +→", "good"),
    (r" +error ", "bad"),
)
"""The first pattern that matches the start of a line decides its kind."""


async def show_demo() -> str:
    """Return the output of `make demo`, as a terminal shows it."""
    with tempfile.TemporaryDirectory() as folder:
        return "$ make demo\n" + await run(["demo"], Path(folder))


async def show_trace() -> str:
    """Return the trace of a call: the complete manifest of the tutorial, against the endpoint that it describes."""
    page = ROOT / "docs" / "get-started" / "a-real-api.md"
    example = next(each for each in read_examples([page]) if "on_connect" in each.manifest.text)
    command = ["call", "manifest.json", "notes.search", "text=bread", "--trace"]
    async with Endpoint([*example.lines, *example.scenes[0].lines]).run() as endpoint:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "manifest.json").write_text(endpoint.here(example.manifest.text), encoding="utf-8")
            return f"$ utcp-ws-mcp {' '.join(command)}\n" + await run(command, Path(folder))


PICTURES: Final[dict[str, Callable[[], Awaitable[str]]]] = {"demo": show_demo, "trace": show_trace}


async def run(arguments: Sequence[str], folder: Path) -> str:
    """Run `utcp-ws-mcp` with these arguments, and return what a terminal shows."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8", **VARIABLES}
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [sys.executable, "-m", "utcp_ws_mcp", *arguments],
            cwd=folder,
            env=environ,
            check=False,
            stderr=subprocess.STDOUT,
        )
    return done.stdout.decode()


def draw(shown: str, title: str) -> str:
    """Return an SVG of a terminal that shows a text."""
    rows = [row for line in shown.rstrip("\n").split("\n") for row in _rows(line)]
    width, height = round(COLUMNS * COLUMN + 2 * MARGIN), len(rows) * ROW + 2 * MARGIN
    texts = "\n".join(_drawn(row, MARGIN + (number + 0.75) * ROW) for number, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">\n<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n'
        f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>\n{texts}\n</svg>\n'
    )


def read_picture(svg: str) -> str:
    """Return the text that a picture shows."""
    drawn = ElementTree.fromstring(svg)
    rows = [(each.get("class", ""), each.text or "") for each in drawn.iter(f"{SVG}text")]
    return "".join(text if kind.endswith(" more") else f"\n{text}" for kind, text in rows)[1:] + "\n"


def _rows(line: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of a line as a terminal breaks it, each with its kind; all but the first are marked `more`."""
    kind = next((kind for pattern, kind in KINDS if re.match(pattern, line)), "text")
    yield kind, line[:COLUMNS]
    yield from ((f"{kind} more", line[start : start + COLUMNS]) for start in range(COLUMNS, len(line), COLUMNS))


def _drawn(row: tuple[str, str], y: float) -> str:
    kind, text = row
    return f'<text class="{kind}" x="{MARGIN}" y="{y:g}" xml:space="preserve">{escape(text, quote=False)}</text>'


def _style() -> str:
    fonts = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    return (
        f"text {{ font: 14px {fonts}; white-space: pre; }}\n{_palette(0)}"
        f"@media (prefers-color-scheme: dark) {{\n{_palette(1)}}}\n"
    )


def _palette(theme: int) -> str:
    colours = {name: pair[theme] for name, pair in COLOURS.items()}
    ground = f".ground {{ fill: {colours.pop('ground')}; stroke: {colours.pop('edge')}; }}\n"
    return ground + "".join(f".{name} {{ fill: {colour}; }}\n" for name, colour in colours.items())


async def main() -> None:
    """Draw all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for name, show in PICTURES.items():
        shown = await show()
        (FOLDER / f"{name}.svg").write_text(draw(shown, shown.partition("\n")[0]), encoding="utf-8")
    await draw_studio()


async def draw_studio() -> None:
    """Draw the pictures of the studio, where there is a Chromium."""
    from verification.browser.chromium import PROGRAMS  # Playwright, which the tests of this module do not need

    from . import studio_pictures

    if any(map(shutil.which, PROGRAMS)):
        await studio_pictures.draw(FOLDER)
    else:
        print("there is no Chromium: the pictures of the studio stay as they are", file=sys.stderr)


if __name__ == "__main__":
    anyio.run(main)
