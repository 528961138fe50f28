"""Check a document against a model, report every problem with its JSON path, and describe the field at a path."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..errors import Problem
from .models.auth import ApiKeyAuth, BasicAuth, OAuth2Auth
from .models.base import EXPRESSION_TAG, NUMBER_TAG, FieldError, Json
from .models.call_template import CallTemplate, RequestData
from .models.catalog import CatalogInfo
from .models.manual import ManualOptions, Tool
from .variables import DOCUMENTATION_KEYS, NAMED_KEYS, TEMPLATE_KEYS, may_contain

M = TypeVar("M", bound=BaseModel)

COMMENT_KEY: Final = "$comment"
"""A key without effect that every object of a local manifest may have."""

_CONTENT_KEYS: Final = TEMPLATE_KEYS | DOCUMENTATION_KEYS | {"send", "defaults"}
_AUTH_MODELS: Final[Mapping[str, type[BaseModel]]] = {
    "api_key": ApiKeyAuth,
    "basic": BasicAuth,
    "oauth2": OAuth2Auth,
}
_ENTRY_MODELS: Final[tuple[type[BaseModel], ...]] = (CallTemplate, ManualOptions, RequestData)
_RAW_FIELDS: Final[Mapping[str, tuple[type[BaseModel], ...]]] = {
    "manual_call_templates": _ENTRY_MODELS,
    "tools": (Tool,),
    "catalog": (CatalogInfo,),
    "tool_call_template": (CallTemplate, RequestData),
}
"""The models of objects that no annotation names, because they are checked after their field."""

_REPLACED_KEYS: Final = {
    "inbox": 'was replaced by feeds. Write "feeds": [{"name": "received", "match": …, "start": "first_call"}] with '
    'the same "match": its tool received_events replaces the tool that listened.'
}
"""Fields of earlier versions, each with what replaces it."""

_PATH_STEP = re.compile(r"[^.\[\]]+")


def check_model(model: type[M], raw: Json, path: str) -> tuple[M | None, list[Problem]]:
    """Validate a document.

    Args:
        model: The model to validate against.
        raw: The parsed JSON value.
        path: The JSON path of `raw` in its manifest, the prefix of the paths of all problems.

    Returns:
        The validated model, or None; and all problems.
    """
    try:
        return model.model_validate(raw), []
    except ValidationError as invalid:
        return None, [_to_problem(model, error, path) for error in invalid.errors(include_url=False)]


def describe_field(path: str) -> str | None:
    """Return the description of the field at a JSON path, or None inside templates and schemas and for unknown keys."""
    models, description = _ENTRY_MODELS, None
    steps = iter(step for step in _PATH_STEP.findall(path) if not step.isdigit())
    for step in steps:
        field = _find_field(models, step)
        if field is None and step not in _RAW_FIELDS:
            return None
        models = _RAW_FIELDS.get(step) or tuple(_models_in(field.annotation if field else None))
        description = field.description if field else None
        if field is not None and get_origin(field.annotation) is dict and models:
            next(steps, None)  # the key of a dictionary, such as the name of a tool in `tool_overrides`
    return description


def strip_comments(raw: Json) -> Json:
    """Return the document without comments. Inside templates and schemas `$comment` is content and is preserved."""
    return _strip(raw) if may_contain(raw, COMMENT_KEY) else raw


def _strip(raw: Json) -> Json:
    if isinstance(raw, dict):
        items = ((key, value) for key, value in raw.items() if key != COMMENT_KEY)
        return {key: value if key in _CONTENT_KEYS else _strip_below(key, value) for key, value in items}
    return [_strip(item) for item in raw] if isinstance(raw, list) else raw


def _strip_below(key: str, value: Json) -> Json:
    if key in NAMED_KEYS and isinstance(value, dict):
        return {name: _strip(item) for name, item in value.items() if name != COMMENT_KEY}
    return _strip(value)


def unknown_keys(raw: Mapping[str, Json], known: Collection[str], path: str) -> list[Problem]:
    """Return a problem for each key of an object that is not known, with the most similar known key."""
    return [_unknown_key(key, sorted(known), path) for key in raw if key not in known]


def _unknown_key(key: str, known: Iterable[str], path: str) -> Problem:
    if replacement := _REPLACED_KEYS.get(key):
        return Problem(join_path(path, key), replacement, code="field-replaced")
    return Problem(join_path(path, key), unknown_key_message(key, known), code="unknown-key")


def unknown_key_message(key: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key: the most similar known key, or all of them."""
    similar = closest_match(key, known)
    return "unknown key. " + (f"Did you mean {similar!r}?" if similar else f"Known keys: {', '.join(sorted(known))}.")


