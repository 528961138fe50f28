"""The JSON Schema of a manifest file, made from the models: what editors complete and check with.

The models say what a value is; what may be written for it is more: short forms, `${NAME}` in place of a number, null
to take an inherited value away, `$comment` in every object.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from .inheritance import preset_names
from .loader import WEBSOCKET
from .models.base import Json
from .models.call_template import CallTemplate, ManualOptions, Tool
from .validation import COMMENT_KEY

JsonSchema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_STRING_OR_ARRAY_FIELDS: Final = {"CallTemplate": ("protocol", "ignore"), "Stream": ("until",)}
_SHORT_FORMS: Final[dict[tuple[str, str], JsonSchema]] = {
    ("CallTemplate", "reply"): {"const": "none"},
    ("CallTemplate", "stream"): {"type": "boolean"},
    ("ManualOptions", "discovery"): {"const": "handshake"},
}
"""Short forms beside the one that the model has."""

_NULLABLE_MODELS: Final = frozenset(
    {"CallTemplate", "Reply", "Stream", "Limits", "Network", "Tls", "Framing", "Heartbeat"}
)
"""Objects in which null takes an inherited value away."""

_NULL: Final[JsonSchema] = {"type": "null"}
_TEXTS: Final[JsonSchema] = {"type": "object", "additionalProperties": {"type": "string"}}


def manifest_schema() -> JsonSchema:
    """The JSON Schema (2020-12) of every shape that a manifest file may have."""
    return {
        "$schema": DIALECT,
        "title": "A manifest of utcp-ws-mcp",
        "description": "Which WebSocket endpoints become tools, and how to talk to each of them.",
        **_schema_by_shape(),
        "$defs": _definitions(),
    }


def field_descriptions() -> dict[str, dict[str, str]]:
    """What each field of each model means, in one sentence or two; "" is the model itself."""
    text = (resources.files(__package__) / "descriptions.json").read_text(encoding="utf-8")
    read: dict[str, dict[str, str]] = json.loads(text)
    return read


def _schema_by_shape() -> JsonSchema:
    """Which definition holds: an array, a client configuration, a UTCP manual, or else one call template."""
    manual = {"required": ["tools"], "not": {"anyOf": [{"required": ["url"]}, {"required": ["call_template_type"]}]}}
    shapes = (
        ({"type": "array"}, {"items": _ref("Entry")}),
        ({"required": ["manual_call_templates"]}, _ref("ClientConfiguration")),
        (manual, _ref("Manual")),
    )
    chosen: JsonSchema = {"type": "object", **_ref("SingleEntry")}
    for condition, then in reversed(shapes):
        chosen = {"if": condition, "then": then, "else": chosen}
    return chosen


def _definitions() -> JsonSchema:
    _, made = models_json_schema([(model, "validation") for model in (CallTemplate, ManualOptions, Tool)])
    said = field_descriptions()
    models = {name: _object_schema(name, model, said[name]) for name, model in made["$defs"].items()}
    template, options = models.pop("CallTemplate"), models.pop("ManualOptions")
    options["properties"]["tools"] = {
        "description": said["ManualOptions"]["tools"],
        "type": ["array", "null"],
        "items": _ref("Tool"),
    }
    models["Tool"]["properties"]["tool_call_template"] = {
        "description": said["Tool"]["tool_call_template"],
        "anyOf": [_for_websocket(_ref("ToolTemplate")), _NULL],
    }
    tool_template = {key: value for key, value in template.items() if key != "required"}
    entry = {**tool_template, "properties": {**template["properties"], **options["properties"]}}
    file = _file_keys()
    return {
        "Entry": _for_websocket({"$ref": "#/$defs/OwnEntry"}),
        "OwnEntry": {**entry, "anyOf": [{"required": ["url"]}, {"required": ["tools"]}]},
        "SingleEntry": _for_websocket({**entry, "required": ["url"], "properties": {**entry["properties"], **file}}),
        "ClientConfiguration": _client_configuration_schema(file),
        "Manual": _manual_schema(file),
        "ToolTemplate": tool_template,
        **models,
        "variable": {
            "description": "A variable in place of a number, a boolean or a word.",
            "type": "string",
            "pattern": r"\$\{[A-Za-z_]\w*\}|^\$[A-Za-z_]\w*$",
        },
    }


def _for_websocket(schema: JsonSchema) -> JsonSchema:
    """A schema for call templates that are served here; those of another type may hold anything."""
    own = {"properties": {"call_template_type": {"const": WEBSOCKET}}}
    return {"type": "object", "if": own, "then": schema}


def _object_schema(name: str, model: JsonSchema, texts: dict[str, str]) -> JsonSchema:
    """The schema of an object as authors may write it."""
    written = {key: _field_schema(name, key, field, texts[key]) for key, field in model["properties"].items()}
    if name == "CallTemplate":
        written |= _older_dialect_fields(texts)
        written["preset"]["anyOf"] = [{"enum": sorted(preset_names())}, _NULL]
        written["message"] = {
            "description": texts["message"],
            "anyOf": [{"type": ["string", "object", "array", "null"]}, {"const": False}],
        }
    changed: JsonSchema = {
        "type": "object",
        "description": texts[""],
        "properties": {**written, COMMENT_KEY: {"description": "Anything; it means nothing."}},
        "additionalProperties": False,
    }
    if name == "Step":
        changed["oneOf"] = [{"required": ["send"]}, {"required": ["expect"]}]
    return changed | ({"required": model["required"]} if "required" in model else {})


def _field_schema(model: str, key: str, field: JsonSchema, description: str) -> JsonSchema:
    """The schema of a field with all the forms that may be written for it."""
    plain = {name: value for name, value in field.items() if name not in ("title", "default", "description")}
    forms: list[JsonSchema] = plain.pop("anyOf") if "anyOf" in plain else [plain]
    if any(_accepts_variable(form) for form in forms):
        forms = [*forms, _ref("variable")]
    if key in _STRING_OR_ARRAY_FIELDS.get(model, ()):
        forms = [{"type": "string"}, *forms]
    if short := _SHORT_FORMS.get((model, key)):
        forms = [short, *forms]
    if model in _NULLABLE_MODELS and _NULL not in forms and key not in ("url", "name"):
        forms = [*forms, _NULL]
    default = field.get("default")
    shown = {"default": default} if isinstance(default, str | int | float) else {}
    anything = any(not form for form in forms)
    described = {"description": description, **shown}
    return described if anything else {**described, **forms[0]} if len(forms) == 1 else {**described, "anyOf": forms}


def _accepts_variable(form: JsonSchema) -> bool:
    """Whether a variable may stand for a value that is no free text."""
    return form.get("type") in ("number", "integer", "boolean") or "enum" in form


def _older_dialect_fields(texts: dict[str, str]) -> JsonSchema:
    return {
        "request_data_format": {"description": texts["request_data_format"], "enum": ["json", "text"]},
        "request_data_template": {"description": texts["request_data_template"], "type": "string"},
    }


def _file_keys() -> JsonSchema:
    loader = {
        "type": "object",
        "properties": {"variable_loader_type": {"const": "dotenv"}, "env_file_path": {"type": "string"}},
        "required": ["variable_loader_type", "env_file_path"],
    }
    return {
        "$schema": {"description": "The schema of this file, for editors.", "type": "string"},
        "variables": {
            "description": "Values of variables; secrets are better kept elsewhere.",
            "type": "object",
        },
        "load_variables_from": {"description": "Files with variables.", "type": ["array", "null"], "items": loader},
    }


def _client_configuration_schema(file: JsonSchema) -> JsonSchema:
    inert = ("tool_repository", "tool_search_strategy", "post_processing")
    return {
        "description": "A UTCP client configuration: several call templates, and variables beside them.",
        "type": "object",
        "properties": {
            **file,
            "manual_call_templates": {"description": "The call templates.", "type": "array", "items": _ref("Entry")},
            **{key: {"description": "Of UTCP's own client; without effect here."} for key in inert},
            COMMENT_KEY: {"description": "Anything; it means nothing."},
        },
        "additionalProperties": False,
    }


def _manual_schema(file: JsonSchema) -> JsonSchema:
    return {
        "description": "A UTCP manual: each tool brings its own call template with a url.",
        "type": "object",
        "properties": {
            **{key: file[key] for key in ("$schema", "variables")},
            "name": {"description": "The first part of the tools' names. Left out: the file's name.", "type": "string"},
            "utcp_version": {"description": "The version of UTCP."},
            "manual_version": {"description": "The version of this manual."},
            "version": {"description": "The version of this manual, in older ones."},
            "info": {"description": "What the manual is about."},
            "tools": {"description": "The tools.", "type": "array", "items": _ref("Tool")},
            COMMENT_KEY: {"description": "Anything; it means nothing."},
        },
        "additionalProperties": False,
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}
