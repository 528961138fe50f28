"""`check --strict` passes every manifest that is right: the gallery, real servers, `init`, the documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.examples import VARIABLES, read_examples, write_manifest
from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.lint import lint_manifest
from utcp_ws_mcp.manifest.inheritance import referenced_presets
from utcp_ws_mcp.manifest.source_map import SourceMap
from utcp_ws_mcp.manifest.variables import find_variables

ROOT = Path(__file__).parents[2]
FOLDERS = ("manifests", "verification/real/manifests", "src/utcp_ws_mcp/manifest/examples")
FILES = [file for folder in FOLDERS for file in sorted((ROOT / folder).glob("*.json"))]
VALUES = {"URL": "ws://127.0.0.1:9/", "WSS": "wss://127.0.0.1:9", "PORT": "9", "CA": "ca.pem"}

SHOWN = {
    "docs/reference/manifest/index.md": "secret-in-manifest",
    "docs/reference/manifest/network-and-limits.md": "insecure-tls",
    "verification/real/manifests/nchan.json": "secret-in-manifest",
    "verification/real/manifests/websocketd.json": "secret-in-manifest",
}
"""Right warnings: about what these pages show, and about the fixed passwords of servers that only tests use."""


def codes_of(file: Path, document: Any, environ: dict[str, str]) -> set[str]:
    loaded = load_manifest(file, environ=environ)
    assert loaded.manifest.disabled == ()
    problems = list(lint_manifest(document, loaded))
    places = SourceMap(file.read_text(encoding="utf-8"))
    assert [problem for problem in problems if places.locate(problem.path) == (1, 1)] == []
    return {problem.code for problem in problems}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parts[-3]}/{file.name}")
def test_a_manifest_for_a_server_gets_no_warning(file: Path) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    names = find_variables([document, referenced_presets(document)])
    kinds = {"URL": "wss://example.com/", "ADDRESS": "127.0.0.1:9"}
    environ = {name: VALUES.get(name, kinds.get(name.rpartition("_")[2], "dummy")) for name in names}
    assert codes_of(file, document, environ) - {SHOWN.get(file.relative_to(ROOT).as_posix())} == set()


@pytest.mark.parametrize("example", read_examples(), ids=lambda example: example.manifest.place)
def test_an_example_of_the_documentation_gets_no_warning(example: Any, tmp_path: Path) -> None:
    if example.manifest.kind != "manifest":
        return
    file = write_manifest(example.manifest.text, tmp_path)
    page = example.manifest.place.partition(":")[0]
    assert codes_of(file, example.manifest.message, VARIABLES) - {SHOWN.get(page)} == set()
