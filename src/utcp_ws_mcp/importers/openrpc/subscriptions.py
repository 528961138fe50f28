"""The forms in which JSON-RPC endpoints offer events: five dialects of subscriptions, and notifications."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...recorder.templates import escape_template
from ...records import Record
from ..model import Document, Event, Operation
from ..naming import message_key, summarize, words
from ..shapes import objects
from .params import Parameters

_LISTENING: Final = "message.id == request_id and message.result is defined and message.result.listening is not defined"
_TOKENS: Final = "message.params.subscription, message.params.subscription_id, message.params.subscriptionId"
_ITEM: Final = "message.params.result | default(message.params.payload) | default(message.params)"
_EVENT_WORDS: Final = frozenset({"event", "events", "notification", "notify", "subscription", "changed", "changes"})


class Role(Record):
    """What a method is for subscriptions: `kind` is listen, subscribe, unsubscribe or notification.

    `partner` is the method that ends a subscription.
    """

    kind: str
    partner: str = ""


def find_roles(methods: Sequence[Mapping[str, Any]], extensions: Mapping[str, Mapping[str, Any]]) -> dict[str, Role]:
    """Return the role of each method that is not an ordinary one.

    Args:
        methods: The methods, resolved.
        extensions: The subscriptions that the document lists outside of its methods, by the method that begins them.
    """
    names = {str(each["name"]) for each in methods}
    ended = {str(each.get("unsubscribe")) for each in extensions.values()}
    roles = {}
    for method in methods:
        name = str(method["name"])
        if name in ended or "unsubscribe" in words(name):
            roles[name] = Role("unsubscribe")
        elif has_listen(method):
            roles[name] = Role("listen")
        elif "subscribe" in words(name) and "result" in method:
            roles[name] = Role("subscribe", _partner(name, names))
        elif "result" not in method and (_EVENT_WORDS & {*words(name)} or words(name)[:1] == ["on"]):
            roles[name] = Role("notification")
    return roles


def has_listen(method: Mapping[str, Any]) -> bool:
    """Return whether a method begins and ends a subscription by its argument `listen`, as Firebolt does."""
    return any(isinstance(each, Mapping) and each.get("name") == "listen" for each in method.get("params", ()))


def _partner(name: str, names: set[str]) -> str:
    """Return the method that ends what this method begins, by its name, also where the document does not have it."""
    own = re.sub(r"subscribe", "unsubscribe", name, count=1, flags=re.IGNORECASE)
    own = own.replace("unsubscribe", "Unsubscribe", 1) if "Subscribe" in name else own
    shared = re.sub(r"(?i)(subscribe)\w*\Z", "unsubscribe", name)
    return next((each for each in (own, shared) if each in names), own)


def listen_feed(name: str, method: Mapping[str, Any], parameters: Parameters) -> Document:
    """Return the feed of a method with the argument `listen`."""
    listen = parameters.names["listen"]
    inputs = _without(parameters.inputs, listen)
    others = {key: value for key, value in parameters.template().items() if value != f"{{{{ args.{listen} }}}}"}
    feed: Document = {
        "name": name,
        "description": summarize(method.get("summary"), method.get("description"), name=name),
        **({"inputs": inputs} if inputs["properties"] else {}),
        "open": _open(str(method["name"]), {**others, "listen": True}),
        "match": _LISTENING,
        "item": "message.result",
        "close": request(str(method["name"]), {**others, "listen": False}, "{{ next_id() }}"),
    }
    return feed


def subscription_feed(
    name: str, method: Mapping[str, Any], parameters: Parameters, token: str, partner: tuple[str, bool, str]
) -> Document:
    """Return the feed of a method that begins a subscription.

    Args:
        name: The name of the feed.
        method: The method, resolved.
        parameters: Its parameters.
        token: The expression of the ID of the subscription.
        partner: The method that ends the subscription, whether it reads its parameter by position, and that one's name.
    """
    ending, by_position, argument = partner
    params: Any = [f"{{{{ {token} }}}}"] if by_position else {message_key(argument): f"{{{{ {token} }}}}"}
    return {
        "name": name,
        "description": summarize(method.get("summary"), method.get("description"), name=name),
        **({"inputs": parameters.inputs} if parameters.names else {}),
        "open": _open(str(method["name"]), parameters.template()),
        "match": f"message.method is defined and {token} in [{_TOKENS}]",
        "item": _ITEM,
        "close": request(ending, params, "{{ next_id() }}"),
    }


def token_expression(schema: Any) -> str:
    """Return the expression of the ID of a subscription in its reply, whose result has this schema."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    names = [each for each in properties or () if {"subscription", "id"} & {*words(str(each))}]
    named = next((each for each in names if re.fullmatch(r"[A-Za-z_]\w*", each)), None)
    return f"reply.result.{named}" if named else "reply.result"


def notification(name: str) -> Event:
    """Return the event that a notification of the server is."""
    described = {"description": "What the endpoint notifies of.", "item": "message"}
    return Event("notifications", "message.method", name, described)


def mopidy_events() -> Operation:
    """Return the events of Mopidy, which core.describe does not list."""
    fields = {"description": "What Mopidy does, such as track_playback_started.", "item": "message"}
    return Operation("events", event=Event("mopidy", "message.event is defined", None, fields), read_only=True)


def extension_subscriptions(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the subscriptions that stand outside of the methods, as fastapi-rpckit writes them."""
    for each in objects(document.get("x-rpc-subscriptions")):
        if isinstance(each.get("subscribe"), str):
            yield each


def extension_notifications(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the notifications of the server that stand outside of the methods."""
    for key in ("x-rpc-notifications", "x-notifications", "notifications"):
        for each in objects(document.get(key)):
            if isinstance(each.get("name"), str):
                yield each


def request(method: str, params: Any, request_id: str = "{{ request_id }}") -> Document:
    """Return the message of a request."""
    return {"jsonrpc": "2.0", "id": request_id, "method": escape_template(method, ()), "params": params}


def _open(method: str, params: Any) -> list[Document]:
    return [{"send": request(method, params)}, {"expect": "message.id == request_id and message.method is not defined"}]


def _without(inputs: Document, name: str) -> Document:
    properties = {key: value for key, value in inputs["properties"].items() if key != name}
    required = [each for each in inputs.get("required", ()) if each != name]
    changed = {**inputs, "properties": properties, "required": required}
    return changed if required else {key: value for key, value in changed.items() if key != "required"}


def is_notified_by(name: str, subscriptions: Sequence[str]) -> bool:
    """Return whether a notification is what one of the subscriptions gives: they share their namespace."""
    space = re.split(r"[_.]", name)[0]
    return any(re.split(r"[_.]", each)[0] == space for each in subscriptions)
