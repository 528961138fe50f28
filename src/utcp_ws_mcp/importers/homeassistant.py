"""Import the services of a Home Assistant: each becomes a tool, with its fields and targets as arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import ImportFailed
from ..recorder.templates import REQUEST_ID
from .failures import Inexpressible
from .model import Description, Document, Event, Format, ImportOptions, Operation, Skipped
from .naming import argument_name, hints, is_reading, message_key, summarize, tool_name
from .urls import choose_server, endpoint_fields

_TARGETS: Final[Mapping[str, str]] = {
    "entity_id": "The entities, such as light.kitchen.",
    "device_id": "The devices.",
    "area_id": "The areas, such as kitchen.",
}


def import_services(services: Any, options: ImportOptions, source: str) -> Description:
    """Return a tool for each service that `get_services` lists.

    Raises:
        ImportFailed: if it is not such an answer, or no endpoint is known.
    """
    if not isinstance(services, Mapping) or not all(isinstance(each, Mapping) for each in services.values()):
        raise ImportFailed(f"{source} is no answer to get_services of Home Assistant: it has no services by domain.")
    server = choose_server([], options.url, source)
    skipped: list[Skipped] = []
    operations = list(_operations(services, skipped))
    return Description(
        title="home",
        format=Format.HOMEASSISTANT,
        endpoints={"": {**endpoint_fields(server.url), "preset": options.preset or "homeassistant"}},
        operations=[*operations, _states()],
        skipped=skipped,
        notes=[f"Endpoint: {server.url}.", "The tags are the domains: --tag light imports the services of lights."],
        variables={"HOMEASSISTANT_TOKEN": "a long-lived access token, from the profile of your user"},
    )


def _operations(services: Mapping[str, Mapping[str, Any]], skipped: list[Skipped]) -> Iterator[Operation]:
    for domain, listed in services.items():
        for name, service in listed.items():
            if isinstance(service, Mapping):
                try:
                    yield _operation(domain, name, service)
                except Inexpressible as reason:
                    skipped.append(Skipped(f"{domain}.{name}", str(reason)))


def _states() -> Operation:
    """Return the event that the state of an entity has changed."""
    fields: Document = {
        "description": "Changes of the states of all entities.",
        "open": [
            {"send": {"id": REQUEST_ID, "type": "subscribe_events", "event_type": "state_changed"}},
            {"expect": "message.id == request_id and message.type == 'result'"},
        ],
        "item": "message.event.data",
        "key": "message.event.data.entity_id",
        "close": {"id": "{{ next_id() }}", "type": "unsubscribe_events", "subscription": REQUEST_ID},
    }
    subject = "message.id == request_id and message.type == 'event'"
    return Operation("state_changed", event=Event("states", subject, None, fields), tags=["event"], read_only=True)


def _operation(domain: str, name: str, service: Mapping[str, Any]) -> Operation:
    full = f"{domain}.{name}"
    response = service.get("response")
    only_reads = isinstance(response, Mapping) and response.get("optional") is False
    reads = only_reads or is_reading(name)
    properties: Document = {}
    required: list[str] = []
    target: Document = {}
    data: Document = {}
    if isinstance(service.get("target"), Mapping):
        for each, text in _TARGETS.items():
            properties[each] = {"type": "array", "items": {"type": "string"}, "description": text}
            target[each] = f"{{{{ args.{each} }}}}"
    for key, field in _fields(service.get("fields")):
        argument = argument_name(key, properties)
        properties[argument] = _schema(field)
        data[message_key(key)] = f"{{{{ args.{argument} }}}}"
        required += [argument] if field.get("required") is True else []
    message: Document = {"id": REQUEST_ID, "type": "call_service", "domain": domain, "service": name}
    message |= {"service_data": data} if data else {}
    message |= {"target": target} if target else {}
    message |= {"return_response": True} if isinstance(response, Mapping) else {}
    schema: Document = {"type": "object", "properties": properties}
    schema |= {"required": required} if required else {}
    tool = {
        "name": tool_name(full, ()),
        "description": summarize(service.get("description"), service.get("name"), name=full),
        "inputs": {**schema, "additionalProperties": False},
        "annotations": hints(name, reads),
        "tags": [domain],
        "tool_call_template": {"message": message},
    }
    return Operation(full, tool=tool, tags=[domain], read_only=reads)


def _fields(fields: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the fields of a service, also those in sections such as `advanced_fields`."""
    for key, field in fields.items() if isinstance(fields, Mapping) else ():
        if not isinstance(field, Mapping):
            continue
        if isinstance(field.get("fields"), Mapping):
            yield from _fields(field["fields"])
        else:
            yield str(key), field


def _schema(field: Mapping[str, Any]) -> Document:
    """Return the schema of a field, from the selector with which the user interface asks for it."""
    selector = field.get("selector")
    kind, config = next(iter(selector.items()), ("", None)) if isinstance(selector, Mapping) else ("", None)
    schema = _selector(str(kind), config if isinstance(config, Mapping) else {})
    parts = [str(field.get("description") or field.get("name") or "").strip()]
    unit = config.get("unit_of_measurement") if isinstance(config, Mapping) else None
    parts += [f"In {unit}."] if unit else []
    example = field.get("example")
    parts += [f"For example {example}."] if isinstance(example, str | int | float) and example != "" else []
    text = " ".join(" ".join(part.split()) for part in parts if part)
    return {**schema, "description": text} if text else schema


def _selector(kind: str, config: Mapping[str, Any]) -> Document:
    if kind == "number":
        bounds = (("minimum", config.get("min")), ("maximum", config.get("max")))
        # true and false are integers in Python, but no bounds of a schema.
        numbers = {key: each for key, each in bounds if isinstance(each, int | float) and not isinstance(each, bool)}
        return {"type": "number", **numbers}
    if kind == "select":
        options = [each.get("value") if isinstance(each, Mapping) else each for each in _list(config.get("options"))]
        texts = [each for each in options if isinstance(each, str)]
        one: Document = (
            {"type": "string"} if config.get("custom_value") or not texts else {"type": "string", "enum": texts}
        )
        return {"type": "array", "items": one} if config.get("multiple") else one
    if kind in _ARRAYS:
        return {"type": "array", "items": {"type": _ARRAYS[kind]}}
    if kind in _PLAIN:
        one = {"type": _PLAIN[kind]}
        return {"type": "array", "items": one} if config.get("multiple") else one
    return {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_ARRAYS: Final[Mapping[str, str]] = {"color_rgb": "integer"}
_PLAIN: Final[Mapping[str, str]] = {
    **dict.fromkeys(("text", "entity", "device", "area", "floor", "label", "template", "icon", "theme"), "string"),
    **dict.fromkeys(("time", "date", "datetime", "addon", "backup_location", "state", "attribute", "media"), "string"),
    **dict.fromkeys(("config_entry", "conversation_agent", "language", "constant", "statistic"), "string"),
    **dict.fromkeys(("object", "duration", "location", "action", "condition", "trigger"), "object"),
    "boolean": "boolean",
    "color_temp": "number",
}
