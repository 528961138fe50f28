"""Recognize protocols that have a preset: by the URL, the subprotocol, and the messages of the conversation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from ..core.codecs.socketio import SocketIOCodec
from ..core.codecs.stomp import StompCodec
from ..core.expressions.paths import Path, value_at
from ..core.login_demand import preset_with_login_for
from ..manifest.variables import VARIABLE
from ..records import Record, replace
from .messages import Mark, RecordedMessage
from .templates import REQUEST_ID

Call = tuple[str, dict[str, Any]]
"""The tool and the arguments of a call."""


class Invocation(Record):
    """A message whose data are the name of what it invokes and arguments without names.

    `fields` are its other fields, but for the `id`, if it `has_id`.
    """

    name: str
    arguments: Sequence[Any]
    fields: Mapping[str, str]
    has_id: bool

    @property
    def kind(self) -> str:
        """Return what messages of one tool have in common."""
        return f"{self.name} {dict(self.fields)} {self.has_id} {len(self.arguments)}"

    def message(self, arguments: Sequence[Any], escape: Callable[[str], str]) -> dict[str, Any]:
        """Return the message of a tool for the templates of the arguments; `escape` makes a template of a text."""
        fields = {key: escape(item) for key, item in self.fields.items()}
        own_id = {"id": REQUEST_ID} if self.has_id else {}
        return {**fields, **own_id, "data": [escape(self.name), *arguments]}


class Recorded(Record):
    """What was recorded: the URL, the subprotocols that were offered, and the messages."""

    not_in_repr: ClassVar = ("url", "messages")
    url: str
    protocols: Sequence[str]
    messages: Sequence[RecordedMessage]

    def sends(self, predicate: Callable[[Any], bool]) -> bool:
        """Return whether a message for which a predicate holds was sent."""
        return any(message.sent and predicate(message.value) for message in self.messages)

    def receives(self, predicate: Callable[[Any], bool]) -> bool:
        """Return whether a message for which a predicate holds was received."""
        return any(not message.sent and predicate(message.value) for message in self.messages)


def _never(_: Any) -> bool:
    return False


def _is_never_stray(_: RecordedMessage) -> bool:
    return False


def _no_call(_: Any) -> Call | None:
    return None


def _no_invocation(_: Any) -> Invocation | None:
    return None


def _no_event(_: Any) -> str | None:
    return None


class PresetForm(Record):
    """How a conversation in the protocol of a preset looks.

    Attributes:
        preset: The name of the preset.
        recognizes: Whether a conversation is one.
        id_path: The path of the ID of a request.
        reply_paths: The paths of the ID in what answers it.
        is_own: Whether the preset sends a message like this by itself: a login, an answer to a ping.
        call: The tool and the arguments for which the preset sends a message like this, or None.
        invocation: What a message of this protocol invokes for which the preset has no call, or None.
        is_stream: Whether these answers to one request are those of a stream.
        event: The name of the event that a message is, which a feed of the preset has, or None.
        codec: The codec of the preset.
        login: The variables that the preset takes, and their values in a message that it sends by itself.
        is_stray: Whether a message is none of the protocol, and is left out.
    """

    preset: str
    recognizes: Callable[[Recorded], bool]
    id_path: Path
    reply_paths: Sequence[Path]
    is_own: Callable[[Any], bool] = _never
    call: Callable[[Any], Call | None] = _no_call
    invocation: Callable[[Any], Invocation | None] = _no_invocation
    is_stream: Callable[[Sequence[Any]], bool] = _never
    event: Callable[[Any], str | None] = _no_event
    codec: Callable[[], Any] | None = None
    login: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    is_stray: Callable[[RecordedMessage], bool] = _is_never_stray

    @property
    def opens_session(self) -> bool:
        """Return whether the preset opens a session by itself."""
        return self.is_own is not _never

    def decoded(self, messages: Sequence[RecordedMessage]) -> list[RecordedMessage]:
        """Return the messages as the codec of the preset decodes them."""
        return [each for parts in self.parts(messages) for each in parts]

    def parts(self, messages: Sequence[RecordedMessage]) -> list[list[RecordedMessage]]:
        """Return for each message those that the codec of the preset finds in it; a stray message has none."""
        if self.codec is None:
            return [[] if self.is_stray(message) else [message] for message in messages]
        codecs = {True: self.codec(), False: self.codec()}
        return [list(_decode(codecs[message.sent], message)) for message in messages]


def recognize_preset(recorded: Recorded) -> PresetForm | None:
    """Return the form of the preset whose protocol a conversation has, or None."""
    return next((form for form in PRESET_FORMS if form.recognizes(recorded)), None)


def _decode(codec: Any, message: RecordedMessage) -> Iterator[RecordedMessage]:
    if not isinstance(message.value, str | bytes):
        yield message
        return
    yield from (replace(message, value=each.value) for each in codec.decode(message.value))


def _has(value: Any, **members: Any) -> bool:
    return isinstance(value, dict) and all(value.get(key) == item for key, item in members.items())


def _is_jsonrpc(recorded: Recorded) -> bool:
    sent = [message for message in recorded.messages if message.sent and message.mark is not Mark.IGNORED]
    values = [message.value for message in sent if not _is_stray_text(message)]
    requests = [value for value in values if isinstance(value, dict) and isinstance(value.get("method"), str)]
    received = [message.value for message in recorded.messages if not message.sent]
    refused = sum(_has(value, jsonrpc="2.0", id=None) and "error" in value for value in received)
    are_all = len(requests) == len(values) >= len(sent) - max(1, refused)
    return bool(requests) and are_all and all(_has(value, jsonrpc="2.0") for value in values)


def _is_stray_text(message: RecordedMessage) -> bool:
    """Return whether a message is a text that was sent by mistake among JSON: one with a variable may be a login."""
    value = message.value
    is_text = isinstance(value, bytes) or (isinstance(value, str) and not VARIABLE.search(value))
    return message.sent and message.mark is None and is_text


def _jsonrpc_call(value: Any) -> Call | None:
    params = value.get("params", {})
    is_plain = value.keys() <= {"jsonrpc", "id", "method", "params"} and "params" in value and "id" in value
    return (value["method"], params) if is_plain and isinstance(params, dict) else None


def _homeassistant_call(value: Any) -> Call | None:
    arguments = {key: item for key, item in value.items() if key not in ("id", "type")}
    return (value["type"], arguments) if isinstance(value.get("type"), str) and "id" in value else None


def _wamp_call(value: Any) -> Call | None:
    is_call = isinstance(value, list) and len(value) == 6 and value[0] == 48 and value[2] == {} and value[4] == []
    return (value[3], value[5]) if is_call and isinstance(value[5], dict) else None


def _phoenix_call(value: Any) -> Call | None:
    is_push = isinstance(value, list) and len(value) == 5 and isinstance(value[4], dict)
    return (value[3], {"topic": value[2], "payload": value[4]}) if is_push else None


_OF_SOCKETIO: Final = frozenset({"connect", "open", "ping", "pong", "upgrade", "noop"})
"""Packets that the preset sends, or that only change the transport: a page that has polled upgrades to WebSocket."""


def _socketio_call(value: Any) -> Call | None:
    data = value.get("data")
    is_call = value.get("id") is not None and isinstance(data, list) and len(data) == 2 and isinstance(data[1], dict)
    return (data[0], data[1]) if is_call and value.get("namespace") == "/" else None


def _socketio_invocation(value: Any) -> Invocation | None:
    data = value.get("data") if _has(value, type="event") else None
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        return None
    namespace = value.get("namespace", "/")
    fields = {"type": "event", **({"namespace": namespace} if namespace != "/" else {})}
    return Invocation(data[0], data[1:], fields, value.get("id") is not None)


def _stomp_call(value: Any) -> Call | None:
    headers = value.get("headers", {}) if isinstance(value, dict) else {}
    usual = {"destination", "content-type", "receipt", "content-length"}
    if not _has(value, command="SEND") or "receipt" not in headers or not headers.keys() <= usual:
        return None
    names = {"destination": headers.get("destination"), "content_type": headers.get("content-type")}
    return "send", {**{key: item for key, item in names.items() if item is not None}, "body": value.get("body", "")}


def _stomp_login(value: Any) -> Mapping[str, Any]:
    headers = value.get("headers", {}) if isinstance(value, dict) else {}
    names = {"STOMP_HOST": "host", "STOMP_LOGIN": "login", "STOMP_PASSCODE": "passcode"}
    return {name: headers[key] for name, key in names.items() if key in headers and headers[key] != "/"}


def _wamp_login(value: Any) -> Mapping[str, Any]:
    if value[0] != 1:
        return {"WAMP_TICKET": value[1]} if value[0] == 5 else {}
    realm = {"WAMP_REALM": value[1]} if value[1] != "realm1" else {}
    return realm | ({"WAMP_AUTHID": value[2]["authid"]} if "authid" in value[2] else {})


def _is_wamp_hello(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and value[0] == 1 and "roles" in str(value[2])


_PHOENIX_JOIN: Final = re.compile(r"phx_join|phx_leave|heartbeat")


def _jsonrpc_event(value: Any) -> str | None:
    is_notification = _has(value, jsonrpc="2.0") and "id" not in value and isinstance(value.get("method"), str)
    return str(value["method"]) if is_notification else None


def _socketio_event(value: Any) -> str | None:
    is_event = _has(value, type="event") and isinstance(value.get("data"), list) and value["data"]
    return str(value["data"][0]) if is_event else None


def _phoenix_event(value: Any) -> str | None:
    is_event = isinstance(value, list) and len(value) == 5 and isinstance(value[3], str)
    return value[3] if is_event and not value[3].startswith("phx_") else None


PRESET_FORMS: Final = (
    PresetForm(
        "graphql-transport-ws",
        lambda recorded: (
            recorded.sends(lambda value: _has(value, type="connection_init"))
            and recorded.sends(lambda value: _has(value, type="subscribe"))
        ),
        ("id",),
        [("id",)],
        is_own=lambda value: isinstance(value, dict) and value.get("type") in ("connection_init", "ping", "pong"),
        is_stream=lambda replies: sum(_has(reply, type="next") for reply in replies) > 1,
    ),
    PresetForm(
        "homeassistant",
        lambda recorded: recorded.receives(lambda value: preset_with_login_for(value) == "homeassistant"),
        ("id",),
        [("id",)],
        is_own=lambda value: _has(value, type="auth") or _has(value, type="ping"),
        call=_homeassistant_call,
        is_stream=lambda replies: any(_has(reply, type="event") for reply in replies),
        login=lambda value: {"HOMEASSISTANT_TOKEN": value["access_token"]} if "access_token" in value else {},
    ),
    PresetForm(
        "phoenix",
        lambda recorded: recorded.sends(lambda value: isinstance(value, list) and value[3:4] == ["phx_join"]),
        (1,),
        [(1,)],
        is_own=lambda value: isinstance(value, list) and bool(_PHOENIX_JOIN.match(str(value[3:4] and value[3]))),
        call=_phoenix_call,
        event=_phoenix_event,
    ),
    PresetForm(
        "wamp",
        lambda recorded: recorded.sends(_is_wamp_hello),
        (1,),
        [(1,), (2,)],
        is_own=lambda value: isinstance(value, list) and value[0] in (1, 5, 6),
        call=_wamp_call,
        is_stream=lambda replies: any(value_at(reply, (2, "progress")) is True for reply in replies),
        login=_wamp_login,
    ),
    PresetForm(
        "socketio4",
        lambda recorded: "EIO=4" in recorded.url or recorded.receives(lambda value: str(value).startswith('0{"sid"')),
        ("id",),
        [("id",)],
        is_own=lambda value: value.get("type") in _OF_SOCKETIO if isinstance(value, dict) else True,
        call=_socketio_call,
        invocation=_socketio_invocation,
        event=_socketio_event,
        codec=SocketIOCodec,
        login=lambda value: {"SOCKETIO_AUTH": "…"} if isinstance(value, dict) and value.get("data") else {},
    ),
    PresetForm(
        "stomp",
        lambda recorded: recorded.sends(lambda value: bool(re.match(r"(?:CONNECT|STOMP)\r?\n", str(value)))),
        ("headers", "receipt"),
        [("headers", "receipt-id"), ("headers", "subscription")],
        is_own=lambda value: not isinstance(value, dict) or value.get("command") in ("CONNECT", "STOMP", "DISCONNECT"),
        call=_stomp_call,
        codec=StompCodec,
        login=_stomp_login,
    ),
    PresetForm(
        "jsonrpc2",
        _is_jsonrpc,
        ("id",),
        [("id",)],
        call=_jsonrpc_call,
        event=_jsonrpc_event,
        is_stray=_is_stray_text,
    ),
)
"""The protocols that are recognized, the most special first."""
