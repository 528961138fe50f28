"""The Dockerfile, as far as it can be read without Docker."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "Dockerfile"
LINES = re.sub(r"\\\n", " ", FILE.read_text(encoding="utf-8")).splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def values(instruction: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in LINES if line.startswith(f"{instruction} ")]


def copied() -> list[str]:
    """What the build copies from the repository."""
    return [source for value in values("COPY") if "--from" not in value for source in value.split()[:-1]]


def test_signals_reach_the_program_because_no_shell_stands_before_it() -> None:
    assert [list(PROJECT["project"]["scripts"])] == [json.loads(value) for value in values("ENTRYPOINT")]


def test_the_program_does_not_run_as_root() -> None:
    assert values("USER") == ["65532:65532"]
    assert LINES.index("USER 65532:65532") > max(
        number for number, line in enumerate(LINES) if line.startswith(("RUN", "COPY"))
    )


def test_the_program_and_the_standard_library_have_byte_code() -> None:
    compiled = "-m compileall -q -j 0 --invalidation-mode unchecked-hash"
    build, run = values("RUN")[-2:]
    assert build.endswith(f"{compiled} /opt/utcp-ws-mcp/lib")
    assert run.endswith(f"{compiled} /usr/local/lib")
    assert LINES.index(f"RUN {run}") > max(number for number, line in enumerate(LINES) if line.startswith("FROM"))


def test_dependencies_are_pinned_with_hashes() -> None:
    runs = " ".join(values("RUN"))
    assert len(re.findall(r"--require-hashes -r requirements/\w+\.txt", runs)) == 2


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    ignored = (FILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    kept = [line.removeprefix("!").rstrip("/") for line in ignored if line.startswith("!")]
    for source in copied():
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source.rstrip("/"), pattern) for pattern in kept), source
    assert "requirements/build.txt" in " ".join(values("RUN"))
    assert "requirements/image.txt" in " ".join(values("RUN"))


def test_all_that_the_wheel_consists_of_is_copied() -> None:
    project = PROJECT["project"]
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        "pyproject.toml",
        project["readme"],
        *project["license-files"],
        *wheel["packages"],
        *wheel["force-include"],
    }
    folders = [source.rstrip("/") for source in copied()]
    assert {each for each in needed if not any(Path(each).is_relative_to(folder) for folder in folders)} == set()


def test_the_image_has_what_replicas_need_to_share() -> None:
    pinned = (ROOT / "requirements" / "image.txt").read_text(encoding="utf-8")
    assert re.findall(r"^(?:redis|cryptography)(?===)", pinned, re.MULTILINE) == ["cryptography", "redis"]