def closest_match(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most similar to `name`, ignoring case, or None; 1 means equal for `cutoff`."""
    by_lower_case = {each.lower(): each for each in known}
    import difflib  # only for a mistake

    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=cutoff)
    return by_lower_case[matches[0]] if matches else None


def join_path(path: str, key: str | int) -> str:
    """Return the JSON path of a key or an index below `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _to_problem(model: type[BaseModel], error: Any, path: str) -> Problem:
    loc = error["loc"]
    for before, part in zip(("", *loc), loc, strict=False):
        # pydantic puts the tag of a discriminated union into the location; the document has no such key.
        is_tag = part in (NUMBER_TAG, EXPRESSION_TAG) or (before == "auth" and part in _AUTH_MODELS)
        path = path if is_tag else join_path(path, part)
    if error["type"] == "extra_forbidden":
        return Problem(path, unknown_key_message(str(loc[-1]), _keys_at(model, loc[:-1])), code="unknown-key")
    return Problem(path, _error_message(error), code=_error_code(error))


def _error_code(error: Any) -> str:
    kind = error["type"]
    if kind == "value_error":
        cause = error["ctx"]["error"]
        return cause.code if isinstance(cause, FieldError) else "invalid-value"
    if kind in _ERROR_CODES:
        return _ERROR_CODES[kind]
    return "wrong-type" if kind.endswith(("_type", "_parsing")) else "invalid-value"


def _error_message(error: Any) -> str:
    context = error.get("ctx", {})
    if message := _ERROR_MESSAGES.get(error["type"]):
        return message.format(**context)
    # The texts of pydantic for the types without a message below, such as "Input should be a finite number".
    text = str(error["msg"]).removeprefix("Input ")
    return f"expected {text.removeprefix('should be ')}." if text.startswith("should be ") else f"{text}."


_ERROR_MESSAGES: Final = {
    "missing": "this field is required.",
    "literal_error": "expected {expected}.",
    "union_tag_not_found": '"auth_type" is required. Set it to "api_key", "basic" or "oauth2".',
    "union_tag_invalid": "unknown auth_type. Expected {expected_tags}.",
    "tuple_type": "expected an array.",
    "dict_type": "expected an object.",
    "model_type": "expected an object.",
    "string_type": "expected a string.",
    "bool_type": "expected true or false.",
    "bool_parsing": "expected true or false.",
    "string_too_short": "cannot be empty.",
    "float_parsing": "expected a number.",
    "float_type": "expected a number.",
    "int_parsing": "expected a whole number.",
    "int_type": "expected a whole number.",
    "int_from_float": "expected a whole number.",
    "greater_than": "expected a number greater than {gt:g}.",
    "greater_than_equal": "expected a number of at least {ge:g}.",
    "less_than_equal": "expected a number of at most {le:g}.",
    "value_error": "{error}",
}
"""Messages for the error types of pydantic."""

_ERROR_CODES: Final = {
    "missing": "missing-key",
    "union_tag_not_found": "missing-key",
    "int_from_float": "wrong-type",
}
"""Codes for the error types of pydantic; `_error_code` derives those of all other types from their names."""


def _keys_at(model: type[BaseModel], loc: Iterable[Any]) -> list[str]:
    """Return the known keys of the object at a pydantic location below `model`."""
    for part in loc:
        if part in _AUTH_MODELS and part not in model.model_fields:
            model = _AUTH_MODELS[part]
        elif field := _find_field((model,), part):
            model = next(_models_in(field.annotation), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _find_field(models: Iterable[type[BaseModel]], key: str) -> FieldInfo | None:
    """Return the field of a key of the document, which is the alias of the field if it has one."""
    for model in models:
        for name, field in model.model_fields.items():
            if (field.alias or name) == key:
                return field
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation: in a union, a tuple or a dictionary as well."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
