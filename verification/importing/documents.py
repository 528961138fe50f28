"""Import real descriptions: every operation is accounted for, and large ones are fast."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.importers.model import ImportOptions
from utcp_ws_mcp.importers.reading import parse_text
from utcp_ws_mcp.importers.references import files_of
from utcp_ws_mcp.importers.report import count
from utcp_ws_mcp.importers.run import Imported, import_document
from utcp_ws_mcp.lint import lint_manifest
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .running import NODE_MODULES, ROOT, folder

DOCUMENTS = ROOT / "tests" / "importers" / "documents"
SPECS = Path(os.environ.get("SPECS") or ROOT.parent / "shared" / "specs")
URL = "wss://api.example.com/"

OPERATIONS = {
    "voiceblender/asyncapi.yaml": 143,
    "canton-json-ledger-2.6.yaml": 8,
    "blueapi-stomp-2.6.yaml": 1,
    "example-kraken-websocket-request-reply-message-filter-in-reply.yml": 5,
    "example-kraken-websocket-request-reply-multiple-channels.yml": 5,
    "example-slack-rtm.yml": 2,
    "example-websocket-gemini.yml": 1,
    "example-gitter-streaming.yml": 1,
    "chanx-calc-3.0.json": 2,
    "firebolt-core.json": 147,
    "metamask-ethereum.json": 55,
    "rpckit-tasks.json": 3,
}
"""The operations of each document, counted by hand."""

CDP_SECONDS, GRAPHQL_SECONDS = 2.0, 5.0


def read(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return a document, and those beside it that it refers to."""
    document = parse_text(path.read_text(encoding="utf-8"), path.name)
    if isinstance(document, str):
        return document, {}
    beside = {name: path.parent / name for name in files_of(document)}
    return document, {name: parse_text(at.read_text(), name) for name, at in beside.items() if at.is_file()}


def import_whole(path: Path) -> Imported:
    """Return everything that can be imported of a document."""
    document, others = read(path)
    return import_document(document, ImportOptions(url=URL, everything=True), path.name, None, others)


def problems(result: Imported) -> int:
    """Return how many problems `check --strict` finds in a manifest."""
    with folder() as place:
        file = place / "manifest.json"
        file.write_text(json.dumps(result.manifest), encoding="utf-8")
        loaded = load_manifest(file, environ=dict.fromkeys(result.description.variables, "a-value"))
        return len(list(lint_manifest(result.manifest, loaded)))


def documents() -> Iterator[tuple[Path, int]]:
    """Yield the documents with the number of their operations."""
    yield from ((DOCUMENTS / name, expected) for name, expected in OPERATIONS.items())
    if (SPECS / "obs" / "protocol.json").is_file():  # it may not be copied
        yield SPECS / "obs" / "protocol.json", 207


def large_schema() -> str:
    """Return a GraphQL schema of 1.2 MB with 600 root fields, in the style of large APIs."""
    kinds = range(600)
    fields = "\n".join(f"  f{each}: String\n  n{each}: Int!\n  other{each}: T{(each + 1) % 600}" for each in range(19))
    text = '"""An object with a description of about this length, as they have."""'
    inputs = [f"input I{each} {{ a: String, b: I{(each + 7) % 600} }}" for each in kinds]
    types = "\n".join(f"{text}\ntype T{each} {{\n{fields}\n}}\n{inputs[each]}" for each in kinds)
    padding = "".join(f"\nenum E{each} {{ {' '.join(f'V{each}_{value}' for value in range(90))} }}" for each in kinds)
    root = "\n".join(f"  {text}\n  q{each}(first: Int = 10, filter: I{each}): [T{each}!]!" for each in kinds)
    return f"type Query {{\n{root}\n}}\n{types}{padding}"


async def measure(size: Size) -> Sequence[Figure]:
    """Return the figures of the documents, and of the times."""
    del size
    whole, wrong = 0, []
    listed = list(documents())
    for path, expected in listed:
        result = import_whole(path)
        figures = count(result.description, result.selection)
        if figures.total == expected and not problems(result):
            whole += 1
        else:
            wrong.append(f"{path.name}: {figures.total} operations instead of {expected}, or not clean")
    shown = f"{whole} of {len(listed)}" + (f" ({'; '.join(wrong)})" if wrong else "")
    what = "documents whose operations are all accounted for, and that pass check --strict"
    return [Figure("I1", what, shown, "all", not wrong), *_times()]


def _times() -> Iterator[Figure]:
    files = [NODE_MODULES / "devtools-protocol" / "json" / f"{name}_protocol.json" for name in ("browser", "js")]
    if all(file.is_file() for file in files):
        parts = [json.loads(file.read_text()) for file in files]
        protocol = {**parts[0], "domains": [*parts[0]["domains"], *parts[1]["domains"]]}
        commands = sum(len(domain.get("commands", ())) for domain in protocol["domains"])
        yield _time("I2", f"{commands} commands of Chromium imported", protocol, CDP_SECONDS)
    schema = large_schema()
    yield _time("I3", f"a GraphQL schema of {len(schema) / 1e6:.1f} MB imported", schema, GRAPHQL_SECONDS)


def _time(number: str, what: str, document: Any, target: float) -> Figure:
    started = time.process_time()
    import_document(document, ImportOptions(url=URL, everything=True), "document")
    seconds = time.process_time() - started
    return Figure(number, what, f"{seconds:.2f} s (CPU)", f"≤ {target:g} s", seconds <= target)


if __name__ == "__main__":
    run(measure)
