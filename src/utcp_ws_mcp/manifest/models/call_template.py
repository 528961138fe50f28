"""The call template: one endpoint and how it is called (sections 2 to 9), after everything inherited is merged."""

import re
from typing import Annotated, Final, Literal

from pydantic import Field, WithJsonSchema, field_validator

from .auth import Auth
from .base import ExpressionSource, FieldError, Json, Model, OneOrMore, Query
from .connection import AutoReply, Capture, DisconnectMessage, Heartbeat, HttpStep, Step
from .feed import Feed
from .framing import Framing
from .network import Limits, Network, Tls
from .reply import Reply, Stream

MAX_TIMEOUT: Final = 86_400
"""Seconds that the timeout of a call may be: a day."""

FINAL_CLOSE_CODES: Final = (1003, 1007, 1008, 1010, 4001, 4003, 4004, 4401, 4403)
"""The default of `final_close_codes`: policy and format (RFC 6455 §7.4), and authentication, as many APIs number it."""

# Defaults are constructed without validation: that would build a validator for each of their models when this module is
# imported, although only that of `CallTemplate` is ever called.


class CallTemplate(Model):
    """One endpoint and how it is called."""

    name: str | None = Field(
        None,
        description="The first part of the names of tools and variables; by default made from the host of the url.",
    )
    call_template_type: Literal["websocket"] = Field(
        "websocket", description="The kind of endpoint; entries of another kind than websocket are skipped."
    )
    url: str = Field(
        description="The URL of the endpoint, wss://host[:port]/path, with ${NAME} and, after the host, "
        "{{ expressions }} and arguments; ws:// only on this machine, unless network allows more."
    )
    query: Query = Field(
        default_factory=dict,
        description="Query parameters that are appended to the url, by name; values may contain ${NAME} and "
        "{{ expressions }}, a list is one parameter for each element, null and a missing value are none.",
    )
    message: Annotated[Json, WithJsonSchema({"type": ["string", "object", "array"]})] = Field(
        None,
        description="The message of a call: text, an object or an array with UTCP_ARG_name_UTCP_ARG and "
        "{{ expressions }}; by default the arguments as one JSON object.",
    )
    listen: bool = Field(False, description="Whether a call sends nothing and only receives; excludes message.")
    before_message: tuple[HttpStep, ...] = Field(
        (),
        description="HTTP requests of a call, before its message is sent; captured values are available as let.name.",
    )
    then: tuple[Json, ...] = Field(
        (),
        description="Further messages of a call, sent directly after message and in this order.",
    )
    let: dict[str, ExpressionSource] = Field(
        default_factory=dict,
        description="Expressions by name, evaluated once per call in this order and available as let.name.",
    )
    send_as: Literal["text", "binary"] | None = Field(
        None, description="The type of the WebSocket messages that are sent; by default that of the codec."
    )
    typed_arguments: bool = Field(
        False,
        description="Whether a string that is exactly one UTCP placeholder becomes the argument with its JSON type.",
    )
    response_format: Literal["json", "text", "raw"] | None = Field(
        None,
        description="The form of the result: json must be valid JSON, text is text, raw is unchanged; by default raw.",
    )
    media_type: str | None = Field(
        None,
        pattern=r"^[\w.+-]+/[\w.+-]+(?:;[ -~]*)?$",
        max_length=200,
        description="The media type of binary results, such as audio/wav; by default what their first bytes indicate.",
    )
    protocol: OneOrMore = Field((), description="The subprotocols to offer, of which the server must select one.")
    keep_alive: bool = Field(
        True,
        description="Whether connections are shared and stay open; false opens one for each call.",
    )
    timeout: float = Field(
        30,
        gt=0,
        le=MAX_TIMEOUT,
        description="The timeout of a call in seconds, including connecting, login and the reply.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Headers of the handshake by name; values may contain ${NAME} and {{ expressions }}.",
    )
    header_fields: tuple[str, ...] = Field(
        (), description="Arguments that become headers of the handshake instead of content of the message."
    )
    auth: Auth | None = Field(None, description="The credentials of the handshake.")
    allowed_communication_protocols: tuple[str, ...] | None = Field(
        None, description="The protocols that UTCP allows for this manual; must contain websocket."
    )
    preset: str | None = Field(
        None, description="A well-known protocol whose fields are inherited; fields of this call template win."
    )
    request_id: Literal["uuid", "counter", "string_counter"] = Field(
        "uuid",
        description="How correlation IDs are created: UUIDs, integers from 1 (counter), or those as strings "
        "(string_counter).",
    )
    reply: Reply = Field(
        Reply.model_construct(),
        description='Which message is the reply to a call, and its result; "none" expects no reply.',
    )
    ignore: OneOrMore = Field(
        (), description="Predicates: messages that are never a reply, such as greetings, heartbeats and events."
    )
    stream: Stream = Field(
        Stream(on=False), description="A result of several messages; true and false turn a stream on and off."
    )
    before_connect: tuple[HttpStep, ...] = Field(
        (), description="HTTP requests before each connection is opened, such as for a ticket."
    )
    on_connect: tuple[Step, ...] = Field(
        (), description="Steps on each new connection before any request: a greeting, a login."
    )
    on_disconnect: tuple[DisconnectMessage, ...] = Field(
        (), description="Messages before the bridge closes a connection, such as a logout."
    )
    auto_reply: tuple[AutoReply, ...] = Field((), description="Messages that are answered automatically.")
    capture: tuple[Capture, ...] = Field((), description="Values of incoming messages that are stored in session.")
    feeds: tuple[Feed, ...] = Field(
        (), description="Events that are kept for readers, and read with tools of their own."
    )
    feed_defaults: dict[str, Json] = Field(
        default_factory=dict,
        description="Fields that every feed of the call template has unless it says otherwise; presets set them.",
    )
    reconnect_when: ExpressionSource | None = Field(
        None,
        description="Predicate: after this message, such as that a session has expired, new calls use a new "
        "connection with a new login.",
    )
    fail_when: ExpressionSource | None = Field(
        None,
        description="Predicate: after this message, such as that a page has crashed, nothing is answered any more: all "
        "calls on the connection fail, and new calls use a new connection.",
    )
    fail_message: ExpressionSource | None = Field(
        None, description="Expression: the error text of the calls that fail because of fail_when."
    )
    session_identity: ExpressionSource | None = Field(
        None,
        description="Expression on session that identifies the session, such as a page: if a new connection has "
        "another one than the last, the first call fails before it is sent and says so; needs max_connections 1.",
    )
    final_close_codes: tuple[Annotated[int, Field(ge=1000, le=4999)], ...] = Field(
        FINAL_CLOSE_CODES,
        description="Close codes after which another attempt fails again: idempotent requests are not repeated, and "
        "feeds and discovery wait.",
    )
    heartbeat: Heartbeat | None = Field(
        None, description="A message that is sent at intervals while a connection is open."
    )
    framing: Framing = Field(Framing.model_construct(), description="How messages are encoded as WebSocket messages.")
    proxy: str | None = Field(
        None,
        description="The proxy to connect through: http://host:port, socks5://host:port, or env for the proxy of the "
        "environment.",
    )
    network: Network = Field(
        Network.model_construct(), description="Which addresses are allowed in addition to public addresses over TLS."
    )
    tls: Tls = Field(Tls.model_construct(), description="Certificates of the endpoint and of this client.")
    limits: Limits = Field(Limits.model_construct(), description="Limits of the connections.")

    @field_validator("message")
    @classmethod
    def _message_shape(cls, value: object) -> object:
        if value is False:
            message = 'cannot be false. Write "listen": true for a call that sends nothing.'
            raise FieldError(message, code="invalid-message")
        if value is not None and not isinstance(value, str | dict | list):
            raise FieldError("expected a string, an object or an array.", code="invalid-message")
        return value

    @field_validator("let")
    @classmethod
    def _names_only(cls, value: dict[str, ExpressionSource]) -> dict[str, ExpressionSource]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                message = f"{name!r} cannot be written as let.{name}. Use only letters, digits and _."
                raise FieldError(message, code="invalid-let-name")
        return value

    @field_validator("feed_defaults")
    @classmethod
    def _fields_of_feeds(cls, value: dict[str, Json]) -> dict[str, Json]:
        known = sorted(set(Feed.model_fields) - {"name"})
        for key in value:
            if key not in known:
                message = f"{key!r} is not a field that feeds can have in common. Use {', '.join(known)}."
                raise FieldError(message, code="unknown-key")
        return value

    @field_validator("then")
    @classmethod
    def _then_shape(cls, value: tuple[Json, ...]) -> tuple[Json, ...]:
        if not all(isinstance(item, str | dict | list) for item in value):
            raise FieldError("expected messages: strings, objects or arrays.", code="invalid-message")
        return value

    @field_validator("allowed_communication_protocols")
    @classmethod
    def _websocket_allowed(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and "websocket" not in value:
            message = 'the list excludes the tools of this call template. Add "websocket", or remove the list.'
            raise FieldError(message, code="protocol-not-allowed")
        return value


class RequestData(Model):
    """The older UTCP form of a message. It is rewritten to `preset` or `message` before anything is merged."""

    request_data_format: Literal["json", "text"] | None = Field(
        None, description="The form of the message: json is the preset utcp, text uses request_data_template."
    )
    request_data_template: str | None = Field(None, description='The message, with "request_data_format": "text".')


CONNECTION_SETTINGS = ("auth", "network", "tls", "limits", "proxy", "request_id", "keep_alive")
"""The fields of a call template that a connection takes as they are written: calls share one only if all are equal."""

CONNECTION_FIELDS = frozenset(CONNECTION_SETTINGS) | {
    *("call_template_type", "url", "query", "protocol", "headers", "header_fields", "send_as", "framing"),
    *("before_connect", "on_connect", "on_disconnect", "capture", "reconnect_when", "fail_when", "fail_message"),
    *("session_identity", "heartbeat"),
}
"""The fields of a call template that its connection is made of. The other fields may differ between tools that share a
connection; a test checks that each field of the model is in one of the two lists."""

CALL_FIELDS = frozenset(
    {
        *("name", "preset", "let", "before_message", "message", "listen", "then", "typed_arguments", "timeout"),
        *("response_format", "media_type"),
        *("allowed_communication_protocols", "reply", "ignore", "stream", "auto_reply", "feeds"),
        *("feed_defaults", "final_close_codes"),
    }
)
"""The fields of a call template that concern one call only."""
