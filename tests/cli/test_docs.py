"""`utcp-ws-mcp docs`: the guide and the reference pages, from a checkout and from the package."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from utcp_ws_mcp.errors.codes import CODES
from utcp_ws_mcp.server import documentation

from .program import run

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "manifest"


def test_the_guide_is_printed() -> None:
    printed = run("docs")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout == (ROOT / "docs" / "manifest-for-agents.md").read_text(encoding="utf-8")


def test_every_page_of_the_reference_is_a_topic() -> None:
    pages = sorted(page.stem for page in REFERENCE.glob("*.md"))
    assert run("docs", "--list").stdout.split() == ["guide", "patterns", "presets", *pages]
    assert run("docs", "patterns").stdout == (ROOT / "docs" / "guides" / "index.md").read_text(encoding="utf-8")
    assert run("docs", "replies").stdout == (REFERENCE / "replies.md").read_text(encoding="utf-8")


def test_an_unknown_topic_lists_the_topics() -> None:
    refused = run("docs", "cookbook")
    assert refused.returncode == 2
    assert "there is no topic 'cookbook'. Topics: guide, patterns, " in refused.stderr
    assert "Did you mean 'reply-timeout'? " in run("docs", "reply-timout").stderr


def test_a_code_prints_what_it_means_and_how_to_fix_it() -> None:
    printed = run("docs", "[reply-timeout]")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.startswith("#### `reply-timeout`\n")
    assert printed.stdout.count("\n#") == 0


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_section(code: str) -> None:
    section = documentation.read_code(code)
    assert section is not None
    assert "**Fix:**" in section


@pytest.mark.parametrize("topic", ["../secret", "reference/manifest/replies", "/etc/passwd", ""])
def test_a_topic_is_a_name_and_no_path(topic: str) -> None:
    assert documentation.read_topic(topic) is None
    assert documentation.read_code(topic) is None


def test_a_wheel_contains_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = configuration["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    package = tmp_path / "utcp_ws_mcp"
    for source, target in included.items():
        assert (ROOT / source).exists(), source
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / target).symlink_to(ROOT / source)
    monkeypatch.setattr(documentation, "_PACKAGE", package)
    documentation._root.cache_clear()
    try:
        assert documentation._root() == package / "documentation"
        assert documentation.read_guide() == (ROOT / "docs" / "manifest-for-agents.md").read_text(encoding="utf-8")
        assert "replies" in documentation.topics()
        assert documentation.read_topic("patterns") is not None
        assert documentation.read_code("reply-timeout") is not None
    finally:
        documentation._root.cache_clear()


def test_a_word_that_is_nearly_a_topic_is_answered_with_the_topic_before_a_code() -> None:
    refused = run("docs", "preset")
    assert (refused.returncode, "Did you mean 'presets'?" in refused.stderr) == (2, True)
    assert run("docs", "presets").stdout.startswith("# ")
