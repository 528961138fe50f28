"""Find what the references of a description mean: in the document, or in a file beside it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from .failures import Inexpressible

MAX_HOPS: Final = 50
"""References that refer to a reference, one after the other."""

MAX_STEPS: Final = 100
"""Steps of a JSON pointer: a document has at most 200 levels, and each step is searched with all that follow it."""

MISSING: Final = object()


class References:
    """The references of one document and of the documents that it refers to.

    References inside the other documents are rewritten, so that each means the same wherever its schema is moved.
    """

    def __init__(self, root: Any, others: Mapping[str, Any] | None = None, source: str = "") -> None:
        """Take the root document, and the others by their path relative to its folder, or by their URL.

        Args:
            root: The document.
            others: The documents that it refers to.
            source: Where the document comes from.
        """
        self._documents: dict[str, Any] = {"": root}
        self._documents |= {file: _rewritten(document, file) for file, document in (others or {}).items()}
        self._found: dict[str, Any] = {}
        self._is_remote = bool(urlsplit(source).netloc)

    def resolve(self, value: Any) -> Any:
        """Return what a value means: the value itself unless it is a reference. Keys beside `$ref` win.

        Raises:
            Inexpressible: if the reference leads nowhere, or to itself.
        """
        if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
            return value
        target = self.follow(value["$ref"])
        beside = {key: item for key, item in value.items() if key != "$ref"}
        return {**target, **beside} if beside and isinstance(target, dict) else target

    def follow(self, reference: str) -> Any:
        """Return the value that a reference means, after all references that it leads to.

        Raises:
            Inexpressible: if it leads nowhere, or to itself.
        """
        if reference not in self._found:
            self._found[reference] = self._follow(reference)
        return self._found[reference]

    def _follow(self, reference: str) -> Any:
        current = reference
        for _ in range(MAX_HOPS):
            target = self._find(current)
            if not isinstance(target, dict) or not isinstance(target.get("$ref"), str):
                return target
            current = target["$ref"]
        raise Inexpressible(f"the reference {reference!r} leads to itself")

    def _find(self, reference: str) -> Any:
        path, _, fragment = reference.partition("#")
        file = join_reference("", path)
        if file not in self._documents:
            raise Inexpressible(f"{reference!r} is in another document, which is not available{self._way_to(file)}")
        steps = [unquote(step) for step in fragment.split("/")[1:]]
        target = _walk(self._documents[file], steps) if len(steps) <= MAX_STEPS else MISSING
        if target is MISSING:
            raise Inexpressible(f"the reference {reference!r} leads nowhere")
        return target

    def _way_to(self, file: str) -> str:
        """Return how a document can be read that is not read because of where it is; empty for one that is missing."""
        if self._is_remote or urlsplit(file).scheme:
            return " (--remote-references fetches it)"
        if file.startswith(("../", "/")):
            return " (only files in the folder of the description are read: bundle them into one, or copy it there)"
        return ""


def _walk(value: Any, steps: list[str]) -> Any:
    """Return the value at a JSON pointer; a key with an unescaped `/` is found as well."""
    if not steps:
        return value
    if isinstance(value, list):
        index = int(steps[0]) if steps[0].isdecimal() and len(steps[0]) < 10 else len(value)
        return _walk(value[index], steps[1:]) if index < len(value) else MISSING
    if not isinstance(value, dict):
        return MISSING
    for count in range(1, len(steps) + 1):
        joined = "/".join(steps[:count])
        for key in (joined.replace("~1", "/").replace("~0", "~"), joined):
            if key in value and (found := _walk(value[key], steps[count:])) is not MISSING:
                return found
    return MISSING


def _rewritten(value: Any, file: str) -> Any:
    """Return a document whose references name its file."""
    if isinstance(value, list):
        return [_rewritten(item, file) for item in value]
    if not isinstance(value, dict):
        return value
    written = {key: _rewritten(item, file) for key, item in value.items()}
    if isinstance(reference := value.get("$ref"), str):
        path, mark, fragment = reference.partition("#")
        written["$ref"] = f"{join_reference(file, path)}{mark}{fragment}"
    return written


def join_reference(file: str, path: str) -> str:
    """Return the document that a reference in a document means, relative to the folder of the root document."""
    if not path:
        return file
    if urlsplit(path).scheme:
        return path
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), unquote(path)))


def files_of(value: Any, file: str = "") -> Iterator[str]:
    """Yield the other documents that a document refers to: paths, and URLs."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            reference = each.get("$ref")
            if isinstance(reference, str) and (path := reference.partition("#")[0]):
                yield join_reference(file, path)
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
