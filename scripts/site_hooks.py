"""Hooks of the documentation site (`mkdocs.yml`): the pages are written for the forge, and adapted here.

On the forge, links lead to any file of the repository, and the marks of examples (`tests/docs/examples.py`) are HTML
comments. The site has only the pages of docs/, and its code blocks have titles.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

_LINK = re.compile(r"\[([^\]\n]+)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")
_MARKED_BLOCK = re.compile(r"^<!-- (?P<mark>.+) -->\n```(?P<language>\w+)$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^\|.+\|$", re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_TITLES = {
    "call": "{} sends",
    "watch": "{} receives",
    "refused": "{} fails",
    "sends": "Sent automatically",
    "greets": "The server sends first",
    "replies": "The server replies",
    "closes": "The server closes the connection",
    "beat": "Heartbeat",
    "upgrade": "Handshake",
    "http": "HTTP request",
    "answers": "HTTP response",
    "asked": "Discovery sends",
    "manual": "The server replies",
    "afterwards": "Sent at the end",
    "result": "Result",
    "error": "Error",
    "tools": "Tools",
    "problems": "Problems",
    "prints": "Output",
    "trace": "Output",
    "check": "Output",
}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the Markdown of a page for the site.

    Args:
        markdown: the page as it is in the repository.
        page: the page of MkDocs; `file.abs_src_path` is its path.
    """
    folder = Path(page.file.abs_src_path).parent
    markdown = _TABLE_ROW.sub(_unescape_pipes, markdown)
    return _MARKED_BLOCK.sub(_add_title, _LINK.sub(lambda link: _drop_outside_link(link, folder), markdown))


def _unescape_pipes(row: re.Match[str]) -> str:
    """Write the pipes in the code of a table row plainly: the forge needs the backslash, Python-Markdown shows it."""
    return _CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0])


def on_post_build(*, config: Any, **_: Any) -> None:
    """Copy the Markdown of every page beside its HTML, because llms.txt links to it."""
    for source in DOCS.rglob("*.md"):
        target = Path(config["site_dir"]) / source.relative_to(DOCS)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _drop_outside_link(link: re.Match[str], folder: Path) -> str:
    """Replace a link to a file outside docs/ by its text; a file that does not exist is left for MkDocs to report."""
    target = (folder / link[2]).resolve()
    outside = not target.is_relative_to(DOCS) or target.is_dir()
    return link[1] if outside and target.exists() else link[0]


def _add_title(block: re.Match[str]) -> str:
    """Turn the mark of an example into the title of its code block."""
    kind, _, detail = block["mark"].partition(":")
    if kind not in _TITLES:
        return block[0]
    template = _TITLES[kind] if "{}" in _TITLES[kind] or not detail else f"{_TITLES[kind]}: {{}}"
    title = template.format(detail.strip())
    quote = "'" if '"' in title else '"'
    if quote in title:  # superfences knows no escapes
        return block[0]
    return f"```{block['language']} title={quote}{title}{quote}"
