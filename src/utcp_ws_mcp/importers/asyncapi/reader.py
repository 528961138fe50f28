"""Read documents of AsyncAPI 2 and 3."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from ...errors import ImportFailed
from ..failures import Inexpressible
from ..references import References
from ..shapes import objects, texts
from ..urls import fill_variables
from .model import Api, ApiOperation, ApiServer, Channel, Message
from .socketio import is_socketio, server_url
from .viewpoint import is_request

SCHEMA_FORMATS: Final = re.compile(
    r"(?:$|application/(?:vnd\.aai\.asyncapi|schema|vnd\.oai\.openapi)[+;]|application/json)"
)
"""Formats of payload schemas that are JSON Schema, or nearly."""

_PROTOCOLS: Final = re.compile(r"\Aweb-?sockets?\Z")
"""What some documents call `ws`."""


def read_api(document: Mapping[str, Any], references: References, source: str) -> Api:
    """Return a document of version 2 or 3.

    Raises:
        ImportFailed: if it is of another version.
    """
    version = str(document.get("asyncapi"))
    if not version.startswith(("2.", "3.")):
        message = f"{source} has the version {version} of AsyncAPI; 2 and 3 can be imported. Convert the document."
        raise ImportFailed(message, code="description-version")
    reader = _Reader(document, references)
    is_version_2 = reader.has_form_of_version_2(version)
    listed = list(reader.operations_2() if is_version_2 else reader.operations_3())
    info = reader.mapping(document.get("info"))
    return Api(
        title=str(info.get("title") or "api"),
        version=version,
        servers=list(reader.servers()),
        operations=listed,
        schemes=reader.schemes(),
        problems=reader.problems,
        notes=reader.notes,
        is_version_2=is_version_2,
    )


class _Reader:
    def __init__(self, document: Mapping[str, Any], references: References) -> None:
        self._document = document
        self._references = references
        self._channels: dict[str, Channel] = {}
        self.problems: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def has_form_of_version_2(self, version: str) -> bool:
        """Return whether the document has the form of version 2, and note it if that is not the version it says."""
        says_2 = version.startswith("2")
        channels = map(self._peek, self._peek(self._document.get("channels")).values())
        is_other = (
            "operations" in self._document
            if says_2
            else any("publish" in each or "subscribe" in each for each in channels)
        )
        if is_other:
            self.notes.append(f"The document has the form of version {3 if says_2 else 2}, and is read as such.")
        return says_2 is not is_other

    def mapping(self, value: Any) -> Mapping[str, Any]:
        """Return an object that a value is or refers to; an empty one for anything else."""
        resolved = self._references.resolve(value)
        return resolved if isinstance(resolved, Mapping) else {}

    def _peek(self, value: Any) -> Mapping[str, Any]:
        """Return the same, and an empty object if a reference leads nowhere: one server must not fail the document."""
        try:
            return self.mapping(value)
        except Inexpressible:
            return {}

    def _component(self, kind: str) -> Mapping[str, Any]:
        return self._peek(self._peek(self._document.get("components")).get(kind))

    def schemes(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the security schemes by their key."""
        return {key: self._peek(value) for key, value in self._component("securitySchemes").items()}

    # Servers

    def servers(self) -> Iterator[ApiServer]:
        """Yield the servers."""
        for key, value in self._peek(self._document.get("servers")).items():
            server = self._peek(value)
            protocol = _PROTOCOLS.sub("ws", str(server.get("protocol", "")).lower())
            address = server.get("url") or f"{str(server.get('host', '')).rstrip('/')}{_path(server.get('pathname'))}"
            if not address:
                continue
            url = str(address) if "://" in str(address) else f"{protocol}://{address}"
            title = self._peek(self._document.get("info")).get("title")
            filled = fill_variables(url, self._peek(server.get("variables")), title, self._peek)
            filled = server_url(filled) if is_socketio(protocol) else filled
            bindings = _resolved(self._peek(self._peek(server.get("bindings")).get("ws")), self._peek)
            yield ApiServer(key, filled, protocol, list(self._requirements(server.get("security"))), bindings)

    def _requirements(self, security: Any) -> Iterator[Mapping[str, Any]]:
        """Yield the schemes of which one is needed: in version 3 the schemes, in 2 their names."""
        for each in security if isinstance(security, list) else ():
            scheme = self._peek(each)
            if "type" in scheme:
                reference = each.get("$ref", "") if isinstance(each, Mapping) else ""
                yield {"key": reference.rpartition("/")[2] or str(scheme["type"]), **scheme}
            else:
                schemes = self.schemes()
                yield from ({"key": name, **schemes[name]} for name in scheme if name in schemes)

    # Messages

    def message(self, name: str, value: Any) -> Message:
        """Return a message with its traits."""
        message = self._with_traits(self.mapping(value))
        payload, schema_format = message.get("payload", {}), str(message.get("schemaFormat", ""))
        resolved = self._references.resolve(payload) if isinstance(payload, Mapping) else payload
        if isinstance(resolved, Mapping) and "schemaFormat" in resolved and "schema" in resolved:
            payload, schema_format = resolved["schema"], str(resolved["schemaFormat"])
        location = self.mapping(message.get("correlationId")).get("location")
        content_type = str(message.get("contentType") or self._document.get("defaultContentType", ""))
        is_string = isinstance(resolved, Mapping) and resolved.get("type") == "string"
        return Message(
            name=str(message.get("name") or message.get("messageId") or name),
            payload=payload,
            correlation=location if isinstance(location, str) else None,
            content_type=content_type,
            texts=[message.get(key) for key in ("summary", "title", "description")],
            schema_format=schema_format,
            key=name,
            responses=self._responses(message),
            is_text=is_string and "json" not in content_type,
            has_headers=bool(self.mapping(message.get("headers"))),
        )

    def _responses(self, message: Mapping[str, Any]) -> list[Message]:
        """Return the messages of `x-response`, which is a message or the schema of its payload."""
        response = self.mapping(message.get("x-response"))
        if not response:
            return []
        return [self.message("response", response if "payload" in response else {"payload": message["x-response"]})]

    def _with_traits(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object with its traits; what it says itself wins."""
        merged: dict[str, Any] = {}
        for trait in value.get("traits") or ():
            merged = _merge(merged, self.mapping(trait))
        return _merge(merged, {key: item for key, item in value.items() if key != "traits"})

    def _tags(self, value: Mapping[str, Any]) -> list[str]:
        names = (self.mapping(each).get("name") for each in value.get("tags") or ())
        return [name for name in names if isinstance(name, str) and "$" not in name]

    def _websocket_bindings(self, channel: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the bindings of a channel to WebSocket.

        Raises:
            Inexpressible: if it is bound to HTTP instead.
        """
        bindings = self.mapping(channel.get("bindings"))
        if "http" in bindings and "ws" not in bindings:
            raise Inexpressible("its channel is bound to HTTP, and not to WebSocket")
        return _resolved(self.mapping(bindings.get("ws")), self.mapping)

    # Version 3

    def _channel_3(self, reference: Any) -> Channel:
        target = reference.get("$ref") if isinstance(reference, Mapping) else None
        key = str(target).rpartition("/")[2].replace("~1", "/").replace("~0", "~") if target else "channel"
        if key not in self._channels:
            value = self.mapping(reference)
            messages = {name: self.message(name, each) for name, each in self.mapping(value.get("messages")).items()}
            address = value.get("address")
            self._channels[key] = Channel(
                key=key,
                address=address if isinstance(address, str) else None,
                messages=messages,
                parameters={name: self.mapping(each) for name, each in self.mapping(value.get("parameters")).items()},
                bindings=self._websocket_bindings(value),
                servers=[str(each.get("$ref", "")).rpartition("/")[2] for each in objects(value.get("servers"))],
                texts=[value.get("summary"), value.get("description"), value.get("title")],
            )
        return self._channels[key]

    def operations_3(self) -> Iterator[ApiOperation]:
        """Yield the operations of a document of version 3."""
        operations = self.mapping(self._document.get("operations"))
        if not operations:
            yield from self._operations_of_channels()
        for key, listed in operations.items():
            try:
                operation = self._with_traits(self.mapping(listed))
                channel = self._channel_3(operation.get("channel"))
                reply = operation.get("reply")
                replies = None if reply is None else self._replies(self.mapping(reply), channel)
                messages = self._messages_3(operation.get("messages"), channel)
                yield self._operation(key, operation, operation.get("action") != "send", channel, messages, replies)
            except Inexpressible as reason:
                self.problems.append((key, str(reason)))

    def _operations_of_channels(self) -> Iterator[ApiOperation]:
        """Yield operations for the channels of a document that has none: by the names of messages."""
        channels = self.mapping(self._document.get("channels"))
        for key in channels:
            try:
                channel = self._channel_3({"$ref": f"#/channels/{key.replace('~', '~0').replace('/', '~1')}"})
            except Inexpressible as reason:
                self.problems.append((key, str(reason)))
                continue
            sent = [message for message in channel.messages.values() if is_request(message.name)]
            received = [message for message in channel.messages.values() if message not in sent]
            yield from (self._operation(f"{key} {each.name}", {}, True, channel, [each], None) for each in sent)
            if received:
                yield self._operation(key, {}, False, channel, received, None)
        if channels:
            self.notes.append(
                "The document has no operations: messages that are called like requests are those of clients, and "
                "all others are what the endpoint sends. Check both."
            )

    def _messages_3(self, listed: Any, channel: Channel) -> list[Message]:
        """Return the messages of an operation: those that it refers to, or all of its channel."""
        if not isinstance(listed, list):
            return list(channel.messages.values())
        found = []
        for each in listed:
            reference = str(each.get("$ref", "")) if isinstance(each, Mapping) else ""
            key = reference.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
            found.append(channel.messages.get(key) or self.message(key or "message", each))
        return found

    def _replies(self, reply: Mapping[str, Any], channel: Channel) -> list[Message]:
        answering = self._channel_3(reply["channel"]) if "channel" in reply else channel
        if "channel" not in reply and "messages" not in reply:
            return []
        return self._messages_3(reply.get("messages"), answering)

    def _operation(
        self,
        key: str,
        operation: Mapping[str, Any],
        receives: bool,
        channel: Channel,
        messages: Sequence[Message],
        replies: Sequence[Message] | None,
    ) -> ApiOperation:
        return ApiOperation(
            key=key,
            receives=receives,
            channel=channel,
            messages=messages,
            replies=replies,
            texts=[operation.get(name) for name in ("summary", "title", "description")],
            tags=self._tags(operation),
            deprecated=operation.get("deprecated") is True or operation.get("x-deprecated") is True,
            security=list(self._requirements(operation.get("security"))),
        )

    # Version 2

    def operations_2(self) -> Iterator[ApiOperation]:
        """Yield the operations of a document of version 2: clients publish what the application receives."""
        for address, listed in self.mapping(self._document.get("channels")).items():
            for action in ("publish", "subscribe"):
                try:
                    value = self.mapping(listed)
                    if action in value:
                        yield self._operation_2(address, value, action)
                except Inexpressible as reason:
                    self.problems.append((f"{address} {action}", str(reason)))

    def _operation_2(self, address: str, value: Mapping[str, Any], action: str) -> ApiOperation:
        operation = self._with_traits(self.mapping(value[action]))
        messages = self._messages_2(operation.get("message"), "message")
        channel = Channel(
            key=address,
            address=address,
            messages={each.name: each for each in messages},
            parameters={name: self._parameter_2(each) for name, each in self.mapping(value.get("parameters")).items()},
            bindings=self._websocket_bindings(value),
            servers=texts(value.get("servers")),
            texts=[value.get("description")],
        )
        key = str(operation.get("operationId") or f"{address} {action}")
        replies = operation.get("x-response") or operation.get("x-reply")
        answers = self._messages_2(replies, "response") if replies else None
        return self._operation(key, operation, action == "publish", channel, messages, answers)

    def _parameter_2(self, value: Any) -> dict[str, Any]:
        """Return the schema of a parameter with its description, as version 3 writes them."""
        parameter = self.mapping(value)
        described = {key: parameter[key] for key in ("description", "location") if key in parameter}
        return {**self.mapping(parameter.get("schema")), **described}

    def _messages_2(self, value: Any, name: str) -> list[Message]:
        resolved = self.mapping(value)
        listed = resolved.get("oneOf")
        if not isinstance(listed, list):
            return [self.message(_key(value) or name, value)] if resolved else []
        return [self.message(_key(each) or f"{name}_{number}", each) for number, each in enumerate(listed, 1)]


def _key(value: Any) -> str:
    reference = value.get("$ref") if isinstance(value, Mapping) else None
    return reference.rpartition("/")[2] if isinstance(reference, str) else ""


def _resolved(bindings: Mapping[str, Any], resolve: Callable[[Any], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return a binding with the schemas of its query and headers, which may be references."""
    return {key: resolve(value) if key in ("query", "headers") else value for key, value in bindings.items()}


def _path(value: Any) -> str:
    path = str(value or "")
    return path if not path or path.startswith("/") else f"/{path}"


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return two objects merged, level by level; the second wins."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
