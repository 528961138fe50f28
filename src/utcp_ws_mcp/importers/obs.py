"""Import protocol.json of obs-websocket: requests become tools, events feeds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..errors import ImportFailed
from .model import Description, Document, Event, Format, ImportOptions, Operation, Skipped, Status
from .naming import hints, is_reading, summarize, tool_name
from .shapes import objects
from .urls import endpoint_fields

DEFAULT_ENDPOINT: Final = "ws://127.0.0.1:4455"
"""The endpoint of an OBS on this machine with the usual port."""

_TYPES: Final[Mapping[str, Document]] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
    "any": {},
}
_ARRAY: Final = re.compile(r"array<(\w+)>\Z", re.IGNORECASE)
_SHIFT: Final = re.compile(r"\(?\s*(\d+)\s*<<\s*(\d+)\s*\)?\Z")


def import_obs(document: Mapping[str, Any], options: ImportOptions, source: str) -> Description:
    """Return the requests and events of obs-websocket.

    Raises:
        ImportFailed: if there are no requests.
    """
    requests = document.get("requests")
    if not isinstance(requests, list):
        raise ImportFailed(f'{source} has no array "requests", so it is no protocol.json of obs-websocket.')
    url = options.url or DEFAULT_ENDPOINT
    skipped: list[Skipped] = []
    operations = [*_requests(requests, skipped), *_events(document)]
    usual = "" if options.url else " (the usual port; --url changes it)"
    return Description(
        title="obs",
        format=Format.OBS,
        version=str(max((each.get("initialVersion", "") for each in objects(requests)), key=_version, default="")),
        endpoints={"": {**endpoint_fields(url), "preset": options.preset or "obs5"}},
        operations=operations,
        skipped=skipped,
        notes=[f"Endpoint: {url}{usual}."],
        variables={"OBS_PASSWORD": "the password of the WebSocket server, if OBS asks for one"},
    )


def _version(text: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", str(text)))


def _requests(requests: Sequence[Any], skipped: list[Skipped]) -> Iterator[Operation]:
    names: set[str] = set()
    for request in objects(requests):
        name = str(request.get("requestType"))
        if "only available in request batches" in str(request.get("description", "")).lower():
            skipped.append(Skipped(name, "it works only inside a batch of requests"))
            continue
        reads = is_reading(name)
        tool: Document = {
            "name": tool_name(name, names),
            "description": summarize(request.get("description"), name=name, returns=_returns(request)),
            "inputs": inputs_of(objects(request.get("requestFields"))),
            "annotations": hints(name, reads),
            "tags": [str(request.get("category"))],
        }
        names.add(tool["name"])
        yield Operation(name, tool=tool, tags=tool["tags"], read_only=reads, status=_status(request))


def _status(item: Mapping[str, Any]) -> Status:
    return Status.DEPRECATED if item.get("deprecated") is True else Status.STABLE


def _returns(request: Mapping[str, Any]) -> str:
    names = [str(each.get("valueName")) for each in objects(request.get("responseFields"))]
    return f"Returns: {', '.join(names)}." if names else ""


def inputs_of(fields: Sequence[Mapping[str, Any]]) -> Document:
    """Return the schema of the fields of a request; a field `a.b` is a member of the object `a`."""
    schema: Document = {"type": "object", "properties": {}, "additionalProperties": False}
    for each in fields:
        *parents, name = str(each.get("valueName")).split(".")
        place = schema
        for parent in parents:
            below = place["properties"].setdefault(parent, {"type": "object"})
            below.setdefault("properties", {})
            place = below
        properties = place.setdefault("properties", {})
        properties[name] = {**properties.get(name, {}), **_field(each)}
        if each.get("valueOptional") is not True:
            place.setdefault("required", []).append(name)
    return schema


def _field(each: Mapping[str, Any]) -> Document:
    kind = str(each.get("valueType", "any")).lower()
    array = _ARRAY.match(kind)
    schema: Document = (
        {"type": "array", "items": dict(_TYPES.get(array[1], {}))} if array else dict(_TYPES.get(kind, {}))
    )
    parts = [str(each.get("valueDescription") or "").strip().rstrip(".")]
    restrictions, otherwise = each.get("valueRestrictions"), each.get("valueOptionalBehavior")
    parts += [f"Restrictions: {restrictions}"] if restrictions and restrictions != "None" else []
    known = otherwise and str(otherwise).lower() not in ("unknown", "none")
    parts += [f"If missing: {otherwise}"] if known and each.get("valueOptional") is True else []
    bounds = re.match(r">= (-?\d+(?:\.\d+)?)(?:, <= (-?\d+(?:\.\d+)?))?\Z", str(restrictions))
    if bounds and kind == "number":
        schema["minimum"] = float(bounds[1]) if "." in bounds[1] else int(bounds[1])
        if bounds[2]:
            schema["maximum"] = float(bounds[2]) if "." in bounds[2] else int(bounds[2])
    text = ". ".join(" ".join(part.split()) for part in parts if part)
    return {**schema, "description": f"{text}."} if text else schema


def _events(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Yield the events: those that OBS sends anyway, and those that it sends only on request because they are many."""
    bits, usual = _subscriptions(document)
    many = sum(value for name, value in bits.items() if name not in usual)
    everything = sum(bits[name] for name in usual if name in bits) | many
    for event in objects(document.get("events")):
        name, kind = str(event.get("eventType")), str(event.get("eventSubscription"))
        is_rare = not usual or kind in usual
        fields: Document = {"description": "What happens in OBS.", "item": "message.d"}
        if not is_rare:
            send = {"op": 3, "d": {"eventSubscriptions": everything}}
            fields = {
                "description": "Events that OBS sends often, such as the levels of all inputs many times a second.",
                "item": "message.d",
                "open": [{"send": send}, {"expect": "message.op == 2"}],
                "close": {"op": 3, "d": {"eventSubscriptions": everything - many}},
            }
        yield Operation(
            name,
            event=Event("obs" if is_rare else "obs_frequent", "message.d.eventType", name, fields),
            tags=[str(event.get("category"))],
            read_only=True,
            status=_status(event),
            only_if_asked=not is_rare,
        )


def _subscriptions(document: Mapping[str, Any]) -> tuple[dict[str, int], set[str]]:
    """Return the bit of each kind of events, and the kinds that are sent without being asked for."""
    found = [each for each in objects(document.get("enums")) if each.get("enumType") == "EventSubscription"]
    bits: dict[str, int] = {}
    usual: set[str] = set()
    for each in objects(found[0].get("enumIdentifiers")) if found else ():
        name, value = str(each.get("enumIdentifier")), str(each.get("enumValue"))
        if shift := _SHIFT.match(value):
            bits[name] = int(shift[1]) << int(shift[2])
        elif name == "All":
            usual = {*re.findall(r"\w+", value)}
    return bits, usual
