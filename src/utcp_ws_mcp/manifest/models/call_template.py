"""The parts of a manifest as frozen values. The manifest language is described in docs/manifest.md."""

import re
from typing import Literal

from pydantic import Field, field_validator

from .auth import Auth
from .base import CountOrExpression, ExpressionSource, Json, Model, SecondsOrExpression
from .connection import AutoReply, Capture, DisconnectMessage, Framing, Heartbeat, HttpStep, InboxSettings, Step


class Reply(Model):
    """Which message answers, and what of it is the result (section 5). `none`: nothing answers."""

    none: bool = False
    match: ExpressionSource | None = None
    error: ExpressionSource | None = None
    error_message: ExpressionSource | None = None
    result: ExpressionSource | None = None
    ack: ExpressionSource | None = None


class Stream(Model):
    """More than one reply (section 6). `on` is what `"stream": true` and `false` set. Times in seconds.

    A bound may be an expression on the arguments.

    With `match`, the request has a reply of its own (known as `reply`), and the stream is the messages that match.
    """

    on: bool = True
    match: ExpressionSource | None = None
    until: tuple[ExpressionSource, ...] = ()
    until_close: bool = False
    include_last: bool = False
    item: ExpressionSource | None = None
    max_items: CountOrExpression = 1000
    max_seconds: SecondsOrExpression | None = None
    idle_seconds: SecondsOrExpression | None = None
    max_bytes: int = Field(1 << 20, ge=1)
    collect: Literal["list", "last", "text"] = "list"
    cancel: Json = None

    @field_validator("until", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Network(Model):
    """What this endpoint may be, beyond public addresses over TLS (section 9)."""

    allow: tuple[str, ...] = ()
    plaintext: bool = False


class Tls(Model):
    """TLS of the endpoint (section 9); paths are relative to the manifest."""

    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    insecure: bool = False


class Limits(Model):
    """Bounds of an endpoint's connections (section 9): bytes, counts, seconds. `ping_interval` 0: no pings."""

    max_message_bytes: int = Field(16 << 20, ge=1024)
    max_in_flight: int = Field(64, ge=1)
    max_connections: int = Field(4, ge=1)
    connect_timeout: float = Field(10, gt=0)
    ping_interval: float = Field(20, ge=0)
    ping_timeout: float = Field(20, gt=0)
    requests_per_second: float | None = Field(None, gt=0)


class DiscoverySettings(Model):
    """How an endpoint is asked for its manual (section 10)."""

    send: Json = Field(default_factory=lambda: {"type": "utcp"})
    match: ExpressionSource | None = None
    manual: ExpressionSource | None = None


class ToolOverride(Model):
    """What a manifest changes about one tool (section 10)."""

    name: str | None = None
    description: str | None = None
    inputs: dict[str, Json] | None = None
    defaults: dict[str, Json] = Field(default_factory=dict)
    hidden: tuple[str, ...] = ()


class Annotations(Model):
    """Hints for hosts, as MCP defines them."""

    title: str | None = None
    read_only: bool | None = Field(None, alias="readOnlyHint")
    destructive: bool | None = Field(None, alias="destructiveHint")
    idempotent: bool | None = Field(None, alias="idempotentHint")
    open_world: bool | None = Field(None, alias="openWorldHint")


class Tool(Model):
    """A tool as UTCP describes it. `tool_call_template` is kept as written: it is merged before it is checked."""

    name: str = Field(min_length=1)
    description: str = ""
    inputs: dict[str, Json] = Field(default_factory=dict)
    outputs: dict[str, Json] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    average_response_size: int | None = None
    tool_call_template: dict[str, Json] | None = None
    annotations: Annotations = Annotations()
    idempotent: bool = False


class CallTemplate(Model):
    """One endpoint and how to talk to it (sections 2 to 10), with everything merged into it that it inherits."""

    name: str | None = None
    call_template_type: Literal["websocket"] = "websocket"
    url: str
    message: Json = None
    then: tuple[Json, ...] = ()
    let: dict[str, ExpressionSource] = Field(default_factory=dict)
    send_as: Literal["text", "binary"] | None = None
    typed_arguments: bool = False
    response_format: Literal["json", "text", "raw"] | None = None
    protocol: tuple[str, ...] = ()
    keep_alive: bool = True
    timeout: float = Field(30, gt=0, le=86400)
    headers: dict[str, str] = Field(default_factory=dict)
    header_fields: tuple[str, ...] = ()
    auth: Auth | None = None
    allowed_communication_protocols: tuple[str, ...] | None = None
    preset: str | None = None
    request_id: Literal["uuid", "counter", "string_counter"] = "uuid"
    reply: Reply = Reply()
    ignore: tuple[ExpressionSource, ...] = ()
    stream: Stream = Stream(on=False)
    before_connect: tuple[HttpStep, ...] = ()
    on_connect: tuple[Step, ...] = ()
    on_disconnect: tuple[DisconnectMessage, ...] = ()
    auto_reply: tuple[AutoReply, ...] = ()
    capture: tuple[Capture, ...] = ()
    inbox: InboxSettings | None = None
    reconnect_when: ExpressionSource | None = None
    heartbeat: Heartbeat | None = None
    framing: Framing = Framing()
    proxy: str | None = None
    network: Network = Network()
    tls: Tls = Tls()
    limits: Limits = Limits()

    @field_validator("protocol", "ignore", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("message")
    @classmethod
    def _message_shape(cls, value: object) -> object:
        if value is not None and value is not False and not isinstance(value, str | dict | list):
            raise ValueError("expected a string, an object or an array, or false to send nothing")
        return value

    @field_validator("let")
    @classmethod
    def _names_only(cls, value: dict[str, ExpressionSource]) -> dict[str, ExpressionSource]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                raise ValueError(f"{name!r} cannot be written as let.{name}; use letters, digits and _")
        return value

    @field_validator("then")
    @classmethod
    def _then_shape(cls, value: tuple[Json, ...]) -> tuple[Json, ...]:
        if not all(isinstance(item, str | dict | list) for item in value):
            raise ValueError("expected messages: strings, objects or arrays")
        return value

    @field_validator("allowed_communication_protocols")
    @classmethod
    def _websocket_allowed(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and "websocket" not in value:
            raise ValueError('must contain "websocket", or be left out')
        return value


class ManualOptions(Model):
    """What an entry says about its manual as a whole (section 10); not inherited by tools."""

    discovery: DiscoverySettings | None = None
    tools: tuple[dict[str, Json], ...] | None = None
    include_tools: tuple[str, ...] | None = None
    exclude_tools: tuple[str, ...] = ()
    tool_overrides: dict[str, ToolOverride] = Field(default_factory=dict)
    allow_origins: tuple[str, ...] = ()
    max_tools: int = Field(128, ge=1)
    pin: Literal["tofu", "strict", "off"] | None = None

    @field_validator("discovery", mode="before")
    @classmethod
    def _handshake(cls, value: object) -> object:
        return {} if value == "handshake" else value


MANUAL_KEYS = frozenset(ManualOptions.model_fields)
"""The keys of an entry that a tool does not inherit."""
