"""Read dotenv files: `NAME=value` lines."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import ClassVar

from ..errors import InvalidManifest, Problem
from ..records import Record


class DotenvFile(Record):
    """The variables of a dotenv file, which are secrets, and a warning for each line that is none."""

    not_in_repr: ClassVar = ("variables",)
    variables: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def read_dotenv(path: Path, source: str) -> DotenvFile:
    """Return the variables of a dotenv file. Nothing inside a value is expanded.

    Args:
        path: The dotenv file.
        source: The name of the manifest in errors.

    Raises:
        InvalidManifest: If the file cannot be read.
    """
    from dotenv.parser import parse_stream  # here, because many manifests have no dotenv file

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as failed:
        code = "invalid-encoding" if isinstance(failed, UnicodeDecodeError) else "file-not-readable"
        message = f"cannot read {path}: {error_reason(failed, path)}."
        raise InvalidManifest(source, [Problem("", message, code=code)]) from failed
    bindings = list(parse_stream(StringIO(text)))
    values = {each.key: each.value for each in bindings if each.key is not None and each.value is not None}
    warnings = (_line_warning(path, each.original.line, each.original.string) for each in bindings if each.error)
    return DotenvFile(values, tuple(warnings))


def _line_warning(path: Path, line: int, statement: str) -> str:
    """Return the warning about a statement; its text may be a secret and is not shown."""
    line += statement[: len(statement) - len(statement.lstrip())].count("\n")  # blank lines in front belong to it
    quoted = any(quote in statement for quote in "\"'")
    fix = "Check its quotes." if quoted else "Begin a comment with #."
    message = f"the line is not NAME=value. Ignored. {fix}"
    return str(Problem(f"{path}:{line}", message, code="invalid-env-line"))


def error_reason(error: Exception, path: Path | None = None) -> str:
    """Return why a file cannot be read, for a message."""
    if isinstance(error, FileNotFoundError):
        if path is not None and path.parts[:1] == ("~",):
            return "there is no such file; hosts do not replace ~, so write the whole path"
        return "there is no such file" + (f" in {Path.cwd()}" if path and not path.is_absolute() else "")
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, ValueError):
        return "no file can have this name"
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
