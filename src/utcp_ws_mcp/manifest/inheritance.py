"""Merge what a call template inherits: preset ← entry ← tool, on documents, before they are checked."""

from __future__ import annotations

from functools import cache
from typing import Final

from ..errors import Problem
from .models.base import Json
from .models.call_template import CallTemplate, RequestData
from .models.manual import MANUAL_KEYS
from .presets import preset_names, read_preset
from .validation import closest_match, join_path

MERGED_KEYS: Final = frozenset(
    {"let", "reply", "stream", "limits", "network", "tls", "framing", "heartbeat", "feed_defaults"}
)
"""Objects that are merged key by key; every other value replaces what it inherits."""

EXTENDED_KEYS: Final = frozenset(
    {"before_connect", "on_connect", "on_disconnect", "before_message", "auto_reply", "capture", "ignore", "feeds"}
)
"""Lists in which INHERITED stands for what the list inherits."""

INHERITED: Final = "..."
"""In a list of EXTENDED_KEYS: the inherited list, so that steps can be added before and behind it."""

CALL_TEMPLATE_KEYS: Final = frozenset(CallTemplate.model_fields) | frozenset(RequestData.model_fields)
ENTRY_KEYS: Final = CALL_TEMPLATE_KEYS | MANUAL_KEYS
_NOT_INHERITED: Final = MANUAL_KEYS | {"name", "feeds", "feed_defaults"}


def merge(base: Json, overlay: Json) -> dict[str, Json]:
    """Return `overlay` on top of `base`. A null removes the inherited value, "..." in a list stands for it.

    `message` and `listen` exclude each other, so that the one in `overlay` removes the inherited other one.
    """
    merged = dict(base)
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        elif key in MERGED_KEYS and isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {name: item for name, item in {**merged[key], **value}.items() if item is not None}
        elif key in EXTENDED_KEYS and extends(value):
            merged[key] = _extend(base.get(key), value)
        else:
            merged[key] = value
    if listens(overlay):
        merged.pop("message", None)
    elif overlay.get("message") is not None:
        merged.pop("listen", None)
    return merged


def extends(value: Json) -> bool:
    """Return whether a list says where its inherited elements are."""
    return isinstance(value, list) and INHERITED in value


def _extend(inherited: Json, value: list[Json]) -> list[Json]:
    listed = inherited if isinstance(inherited, list) else [] if inherited is None else [inherited]
    return [item for each in value for item in (listed if each == INHERITED else [each])]


def listens(raw: Json) -> bool:
    """Return whether a document sets `listen`; after substitution a variable in its place is a string."""
    return str(raw.get("listen")).lower() in ("true", "1", "yes", "on", "t", "y")  # as pydantic reads a boolean


def normalize(raw: Json) -> dict[str, Json]:
    """Return an entry or a tool's call template with its short forms and the older UTCP form written in full."""
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
    """Return the document on top of the preset that it names, if there is one of that name."""
    merged = merge(_preset_of(raw), raw)
    defaults, feeds = merged.get("feed_defaults"), merged.get("feeds")
    if isinstance(defaults, dict) and isinstance(feeds, list):
        merged["feeds"] = [_with_defaults(feed, defaults) if isinstance(feed, dict) else feed for feed in feeds]
    return merged


def _with_defaults(feed: dict[str, Json], defaults: dict[str, Json]) -> dict[str, Json]:
    """Return a feed with the fields of `feed_defaults` that it does not have; a null removes one."""
    return {key: value for key, value in {**defaults, **feed}.items() if value is not None}


def referenced_presets(entry: Json) -> list[dict[str, Json]]:
    """Return the presets that an entry and its tools name, each once."""
    tools = entry.get("tools")
    own = [
        tool.get("tool_call_template") for tool in (tools if isinstance(tools, list) else ()) if isinstance(tool, dict)
    ]
    names = [form["preset"] for form in (entry, *own) if isinstance(form, dict) and isinstance(form.get("preset"), str)]
    return [_normalized_preset(name) for name in dict.fromkeys(names) if name in preset_names()]


def inherited_documents(raw: Json) -> list[dict[str, Json]]:
    """Return the merged call templates that calls of an entry use: what a preset sets and nothing replaces is in them.

    Args:
        raw: The document of an entry, whose values need not be valid.
    """
    entry = apply_preset(normalize({key: value for key, value in raw.items() if key in CALL_TEMPLATE_KEYS}))
    listed = raw.get("tools")
    if not isinstance(listed, list) or raw.get("discovery") is not None or raw.get("feeds"):
        listed = [*(listed if isinstance(listed, list) else ()), {}]  # of discovered tools and feeds
    own = [tool.get("tool_call_template") or {} for tool in listed if isinstance(tool, dict)]
    distinct = [*([{}] if {} in own else ()), *filter(None, own)]  # many tools write nothing of their own
    return [merge_tool(entry, each) for each in distinct if isinstance(each, dict)]


def merge_tool(entry: Json, tool: Json) -> dict[str, Json]:
    """Return the call template of a tool on top of its entry's, with the tool's own preset between the two."""
    inherited = {key: value for key, value in entry.items() if key not in _NOT_INHERITED}
    own = {key: value for key, value in normalize(tool).items() if key != "name"}
    return merge(merge(inherited, _preset_of(own)), own)


def check_fields(raw: Json, path: str) -> list[Problem]:
    """Return the problems that only the document as written shows, because merging removes them.

    Args:
        raw: The document of an entry or of a tool's call template.
        path: Its JSON path.
    """
    problems: list[Problem] = []
    name = raw.get("preset")
    if name is not None and not (isinstance(name, str) and name in preset_names()):
        similar = closest_match(str(name), preset_names())
        hint = f"Did you mean {similar!r}?" if similar else f"Known presets: {', '.join(sorted(preset_names()))}."
        message = f"there is no preset {name!r}. {hint}"
        problems.append(Problem(join_path(path, "preset"), message, code="unknown-preset"))
    if listens(raw) and raw.get("message") is not None:
        message = 'excludes "message": a call that only listens sends nothing. Remove one of them.'
        problems.append(Problem(join_path(path, "listen"), message, code="invalid-value"))
    return problems + _check_request_data(raw, path)


def _check_request_data(raw: Json, path: str) -> list[Problem]:
    form, template_path = raw.get("request_data_format"), join_path(path, "request_data_template")
    problems = []
    if form not in (None, "json", "text"):
        message = "expected 'json' or 'text'."
        problems.append(Problem(join_path(path, "request_data_format"), message, code="invalid-value"))
    if "request_data_template" in raw and form != "text":
        message = 'no effect without "request_data_format": "text". Add that, or write the template as "message".'
        problems.append(Problem(template_path, message, code="field-needs-format"))
    if form == "text" and "request_data_template" not in raw:
        message = 'this field is required with "request_data_format": "text".'
        problems.append(Problem(template_path, message, code="missing-key"))
    return problems


def _preset_of(raw: Json) -> dict[str, Json]:
    name = raw.get("preset")
    return _normalized_preset(name) if isinstance(name, str) and name in preset_names() else {}


@cache
def _normalized_preset(name: str) -> dict[str, Json]:
    return normalize(read_preset(name))
