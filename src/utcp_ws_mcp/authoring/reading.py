"""What an agent reads before it writes a manifest: the guide, the catalogue and the presets, one page at a time."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Final

from .. import manifest
from ..client.catalog import CatalogEntry, find_entry, read_catalog
from ..errors import AuthoringRefused, InvalidManifest
from ..manifest.presets import preset_names, preset_summary
from ..server.documentation import GUIDE_TOPIC, read_topic, topics

MAX_PAGE: Final = 12_000
"""Characters of a page that are returned as a whole; of a longer one, its beginning and its headings."""

_HEADING: Final = re.compile(r"^(#{1,4}) +(.+?)\s*$", re.MULTILINE)


def read_guide_page(topic: str | None, section: str | None) -> str:
    """Return a page of the manifest reference, or a section of it.

    Raises:
        AuthoringRefused: if there is none.
    """
    text = read_topic(topic or GUIDE_TOPIC)
    if text is None:
        raise AuthoringRefused(f"there is no topic {topic!r}. Topics: {', '.join(topics())}.")
    if section is not None:
        return _section(text, section)
    if len(text) <= MAX_PAGE:
        return text if topic else f"{text}\nMore topics: {', '.join(topics()[1:])}."
    beginning = text[: text.rfind("\n\n", 0, MAX_PAGE // 3)]
    return f"{beginning}\n\n(The page is long. Read a section: {'; '.join(_headings(text))}.)"


def _headings(text: str) -> list[str]:
    return [found[2].replace("`", "") for found in _HEADING.finditer(_without_code(text))]


def _section(text: str, wanted: str) -> str:
    """Return a section with those below it, shortened where it is long."""
    found = list(_HEADING.finditer(_without_code(text)))
    plain = wanted.replace("`", "").strip("# ").lower()
    for index, heading in enumerate(found):
        if heading[2].replace("`", "").lower() == plain:
            level = len(heading[1])
            end = next((other.start() for other in found[index + 1 :] if len(other[1]) <= level), len(text))
            shown = text[heading.start() : end].strip()
            return shown if len(shown) <= MAX_PAGE else f"{shown[:MAX_PAGE]}\n(cut)"
    raise AuthoringRefused(f"there is no section {wanted!r}. Sections: {'; '.join(_headings(text))}.")


def _without_code(text: str) -> str:
    """Return a text of the same length in which code blocks have no headings."""
    return re.sub(r"^```.*?^```", lambda found: found[0].replace("#", " "), text, flags=re.MULTILINE | re.DOTALL)


def describe_catalog(name: str | None) -> str:
    """Return the list of the catalogue, or what an entry needs and offers.

    Raises:
        AuthoringRefused: if there is no such entry.
    """
    if name is None:
        return "\n".join(f"{entry.name}: {entry.info.summary}" for entry in read_catalog())
    try:
        return "\n".join(_describe(find_entry(name)))
    except InvalidManifest as unknown:
        raise AuthoringRefused(unknown.problems[0].message, code="unknown-manifest") from None


def _describe(entry: CatalogEntry) -> list[str]:
    lines = [f"{entry.name}: {entry.info.summary} ({entry.provenance})"]
    lines += [f"Setup: {entry.info.setup}"] if entry.info.setup else []
    lines += [f"Limits: {entry.info.limits}"] if entry.info.limits else []
    for variable, required in entry.variables.items():
        state = "required" if required else "optional"
        lines.append(f"Variable {variable} ({state}): {entry.info.variables.get(variable, '')}")
    for template in entry.templates:
        lines += [f"URL: {template['url']}"] if "url" in template else []
        listed = [*template.get("tools", ()), *(feed for feed in template.get("feeds", ()) if isinstance(feed, dict))]
        lines += [f"{template['name']}.{each['name']}: {each['description']}" for each in listed]
    return lines


def describe_presets(name: str | None) -> str:
    """Return the list of presets, or the example of one.

    Raises:
        AuthoringRefused: if there is no such preset.
    """
    if name is None:
        return "\n".join(f"{each}: {preset_summary(each)}" for each in sorted(preset_names()))
    if name not in preset_names():
        raise AuthoringRefused(f"there is no preset {name[:64]!r}. Presets: {', '.join(sorted(preset_names()))}.")
    return (resources.files(manifest) / "examples" / f"{name}.json").read_text(encoding="utf-8")


def catalog_text(name: str) -> str:
    """Return the JSON of an entry of the catalogue, without what only describes it.

    Raises:
        AuthoringRefused: if there is no such entry.
    """
    try:
        document = json.loads(find_entry(name).file.read_text(encoding="utf-8"))
    except InvalidManifest as unknown:
        raise AuthoringRefused(unknown.problems[0].message, code="unknown-manifest") from None
    document.pop("catalog", None)
    return json.dumps(document, ensure_ascii=False)
