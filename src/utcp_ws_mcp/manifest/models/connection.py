"""The parts of a manifest that say what a connection does by itself: logins, answers, heartbeats, framing."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from .base import ExpressionSource, Json, Model, SecondsOrExpression


class Step(Model):
    """One step of `on_connect` (section 4): exactly one of `send` and `expect`. `timeout` in seconds."""

    send: Json = None
    expect: ExpressionSource | None = None
    when: ExpressionSource | None = None
    capture: dict[str, ExpressionSource] = Field(default_factory=dict)
    fail: ExpressionSource | None = None
    fail_message: ExpressionSource | None = None
    timeout: float = Field(10, gt=0)
    request_id: bool = False

    @model_validator(mode="after")
    def _send_or_expect(self) -> Self:
        if (self.send is None) == (self.expect is None):
            raise ValueError('a step has either "send" or "expect"')
        return self


class HttpRequestTemplate(Model):
    """A request of `before_connect`. `json` and `form` are templates of its body."""

    method: str = "GET"
    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    json_body: Json = Field(None, alias="json")
    form: dict[str, Json] | None = None

    @field_validator("method")
    @classmethod
    def _letters_only(cls, method: str) -> str:
        if not re.fullmatch("[A-Za-z]+", method):
            raise ValueError("expected an HTTP method such as 'POST'")
        return method


class HttpStep(Model):
    """One step of `before_connect` (section 4): a request, and what is taken out of its answer."""

    http: HttpRequestTemplate
    capture: dict[str, ExpressionSource] = Field(default_factory=dict)
    fail: ExpressionSource = "status >= 300"
    fail_message: ExpressionSource | None = None
    timeout: float = Field(10, gt=0)


class DisconnectMessage(Model):
    """A message that is sent before the bridge closes a connection (section 4)."""

    send: Json
    when: ExpressionSource | None = None

    @field_validator("send")
    @classmethod
    def _message_shape(cls, value: Json) -> Json:
        is_message = isinstance(value, str | dict | list)
        if not is_message:
            raise ValueError("expected a message: a string, an object or an array")
        return value


class AutoReply(Model):
    """A message that is answered at once (section 7); with `keep` it is a reply or an item all the same."""

    match: ExpressionSource
    send: Json
    keep: bool = False


class Capture(Model):
    """Values that are kept of any incoming message (section 7)."""

    match: ExpressionSource
    set: dict[str, ExpressionSource]


class InboxSettings(Model):
    """Messages that are kept while no call listens (section 7): those for which `match` holds, `size` at most."""

    match: ExpressionSource
    size: int = Field(100, ge=1, le=1000)


class Heartbeat(Model):
    """A message that is sent again and again (section 7); `every` in seconds, a number or an expression."""

    every: SecondsOrExpression
    send: Json
    expect: ExpressionSource | None = None
    timeout: float = Field(10, gt=0)


class Framing(Model):
    """How messages become WebSocket messages (section 7)."""

    codec: Literal["json", "text", "binary", "msgpack", "cbor", "stomp", "socketio4", "mqtt"] = "json"
    separator: str | None = Field(None, min_length=1)
    spans_messages: bool = False
    batch: bool = False

    @model_validator(mode="after")
    def _require_separator(self) -> Self:
        if self.spans_messages and self.separator is None:
            raise ValueError('"spans_messages" needs a "separator", which says where a message ends')
        return self
