"""Add the tools and feeds of a draft to the manifest that is edited, whose text stays as it was written otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from ..errors import StudioRefused
from ..manifest.source_map import SourceMap
from ..manifest.validation import join_path
from ..recorder.manifest import format_json
from ..records import Record
from .manifest_text import EMPTY

_LISTS: Final = ("feeds", "tools")
_OF_THE_ENDPOINT: Final = frozenset({"name", "url", "network", "variables", *_LISTS})
"""Fields of a draft that say nothing of how its tools are called."""


class Merged(Record):
    """What a manifest and a draft give.

    Attributes:
        text: The text of the manifest.
        added: The names of the tools and feeds that were added.
        known: The names that the manifest had already; those are left as they are.
        different: The fields of the draft that the call template has not, or with another value.
    """

    text: str
    added: tuple[str, ...]
    known: tuple[str, ...] = ()
    different: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """Return what was done, for the person at the page."""
        parts = [f"Added: {', '.join(self.added)}."]
        parts += [f"Left as they are: {', '.join(self.known)}."] if self.known else []
        if self.different:
            fields = ", ".join(self.different)
            parts.append(f"The draft differs in {fields}: compare them if a tool does not work.")
        return " ".join(parts)


def merge_draft(text: str, drafted: str) -> Merged:
    """Add the tools and feeds of a draft to the call template of its endpoint; a manifest with nothing is replaced.

    Args:
        text: The manifest.
        drafted: The draft, which has one call template.

    Raises:
        StudioRefused: if the manifest is no JSON, has no call template for the endpoint, or has all of it already.
    """
    draft = json.loads(drafted)
    if text.strip() in ("", EMPTY.strip()):
        return Merged(drafted, tuple(name for key in _LISTS for name in _names(draft, key)))
    path, template, depth = _find_template(_parse(text), draft["url"])
    names = {key: _names(template, key) for key in _LISTS}
    new = {key: [item for item in draft.get(key, ()) if item["name"] not in names[key]] for key in _LISTS}
    if not any(new.values()):
        raise StudioRefused("nothing is added: the manifest has all tools and feeds of the draft already.")
    for key, items in new.items():
        text = _append(text, path, key, items, depth) if items else text
    known = tuple(name for key in _LISTS for name in _names(draft, key) if name in names[key])
    fields = (key for key in draft if key not in _OF_THE_ENDPOINT and not key.startswith("$"))
    different = tuple(key for key in fields if template.get(key) != draft[key])
    return Merged(text, tuple(item["name"] for items in new.values() for item in items), known, different)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise StudioRefused("nothing is added: the manifest is no JSON. Correct it first.") from None


def _find_template(document: Any, url: str) -> tuple[str, dict[str, Any], int]:
    """Return the path, the content and the depth of the call template for a URL."""
    templates = list(_templates(document))
    for path, template, depth in templates:
        if _without_query(template.get("url")) == _without_query(url):
            return path, template, depth
    # An address of the user, such as ${OBS_URL}, cannot be compared.
    if len(templates) == 1 and "{" in str(templates[0][1].get("url")):
        return templates[0]
    raise StudioRefused(f"nothing is added: the manifest has no call template for {url}. Use the draft instead.")


def _templates(document: Any) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield the path, the content and the depth of each call template of any form of manifest."""
    if isinstance(document, dict) and "manual_call_templates" not in document:
        yield "", document, 0
        return
    base, depth = ("", 1) if isinstance(document, list) else ("manual_call_templates", 2)
    listed = document if isinstance(document, list) else document["manual_call_templates"] if document else ()
    for index, each in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(each, dict):
            yield join_path(base, index), each, depth


def _without_query(url: Any) -> str:
    return str(url).partition("?")[0].rstrip("/")


def _names(template: dict[str, Any], key: str) -> list[str]:
    listed = template.get(key)
    return [str(each.get("name")) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _append(text: str, path: str, key: str, items: list[Any], depth: int) -> str:
    """Append values to the list at a key of a call template, which may not have it yet."""
    places = SourceMap(text)
    start = places.offset(join_path(path, key))
    if start is None:
        member = f'"{key}": {format_json(items, depth + 1, len(key) + 4)}'
        return _insert(text, places.offset(path) or 0, [member], depth + 1)
    return _insert(text, start, [format_json(item, depth + 2) for item in items], depth + 2)


def _insert(text: str, start: int, parts: list[str], depth: int) -> str:
    """Insert members before the end of the object or array that begins at an offset."""
    value, end = json.JSONDecoder().raw_decode(text, start)
    before = text[: end - 1].rstrip()
    indent = "\n" + "  " * depth
    inserted = ("," if value else "") + indent + f",{indent}".join(parts) + "\n" + "  " * (depth - 1)
    return before + inserted + text[end - 1 :]
