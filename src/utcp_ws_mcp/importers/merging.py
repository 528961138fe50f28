"""Bring a second import into a manifest that exists, without losing what its author changed.

Each imported tool and feed has a comment with the digest of its imported form. One whose form still has this digest
was not changed by the author, and is replaced; any other stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..records import MutableRecord, field
from .model import Document

_LISTS: Final = ("tools", "feeds")
_MARK: Final = re.compile(r"imported as ([0-9a-f]{12})")


class Difference(MutableRecord):
    """What a second import changes: names of tools and feeds, and of fields of the endpoint."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing changes."""
        return not (self.added or self.updated or self.removed)

    def lines(self) -> list[str]:
        """Return the difference, one line for each subject."""
        rows = (
            ("+ new", self.added),
            ("~ changed in the description", self.updated),
            ("- no longer imported", self.removed),
            ("= changed by you, kept", self.kept),
            ("= fields of the endpoint that the import would write otherwise, kept", self.fields),
        )
        return [f"{title}: {', '.join(names)}" for title, names in rows if names] or ["no difference"]


def with_marks(manifest: Document) -> Document:
    """Return a manifest whose tools and feeds have the digest of their form as a comment."""
    return _map_entries(
        manifest, lambda entry: {**entry, **{key: _marked(entry[key]) for key in _LISTS if key in entry}}
    )


def merge(existing: Document, imported: Document) -> tuple[Document, Difference]:
    """Return the existing manifest with what the import adds and replaces, and the difference.

    Args:
        existing: The manifest as it is.
        imported: The manifest of the import, with marks.
    """
    difference = Difference()
    new = {entry.get("name"): entry for entry in _entries(imported)}
    names = {entry.get("name") for entry in _entries(existing)}
    single = len(new) == 1 and len(_entries(existing)) == 1  # the author may have renamed the one endpoint

    def merged(entry: Document) -> Document:
        other = next(iter(new.values())) if single else new.get(entry.get("name"))
        return entry if other is None else _merge_entry(entry, other, difference)

    document = _map_entries(existing, merged)
    others = [] if single else [entry for name, entry in new.items() if name not in names]
    for entry in others:
        difference.added += [f"{entry['name']}.{each['name']}" for key in _LISTS for each in entry.get(key, ())]
    if others:
        document = _as_list(document)
        document = {**document, "manual_call_templates": [*_entries(document), *others]}
    if not difference.is_empty and "$comment" in imported:
        document = {"$comment": imported["$comment"], **{k: v for k, v in document.items() if k != "$comment"}}
    return document, difference


def _merge_entry(entry: Document, other: Document, difference: Difference) -> Document:
    difference.fields += [
        key for key in other if key not in (*_LISTS, "$comment", "name") and entry.get(key) != other[key]
    ]
    lists = {key: _merge_list(entry.get(key, []), other.get(key, []), difference) for key in _LISTS}
    return {**entry, **{key: value for key, value in lists.items() if value or key in entry}}


def _merge_list(existing: Sequence[Any], imported: Sequence[Document], difference: Difference) -> list[Any]:
    new = {each["name"]: each for each in imported}
    merged: list[Any] = []
    for each in existing:
        name = each.get("name") if isinstance(each, dict) else None
        other = new.pop(name, None) if isinstance(name, str) else None
        if not isinstance(each, dict) or not _is_untouched(each):
            merged.append(each)
            if other is not None and _digest(each) != _digest(other):
                difference.kept.append(str(name))
        elif other is None:
            difference.removed.append(str(name))
        else:
            merged.append(other)
            if _digest(each) != _digest(other):
                difference.updated.append(str(name))
    difference.added += list(new)
    return [*merged, *new.values()]


def _is_untouched(item: Mapping[str, Any]) -> bool:
    mark = _MARK.search(str(item.get("$comment", "")))
    return mark is not None and mark[1] == _digest(item)


def _digest(item: Mapping[str, Any]) -> str:
    content = {key: value for key, value in item.items() if key != "$comment"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _marked(items: Sequence[Document]) -> list[Document]:
    return [{**item, "$comment": f"imported as {_digest(item)}"} for item in items]


def _entries(manifest: Document) -> list[Document]:
    listed = manifest.get("manual_call_templates")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else [manifest]


def _as_list(manifest: Document) -> Document:
    if "manual_call_templates" in manifest:
        return manifest
    return {"manual_call_templates": [{key: value for key, value in manifest.items() if key != "$comment"}]}


def _map_entries(manifest: Document, change: Any) -> Document:
    listed = manifest.get("manual_call_templates")
    if not isinstance(listed, list):
        changed: Document = change(manifest)
        return changed
    return {**manifest, "manual_call_templates": [change(each) if isinstance(each, dict) else each for each in listed]}
