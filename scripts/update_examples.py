"""Write the current messages of the program into the examples of the documentation (`make examples`).

Tests compare what the pages show with what the program does. After a change of messages, this script replaces the
texts of errors, problems, traces, terminal sessions and outputs that differ; review the result with `git diff`. The
messages and results of calls are never replaced: a difference there is a defect of the page or of the program.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

import anyio

from tests.docs.examples import PAGES, ROOT, VARIABLES, Block, Example, Scene, read_examples, write_manifest
from tests.docs.playback import check_manifest, play, steady, trace_call
from tests.docs.test_programs import PROGRAMS, SESSIONS, program_output, session_output
from utcp_ws_mcp import InvalidManifest, load_manifest


async def main() -> None:
    """Replace the outdated texts of all pages, and print the place of each."""
    edits: dict[Path, list[tuple[int, Block, str]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        async for block, text in find_outdated(Path(folder)):
            page, _, line = block.place.rpartition(":")
            edits[ROOT / page].append((int(line), block, text))
            print(block.place)
    for file, replacements in edits.items():
        replace_blocks(file, replacements)


async def find_outdated(folder: Path) -> AsyncIterator[tuple[Block, str]]:
    """Yield each block whose text is not what the program prints, and the current text.

    Args:
        folder: an empty folder for manifests.
    """
    for example in read_examples(PAGES):
        for shown, text in await current_texts(example, folder):
            if steady(text) != steady(shown.text):
                yield shown, text
    for manifest, shown in SESSIONS:
        if steady(text := await session_output(manifest, shown, folder)) != steady(shown.text):
            yield shown, text
    for _, code, shown in PROGRAMS:
        if (text := await program_output(code, folder)) != shown.text:
            yield shown, text


async def current_texts(example: Example, folder: Path) -> list[tuple[Block, str]]:
    """Return the blocks of an example that show messages of the program, each with its current text."""
    texts = []
    if "problems" in example.blocks:
        texts.append((example.blocks["problems"], problems(example, folder)))
    if "check" in example.blocks:
        texts.append((example.blocks["check"], await check_manifest(example, folder)))
    for scene in example.scenes:
        shown = scene.call if scene.call.kind == "refused" else scene.blocks.get("error")
        if shown is not None and (message := await error_message(example, scene, folder)) is not None:
            texts.append((shown, message))
        if "trace" in scene.blocks:
            texts.append((scene.blocks["trace"], await trace_call(example, scene, folder)))
    return texts


def problems(example: Example, folder: Path) -> str:
    """Return the problems of a manifest that does not load, one in each line."""
    file = write_manifest(example.manifest.text, folder)
    try:
        load_manifest(file, environ=VARIABLES)
    except InvalidManifest as rejected:
        return str(rejected).replace(str(file), "manifest.json") + "\n"
    return ""


async def error_message(example: Example, scene: Scene, folder: Path) -> str | None:
    """Return the message with which the call of a scene fails, or None if it does not end with a text."""
    _, outcome = await play(example, scene, folder)
    return f"{outcome}\n" if isinstance(outcome, str) else None


def replace_blocks(page: Path, replacements: Sequence[tuple[int, Block, str]]) -> None:
    """Replace the texts of blocks of a page.

    Args:
        page: the path of the page.
        replacements: for each block the number of the line of its fence (from 1), the block, and the new text.
    """
    lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    for line, block, text in sorted(replacements, key=lambda each: each[0], reverse=True):
        lines[line : line + block.text.count("\n")] = [with_stable_lines(block.text, text)]
    page.write_text("".join(lines), encoding="utf-8")


def with_stable_lines(shown: str, text: str) -> str:
    """Return the new text with the old form of each line that differs only in its times."""
    old, new = shown.splitlines(keepends=True), text.splitlines(keepends=True)
    matcher = SequenceMatcher(None, [steady(line) for line in old], [steady(line) for line in new], autojunk=False)
    for start, other, size in matcher.get_matching_blocks():
        new[other : other + size] = old[start : start + size]
    return "".join(new)


if __name__ == "__main__":
    anyio.run(main)
