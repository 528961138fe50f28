"""The simulated manifests: a fixed number of them, so that a process compiles each only once."""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from utcp_ws_mcp.client.manifest_files import LoadedManifest, load_manifest
from utcp_ws_mcp.client.websocket import CLOSE_TIMEOUT
from utcp_ws_mcp.core.codecs.framing import Framer, make_framer
from utcp_ws_mcp.core.codecs.protobuf import ProtobufSchema, load_types
from utcp_ws_mcp.manifest.models.framing import Framing

SHAPES: Final = 180
NAME: Final = "api"
TOKEN_URL: Final = "http://127.0.0.1:8001/token"
MAX_ITEMS: Final = 3
HEARTBEAT_INTERVAL: Final = 4.0
HEARTBEAT_TIMEOUT: Final = 2.0
_HEARTBEAT: Final = {
    "send": {"beat": "{{ counter() }}"},
    "expect": "message.beat is defined",
    "timeout": HEARTBEAT_TIMEOUT,
}
EVENTS: Final = "message.event is defined"
SESSION_ENDED: Final = "message.event == 'retired'"
URLS: Final = (*("ws://127.0.0.1:8000/",) * 4, "ws://api.test:8000/")

SCHEMA_FILE: Final = "sim.proto"
SCHEMA_TEXT: Final = """syntax = "proto3";
package sim;
message Message {
  optional string do = 1; optional int32 n = 2; optional string id = 3; optional string error = 4;
  optional Answer answer = 5; optional bool done = 6; optional int32 sub = 7; optional string event = 8;
  optional int32 hello = 9; optional string denied = 10; optional bool login = 11; optional int32 beat = 12;
  optional int32 cancel = 13; optional string ticket = 14; optional string key = 15;
  message Answer { optional int32 n = 1; optional int32 x = 2; optional int32 i = 3; optional int32 sub = 4; }
}
"""
PROTOBUF: Final = {
    "codec": "protobuf",
    "protobuf": {"schema": SCHEMA_FILE, "send": "sim.Message", "receive": "sim.Message"},
}

HTTP_URL: Final = "http://127.0.0.1:8002"

FRAMINGS: Final[tuple[dict[str, Any], ...]] = (
    {"compression": "gzip"},
    {"compression": {"method": "deflate", "send": True}},
    {"compression": {"method": "zlib", "context": "connection"}},
    {"length": {"size": 4}, "spans_messages": True},
    {"codec": "msgpack", "length": {"size": "varint"}, "spans_messages": True},
)
"""Layers around the messages; the endpoint cuts what spans messages at random places."""

LATER_FRAMINGS: Final[tuple[dict[str, Any], ...]] = (
    {"length": {"between": ["~m~", "~m~"], "unit": "utf16"}, "spans_messages": True},
    {"compression": {"method": "zstd", "context": "connection"}},
)
"""Layers that were added later. They are drawn apart, so that the other facts of a shape stay as they are."""

JOINED: Final = {"batch": True}
"""For endpoints that send together, as an array, what is due at the same time."""

PROTOBUF_FRAMINGS: Final = (PROTOBUF, {**PROTOBUF, "length": {"size": "varint"}, "spans_messages": True})
"""Only for listed tools: a manual is no message of the schema."""

FRAMED_RATE: Final = 0.4
LATER_FRAMED_RATE: Final = 0.15
PROTOBUF_RATE: Final = 0.15
REPEATED_RATE: Final = 0.2
BATCHED_RATE: Final = 0.3
HTTP_RATE: Final = 0.3
JOINED_RATE: Final = 0.3
"""The shares of the manifests whose messages are framed, and framed in a later layer where they were not, are Protobuf,
are one for each element of a list, and whose calls and logins send HTTP requests; the share of those with IDs whose
endpoint answers several calls with one message; and of those without a framing whose endpoint sends arrays."""

