"""Import AsyncAPI: requests become tools, what the endpoint sends by itself becomes feeds (`events`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...recorder.messages import path_expression
from ...recorder.templates import escape_template
from ...records import Record
from ..failures import Inexpressible
from ..model import Description, Document, Format, ImportOptions, Operation, Skipped, Status
from ..naming import hints, is_reading, summarize, tool_name
from ..references import References
from ..schemas import Schemas
from .connections import Connection, Connections
from .correlation import Correlation, correlation_notes, find_correlation, parameter_paths
from .endpoints import Endpoints
from .events import Events
from .losses import loss_notes
from .messages import Messages
from .model import Api, ApiOperation, Message, are_texts
from .payloads import Payload, error_text, predicate
from .reader import read_api
from .replies import guess_replies, reply_rules
from .requests import build_request
from .socketio import event_template
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
    connections = Connections(api, options.url, source, options.preset)
    return _Importer(api, Schemas(references), connections).run(options.viewpoint)


class _Importer:
    def __init__(self, api: Api, schemas: Schemas, connections: Connections) -> None:
        self.api = api
        self.schemas = schemas
        self.connections = connections
        self.endpoints = Endpoints(api, connections)
        self.skipped = [Skipped(key, reason) for key, reason in api.problems]
        self.messages = Messages(api, schemas, self.skipped, is_socketio=self.endpoints.is_socketio)
        self.events = Events(api.title, schemas, self.endpoints, self.messages, self.skipped)
        self.names: dict[str, set[str]] = {}
        self.found: list[tuple[str, Correlation | None]] = []
        self.answered: set[str] = set()
        self.guessed: list[str] = []

    def run(self, option: str) -> Description:
        """Return the operations; `option` is the viewpoint that the user gives."""
        viewpoint = decide(self.api, option)
        requests = [each for each in self.api.operations if each.receives == viewpoint.is_server]
        events = [each for each in self.api.operations if each.receives != viewpoint.is_server]
        tools = [each for request in requests for each in self._of_requests(request, events)]
        own = [event for event in events if event.key not in self.answered]
        feeds = [each for event in own for each in self.events.of(event)]
        self._apply_counter()
        side = "server" if viewpoint.is_server else "client"
        return Description(
            title=self.api.title,
            format=Format.ASYNCAPI,
            version=self.api.version,
            endpoints=self.endpoints.fields,
            operations=[*tools, *feeds],
            skipped=self.skipped,
            notes=[
                *self.api.notes,
                *self.endpoints.notes(),
                f"Viewpoint: the document is written from the view of the {side}: {viewpoint.reason}.",
                *correlation_notes([each for _, each in self.found], self.guessed),
                *self.connections.notes(),
                *loss_notes(self.api, self.connections, [*tools, *feeds]),
            ],
            variables=self.endpoints.variables,
        )

    def _apply_counter(self) -> None:
        """Use integer IDs where the document has them, for all tools of an endpoint."""
        for key in {key for key, each in self.found if each is not None and each.is_number}:
            self.endpoints.fields[key]["request_id"] = "counter"

    def _own_name(self, endpoint: str, name: str) -> str:
        taken = self.names.setdefault(endpoint, set())
        own = tool_name(name, taken)
        taken.add(own)
        return own

    # Requests

    def _of_requests(self, operation: ApiOperation, events: Sequence[ApiOperation]) -> Iterator[Operation]:
        try:
            endpoint, connection = self.endpoints.of(operation.channel)
            listed = self.messages.of_operation(operation)
            for message, payload in listed:
                context = _Context(operation, endpoint, connection, message, payload, len(listed) == 1)
                yield from self._request(context, events)
        except Inexpressible as reason:
            self.skipped.append(Skipped(operation.key, str(reason)))

    def _request(self, context: _Context, events: Sequence[ApiOperation]) -> Iterator[Operation]:
        if self._is_pong(context, events):
            self._answer_pings(context)
            self.skipped.append(Skipped(context.operation.key, "it answers pings, which is done by itself"))
            return
        if self.endpoints.is_socketio:
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
            return self.messages.with_correlation(declared), [], False
        own = [each for each in events if each.channel.key == operation.channel.key]
        incoming = list(self.messages.incoming(own))
        of_channel = parameter_paths(operation.channel.parameters)
        taken = {*context.payload.constants, *of_channel}
        own_kind = str(context.payload.kind[1]) if context.payload.kind is not None else ""
        for name in (name for name in context.payload.properties if (name,) not in taken):
            guessed = guess_replies(context.payload, [payload for payload, _ in incoming], name)
            pairs = [(payload, loc) for payload, loc in incoming if payload in guessed]
            answers = [payload for payload, _ in pairs if not payload.reports_failure(own_kind)]
            if answers and find_correlation(
                context.payload, context.message.correlation, pairs, self.schemas, of_channel
            ):
                self.guessed.append(operation.key)
                return pairs, [], False
        if context.is_only and context.connection.own_path and len(own) == 1 and context.payload.kind is None:
            self.answered.add(own[0].key)
            return incoming, [own[0].key], True
        return [], [], False

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
        self.endpoints.fields[context.endpoint]["auto_reply"] = [{"match": f"{path} == '{ping}'", "send": send}]


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
