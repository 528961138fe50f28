"""Check a document against a model, and say what is wrong in words that help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ..errors import Problem
from .models.base import EXPRESSION_TAG, NUMBER_TAG, Json
from .variables import DOCUMENTATION_KEYS, TEMPLATE_KEYS

M = TypeVar("M", bound=BaseModel)

COMMENT_KEY = "$comment"
"""A key that may stand in every object of a local manifest and means nothing."""

_CONTENT_KEYS = TEMPLATE_KEYS | DOCUMENTATION_KEYS | {"send", "defaults"}
_UNION_TAGS = frozenset({"api_key", "basic", "oauth2"})


def check_model(model: type[M], raw: Json, path: str) -> tuple[M | None, list[Problem]]:
    """The document as a `model`, or every problem of it with its JSON path."""
    try:
        return model.model_validate(raw), []
    except ValidationError as invalid:
        return None, [_to_problem(model, error, path) for error in invalid.errors(include_url=False)]


def strip_comments(raw: Json) -> Json:
    """The document without its comments; below templates and schemas `$comment` is content, and stays."""
    if isinstance(raw, dict):
        items = ((key, value) for key, value in raw.items() if key != COMMENT_KEY)
        return {key: value if key in _CONTENT_KEYS else strip_comments(value) for key, value in items}
    return [strip_comments(item) for item in raw] if isinstance(raw, list) else raw


def is_deeper(value: Json, limit: int) -> bool:
    """Whether a document is nested more than `limit` deep."""
    level = [value]
    for _ in range(limit + 1):
        objects = [item for each in level if isinstance(each, dict) for item in each.values()]
        level = objects + [item for each in level if isinstance(each, list) for item in each]
        if not level:
            return False
    return True


def unknown_keys(raw: Mapping[str, Json], known: Iterable[str], path: str) -> list[Problem]:
    """A problem for each key that is not known, with the nearest known one."""
    known = sorted(known)
    return [Problem(join_path(path, key), unknown_key_message(key, known)) for key in raw if key not in known]


def unknown_key_message(key: str, known: Iterable[str]) -> str:
    """What to say of a key that nobody reads."""
    near = closest_match(key, known)
    return "unknown key" + (f"; did you mean {near!r}?" if near else f"; known are {', '.join(sorted(known))}")


def closest_match(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, in whatever case it is written."""
    spelt = {each.lower(): each for each in known}
    matches = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.6)
    return spelt[matches[0]] if matches else None


def join_path(path: str, key: str | int) -> str:
    """The JSON path of a key or an index below `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _to_problem(model: type[BaseModel], error: Any, path: str) -> Problem:
    loc = error["loc"]
    for before, part in zip(("", *loc), loc, strict=False):
        is_tag = part in (NUMBER_TAG, EXPRESSION_TAG) or (before == "auth" and part in _UNION_TAGS)
        path = path if is_tag else join_path(path, part)
    if error["type"] == "extra_forbidden":
        return Problem(path, unknown_key_message(str(loc[-1]), _fields_at(model, loc[:-1])))
    return Problem(path, _error_message(error))


def _error_message(error: Any) -> str:
    context = error.get("ctx", {})
    if sentence := _ERROR_MESSAGES.get(error["type"]):
        return sentence.format(**context)
    text = str(error["msg"]).removeprefix("Input ")
    return f"expected {text.removeprefix('should be ')}" if text.startswith("should be ") else text


_ERROR_MESSAGES = {
    "missing": "is required",
    "literal_error": "expected {expected}",
    "union_tag_not_found": 'needs "auth_type": "api_key", "basic" or "oauth2"',
    "union_tag_invalid": "unknown auth_type; expected {expected_tags}",
    "tuple_type": "expected an array",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "string_type": "expected a string",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_too_short": "cannot be empty",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "greater_than": "expected a number greater than {gt:g}",
    "greater_than_equal": "expected a number of at least {ge:g}",
    "less_than_equal": "expected a number of at most {le:g}",
    "value_error": "{error}",
}
"""What to say of pydantic's error types."""


def _fields_at(model: type[BaseModel], loc: Iterable[Any]) -> list[str]:
    """The known keys of the object at `loc` below `model`."""
    for part in loc:
        if part in _AUTH_MODELS and part not in model.model_fields:
            model = _AUTH_MODELS[part]
        elif isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, also in an optional, a tuple or a dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((inner for inner in found if inner is not None), None)


def _auth_models() -> dict[str, type[BaseModel]]:
    from .models.auth import ApiKeyAuth, BasicAuth, OAuth2Auth

    return {"api_key": ApiKeyAuth, "basic": BasicAuth, "oauth2": OAuth2Auth}


_AUTH_MODELS = _auth_models()
