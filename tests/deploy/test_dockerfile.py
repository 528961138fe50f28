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


def values(instruction: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in LINES if line.startswith(f"{instruction} ")]


def test_signals_reach_the_program_because_no_shell_stands_before_it() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert [list(scripts)] == [json.loads(value) for value in values("ENTRYPOINT")]


def test_the_program_does_not_run_as_root() -> None:
    assert values("USER") == ["65532:65532"]
    assert LINES.index("USER 65532:65532") > max(
        number for number, line in enumerate(LINES) if line.startswith(("RUN", "COPY"))
    )


def test_byte_code_is_compiled_and_dependencies_are_pinned_with_hashes() -> None:
    runs = " ".join(values("RUN"))
    assert "-m compileall" in runs
    assert len(re.findall(r"--require-hashes -r requirements/\w+\.txt", runs)) == 2


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    ignored = (FILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    kept = [line.removeprefix("!").rstrip("/") for line in ignored if line.startswith("!")]
    copied = [source for value in values("COPY") if "--from" not in value for source in value.split()[:-1]]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source.rstrip("/"), pattern) for pattern in kept), source
    assert "requirements/build.txt" in " ".join(values("RUN"))
    assert "requirements/image.txt" in " ".join(values("RUN"))


def test_the_image_has_what_replicas_need_to_share() -> None:
    pinned = (ROOT / "requirements" / "image.txt").read_text(encoding="utf-8")
    assert re.findall(r"^(?:redis|cryptography)(?===)", pinned, re.MULTILINE) == ["cryptography", "redis"]
