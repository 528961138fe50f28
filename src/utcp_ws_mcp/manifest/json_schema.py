"""The JSON Schema of a manifest file, for editors: made from the models, which describe each field.

A model describes a checked and merged value. A file may contain more, and this module adds it: short forms that are
rewritten before the check, `${NAME}` in place of a number, null to remove an inherited value, `$comment` anywhere.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from .inheritance import EXTENDED_KEYS, INHERITED
from .loader import INERT_CLIENT_KEYS, WEBSOCKET
from .models.call_template import CallTemplate, RequestData
from .models.catalog import CatalogInfo
from .models.manual import ManualOptions, Tool
from .presets import preset_names
from .validation import COMMENT_KEY

JsonSchema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NULL: Final[JsonSchema] = {"type": "null"}
_COMMENT: Final[JsonSchema] = {COMMENT_KEY: {"description": "A comment: any value, without effect."}}
_SHORT_FORMS: Final[dict[tuple[str, str], JsonSchema]] = {
    ("CallTemplate", "reply"): {"const": "none"},
    ("CallTemplate", "stream"): {"type": "boolean"},
}
"""Short forms that `inheritance.normalize` rewrites; the models declare all others."""

_NULLABLE_MODELS: Final = frozenset(
    {"CallTemplate", "RequestData", "Reply", "Stream", "Limits", "Network", "Tls", "Framing", "Heartbeat"}
)
"""Objects in which null removes an inherited value."""


def manifest_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of every form that a manifest file can have."""
    return {
        "$schema": DIALECT,
        "title": "A manifest of utcp-ws-mcp",
        "description": (
            "WebSocket endpoints that become tools, and how each of them is called. Expressions and predicates are "
            "Jinja2 in the dialect of MiniJinja (https://docs.rs/minijinja/latest/minijinja/syntax/index.html): "
            "without braces in a field of their own, as {{ expression }} inside a message, a URL or a header. The page "
            "docs/reference/manifest/expressions.md lists the names, filters and functions."
        ),
        **_schema_by_form(),
        "$defs": _definitions(),
    }


def _schema_by_form() -> JsonSchema:
    """Return the condition for each form: an array, a client configuration, a UTCP manual, or one call template."""
    manual = {"required": ["tools"], "not": {"anyOf": [{"required": ["url"]}, {"required": ["call_template_type"]}]}}
    forms = (
        ({"type": "array"}, {"items": _ref("Entry")}),
        ({"required": ["manual_call_templates"]}, _ref("ClientConfiguration")),
        (manual, _ref("Manual")),
    )
    schema: JsonSchema = {"type": "object", **_ref("SingleEntry")}
    for condition, then in reversed(forms):
        schema = {"if": condition, "then": then, "else": schema}
    return schema


def _definitions() -> JsonSchema:
    models = (CallTemplate, RequestData, ManualOptions, Tool, CatalogInfo)
    _, generated = models_json_schema([(model, "validation") for model in models])
    definitions = generated["$defs"]
    for field in (field for model in definitions.values() for field in model["properties"].values()):
        if "description" not in field:  # pydantic omits one that is the same as that of the referenced model
            field["description"] = definitions[field["$ref"].rpartition("/")[2]]["description"]
    objects = {name: _object_schema(name, model) for name, model in definitions.items()}
    template, options = objects.pop("CallTemplate"), objects.pop("ManualOptions")
    template["properties"] |= objects.pop("RequestData")["properties"]
    template["properties"]["preset"]["anyOf"] = [{"enum": sorted(preset_names())}, _NULL]
    # The models keep these as raw documents, because they are checked after they are merged.
    _replace_form(options["properties"]["tools"], {"type": ["array", "null"], "items": _ref("Tool")})
    own = {"anyOf": [_for_websocket(_ref("ToolTemplate")), _NULL]}
    _replace_form(objects["Tool"]["properties"]["tool_call_template"], own)
    tool_template = {key: value for key, value in template.items() if key != "required"}
    entry = {**tool_template, "properties": {**template["properties"], **options["properties"]}}
    file = _file_keys()
    return {
        "Entry": _for_websocket(_ref("OwnEntry")),
        "OwnEntry": {**entry, "anyOf": [{"required": ["url"]}, {"required": ["tools"]}]},
        "SingleEntry": _for_websocket({**entry, "required": ["url"], "properties": {**entry["properties"], **file}}),
        "ClientConfiguration": _client_configuration_schema(file),
        "Manual": _manual_schema(file),
        "ToolTemplate": tool_template,
        **objects,
        "variable": {
            "description": "A variable in place of a number, a boolean or one of several values.",
            "type": "string",
            "pattern": r"\$\{[A-Za-z_]\w*(:-[^}]*)?\}|^\$[A-Za-z_]\w*$",
        },
    }