Kind = Literal["ids", "optional ids", "exclusive", "one-shot", "one-shot ids"]
KINDS: Final[tuple[Kind, ...]] = (
    "ids", "ids", "optional ids", "exclusive", "exclusive", "one-shot", "one-shot ids",
)  # fmt: skip
"""Repeated kinds are drawn more often."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A manifest and the facts that a simulation needs. `sends_greeting`: the endpoint sends the first message."""

    kind: Kind
    template: dict[str, Any] = field(repr=False)
    listed: list[dict[str, Any]] = field(repr=False)
    loaded: LoadedManifest = field(repr=False)
    sends_greeting: bool

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools."""
        return tuple(tool["name"] for tool in self.listed)

    @property
    def manual(self) -> dict[str, Any]:
        """The manual that the endpoint returns to a discovery."""
        return {"utcp_version": "1.0.1", "manual_version": "1.0.0", "tools": self.listed}

    @property
    def timeout(self) -> float:
        """The timeout of a call in seconds."""
        return float(self.template["timeout"])

    @property
    def limits(self) -> dict[str, Any]:
        """The `limits` of the manifest."""
        return dict(self.template["limits"])

    @property
    def framing(self) -> Framing:
        """The `framing` of the manifest."""
        return Framing(**self.template.get("framing", {}))

    @property
    def message(self) -> dict[str, Any]:
        """The message of a call; that of one element if there is one for each of a list."""
        message: dict[str, Any] = self.template.get("message", {})
        return dict(message.get("$template", message))

    @property
    def uses_http(self) -> bool:
        """Whether calls send HTTP requests first, whose values are in their messages."""
        return "before_message" in self.template

    @property
    def batches_replies(self) -> bool:
        """Whether one message may be the reply to several calls."""
        return bool(self.template["reply"].get("answers_all"))

    @property
    def joins_messages(self) -> bool:
        """Whether the endpoint sends what is due at the same time as an array."""
        return self.framing.batch is True

    @property
    def discovered(self) -> bool:
        """Whether the tools are discovered."""
        return "tools" not in self.template

    @property
    def allows_events(self) -> bool:
        """Whether the endpoint may send events at any time."""
        return "ignore" in self.template

    @property
    def may_end_sessions(self) -> bool:
        """Whether an event may end the session of a connection."""
        return "reconnect_when" in self.template

    @property
    def token(self) -> bool:
        """Whether the upgrade needs a token."""
        return "auth" in self.template

    @property
    def uses_hostname(self) -> bool:
        """Whether the host is a name, which may have several addresses."""
        return "api.test" in self.template["url"]

    @property
    def silence_limit(self) -> float | None:
        """Seconds within which the bridge detects a silent peer, or None without pings and heartbeat."""
        if "heartbeat" in self.template:
            return HEARTBEAT_INTERVAL + HEARTBEAT_TIMEOUT
        ping = self.limits["ping_interval"]
        return float(ping + self.limits["ping_timeout"] + CLOSE_TIMEOUT) if ping else None

    @property
    def separates_calls(self) -> bool:
        """Whether ids or pings separate the replies of one call from those of the next."""
        return "ids" in self.kind or bool(self.limits["ping_interval"])

    def with_changed_header(self) -> LoadedManifest:
        """Return the manifest with another header, which needs new connections."""
        return load({**self.template, "headers": {"X-Version": "2"}})


@cache
def shape(number: int) -> Shape:
    """Return the shape with this number."""
    rng = random.Random(number)
    kind: Kind = rng.choice(KINDS)
    discovered = rng.random() < 0.15
    listed = _tools(kind, discovered)
    template = {
        "name": NAME,
        "url": rng.choice(URLS),
        "network": {"allow": ["loopback"], "plaintext": True},
        "timeout": rng.choice((1.0, 2.0, 4.0)),
        "limits": _limits(rng),
        "keep_alive": not kind.startswith("one-shot"),
        "response_format": "json",
        "request_id": rng.choice(("uuid", "counter", "string_counter")),
        "pin": "off",
        **_messages(kind),
        **_extras(kind, rng),
        **({} if discovered else {"tools": listed}),
    }
    layers = random.Random(-SHAPES - number)  # of its own, so that the other facts of a shape stay as they are
    if layers.random() < FRAMED_RATE:
        template["framing"] = layers.choice(FRAMINGS)
    newer = random.Random(-2 * SHAPES - number)
    if newer.random() < HTTP_RATE and not discovered:
        template |= _http_steps(template)
    if newer.random() < PROTOBUF_RATE and not discovered:  # the id of its messages is a text
        template |= {"framing": newer.choice(PROTOBUF_FRAMINGS), "request_id": "string_counter"}
    latest = random.Random(-3 * SHAPES - number)
    if latest.random() < LATER_FRAMED_RATE and "framing" not in template:
        template["framing"] = latest.choice(LATER_FRAMINGS)
    batching = random.Random(-13 * SHAPES - number)  # so that seeds which found a defect keep their manifests
    if kind == "ids" and not discovered and "protobuf" not in template.get("framing", {}):
        template |= _batched(template) if batching.random() < BATCHED_RATE else {}
    if "framing" not in template and random.Random(-29 * SHAPES - number).random() < JOINED_RATE:
        template["framing"] = JOINED
    if layers.random() < REPEATED_RATE:
        template["message"] = {"$each": ["{{ args.n }}"], "$template": {**template["message"], "n": "{{ item }}"}}
    if "ignore" in template and random.Random(-1 - number).random() < 0.3:
        template["reconnect_when"] = SESSION_ENDED
    return Shape(kind, template, listed, load(template), rng.random() < 0.3)


def _batched(template: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with which a message may answer several calls, of which enough can wait at the same time."""
    reply = {
        "match": "request_id in message.ids if message.ids is defined else message.id == request_id",
        "answers_all": True,
        "error": "message.error is defined or message.errors[request_id | string] is defined",
        "error_message": "message.error | default(message.errors[request_id | string])",
        "result": "message.answers[request_id | string] if message.ids is defined else message.answer",
    }
    return {"reply": {**template["reply"], **reply}, "limits": {**template["limits"], "max_in_flight": 4}}


