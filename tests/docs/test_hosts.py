"""The pages about hosts: the links contain the documented entry, the tested versions are pinned, the files agree."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from utcp_ws_mcp import __version__
from utcp_ws_mcp.hosts.hosts import supported_hosts

from .examples import PAGES, ROOT, read_blocks

INSTALL = ROOT / "docs" / "guides" / "install-hosts.md"
PAGE = INSTALL.read_text(encoding="utf-8")
CLIENTS = (ROOT / "docs" / "project" / "clients-tested.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = ROOT / "scripts"


def load(name: str) -> ModuleType:
    """Return a script of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, SCRIPTS / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def queries(text: str, start: str) -> list[dict[str, str]]:
    """Return the query parameters of the links that begin with `start`."""
    links = re.findall(r"\]\((" + re.escape(start) + r"[^)\s]*)\)", text)
    return [{key: value for key, [value] in parse_qs(urlsplit(link).query).items()} for link in links]


def documented_entry() -> dict[str, Any]:
    """Return the entry that the links contain, as the page shows it."""
    below = PAGE.partition("## With one click")[2]
    return json.loads(re.findall(r"```json\n(.*?)```", below, re.DOTALL)[0])


WITH_LINKS = [page for page in PAGES if "https://cursor.com/en/install-mcp?" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_LINKS, ids=lambda page: page.name)
def test_the_links_contain_the_documented_entry(page: Path) -> None:
    entry, text = documented_entry(), page.read_text(encoding="utf-8")
    [cursor] = queries(text, "https://cursor.com/en/install-mcp?")
    [code] = queries(text, "https://vscode.dev/redirect/mcp/install?")
    assert (cursor["name"], json.loads(base64.b64decode(cursor["config"], validate=True))) == ("websocket", entry)
    assert (code["name"], json.loads(code["config"])) == ("websocket", {"type": "stdio", **entry})


@pytest.mark.parametrize("name", supported_hosts())
def test_the_page_names_the_file_of_every_host(name: str) -> None:
    host = supported_hosts()[name]
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    row = next(row for row in rows if row[0] == f"| `{name}`" and row[-1] == f"`{host.servers_key}` |")
    environ = {"HOME": "~", "USERPROFILE": "%USERPROFILE%", "APPDATA": "%APPDATA%"}
    files = [str(host.config_path(platform, environ, Path("HERE"))) for platform in ("linux", "darwin", "win32")]
    if files[0].startswith("HERE/"):
        assert row[1].endswith(f"`{files[0].removeprefix('HERE/')}` in this folder")
        assert row[2:4] == ["same", "same"]
    else:
        files[2] = files[2].replace("/", "\\")
        assert row[1:4] == [f"`{file}`" for file in files]


def test_the_toml_of_the_page_is_what_install_writes() -> None:
    toml = next(block.text for block in read_blocks(INSTALL) if block.language == "toml")
    host = supported_hosts()["codex"]
    assert set(tomllib.loads(toml)[host.servers_key]["websocket"]) == set(host.entry_template)


def test_the_yaml_of_the_page_is_what_install_changes() -> None:
    yaml = next(block.text for block in read_blocks(INSTALL) if block.language == "yaml")
    host = supported_hosts()["goose"]
    assert list(host.config_format.entries(yaml, host.servers_key)) == ["websocket"]
    written = host.config_format.set_entry(
        "", host.servers_key, "websocket", host.server_entry("websocket", ["/x", "y"])
    )
    keys = re.compile(r"^    (\w+):", re.MULTILINE)
    assert keys.findall(yaml) == keys.findall(written)


