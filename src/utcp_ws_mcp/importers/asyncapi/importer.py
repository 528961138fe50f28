"""Import AsyncAPI: requests become tools, what the endpoint sends by itself becomes feeds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from ...recorder.messages import path_expression
from ...recorder.templates import escape_template
from ...records import MutableRecord, Record, field
from ..assembly import ANYTHING
from ..failures import Inexpressible
from ..model import Description, Document, Event, Format, ImportOptions, Operation, Skipped, Status
from ..naming import free_name, hints, is_reading, summarize, tool_name
from ..references import References
from ..schemas import Schemas
from .connections import Connection, Connections, feed_name
from .correlation import Correlation, correlation_notes, find_correlation, parameter_paths
from .model import Api, ApiOperation, Channel, Message, are_texts
from .payloads import Payload, error_text, forms, predicate, with_kind
from .reader import read_api
from .replies import guess_replies, reply_rules
from .requests import build_request, check_expressible
from .socketio import PRESET, SUBJECT, event_template
from .viewpoint import decide

_PREFIX: Final = re.compile(r"(?:receive|recv|send|on|publish|subscribe|handle|pub|sub)(?:[_.-]|(?=[A-Z]))")
_VERB: Final = re.compile(r"[A-Za-z][\w.-]{0,40}\Z")
STREAM: Final = {"until_close": True, "max_items": 100, "max_seconds": 20}
"""A connection that is one call: its messages are the result until it ends."""


def import_asyncapi(
    document: Mapping[str, Any], references: References, options: ImportOptions, source: str
) -> Description:
    """Return the operations of an AsyncAPI document.

    Raises:
        ImportFailed: if its version is unknown, or it has no endpoint.
    """
    api = read_api(document, references, source)
    return _Importer(api, Schemas(references), options, Connections(api, options.url, source, options.preset)).run()


class _Importer(MutableRecord):
    api: Api
    schemas: Schemas
    options: ImportOptions
    connections: Connections
    endpoints: dict[str, Document] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    found: list[tuple[str, Correlation | None]] = field(default_factory=list)
    answered: dict[str, str] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()
    by_url: dict[str, list[ApiOperation]] = field(default_factory=dict)

    def run(self) -> Description:
        self.skipped += [Skipped(key, reason) for key, reason in self.api.problems]
        self.kinds = frozenset(self._find_kinds())
        self.by_url = self._group_by_url()
        viewpoint = decide(self.api, self.options.viewpoint)
        requests = [each for each in self.api.operations if each.receives == viewpoint.is_server]
        events = [each for each in self.api.operations if each.receives != viewpoint.is_server]
        tools = [each for request in requests for each in self._of_requests(request, events)]
        feeds = [each for event in events for each in self._of_events(event)]
        self._apply_counter()
        side = "server" if viewpoint.is_server else "client"
        return Description(
            title=self.api.title,
            format=Format.ASYNCAPI,
            version=self.api.version,
            endpoints=self.endpoints,
            operations=[*tools, *feeds],
            skipped=self.skipped,
            notes=[
                *self.api.notes,
                *self._endpoint_notes(),
                f"Viewpoint: the document is written from the view of the {side}: {viewpoint.reason}.",
                *correlation_notes([each for _, each in self.found], self.guessed),
                *self.connections.notes(),
            ],
            variables=self.variables,
        )

    # Endpoints

    def _endpoint(self, channel: Channel) -> tuple[str, Connection]:
        """Return the key and the connection of a channel; channels of one URL share them."""
        connection = self.connections.of(channel)
        if connection.url not in self.keys:
            path = connection.url.partition("://")[2].partition("/")[2].partition("?")[0]
            self.keys[connection.url] = free_name(path, self.keys.values())
            fields = {**connection.fields, **({"preset": self.connections.preset} if self.connections.preset else {})}
            every = [message for each in self.by_url[connection.url] for message in each.all_messages]
            form = "text" if are_texts(every) and not self.is_socketio else "json"
            self.endpoints[self.keys[connection.url]] = {**fields, "response_format": form}
            self.variables |= connection.variables
        return self.keys[connection.url], connection

    @property
    def is_socketio(self) -> bool:
        """Return whether messages are events of Socket.IO."""
        return self.connections.preset == PRESET

    def _apply_counter(self) -> None:
        """Use integer IDs where the document has them, for all tools of an endpoint."""
        for key in {key for key, each in self.found if each is not None and each.is_number}:
            self.endpoints[key]["request_id"] = "counter"

    def _own_name(self, endpoint: str, name: str) -> str:
        taken = self.names.setdefault(endpoint, set())
        own = tool_name(name, taken)
        taken.add(own)
        return own

    # Requests

    def _of_requests(self, operation: ApiOperation, events: Sequence[ApiOperation]) -> Iterator[Operation]:
        try:
            endpoint, connection = self._endpoint(operation.channel)
            listed = self._expressible(operation)
            for message, payload in listed:
                context = _Context(operation, endpoint, connection, message, payload, len(listed) == 1)
                yield from self._request(context, events)
        except Inexpressible as reason:
            self.skipped.append(Skipped(operation.key, str(reason)))

    def _expressible(self, operation: ApiOperation) -> list[tuple[Message, Payload]]:
        """Return the messages of an operation with their forms; others are skipped, unless that leaves none.

        Raises:
            Inexpressible: if it has no message that can be written as a template.
        """
        listed: list[tuple[Message, Payload]] = []
        reasons: list[tuple[Message, Inexpressible]] = []
        for message in operation.messages:
            try:
                listed += [(message, payload) for payload in self._forms(message)]
            except Inexpressible as reason:
                reasons.append((message, reason))
        if not listed:
            raise reasons[0][1] if reasons else Inexpressible("it has no message")
        skipped = (f"the message {message.name}, because {reason}" for message, reason in reasons)
        self.skipped += [Skipped(operation.key, reason) for reason in skipped]
        return listed

    def _forms(self, message: Message) -> list[Payload]:
        check_expressible(message)
        found = forms(message.name, message.payload, self.schemas)
        if self.is_socketio:  # its name says what it is
            return found if len(found) == 1 else [Payload(message.name, self.schemas.peek(message.payload), {})]
        if len(found) > 1:
            return found
        return [with_kind(each, message.key, self.kinds) for each in found]

    def _find_kinds(self) -> Iterator[str]:
        """Yield the properties whose constants are the keys of their messages: where one is missing, it is the key."""
        for message in (each for operation in self.api.operations for each in operation.messages):
            for payload in forms(message.name, message.payload, self.schemas):
                match payload.kind:
                    case ((name,), value) if value == message.key:
                        yield str(name)

    def _request(self, context: _Context, events: Sequence[ApiOperation]) -> Iterator[Operation]:
        if self._is_pong(context, events):
            self._answer_pings(context)
            self.skipped.append(Skipped(context.operation.key, "it answers pings, which is done by itself"))
            return
        if self.is_socketio:
            yield self._emitter(context)
            return
        replies, sources, is_stream = self._replies(context, events)
        payloads = [payload for payload, _ in replies]
        location = context.message.correlation
        of_channel = parameter_paths(context.operation.channel.parameters)
        correlation = (
            find_correlation(context.payload, location, replies, self.schemas, of_channel) if not is_stream else None
        )
        sent = correlation.sent if correlation else None
        request = build_request(
            context.payload, sent, self.schemas, context.connection.inputs, context.connection.required
        )
        template: Document = {"message": request.template}
        if is_stream:
            template |= {"keep_alive": False, "reply": self._stream_errors(payloads), "stream": dict(STREAM)}
            template = {key: value for key, value in template.items() if value != {}}
        elif replies:
            template["reply"] = reply_rules(context.payload, payloads, correlation, self.schemas)
        else:
            template["reply"] = "none"
        if are_texts(context.message.responses or context.operation.replies or ()):
            template["response_format"] = "text"
        self.found.append((context.endpoint, correlation))
        yield self._tool(context, request.inputs, template, sources)

    def _emitter(self, context: _Context) -> Operation:
        """Return the tool that sends an event of Socket.IO."""
        connection = context.connection
        payload = None if context.payload.schema in ({}, {"type": "null"}) else context.payload
        request = build_request(payload, None, self.schemas, connection.inputs, connection.required)
        is_acknowledged = bool(context.message.responses or context.operation.replies)
        template = event_template(context.message.name, request.template, is_acknowledged)
        return self._tool(context, request.inputs, template, [])

    def _tool(self, context: _Context, inputs: Document, template: Document, sources: Sequence[str]) -> Operation:
        operation, payload = context.operation, context.payload
        name = self._own_name(context.endpoint, _tool_name(context))
        reads = is_reading(name, *operation.texts)
        texts = [*operation.texts, *context.message.texts] if context.is_only else context.message.texts
        tool: Document = {
            "name": name,
            "description": summarize(*texts, payload.schema.get("description"), *operation.channel.texts, name=name),
            "inputs": inputs,
            "annotations": hints(name, reads),
            **({"tags": list(operation.tags)} if operation.tags else {}),
            "tool_call_template": template,
        }
        status = Status.DEPRECATED if operation.deprecated else Status.STABLE
        return Operation(
            name,
            tool=tool,
            endpoint=context.endpoint,
            tags=operation.tags,
            read_only=reads,
            status=status,
            sources=(operation.key, *sources),
        )

    def _replies(
        self, context: _Context, events: Sequence[ApiOperation]
    ) -> tuple[list[tuple[Payload, str | None]], list[str], bool]:
        """Return the messages that answer a request, the operations that they are, and whether they are a stream."""
        operation = context.operation
        declared = context.message.responses or operation.replies
        if declared is not None:
            return self._payloads(declared), [], False
        own = [each for each in events if each.channel.key == operation.channel.key]
        incoming = list(self._incoming(own))
        of_channel = parameter_paths(operation.channel.parameters)
        taken = {*context.payload.constants, *of_channel}
        for name in (name for name in context.payload.properties if (name,) not in taken):
            guessed = guess_replies(context.payload, [payload for payload, _ in incoming], name)
            pairs = [(payload, loc) for payload, loc in incoming if payload in guessed]
            if pairs and find_correlation(
                context.payload, context.message.correlation, pairs, self.schemas, of_channel
            ):
                self.guessed.append(operation.key)
                return pairs, [], False
        if context.is_only and context.connection.own_path and len(own) == 1 and context.payload.kind is None:
            self.answered[own[0].key] = operation.key
            return incoming, [own[0].key], True
        return [], [], False

    def _payloads(self, messages: Sequence[Message]) -> list[tuple[Payload, str | None]]:
        return [(payload, each.correlation) for each in messages for payload in self._forms(each)]

    def _incoming(self, events: Sequence[ApiOperation]) -> Iterator[tuple[Payload, str | None]]:
        """Yield what the endpoint sends by itself, as far as it can be read."""
        for message in (message for event in events for message in event.messages):
            with suppress(Inexpressible):
                yield from self._payloads([message])

    def _stream_errors(self, payloads: Sequence[Payload]) -> Document:
        """Return the rule for items that report a failure, where they differ from the others."""
        errors = [each for each in payloads if each.reports_failure()]
        good = [each for each in payloads if each not in errors]
        found = predicate(errors[0], good) if errors and good else None
        if found is None:
            return {}
        text = error_text(errors[0], self.schemas)
        return {"error": found, **({"error_message": text} if text else {})}

    # Pings

    def _is_pong(self, context: _Context, events: Sequence[ApiOperation]) -> bool:
        kind = context.payload.kind
        if kind is None or str(kind[1]).lower() != "pong" or context.operation.replies is not None:
            return False
        return any("ping" in message.name.lower() for each in events for message in each.messages)

    def _answer_pings(self, context: _Context) -> None:
        kind = context.payload.kind
        assert kind is not None
        path = path_expression(kind[0])
        value = str(kind[1])
        ping = "PING" if value.isupper() else "ping"
        send: Any = escape_template(value, ())
        for step in reversed(kind[0]):
            send = {step: send}
        self.endpoints[context.endpoint]["auto_reply"] = [{"match": f"{path} == '{ping}'", "send": send}]

    # Events

    def _of_events(self, operation: ApiOperation) -> Iterator[Operation]:
        if operation.key in self.answered:
            return
        try:
            endpoint, connection = self._endpoint(operation.channel)
            listed = [payload for _, payload in self._expressible(operation)]
            events = [(payload, self._event(operation, payload, listed, connection)) for payload in listed]
        except Inexpressible as reason:
            self.skipped.append(Skipped(operation.key, str(reason)))
            return
        unclear = [payload.name for payload, event in events if event is None]
        if unclear:
            what = "its messages" if len(unclear) == len(events) else f"the messages {', '.join(unclear)}"
            self.skipped.append(Skipped(operation.key, f"nothing in {what} distinguishes them from others"))
        for payload, event in events:
            if event is None:
                continue
            yield Operation(
                payload.name if len(listed) > 1 else operation.key,
                event=event,
                endpoint=endpoint,
                tags=operation.tags,
                read_only=True,
                status=Status.DEPRECATED if operation.deprecated else Status.STABLE,
                sources=(operation.key,),
            )

    def _event(
        self, operation: ApiOperation, payload: Payload, others: Sequence[Payload], connection: Connection
    ) -> Event | None:
        """Return the event that a message is, or None if nothing says which messages are."""
        fields: Document = {"description": _feed_text(operation.channel, self.api.title)}
        if connection.inputs:
            required = {"required": list(connection.required)} if connection.required else {}
            fields["inputs"] = self.schemas.complete(
                {"type": "object", "properties": dict(connection.inputs), **required, "additionalProperties": False}
            )
        name = feed_name(connection, operation.channel)
        if self.is_socketio:
            return Event(name, SUBJECT, payload.name, fields)
        if payload.kind is not None:
            return Event(name, path_expression(payload.kind[0]), payload.kind[1], fields)
        neighbours = self.by_url[connection.url]
        rest = [each for each in others if each is not payload]
        found = predicate(payload, [*rest, *self._messages_of(operation, neighbours)])
        if found is None and len(neighbours) == 1:  # everything that comes is one of its messages
            found = ANYTHING
        return Event(name, found, None, fields) if found else None

    def _group_by_url(self) -> dict[str, list[ApiOperation]]:
        """Return the operations of each connection."""
        found: dict[str, list[ApiOperation]] = {}
        for each in self.api.operations:
            with suppress(Inexpressible):
                found.setdefault(self.connections.of(each.channel).url, []).append(each)
        return found

    def _messages_of(self, operation: ApiOperation, neighbours: Sequence[ApiOperation]) -> Iterator[Payload]:
        """Yield the messages of the other operations of a connection, and all replies."""
        for each in neighbours:
            listed = [*(each.messages if each is not operation else ()), *(each.replies or ())]
            for message in listed:
                yield from forms(message.name, message.payload, self.schemas)

    # Notes

    def _endpoint_notes(self) -> Iterator[str]:
        urls = [str(each["url"]) for each in self.endpoints.values()]
        more = f" and {len(urls) - 3} more" if len(urls) > 3 else ""
        if urls:
            yield f"Endpoint{'s' * (len(urls) > 1)}: {', '.join(urls[:3])}{more}."


class _Context(Record):
    """One message that clients send. `is_only`: whether its operation has no other."""

    operation: ApiOperation
    endpoint: str
    connection: Connection
    message: Message
    payload: Payload
    is_only: bool


def _tool_name(context: _Context) -> str:
    """Return the name of a tool: what its message says it is, else that of the message or the operation."""
    kind = context.payload.kind
    if kind is not None and isinstance(kind[1], str) and _VERB.match(kind[1]):
        return kind[1]
    if not context.is_only:
        return context.payload.name
    own = _PREFIX.sub("", context.operation.key, count=1)
    return f"{own[:1].lower()}{own[1:]}" if own else context.operation.key


def _feed_text(channel: Channel, title: str) -> str:
    return summarize(*channel.texts, f"What {title} sends by itself.", name=channel.key)