def _http_steps(template: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with which a call gets a ticket, and a login a key, and sends both with its message."""
    step = {"http": {"url": f"{HTTP_URL}/ticket/{{{{ args.n }}}}"}, "capture": {"ticket": "body.ticket"}, "timeout": 2}
    fields: dict[str, Any] = {
        "before_message": [step],
        "message": {**template["message"], "ticket": "{{ let.ticket }}"},
    }
    if "on_connect" in template:
        key = {"http": {"url": f"{HTTP_URL}/key/{{{{ session.me }}}}"}, "capture": {"key": "body.key"}, "timeout": 2}
        fields["on_connect"] = [*template["on_connect"], key]
        fields["message"]["key"] = "{{ session.key }}"
    return fields


def _limits(rng: random.Random) -> dict[str, Any]:
    return {
        "max_in_flight": rng.choice((1, 2, 4)),
        "max_connections": rng.choice((1, 1, 2, 3)),
        "connect_timeout": rng.choice((1, 5)),
        "ping_interval": rng.choice((0, 3, 3)),
        "ping_timeout": 2,
        **({"requests_per_second": 4} if rng.random() < 0.15 else {}),
    }


def _messages(kind: Kind) -> dict[str, Any]:
    message = {"do": "{{ tool }}", "n": "{{ args.n }}"}
    reply = {"error": "message.error is defined", "error_message": "message.error", "result": "message.answer"}
    if "ids" in kind:
        message["id"] = "{{ request_id }}"
        optional_id = "message.id is defined and request_id in [message.id]"
        reply["match"] = optional_id if kind == "optional ids" else "message.id == request_id"
    return {"message": message, "reply": reply}


def _extras(kind: Kind, rng: random.Random) -> dict[str, Any]:
    """Return optional fields: a login, a heartbeat, a token, and events to ignore."""
    login = {"expect": "message.hello is defined", "fail": "message.denied is defined", "timeout": 2}
    optional = {
        "on_connect": (0.3, [{"send": {"login": True}}, {**login, "capture": {"me": "message.hello"}}]),
        "heartbeat": (0.2, {"every": HEARTBEAT_INTERVAL, **_HEARTBEAT}),
        "auth": (0.2, {"auth_type": "oauth2", "token_url": TOKEN_URL, "client_id": "c", "client_secret": "s"}),
        "ignore": (1.0 if "ids" in kind else 0.5, EVENTS),
    }
    return {name: value for name, (odds, value) in optional.items() if rng.random() < odds}


def _tools(kind: Kind, discovered: bool) -> list[dict[str, Any]]:
    inputs = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    cancel = {} if discovered else {"cancel": {"cancel": "{{ args.n }}"}}
    stream = {"until": "message.done == true", "item": "message.answer", "max_items": MAX_ITEMS, **cancel}
    tools: list[dict[str, Any]] = [
        {"name": "ask"},
        {"name": "look", "idempotent": True},
        {"name": "list", "tool_call_template": {"stream": stream}},
        {"name": "idle", "tool_call_template": {"stream": {**stream, "idle_seconds": 0.3}}},
    ]
    if not discovered:
        tools.append({"name": "tell", "tool_call_template": {"reply": "none"}})
    if "ids" in kind and not discovered:
        watch = {**stream, "match": "message.sub == reply.answer.sub"}
        tools.append({"name": "watch", "tool_call_template": {"stream": watch}})
    if kind == "one-shot" and not discovered:
        url = "ws://127.0.0.1:8000/hear/UTCP_ARG_n_UTCP_ARG"
        off = dict.fromkeys(("auth", "on_connect", "before_message"))
        hear = {"url": url, "listen": True, **off, "ignore": EVENTS}
        tools.append({"name": "hear", "tool_call_template": {**hear, "stream": stream}})
    return [{**tool, "inputs": inputs} for tool in tools]


def load(template: dict[str, Any]) -> LoadedManifest:
    """Return a manifest with this call template."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / SCHEMA_FILE).write_text(SCHEMA_TEXT)
        file = Path(folder) / "manifest.json"
        file.write_text(json.dumps(template))
        return load_manifest(file, environ={})


@cache
def _schema() -> ProtobufSchema:
    return load_types(SCHEMA_FILE, lambda _: SCHEMA_TEXT.encode()).select("sim.Message", "sim.Message")


def framer_of(framing: Framing) -> Framer:
    """Return a framer for a connection with this framing."""
    return make_framer(framing, schema=_schema() if framing.protobuf is not None else None)
