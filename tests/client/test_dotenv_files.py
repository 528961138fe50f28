"""Dotenv files: their variables, the lines that are none, and names that are nearly right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from utcp_ws_mcp.client.dotenv_files import error_reason, read_dotenv
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.errors import InvalidManifest

SECRET = "s3cret-value"


def write(folder: Path, text: str) -> Path:
    file = folder / "secrets.env"
    file.write_text(text, encoding="utf-8")
    return file


def test_lines_are_read_as_they_are_written(tmp_path: Path) -> None:
    text = "# keys\n\nA=1\nexport B=\"two words\"\nC='${A}' # not expanded\nD\nE=\n"
    content = read_dotenv(write(tmp_path, text), "m.json")
    assert (content.variables, content.warnings) == ({"A": "1", "B": "two words", "C": "${A}", "E": ""}, ())


def test_a_byte_order_mark_does_not_belong_to_the_first_name(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_bytes(b"\xef\xbb\xbfA=1\n")
    assert read_dotenv(file, "m.json").variables == {"A": "1"}


WRONG = {
    "an open quote": (f'A=1\n\n\nB="{SECRET}\nC=2\n', 4, "Check its quotes."),
    "text": (f"A=1\nkey {SECRET}\nC=2\n", 2, "Begin a comment with #."),
}


@pytest.mark.parametrize(("text", "line", "fix"), WRONG.values(), ids=WRONG)
def test_a_line_that_is_no_variable_is_named_without_its_content(
    tmp_path: Path, text: str, line: int, fix: str
) -> None:
    file = write(tmp_path, text)
    content = read_dotenv(file, "m.json")
    expected = f"{file}:{line}: the line is not NAME=value. Ignored. {fix} [invalid-env-line]"
    assert content.warnings == (expected,)
    assert content.variables == {"A": "1", "C": "2"}
    manifest = tmp_path / "m.json"
    manifest.write_text('{"url": "wss://a.example/", "tools": []}')
    assert load_manifest(manifest, {}, [file]).manifest.warnings == (expected,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"cannot read .*: there is no such file\. \[file-not-readable\]"),
        (b"A=\xff", r"cannot read .*: it is not UTF-8 text\. \[invalid-encoding\]"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / ".env").write_bytes(content)
    with pytest.raises(InvalidManifest, match=reason):
        read_dotenv(tmp_path / ".env", "m.json")


REASONS = {
    "a file that is not there": (FileNotFoundError(2, "No such file"), Path("/a"), "there is no such file"),
    "one of the home folder": (
        FileNotFoundError(2, "No such file"),
        Path("~/a"),
        "there is no such file; hosts do not replace ~, so write the whole path",
    ),
    "one of the working directory": (
        FileNotFoundError(2, "No such file"),
        Path("a"),
        f"there is no such file in {Path.cwd()}",
    ),
    "a folder": (IsADirectoryError(21, "Is a directory"), None, "it is a folder"),
    "another encoding": (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), None, "it is not UTF-8 text"),
    "no name": (ValueError("embedded null byte"), None, "no file can have this name"),
    "no access": (PermissionError(13, "Permission denied"), None, "permission denied"),
    "no reason": (OSError(), None, "oserror"),
}


@pytest.mark.parametrize(("error", "path", "reason"), REASONS.values(), ids=REASONS)
def test_the_reason_why_a_file_cannot_be_read_is_said_in_words(
    error: Exception, path: Path | None, reason: str
) -> None:
    assert error_reason(error, path) == reason


SIMILAR = {
    "a letter is missing": ("SHOP_TOKN", True),
    "other case": ("shop_token", True),
    "another variable": ("SHOP_USER", False),
    "another service": ("MAIL_PASSWORD", False),
}


@pytest.mark.parametrize(("name", "suggested"), SIMILAR.values(), ids=SIMILAR)
def test_a_variable_of_the_file_with_a_similar_name_is_suggested(tmp_path: Path, name: str, suggested: bool) -> None:
    file, manifest = write(tmp_path, f"{name}={SECRET}\n"), tmp_path / "m.json"
    document = {"name": "m", "url": "wss://a.example/", "headers": {"X": "${SHOP_TOKEN}"}, "tools": []}
    manifest.write_text(json.dumps(document))
    (disabled,) = load_manifest(manifest, {"SHOP_TOKEM": SECRET}, [file]).manifest.disabled
    said = str(disabled.error())
    hint = f"Did you mean {name!r} of {file}? " if suggested else "Set"
    assert said.startswith(f"m: SHOP_TOKEN is not set. {hint}")
    assert SECRET not in said
