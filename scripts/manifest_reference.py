"""Generated parts of the manifest and preset pages: the table of all fields, and what each preset sets.

The field tables of docs/reference/manifest are written by hand. The comment `<!-- fields: PATH -->` before a table
names the object that its fields belong to: nothing for a call template, `reply`, `on_connect[]`, `tools[].annotations`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from utcp_ws_mcp.manifest.json_schema import manifest_schema
from utcp_ws_mcp.manifest.models.call_template import CallTemplate, RequestData
from utcp_ws_mcp.manifest.models.catalog import CatalogInfo
from utcp_ws_mcp.manifest.models.manual import ManualOptions, Tool
from utcp_ws_mcp.manifest.presets import preset_names, preset_summary
from utcp_ws_mcp.manifest.variables import find_optional, find_variables

ROOT: Final = Path(__file__).parents[1]
MANIFEST_PAGES: Final = ROOT / "docs" / "reference" / "manifest"
PRESET_FILES: Final = ROOT / "src" / "utcp_ws_mcp" / "manifest" / "presets"

_TABLE = re.compile(r"^<!-- fields: ?(?P<path>.*?) ?-->\n(?P<table>(?:\|.*\n)+)", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")
_USED = re.compile(r"\b(session|args|vars)\.([A-Za-z_]\w*)")
_SOURCES: Final = {"args": "the call", "vars": "a variable"}
_HOLES = re.compile(r"\{\{.*?\}\}")
_TEMPLATES = re.compile(r"(^|\.)(send|message|then|cancel|url|headers|protocol)$")
"""The fields of a preset that are templates, in which expressions stand in `{{ }}`."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a field table: the object of the field, the cells, and the section that the table is in."""

    path: str
    name: str
    type: str
    default: str
    section: str

    @property
    def full_name(self) -> str:
        """The field as a path from the call template, such as `reply.match`."""
        return f"{self.path}.{self.name}" if self.path else self.name


def read_rows(page: Path) -> Iterator[Row]:
    """Yield the rows of the field tables of a page."""
    text = page.read_text(encoding="utf-8")
    anchors = [make_anchor(heading) for heading in _HEADING.findall(text)]
    for found in _TABLE.finditer(text):
        heading = make_anchor(_HEADING.findall(text, 0, found.start())[-1])
        for line in found["table"].splitlines()[2:]:
            name, kind, default, *_ = (cell.strip() for cell in _CELL.split(line)[1:-1])
            name = name.strip("`")
            anchor = name if name in anchors and not found["path"] else "" if heading == anchors[0] else heading
            yield Row(found["path"], name, kind, default, f"{page.name}#{anchor}" if anchor else page.name)


def make_anchor(heading: str) -> str:
    """Return the anchor that GitHub and MkDocs make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def find_models() -> dict[str, tuple[type[BaseModel], ...]]:
    """Return the models of a call template by the path of the object that each describes."""
    found: dict[str, tuple[type[BaseModel], ...]] = {"": (CallTemplate, RequestData, ManualOptions)}
    found |= {path: (model,) for root in found[""] for path, model in _nested(root, "")}
    found["catalog"] = (CatalogInfo,)
    found["tools[]"] = (Tool,)
    found |= {path: (model,) for path, model in _nested(Tool, "tools[]")}
    return found


def _nested(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        parts = _parts_in(field.annotation)
        inside = f"{path}.{field.alias or name}" if path else field.alias or name
        for part, suffix in parts:
            kind = f" ({get_args(part.model_fields['auth_type'].annotation)[0]})" if len(parts) > 1 else ""
            yield f"{inside}{suffix}{kind}", part
            yield from _nested(part, f"{inside}{suffix}{kind}")


def _parts_in(annotation: Any, suffix: str = "") -> list[tuple[type[BaseModel], str]]:
    """Return the models in an annotation, with `[]` for those in an array and `.*` for those in an object."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, suffix)]
    origin = getattr(annotation, "__origin__", None)
    inside = "[]" if origin is tuple else ".*" if origin is dict else suffix
    return [part for each in get_args(annotation) for part in _parts_in(each, inside)]


def find_fields() -> dict[str, dict[str, FieldInfo]]:
    """Return the fields of each object of a call template, by the path of the object and the name in JSON."""
    return {
        path: {field.alias or name: field for model in models for name, field in model.model_fields.items()}
        for path, models in find_models().items()
    }


