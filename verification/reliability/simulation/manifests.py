"""The manifests that are simulated: many, made from a number, so that a process compiles each once."""

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

Kind = Literal["ids", "loose ids", "owned", "one-shot", "one-shot ids"]
KINDS: Final[tuple[Kind, ...]] = ("ids", "ids", "loose ids", "owned", "owned", "one-shot", "one-shot ids")


@dataclass(frozen=True, slots=True)
class Shape:
    """A manifest, and what a simulation has to know of it. `greets`: the endpoint says something first."""

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
        """What the endpoint answers to the question for its tools."""
        return {"utcp_version": "1.0.1", "manual_version": "1.0.0", "tools": self.listed}

    @property
    def timeout(self) -> float:
        """Seconds that a call may take."""
        return float(self.template["timeout"])

    @property
    def limits(self) -> dict[str, Any]:
        """The `limits` of the manifest."""
        return dict(self.template["limits"])

    @property
    def discovered(self) -> bool:
        """Whether the endpoint is asked for its tools."""
        return "tools" not in self.template

    @property
    def allows_events(self) -> bool:
        """Whether events may come at any time."""
        return "ignore" in self.template

    @property
    def may_end_sessions(self) -> bool:
        """Whether an event may say that a connection is of no more use."""
        return "reconnect_when" in self.template

    @property
    def token(self) -> bool:
        """Whether the upgrade needs a token."""
        return "auth" in self.template

    @property
    def uses_hostname(self) -> bool:
        """Whether the host has a name, and so perhaps several addresses."""
        return "api.test" in self.template["url"]

    @property
    def silence_limit(self) -> float | None:
        """Seconds in which a peer that has fallen silent is found out, or None where nothing looks after it."""
        if "heartbeat" in self.template:
            return HEARTBEAT_INTERVAL + HEARTBEAT_TIMEOUT
        ping = self.limits["ping_interval"]
        return float(ping + self.limits["ping_timeout"] + CLOSE_TIMEOUT) if ping else None

    @property
    def separates_calls(self) -> bool:
        """Whether ids or pings tell what belongs to a call."""
        return "ids" in self.kind or bool(self.limits["ping_interval"])

    def with_changed_header(self) -> LoadedManifest:
        """The same manifest with another header."""
        return _loaded({**self.template, "headers": {"X-Version": "2"}})


@cache
def shape(number: int) -> Shape:
    """The shape of a number."""
    draw = random.Random(number)
    kind: Kind = draw.choice(KINDS)
    discovered = draw.random() < 0.15
    listed = _tools(kind, discovered)
    template = {
        "name": NAME,
        "url": draw.choice(URLS),
        "network": {"allow": ["loopback"], "plaintext": True},
        "timeout": draw.choice((1.0, 2.0, 4.0)),
        "limits": _limits(draw),
        "keep_alive": not kind.startswith("one-shot"),
        "response_format": "json",
        "request_id": draw.choice(("uuid", "counter", "string_counter")),
        "pin": "off",
        **_messages(kind),
        **_extras(kind, draw),
        **({} if discovered else {"tools": listed}),
    }
    if "ignore" in template and random.Random(-1 - number).random() < 0.3:
        template["reconnect_when"] = SESSION_ENDED
    return Shape(kind, template, listed, _loaded(template), draw.random() < 0.3)


def _limits(draw: random.Random) -> dict[str, Any]:
    return {
        "max_in_flight": draw.choice((1, 2, 4)),
        "max_connections": draw.choice((1, 1, 2, 3)),
        "connect_timeout": draw.choice((1, 5)),
        "ping_interval": draw.choice((0, 3, 3)),
        "ping_timeout": 2,
        **({"requests_per_second": 4} if draw.random() < 0.15 else {}),
    }


def _messages(kind: Kind) -> dict[str, Any]:
    message = {"do": "{{ tool }}", "n": "{{ args.n }}"}
    reply = {"error": "message.error is defined", "error_message": "message.error", "result": "message.answer"}
    if "ids" in kind:
        message["id"] = "{{ request_id }}"
        loosely = "message.id is defined and request_id in [message.id]"
        reply["match"] = loosely if kind == "loose ids" else "message.id == request_id"
    return {"message": message, "reply": reply}


def _extras(kind: Kind, draw: random.Random) -> dict[str, Any]:
    """What a manifest may say besides: a login, a heartbeat, a token, events that are to be ignored."""
    greeted = {"expect": "message.hello is defined", "fail": "message.denied is defined", "timeout": 2}
    every = {
        "on_connect": (0.3, [{"send": {"login": True}}, {**greeted, "capture": {"me": "message.hello"}}]),
        "heartbeat": (0.2, {"every": HEARTBEAT_INTERVAL, **_HEARTBEAT}),
        "auth": (0.2, {"auth_type": "oauth2", "token_url": TOKEN_URL, "client_id": "c", "client_secret": "s"}),
        "ignore": (1.0 if "ids" in kind else 0.5, EVENTS),
    }
    return {name: value for name, (odds, value) in every.items() if draw.random() < odds}


def _tools(kind: Kind, discovered: bool) -> list[dict[str, Any]]:
    inputs = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    cancel = {} if discovered else {"cancel": {"cancel": "{{ args.n }}"}}
    flow = {"until": "message.done == true", "item": "message.answer", "max_items": MAX_ITEMS, **cancel}
    tools: list[dict[str, Any]] = [
        {"name": "ask"},
        {"name": "look", "idempotent": True},
        {"name": "list", "tool_call_template": {"stream": flow}},
        {"name": "idle", "tool_call_template": {"stream": {**flow, "idle_seconds": 0.3}}},
    ]
    if not discovered:
        tools.append({"name": "tell", "tool_call_template": {"reply": "none"}})
    if "ids" in kind and not discovered:
        watch = {**flow, "match": "message.sub == reply.answer.sub"}
        tools.append({"name": "watch", "tool_call_template": {"stream": watch}})
    if kind == "one-shot" and not discovered:
        url = "ws://127.0.0.1:8000/hear/UTCP_ARG_n_UTCP_ARG"
        hear = {"url": url, "listen": True, "auth": None, "on_connect": None, "ignore": EVENTS}
        tools.append({"name": "hear", "tool_call_template": {**hear, "stream": flow}})
    return [{**tool, "inputs": inputs} for tool in tools]


def _loaded(template: dict[str, Any]) -> LoadedManifest:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.json"
        file.write_text(json.dumps(template))
        return load_manifest(file, environ={})
