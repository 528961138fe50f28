"""What inherits from what: preset ← entry ← tool, on documents, before they are checked."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from ..errors import Problem
from .models.base import Json
from .models.call_template import MANUAL_KEYS, CallTemplate, ManualOptions
from .validation import closest_match, join_path

MERGED_KEYS = frozenset({"let", "reply", "stream", "limits", "network", "tls", "framing", "inbox", "heartbeat"})
"""Objects that are merged key by key; every other value replaces what it inherits."""

CALL_TEMPLATE_KEYS = frozenset(CallTemplate.model_fields) | {"request_data_format", "request_data_template"}
ENTRY_KEYS = CALL_TEMPLATE_KEYS | frozenset(ManualOptions.model_fields)
_PRESETS = Path(__file__).with_name("presets")
_NOT_INHERITED = MANUAL_KEYS | {"name"}


def merge(base: Json, overlay: Json) -> dict[str, Json]:
    """`over` on top of `base`. A null takes the inherited value away."""
    merged = dict(base)
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        elif key in MERGED_KEYS and isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {name: item for name, item in {**merged[key], **value}.items() if item is not None}
        else:
            merged[key] = value
    return merged


def normalize(raw: Json) -> dict[str, Json]:
    """An entry or a tool's call template in its one full form: the older dialect and short forms spelled out."""
    form = dict(raw)
    if form.get("reply") == "none":
        form["reply"] = {"none": True}
    if isinstance(stream := form.get("stream"), bool):
        form["stream"] = {"on": stream}
    elif isinstance(stream, dict):
        form["stream"] = {"on": True, **stream}
    text = form.pop("request_data_template", None)
    match form.pop("request_data_format", None):
        case "json":
            form.setdefault("preset", "utcp")
        case "text" if text is not None:
            form.setdefault("message", text)
    return form


def apply_preset(raw: Json) -> dict[str, Json]:
    """The document on top of the preset that it names, if it names one that exists."""
    return merge(_preset_of(raw), raw)


def _preset_of(raw: Json) -> dict[str, Json]:
    name = raw.get("preset")
    return read_preset(name) if isinstance(name, str) and name in preset_names() else {}


def referenced_presets(entry: Json) -> list[dict[str, Json]]:
    """The presets that an entry and its tools name."""
    tools = entry.get("tools")
    own = [
        tool.get("tool_call_template") for tool in (tools if isinstance(tools, list) else ()) if isinstance(tool, dict)
    ]
    names = [form["preset"] for form in (entry, *own) if isinstance(form, dict) and isinstance(form.get("preset"), str)]
    return [read_preset(name) for name in dict.fromkeys(names) if name in preset_names()]


def inherit(entry: Json, tool: Json) -> dict[str, Json]:
    """A tool's call template on top of its entry's. A preset of the tool's own stands between the two."""
    inherited = {key: value for key, value in entry.items() if key not in _NOT_INHERITED}
    own = {key: value for key, value in normalize(tool).items() if key != "name"}
    return merge(merge(inherited, _preset_of(own)), own)


def check_fields(raw: Json, path: str) -> list[Problem]:
    """Problems that only the form as written shows: presets, the older dialect."""
    problems: list[Problem] = []
    name = raw.get("preset")
    if name is not None and not (isinstance(name, str) and name in preset_names()):
        near = closest_match(str(name), preset_names())
        known = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(preset_names()))}"
        problems.append(Problem(join_path(path, "preset"), f"there is no preset {name!r}; {known}"))
    if raw.get("request_data_format") not in (None, "json", "text"):
        problems.append(Problem(join_path(path, "request_data_format"), "expected 'json' or 'text'"))
    if "request_data_template" in raw and raw.get("request_data_format") != "text":
        why = 'is read only with "request_data_format": "text"; or write it as "message"'
        problems.append(Problem(join_path(path, "request_data_template"), why))
    if raw.get("request_data_format") == "text" and "request_data_template" not in raw:
        problems.append(
            Problem(join_path(path, "request_data_template"), 'is required with "request_data_format": "text"')
        )
    return problems


@cache
def preset_names() -> frozenset[str]:
    """The presets that the package brings."""
    return frozenset(file.stem for file in _PRESETS.glob("*.json"))


def preset_purpose(name: str) -> str:
    """What a preset is for, in one sentence."""
    purpose = str(_read_preset_file(name)["$comment"])
    return purpose.partition(". ")[0].rstrip(".")


@cache
def read_preset(name: str) -> dict[str, Json]:
    """A preset: a call template without URL, in the manifest language."""
    return normalize({key: value for key, value in _read_preset_file(name).items() if key != "$comment"})


def _read_preset_file(name: str) -> dict[str, Json]:
    preset: dict[str, Json] = json.loads((_PRESETS / f"{name}.json").read_text(encoding="utf-8"))
    return preset