def _replace_form(field: JsonSchema, form: JsonSchema) -> None:
    description = field["description"]
    field.clear()
    field |= {"description": description, **form}


def _for_websocket(schema: JsonSchema) -> JsonSchema:
    """Apply a schema to WebSocket call templates only; those of another type may contain anything."""
    own = {"properties": {"call_template_type": {"const": WEBSOCKET}}}
    return {"type": "object", "if": own, "then": schema}


def _object_schema(name: str, model: JsonSchema) -> JsonSchema:
    """Return the schema of an object as authors may write it."""
    fields = {key: _field_schema(name, key, field) for key, field in model["properties"].items()}
    schema = {key: value for key, value in model.items() if key in ("required", "oneOf")}
    return {
        **schema,
        "type": "object",
        "description": model["description"],
        "properties": {**fields, **_COMMENT},
        "additionalProperties": False,
    }


def _field_schema(model: str, key: str, field: JsonSchema) -> JsonSchema:
    """Return the schema of a field with all forms that may be written for it."""
    form = {name: value for name, value in field.items() if name not in ("title", "default", "description")}
    forms: list[JsonSchema] = form.pop("anyOf") if "anyOf" in form else [form]
    if model == "CallTemplate" and key in EXTENDED_KEYS:
        forms = [_extending(form) for form in forms]
    if any(_accepts_variable(form) for form in forms):
        forms = [*forms, _ref("variable")]
    if short := _SHORT_FORMS.get((model, key)):
        forms = [short, *forms]
    if model in _NULLABLE_MODELS and _NULL not in forms and key not in ("url", "name"):
        forms = [*forms, _NULL]
    described = {"description": field["description"]}
    if isinstance(default := field.get("default"), str | int | float):
        described["default"] = default
    if any(not form for form in forms):  # an empty schema accepts everything, whatever the others are
        return described
    return {**described, **forms[0]} if len(forms) == 1 else {**described, "anyOf": forms}


def _extending(form: JsonSchema) -> JsonSchema:
    """Return the schema of a list whose elements may stand for what it inherits."""
    return {**form, "items": {"anyOf": [form["items"], {"const": INHERITED}]}} if "items" in form else form


def _accepts_variable(form: JsonSchema) -> bool:
    """Return whether a variable may replace a value of this form, which is not free text."""
    return form.get("type") in ("number", "integer", "boolean") or "enum" in form


def _file_keys() -> JsonSchema:
    loader = {
        "type": "object",
        "properties": {"variable_loader_type": {"const": "dotenv"}, "env_file_path": {"type": "string"}},
        "required": ["variable_loader_type", "env_file_path"],
    }
    return {
        "$schema": {"description": "The schema of this file, for editors.", "type": "string"},
        "catalog": {"description": "What `utcp-ws-mcp catalog` says of this manifest.", **_ref("CatalogInfo")},
        "variables": {
            "description": "Values of variables; keep secrets in the environment or a .env file instead.",
            "type": "object",
        },
        "load_variables_from": {"description": "Files with variables.", "type": ["array", "null"], "items": loader},
    }


def _client_configuration_schema(file: JsonSchema) -> JsonSchema:
    inert = {key: {"description": "For the client of UTCP; without effect here."} for key in sorted(INERT_CLIENT_KEYS)}
    templates = {"description": "The call templates.", "type": "array", "items": _ref("Entry")}
    return {
        "description": "A UTCP client configuration: several call templates and their variables.",
        "type": "object",
        "properties": {**file, "manual_call_templates": templates, **inert, **_COMMENT},
        "additionalProperties": False,
    }


def _manual_schema(file: JsonSchema) -> JsonSchema:
    name = "The first part of the names of the tools; by default the name of the file."
    return {
        "description": "A UTCP manual, in which each tool has its own call template with a url.",
        "type": "object",
        "properties": {
            **{key: file[key] for key in ("$schema", "variables", "catalog")},
            "name": {"description": name, "type": "string"},
            "utcp_version": {"description": "The version of UTCP."},
            "manual_version": {"description": "The version of this manual."},
            "version": {"description": "The version of this manual, in older manuals."},
            "info": {"description": "Information about the manual."},
            "tools": {"description": "The tools.", "type": "array", "items": _ref("Tool")},
            **_COMMENT,
        },
        "additionalProperties": False,
    }


def _ref(name: str) -> JsonSchema:
    return {"$ref": f"#/$defs/{name}"}
