"""What JSON-RPC endpoints without OpenRPC say of their methods, rewritten as OpenRPC: Kodi, Mopidy, TrueNAS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ..model import Document
from ..naming import is_reading
from ..shapes import mapping, objects

Recognizer = Callable[[Any], bool]


def recognize(document: Any) -> Callable[[Mapping[str, Any]], Document] | None:
    """Return the function that rewrites an answer as OpenRPC, or None if it is no such answer."""
    answer = unwrap(document)
    return next((rewrite for recognizes, rewrite in _FORMS if recognizes(answer)), None)


def as_openrpc(document: Any) -> Document:
    """Return a document as OpenRPC; one that is OpenRPC already is returned as it is."""
    answer = unwrap(document)
    rewrite = recognize(answer)
    rewritten: Document = answer if rewrite is None else rewrite(answer)
    return rewritten


def unwrap(document: Any) -> Any:
    """Return the result of a JSON-RPC reply, if a document is one."""
    if isinstance(document, Mapping) and "result" in document and "jsonrpc" in document:
        return document["result"]
    return document


def _is_kodi(answer: Any) -> bool:
    return isinstance(answer, Mapping) and isinstance(answer.get("methods"), dict) and "types" in answer


def _is_mopidy(answer: Any) -> bool:
    return _all_methods(answer, lambda each: isinstance(each.get("params"), list) and "description" in each)


def _is_truenas(answer: Any) -> bool:
    return _all_methods(answer, lambda each: "accepts" in each or "returns" in each)


def _all_methods(answer: Any, fits: Recognizer) -> bool:
    if not isinstance(answer, Mapping) or not answer:
        return False
    return all("." in name and isinstance(each, Mapping) and fits(each) for name, each in answer.items())


def _from_kodi(answer: Mapping[str, Any]) -> Document:
    types = {name: _kodi_schema(schema) for name, schema in mapping(answer["types"]).items()}
    methods = [_kodi_method(name, each) for name, each in answer["methods"].items() if isinstance(each, Mapping)]
    notifications = answer.get("notifications")
    return {
        "openrpc": "1.2.6",
        "info": {"title": "Kodi"},
        "methods": methods,
        "notifications": [{"name": name} for name in notifications] if isinstance(notifications, Mapping) else [],
        "components": {"schemas": types},
    }


def _kodi_method(name: str, method: Mapping[str, Any]) -> Document:
    parameters = objects(method.get("params"))
    permission = method.get("permission")
    return {
        "name": name,
        "description": method.get("description", ""),
        "paramStructure": "by-name",
        "params": [
            {"name": each.get("name"), "required": each.get("required", False), "schema": _kodi_schema(each)}
            for each in parameters
        ],
        "result": {"name": "result", "schema": _kodi_schema(method.get("returns"))},
        **({} if permission is None else {"x-read-only": permission == "ReadData"}),
    }


_KODI_KEYS: Final = frozenset({"name", "required", "id", "$ref", "extends", "type"})


def _kodi_schema(schema: Any) -> Any:
    """Return a schema of Kodi, which uses JSON Schema 3, as one of today: types may be schemas, `$ref` are names."""
    if isinstance(schema, str):
        return {} if schema in ("any", "null") else {"type": schema}
    if not isinstance(schema, Mapping):
        return {}
    written = {key: value for key, value in schema.items() if key not in _KODI_KEYS}
    for key in ("properties", "patternProperties"):
        if isinstance(written.get(key), Mapping):
            listed = written[key]
            written[key] = {name: _kodi_schema(each) for name, each in listed.items()}
            required = [
                name for name, each in listed.items() if isinstance(each, Mapping) and each.get("required") is True
            ]
            written |= {"required": required} if required and key == "properties" else {}
    for key in ("items", "additionalProperties"):
        if isinstance(written.get(key), Mapping):
            written[key] = _kodi_schema(written[key])
    return written | _kodi_type(schema)


def _kodi_type(schema: Mapping[str, Any]) -> Document:
    bases = schema.get("extends", schema.get("$ref"))
    parts: list[Any] = [{"$ref": f"#/components/schemas/{each}"} for each in _as_list(bases) if isinstance(each, str)]
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "any":
        own: Document = {"type": kind}
    elif isinstance(kind, list):
        own = {"anyOf": [_kodi_schema(each) for each in kind]}
    else:
        own = {}
    if not parts:
        return own
    return {"$ref": parts[0]["$ref"]} if len(parts) == 1 and "extends" not in schema else {**own, "allOf": parts}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _from_mopidy(answer: Mapping[str, Any]) -> Document:
    return {
        "openrpc": "1.2.6",
        "info": {"title": "Mopidy"},
        "methods": [
            {
                "name": name,
                "description": each.get("description") or "",
                "paramStructure": "by-name",
                "params": list(_mopidy_params(each["params"])),
                "result": {"name": "result"},
                "deprecated": bool(re.match(r"\s*(?:\.\. )?deprecated", str(each.get("description")), re.IGNORECASE)),
            }
            for name, each in answer.items()
        ],
        "x-preset": "mopidy",
    }


def _mopidy_params(params: Any) -> Iterator[Document]:
    """Yield the parameters of a method of Mopidy, which have names and defaults but no types."""
    for each in params:
        if isinstance(each, Mapping) and "varargs" not in each and "kwargs" not in each:
            schema = {"default": each["default"]} if each.get("default") is not None else {}
            yield {"name": each.get("name"), "required": "default" not in each, "schema": schema}


def _from_truenas(answer: Mapping[str, Any]) -> Document:
    return {
        "openrpc": "1.2.6",
        "info": {"title": "TrueNAS"},
        "methods": [
            {
                "name": name,
                "description": each.get("description") or each.get("cli_description") or "",
                "paramStructure": "by-position",
                "params": list(_truenas_params(each.get("accepts"))),
                "result": {"name": "job" if each.get("job") else "result"},
                "x-read-only": is_reading(name) or str(name).rpartition(".")[2] in ("query", "get_instance", "config"),
            }
            for name, each in answer.items()
        ],
    }


def _truenas_params(accepts: Any) -> Iterator[Document]:
    for index, each in enumerate(accepts if isinstance(accepts, list) else ()):
        if isinstance(each, Mapping):
            name = each.get("_name_") or each.get("title") or f"argument_{index + 1}"
            required = each.get("_required_", "default" not in each)
            schema = {key: value for key, value in each.items() if not key.startswith("_")}
            yield {"name": str(name), "required": bool(required), "schema": schema}


_FORMS: Final = ((_is_kodi, _from_kodi), (_is_mopidy, _from_mopidy), (_is_truenas, _from_truenas))
"""The forms of answers, the most special first."""

QUESTIONS: Final[Mapping[str, Document]] = {
    "rpc.discover": {},
    "JSONRPC.Introspect": {"getdescriptions": True, "getmetadata": True},
    "core.describe": {},
    "core.get_methods": {},
}
"""The methods that describe an endpoint with their parameters, in the order in which they are tried."""
