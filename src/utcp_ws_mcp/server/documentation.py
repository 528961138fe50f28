"""The packaged documentation: the guide for writing manifests, patterns of APIs, the manifest reference, and codes.

The Markdown files of `docs/` are the only source. A wheel contains copies of them in `utcp_ws_mcp/documentation`
(`force-include` in pyproject.toml); in a checkout and in an editable install they are read from `docs/`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

GUIDE_TOPIC: Final = "guide"
"""The topic of docs/manifest-for-agents.md."""

PATTERNS_TOPIC: Final = "patterns"
"""The topic of docs/guides/index.md."""

PRESETS_TOPIC: Final = "presets"
"""The topic of docs/reference/presets/index.md."""

_ERROR_PAGES: Final = ("index.md", "warnings.md")
"""The pages with a section for each code."""

_PACKAGE: Final = Path(__file__).parents[1]


def topics() -> list[str]:
    """Return the names of the topics: guide, patterns and presets first, then the pages of docs/reference/manifest."""
    return [GUIDE_TOPIC, PATTERNS_TOPIC, PRESETS_TOPIC, *sorted(_pages())]


def read_topic(topic: str) -> str | None:
    """Return the Markdown text of a topic, or None if there is no such topic."""
    own = {
        GUIDE_TOPIC: "manifest-for-agents.md",
        PATTERNS_TOPIC: "guides/index.md",
        PRESETS_TOPIC: "reference/presets/index.md",
    }
    file = _root() / own[topic] if topic in own else _pages().get(topic)
    return None if file is None else file.read_text(encoding="utf-8")


def read_code(code: str) -> str | None:
    """Return the Markdown section about the code of an error, a warning or a note, or None if there is no such code."""
    for page in _ERROR_PAGES:
        text = (_root() / "reference" / "errors" / page).read_text(encoding="utf-8")
        section = re.search(rf"^#+ `{re.escape(code)}`\n.*?(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
        if section is not None:
            return f"{section[0].rstrip()}\n"
    return None


def read_guide() -> str:
    """Return the guide for writing manifests as Markdown."""
    text = read_topic(GUIDE_TOPIC)
    assert text is not None
    return text


@cache
def _root() -> Path:
    """Return the folder of the documentation: in the package if it was built, otherwise in the repository."""
    packaged = _PACKAGE / "documentation"
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / "docs"


def _pages() -> dict[str, Path]:
    return {file.stem: file for file in (_root() / "reference" / "manifest").glob("*.md")}
