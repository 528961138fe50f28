"""Build the sdist and the wheel into dist/, check them, and try the wheel in an empty environment: `make dist`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utcp_ws_mcp import __version__

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PACKAGE = "utcp_ws_mcp"
WHEEL = DIST / f"{PACKAGE}-{__version__}-py3-none-any.whl"
SDIST = DIST / f"{PACKAGE}-{__version__}.tar.gz"
PORT = 8765
"""The port of the demo endpoint."""

REQUIRED = (
    f"{PACKAGE}/py.typed",
    f"{PACKAGE}/manifest/presets/jsonrpc2.json",
    f"{PACKAGE}/catalog/demo.json",
    f"{PACKAGE}/documentation/manifest-for-agents.md",
    f"{PACKAGE}/documentation/reference/manifest/index.md",
    f"{PACKAGE}/documentation/reference/manifest.schema.json",
)
"""Files that a user of the wheel needs and that are not Python modules."""


def main() -> int:
    """Build, check and try; 0 if everything held."""
    for file in (WHEEL, SDIST):
        file.unlink(missing_ok=True)
    # The build backend is pinned in the environment, so nothing is fetched here.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), str(ROOT))
    run(sys.executable, "-m", "twine", "check", "--strict", str(WHEEL), str(SDIST))
    missing = [name for name in REQUIRED if name not in zipfile.ZipFile(WHEEL).namelist()]
    with tarfile.open(SDIST) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    missing += [name for name in ("tests/conftest.py", "manifests/demo.json", "Makefile") if name not in sources]
    if missing:
        print(f"missing from the distributions: {', '.join(missing)}", file=sys.stderr)
        return 1
    try_wheel(ROOT / "build" / "dist")
    return 0


def try_wheel(folder: Path) -> None:
    """Install the wheel with its pinned requirements into a new environment; run the demo and one call."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder / "env", with_pip=True)
    scripts = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    pip = (str(scripts / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "runtime.txt"))
    run(*pip, "--no-deps", str(WHEEL))
    command = str(scripts / "utcp-ws-mcp")
    run(command, "demo", cwd=folder)
    manifest = folder / "manifest.json"
    tool = {
        "name": "shout",
        "description": "Convert text to upper case.",
        "inputs": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "tool_call_template": {"message": "SHOUT {{ args.text }}", "response_format": "text"},
    }
    document = {"name": "demo", "url": f"ws://127.0.0.1:{PORT}/", "tools": [tool]}
    manifest.write_text(json.dumps(document), encoding="utf-8")
    with endpoint(command, folder):
        answer = run(command, "call", str(manifest), "demo.shout", "text=hello", cwd=folder)
    print(f"a call from the installed wheel returned {answer.strip()}")


@contextmanager
def endpoint(command: str, folder: Path) -> Iterator[None]:
    """Run the demo endpoint until the block ends. It prints a line when it listens."""
    process = subprocess.Popen(
        [command, "demo", "--endpoint-only", "--port", str(PORT)], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.wait(10)


def run(*command: str, cwd: Path = ROOT) -> str:
    """Run a command and return what it printed; end the program if it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
