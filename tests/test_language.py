"""Code, tests and documentation use the standard terms of the field; this test refuses the words that they replaced."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

WORDS = {
    "told": "returned, reported, announced, discovered",
    "tells": "returns, reports, announces",
    "unasked": "unsolicited",
    "of its own accord": "automatically",
    "taken for": "classified as",
    "upkeep": "keepalive",
    "how it stands": "status",
    "in clear": "in plain text",
    "read along": "read",
    "mend": "fix",
    "mends": "fixes",
    "mended": "fixed",
    "heed": "honor",
    "heeds": "honors",
    "heeded": "honored",
    "anew": "again",
    "likewise": "repeat the fact",
    "as it says": "repeat the fact",
    "a defect of utcp-ws-mcp": "internal error",
    "somebody": "name the component or the person",
    "nobody": "name the component or the person",
    "whoever": "name the component or the person",
    "everybody": "name the component or the person",
    "let in": "accept, authorize",
    "goodbye": "disconnect message",
    "goodbyes": "disconnect messages",
    "farewell": "shutdown",
    "last words": "last message, close reason",
    "stillborn": "closed early",
    "forsaken": "abandoned",
    "lest": "so that … not",
    "beneath": "below",
    "for ever": "without end",
    "what will hurt": "likely problems",
}
"""What is refused, and what to write instead."""

PATTERN = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, WORDS))})(?![^\W_])", re.IGNORECASE)
"""A word, also as a part of an identifier: `_` is a border, other word characters are not."""

SUFFIXES = {".py", ".md", ".json", ".toml", ".txt", ".conf", ".mjs", ".yml", ".yaml"}
NAMES = {"Makefile", "run", ".env.example", "Dockerfile"}
THIRD_PARTY = re.compile(
    r"package(-lock)?\.json$|^requirements/.*\.txt$|^benchmarks/results/|^tests/importers/documents/.*[nl]$"
)
"""Generated files, output that a command printed, and documents of others."""

PROTOCOL_WORDS = re.compile(r"wamp\.close\.goodbye_and_out|\bWAMP_GOODBYE\b")
"""A URI and a message of WAMP that contain one of the words."""


def tracked_files() -> list[Path]:
    """Return the text files of the repository that people wrote."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    files = [Path(name) for name in names if not THIRD_PARTY.search(name)]
    return [file for file in files if file.suffix in SUFFIXES or file.name in NAMES]


@pytest.mark.parametrize("file", tracked_files(), ids=str)
def test_a_file_uses_standard_terms(file: Path) -> None:
    if file.name == Path(__file__).name or not (ROOT / file).is_file():
        return
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    found = [f"{file}:{number}: {match[0]} → {WORDS[match[0].lower()]}: {line.strip()[:80]}"
             for number, line in enumerate(lines, 1)
             for match in PATTERN.finditer(PROTOCOL_WORDS.sub("", line))]  # fmt: skip

    assert found == []


@pytest.mark.parametrize(
    "text",
    ["nobody knows", "it is asked anew", "that it told", "Mended", "told_failure", "test_it_is_told_once", "a_told"],
)
def test_a_house_word_is_found(text: str) -> None:
    assert PATTERN.search(text)


@pytest.mark.parametrize("text", ["a commendable amendment", "the latest", "recommend", "blessed"])
def test_a_part_of_another_word_is_not(text: str) -> None:
    assert not PATTERN.search(text)
