"""The catalogue: the manifests that are installed with the package, each usable by its name.

The JSON files of `manifests/` are the only source. A wheel contains them in `utcp_ws_mcp/catalog` (`force-include` in
pyproject.toml); in a checkout and in an editable install they are read from `manifests/`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidManifest, Problem
from ..manifest.inheritance import referenced_presets
from ..manifest.models.catalog import CatalogInfo
from ..manifest.validation import closest_match
from ..manifest.variable_forms import expand_defaults
from ..manifest.variables import find_optional, find_variables
from ..records import Record

PREFIX: Final = "catalog:"
"""Before the name of an entry, it says that no file is meant."""

_OTHER_SUFFIXES: Final = frozenset({"yaml", "yml", "toml", "txt", "bak"})
"""Suffixes of files that a person may give as a manifest, although a manifest is JSON."""

_PACKAGE: Final = Path(__file__).parents[1]


class CatalogEntry(Record):
    """A manifest of the catalogue.

    Attributes:
        name: Its name, that of the file.
        file: The file.
        info: What the catalogue says of it.
        variables: The variables that it refers to, and whether each is required.
        templates: Its call templates as they are written.
    """

    name: str
    file: Path
    info: CatalogInfo
    variables: Mapping[str, bool]
    templates: Sequence[Mapping[str, Any]]

    @property
    def provenance(self) -> str:
        """Return what the tools were run against."""
        return f"run against {self.info.run_against}" if self.info.run_against else "written from the documentation"

    @property
    def required(self) -> list[str]:
        """Return the variables that must be set for at least one call template."""
        return [name for name, required in self.variables.items() if required]


def catalog_files() -> dict[str, Path]:
    """Return the files of the catalogue by the names of their entries, sorted."""
    packaged = _PACKAGE / "catalog"
    folder = packaged if packaged.is_dir() else _PACKAGE.parents[1] / "manifests"
    return {file.stem: file for file in sorted(folder.glob("*.json"))}


def read_catalog() -> list[CatalogEntry]:
    """Return all entries of the catalogue, sorted by name."""
    return [_read_entry(name, file) for name, file in catalog_files().items()]


def find_entry(name: str) -> CatalogEntry:
    """Return an entry of the catalogue.

    Raises:
        InvalidManifest: If there is none of this name.
    """
    name = name.removeprefix(PREFIX)
    file = catalog_files().get(name)
    if file is None:
        raise _unknown_name(name, f"the catalogue has no entry {name!r}.", catalog_files())
    return _read_entry(name, file)


def find_manifest(word: str | os.PathLike[str]) -> Path:
    """Return the file of a manifest that a command names: a path, or the name of an entry of the catalogue.

    Whatever looks like a path is one, and an existing file comes before an entry of its name; `catalog:NAME` is
    always the entry.

    Raises:
        InvalidManifest: If a name is neither a file nor an entry.
    """
    text = os.fspath(word)
    if text.startswith(PREFIX):
        return find_entry(text).file
    path = Path(text)
    if _looks_like_path(text) or path.is_file():
        return path
    if file := catalog_files().get(text):
        return file
    if path.is_dir():
        return path  # who reads it says that it is a folder
    message = f"there is no such file in {Path.cwd()}, and the catalogue has no entry of this name."
    raise _unknown_name(text, message, {*catalog_files(), *(file.name for file in Path().glob("*.json"))})


def is_manifest_word(word: str, following: str | None) -> bool:
    """Return whether a word before the name of a tool names a manifest.

    A tool is `MANUAL.TOOL`, or only `TOOL` where the word before it clearly is a manifest.

    Args:
        word: The word.
        following: The next word; None if there is none.
    """
    if word.endswith(".json") or word.startswith(PREFIX) or Path(word).is_file() or word in catalog_files():
        return True
    if "=" in word or following is None or "=" in following or "." not in following:
        return False
    # Two words, of which only the second can be a tool: the first is a name with a mistake in it.
    return "." not in word or _resembles_file(word)


def portable_word(path: Path, file: Path) -> str:
    """Return how the command of a host names a manifest, whatever its working folder is.

    An entry of the catalogue keeps its name: its file moves when the package is updated. With the prefix, no file of
    the folder in which a host starts the command can take its place.

    Args:
        path: The word of the command line.
        file: The file that `find_manifest` returns for it.
    """
    return f"{PREFIX}{file.stem}" if file != path else os.path.abspath(path)  # noqa: PTH100  # not `resolve`: a link stays a link


def _looks_like_path(text: str) -> bool:
    return text.endswith(".json") or os.sep in text or "/" in text or text in {"", ".", ".."}


def _resembles_file(word: str) -> bool:
    """Return whether a word with a dot is a file with a mistake in its name, not `MANUAL.TOOL`."""
    suffix = word.rpartition(".")[2].lower()
    return _looks_like_path(word) or suffix in _OTHER_SUFFIXES or closest_match(suffix, ("json",), 0.75) is not None


def _unknown_name(name: str, message: str, known: Iterable[str]) -> InvalidManifest:
    near = closest_match(name, known)
    hint = f"Did you mean {near!r}?" if near else "`utcp-ws-mcp catalog` lists the entries."
    return InvalidManifest(name, [Problem("", f"{message} {hint}", code="unknown-manifest")])


def _read_entry(name: str, file: Path) -> CatalogEntry:
    document = json.loads(file.read_text(encoding="utf-8"))
    templates = document.get("manual_call_templates", [document])
    forms = [form for template in templates for form in (without_info(template), *referenced_presets(template))]
    required = set(find_variables(expand_defaults(forms, lambda _: None))) - find_optional(forms)
    variables = {variable: variable in required for variable in find_variables(forms)}
    return CatalogEntry(name, file, CatalogInfo.model_validate(document["catalog"]), variables, templates)


def without_info(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call template without the texts that only describe it."""
    return {key: value for key, value in template.items() if key not in ("catalog", "$comment")}
