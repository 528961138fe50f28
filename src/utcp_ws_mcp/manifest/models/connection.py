"""What a connection does on its own (sections 4 and 7): login, automatic replies, heartbeats, framing."""

import re
from typing import Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from .base import ExpressionSource, FieldError, Json, Model, Query, SecondsOrExpression


class HttpRequestTemplate(Model):
    """An HTTP request of a step."""

    method: str = Field("GET", description="The HTTP method, such as GET or POST.")
    url: str = Field(
        description="The URL, with {{ expressions }} behind the host: https://, or http:// on this machine and, with "
        "network.plaintext, in the endpoint's own network."
    )
    query: Query = Field(
        default_factory=dict,
        description="Query parameters that are appended to the URL, by name, with {{ expressions }}.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="The headers by name; values may contain {{ expressions }}."
    )
    json_body: Json = Field(None, alias="json", description="The body as JSON, with {{ expressions }}.")
    form: dict[str, Json] | None = Field(None, description="The body as form fields, with {{ expressions }}.")

    @field_validator("method")
    @classmethod
    def _letters_only(cls, method: str) -> str:
        if not re.fullmatch("[A-Za-z]+", method):
            raise FieldError("expected an HTTP method such as 'POST'.", code="invalid-value")
        return method


class Step(Model):
    """One step of a login: `send`, `expect` or `http`."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["send"]}, {"required": ["expect"]}, {"required": ["http"]}]}
    )

    send: Json = Field(None, description="The message to send, with {{ expressions }}.")
    expect: ExpressionSource | None = Field(
        None, description="Predicate: the message to wait for; other messages are skipped."
    )
    http: HttpRequestTemplate | None = Field(None, description="The HTTP request to send.")
    when: ExpressionSource | None = Field(None, description="Predicate: whether the step is executed.")
    capture: dict[str, ExpressionSource] = Field(
        default_factory=dict,
        description="Expressions by name, whose values are stored in session: of the expected message, of the HTTP "
        "response (body, status, headers, cookies), or before the message of the step is sent.",
    )
    fail: ExpressionSource | None = Field(
        None, description="Predicate: the message, or the HTTP response, reports that the login failed."
    )
    fail_message: ExpressionSource | None = Field(None, description="Expression: the error text of a failed login.")
    timeout: float = Field(10, gt=0, description="The timeout of the step in seconds.")
    request_id: bool = Field(
        False, description="Whether the step creates a request_id for itself and the following steps."
    )

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if sum(action is not None for action in (self.send, self.expect, self.http)) != 1:
            message = 'a step has one of "send", "expect" and "http". Use a step for each.'
            raise FieldError(message, code="step-not-exclusive")
        return self


class HttpStep(Model):
    """An HTTP request, and the values that are captured from its response."""

    http: HttpRequestTemplate = Field(description="The HTTP request.")
    when: ExpressionSource | None = Field(None, description="Predicate: whether the step is executed.")
    capture: dict[str, ExpressionSource] = Field(
        default_factory=dict,
        description="Expressions on the response (body, status, headers, cookies) by name, whose values are stored in "
        "session or, before a message, in let.",
    )
    fail: ExpressionSource = Field(
        "status >= 300", description="Predicate on status, body, headers and cookies: the request failed."
    )
    fail_message: ExpressionSource | None = Field(None, description="Expression: the error text of a failed request.")
    timeout: float = Field(10, gt=0, description="The timeout of the request in seconds.")


class DisconnectMessage(Model):
    """A message that is sent before the bridge closes a connection."""

    send: Json = Field(description="The message to send, with {{ expressions }}.")
    when: ExpressionSource | None = Field(None, description="Predicate: whether the message is sent.")

    @field_validator("send")
    @classmethod
    def _message_shape(cls, value: Json) -> Json:
        is_message = isinstance(value, str | dict | list)
        if not is_message:
            raise FieldError("expected a message: a string, an object or an array.", code="invalid-message")
        return value


class AutoReply(Model):
    """An automatic answer to messages such as an application-level ping."""

    match: ExpressionSource = Field(description="Predicate: the message to answer.")
    send: Json = Field(description="The answer, with {{ expressions }} on message.")
    keep: bool = Field(False, description="Whether the message can also be a reply or an item of a stream.")


class Capture(Model):
    """Values of incoming messages that are stored in `session`."""

    match: ExpressionSource = Field(description="Predicate: the messages to take the values from.")
    set: dict[str, ExpressionSource] = Field(description="Expressions on message, by the name of the value in session.")


class Heartbeat(Model):
    """A message that is sent at intervals while a connection is open."""

    every: SecondsOrExpression = Field(description="The interval in seconds: a number, or an expression on session.")
    send: Json = Field(description="The message to send, with {{ expressions }}.")
    expect: ExpressionSource | None = Field(None, description="Predicate: the message that answers a heartbeat.")
    timeout: float = Field(
        10, gt=0, description="Seconds to wait for the expected answer before the connection is dropped."
    )
