"""The pages of errors and warnings describe every code of the registry: what it means, and how to fix it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from .examples import ROOT

PAGES = [ROOT / "docs" / "reference" / "errors" / name for name in ("index.md", "warnings.md")]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
SECTIONS = {code: body for code, body in re.findall(r"^#+ `([a-z-]+)`\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)}
"""The section of each code."""


def test_every_code_has_one_section() -> None:
    counted = Counter(re.findall(r"^#+ `([a-z-]+)`$", TEXT, re.MULTILINE))
    assert [code for code, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("code", SECTIONS)
def test_every_section_has_a_meaning_and_a_fix(code: str) -> None:
    meaning, fix, how = SECTIONS[code].partition("\n**Fix:** ")
    assert meaning.strip()
    assert fix
    assert how.strip().endswith((".", "|", "`"))