def find_meanings() -> dict[str, Mapping[str, str]]:
    """Return the description of each field, from the JSON Schema of the manifest."""
    definitions = manifest_schema()["$defs"]
    described = {path: definitions.get(models[0].__name__) for path, models in find_models().items()}
    described[""] = definitions["OwnEntry"]
    return {
        path: {name: field.get("description", "") for name, field in schema["properties"].items()}
        for path, schema in described.items()
        if schema is not None
    }


def render_fields(_: str) -> str:
    """Return a table of all fields, with links to the sections that describe them."""
    meanings = find_meanings()
    rows = [row for page in sorted(MANIFEST_PAGES.glob("*.md")) for row in read_rows(page)]
    order = list(find_models())
    lines = []
    for row in sorted(rows, key=lambda row: (order.index(row.path), row.full_name)):
        meaning = meanings[row.path].get(row.name, "").replace("|", "\\|")
        lines.append(f"| [`{row.full_name}`]({row.section}) | {row.type} | {row.default} | {meaning} |\n")
    return "| Field | Type | Default | Description |\n| --- | --- | --- | --- |\n" + "".join(lines)


def read_preset_file(name: str) -> dict[str, Any]:
    """Return a preset as its file has it, without its comment."""
    preset: dict[str, Any] = json.loads((PRESET_FILES / f"{name}.json").read_text(encoding="utf-8"))
    return {key: value for key, value in preset.items() if key != "$comment"}


def preset_variables(name: str) -> dict[str, bool]:
    """Return the variables of a preset, each with whether it is required."""
    preset = read_preset_file(name)
    optional = find_optional(preset)
    return {variable: variable not in optional for variable in sorted(set(find_variables(preset)))}


def render_preset(name: str) -> str:
    """Return the names that a preset uses, and its JSON."""
    text = (PRESET_FILES / f"{name}.json").read_text(encoding="utf-8")
    shown = re.sub(r'^  "\$comment": .*\n', "", text, flags=re.MULTILINE)
    return f"{_names_table(name)}<!-- other -->\n```json\n{shown.strip()}\n```\n"


def _names_table(name: str) -> str:
    preset = read_preset_file(name)
    used: dict[str, list[str]] = {}
    captured: dict[str, list[str]] = {}
    for place, text in _strings(preset, ""):
        expressions = "".join(_HOLES.findall(text)) if _TEMPLATES.search(place) else text
        for kind, key in _USED.findall(expressions):
            used.setdefault(f"{kind}.{key}", []).append(place)
    for place, rules in _captures(preset):
        for key in rules:
            captured.setdefault(f"session.{key}", []).append(place)
    if not used and not captured:
        return ""
    rows = [
        f"| `{each}` | {_SOURCES.get(each.partition('.')[0]) or _listed(captured.get(each, []))} "
        f"| {_listed(used.get(each, []))} |\n"
        for each in sorted({*used, *captured}, key=lambda each: (each.split(".")[0] != "session", each))
    ]
    return "| Name | Set by | Used in |\n| --- | --- | --- |\n" + "".join(rows) + "\n"


def _listed(places: list[str]) -> str:
    return ", ".join(f"`{place}`" for place in dict.fromkeys(places))


def _captures(preset: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the rules that capture values, each with the field that it is in."""
    for index, step in enumerate(preset.get("on_connect", ())):
        yield f"on_connect[{index}].capture", step.get("capture", {})
    for index, rule in enumerate(preset.get("capture", ())):
        yield f"capture[{index}].set", rule["set"]


def _strings(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield all strings of a preset, each with the field that it is in: `message`, `on_connect[1].send`."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(
                item, f"{place}[{index}]" if re.fullmatch(r"on_\w+|auto_reply|capture", place) else place
            )
    elif isinstance(value, dict):
        for key, item in value.items():
            is_field = place in ("", "reply", "stream", "heartbeat") or re.fullmatch(r"\w+\[\d+\]", place)
            yield from _strings(item, f"{place}.{key}".lstrip(".") if is_field else place)


def render_presets(_: str) -> str:
    """Return a table of all presets with their purposes and variables."""
    lines = []
    for name in sorted(preset_names()):
        used = preset_variables(name)
        variables = [f"`{variable}`{'' if required else ' (optional)'}" for variable, required in used.items()]
        lines.append(f"| [`{name}`]({name}.md) | {preset_summary(name)} | {', '.join(variables)} |\n")
    return "| Preset | Protocol | Variables |\n| --- | --- | --- |\n" + "".join(lines)


RENDERERS: Final = {"fields": render_fields, "preset": render_preset, "presets": render_presets}
"""The renderers that scripts.reference calls."""