def test_the_table_shows_every_client_in_its_version_and_none_that_failed() -> None:
    table = CLIENTS.partition("<!-- clients -->\n")[2].partition("<!-- end of clients -->")[0]
    titles = [client.title for client in load("clients/run.py").CLIENTS]
    assert [row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()[2:]] == titles
    assert "FAILED" not in table
    pinned = json.loads((SCRIPTS / "clients" / "package.json").read_text(encoding="utf-8"))["dependencies"].items()
    versions = {version for name, version in pinned if name != "node"}
    for file in (SCRIPTS / "clients" / "python").glob("*.txt"):
        lines = file.read_text(encoding="utf-8").splitlines()
        top = ("mcp==", "fastmcp==", "langchain-mcp-adapters==", "pydantic-ai-slim==", "openai-agents==", "mcp-use==")
        versions |= {line.partition("==")[2] for line in lines if line.startswith(top) and file.stem != "mcp-use"}
        versions |= {line.partition("==")[2] for line in lines if line.startswith("mcp-use==")}
    assert {version for version in versions if f" {version} |" not in table} == set()


def test_a_client_that_sees_something_else_is_a_failure() -> None:
    clients = load("clients/run.py")
    every = {"client": "x 1", **clients.EXPECTED}
    new = next(
        client
        for client in clients.CLIENTS
        if client.era == "2026-07-28" and not (client.hidden_fields or client.drops_late_progress)
    )
    assert clients.find_differences(new, every, "2026-07-28") == []
    assert clients.find_differences(new, every, "2025-11-25") == ["protocol 2025-11-25"]
    assert clients.find_differences(new, {**every, "sum": {"sum": 6}}, "2026-07-28") == ["sum: {'sum': 6}"]
    assert "FAILED: sum" in clients.table_row(new, every, "2026-07-28", ["sum: 6"])
    hasty = next(client for client in clients.CLIENTS if client.drops_late_progress)
    assert clients.find_differences(hasty, {**every, "progress": ["3"]}, hasty.era) == []
    assert clients.find_differences(hasty, {**every, "progress": ["2"]}, hasty.era) == ["progress: ['2']"]
    assert clients.find_differences(hasty, {**every, "progress": []}, hasty.era) == ["progress: []"]
    assert clients.find_differences(new, {**every, "progress": ["3"]}, new.era) == ["progress: ['3']"]
    claude = clients.CLIENTS[-1]
    assert clients.find_differences(claude, {"client": "c", "steps": {"a": True, "b": False}}, claude.era) == ["b"]


def test_the_tap_passes_everything_on_and_notes_the_version(tmp_path: Path) -> None:
    note = tmp_path / "note"
    answer = json.dumps({"id": 1, "result": {"protocolVersion": "2025-11-25"}})
    echo = f"import sys; print(sys.stdin.read(), end=''); print({answer!r})"
    command = [sys.executable, str(SCRIPTS / "clients" / "tap.py"), str(note), sys.executable, "-c", echo]
    done = subprocess.run(command, input="no JSON\n{}\n", capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"no JSON\n{{}}\n{answer}\n"
    assert note.read_text() == "2025-11-25"
    tap = load("clients/tap.py")
    meta = {"params": {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}}
    assert tap.version_in(json.dumps(meta).encode()) == "2026-07-28"


def test_the_bundle_holds_what_its_manifest_starts(tmp_path: Path) -> None:
    load("bundle/bundle.py").assemble(tmp_path / "bundle")
    bundle = tmp_path / "bundle"
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["version"] == __version__
    assert (bundle / manifest["server"]["entry_point"]).is_file()
    project = tomllib.loads((bundle / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    start = manifest["server"]["mcp_config"]["args"]
    assert start[-2] in project["scripts"]
    assert start[-1] == "${user_config." + next(iter(manifest["user_config"])) + "}"
    assert (bundle / project["readme"]).is_file()
    assert [path for path in bundle.rglob("*") if path.name == "__pycache__"] == []


def test_the_entry_of_the_registry_is_of_this_version_and_the_readme_owns_it() -> None:
    entry = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
    [package] = entry["packages"]
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert f"<!-- mcp-name: {entry['name']} -->\n" in README
    assert len(entry["description"]) <= 100
    assert (entry["version"], package["version"]) == (__version__, __version__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (package["registryType"], package["identifier"]) == ("pypi", project["name"])
    assert project["name"] in project["scripts"]
