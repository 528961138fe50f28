"""Import documents in tests, and run what comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.importers.model import Format, ImportOptions
from utcp_ws_mcp.importers.reading import parse_text
from utcp_ws_mcp.importers.references import files_of
from utcp_ws_mcp.importers.run import Imported, import_document
from utcp_ws_mcp.lint import lint_manifest

DOCUMENTS = Path(__file__).parent / "documents"
URL = "wss://api.example.com/"


def read_document(name: str) -> tuple[Any, dict[str, Any]]:
    """Return a document of the folder, and those that it refers to."""
    path = DOCUMENTS / name
    document = parse_text(path.read_text(encoding="utf-8"), name)
    beside = {file: path.parent / file for file in files_of(document)}
    others = {file: parse_text(at.read_text(encoding="utf-8"), file) for file, at in beside.items() if at.is_file()}
    return document, others


def import_file(name: str, **options: Any) -> Imported:
    document, others = read_document(name)
    return import_document(document, ImportOptions(**options), name, None, others)


def imported(document: Any, kind: Format | None = None, others: Any = None, **options: Any) -> Imported:
    """Import a document with an endpoint."""
    given = {"url": URL, **options}
    return import_document(document, ImportOptions(**given), "document", kind, others)


def entries(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return manifest.get("manual_call_templates", [manifest])


def tools(result: Imported) -> dict[str, dict[str, Any]]:
    return {tool["name"]: tool for entry in entries(result.manifest) for tool in entry.get("tools", ())}


def feeds(result: Imported) -> dict[str, dict[str, Any]]:
    return {feed["name"]: feed for entry in entries(result.manifest) for feed in entry.get("feeds", ())}


def problems_of(result: Imported, folder: Path) -> list[str]:
    """Return what `check --strict` would report of an imported manifest, with all of its variables set."""
    file = folder / "manifest.json"
    file.write_text(json.dumps(result.manifest), encoding="utf-8")
    loaded = load_manifest(file, environ=dict.fromkeys(result.description.variables, "a-value-of-the-test"))
    return [str(each) for each in lint_manifest(result.manifest, loaded)]
