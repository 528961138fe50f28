"""Feeds: events of an endpoint that are kept for readers (section 11)."""

import re
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from .base import ExpressionSource, FieldError, Json, Model, Query

FEED_NAME: Final = r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
"""APIs name events as they like, and with a preset the name of a feed is that of its event: order:new, chat/said."""


class FeedStep(Model):
    """One step that opens a feed on a connection: either `send` or `expect`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["send"]}, {"required": ["expect"]}]})

    send: Json = Field(None, description="The message to send, with {{ expressions }} on the arguments of the feed.")
    expect: ExpressionSource | None = Field(
        None, description="Predicate: the message to wait for; the expressions of the feed see the last one as reply."
    )
    fail: ExpressionSource | None = Field(
        None, description="Predicate: the message reports that the feed cannot be opened; by default reply.error."
    )
    fail_message: ExpressionSource | None = Field(
        None, description="Expression: the error text of such a message; by default reply.error_message."
    )
    answers_all: bool = Field(
        False,
        description="Whether a message confirms every feed that waits and whose expect is true for it; by default the "
        "first of them.",
    )
    timeout: float = Field(10, gt=0, description="The timeout of the step in seconds.")

    @model_validator(mode="after")
    def _send_or_expect(self) -> Self:
        if (self.send is None) == (self.expect is None):
            message = 'a step has either "send" or "expect". Use two steps for both.'
            raise FieldError(message, code="step-not-exclusive")
        return self


class Feed(Model):
    """Events of an endpoint that are kept for readers, also while no call runs."""

    name: str = Field(
        min_length=1,
        pattern=FEED_NAME,
        description="The name of the feed; its tools are NAME_events and NAME_latest.",
    )
    description: str = Field("", description="What the events are, for the model that reads them.")
    inputs: dict[str, Json] = Field(
        default_factory=dict,
        description="The JSON Schema of the arguments; each set of arguments has events of its own.",
    )
    query: Query = Field(
        default_factory=dict,
        description="Query parameters of the URL of a connection that the feed has for itself; one with position, that "
        "of the last event, is left out before there is one.",
    )
    open: tuple[FeedStep, ...] = Field(
        (), description="Steps on each connection before its events are read, such as a subscription."
    )
    match: ExpressionSource | None = Field(
        None, description="Predicate: the message is an event; required, unless feed_defaults has it."
    )
    item: ExpressionSource | None = Field(
        None, description="Expression: the data of an event; by default the whole message."
    )
    flat: bool = Field(
        False, description="Each element is an event of its own, if item is a list; any other item is one event."
    )
    until: ExpressionSource | None = Field(
        None, description="Predicate: the endpoint has ended the subscription; the feed is opened again, with a gap."
    )
    close: Json = Field(None, description="The message to send when the feed is no longer read.")
    key: ExpressionSource | None = Field(
        None,
        description="Expression: what the event is about, such as a symbol; it sees the data as item, and adds the "
        "tool NAME_latest.",
    )
    keep: Literal["all", "latest"] = Field(
        "all", description="Which events are kept: all of them, or only the newest one for each key."
    )
    position: ExpressionSource | None = Field(
        None, description="Expression: the position of an event at the endpoint; repeated positions are dropped."
    )
    resume: tuple[FeedStep, ...] = Field(
        (), description="Steps after those of open on a later connection, with the last position as position."
    )
    size: int = Field(1000, ge=1, le=100_000, description="The maximum number of kept events.")
    max_bytes: int = Field(1 << 20, ge=1024, le=1 << 26, description="The maximum size of all kept events in bytes.")
    max_age: float = Field(3600, gt=0, description="Seconds after which an event is removed.")
    start: Literal["first_use", "first_call", "start"] = Field(
        "first_use",
        description="When the feed is opened: at its first read, also before each call of a tool of the call template, "
        "or when the bridge starts.",
    )
    linger: float = Field(600, ge=0, description="Seconds after the last read until the feed is closed.")
    max_instances: int = Field(
        16, ge=1, le=1000, description="The maximum number of sets of arguments at the same time."
    )
    max_wait_seconds: float = Field(50, ge=0, le=3600, description="The longest time that a read may wait in seconds.")

    @field_validator("name", mode="before")
    @classmethod
    def _check_name(cls, value: Json) -> Json:
        if isinstance(value, str) and value and not re.fullmatch(FEED_NAME, value):
            message = f"{value!r} is no name: write it without control characters, and without blanks around it."
            raise FieldError(message, code="invalid-value")
        return value

    @field_validator("close")
    @classmethod
    def _message_shape(cls, value: object) -> object:
        if value is not None and not isinstance(value, str | dict | list):
            raise FieldError("expected a message: a string, an object or an array.", code="invalid-message")
        return value

    @model_validator(mode="after")
    def _fields_belong_together(self) -> Self:
        if self.match is None:
            raise FieldError('"match" is required: which messages are events? Add it.', code="missing-key")
        if self.keep == "latest" and self.key is None:
            raise FieldError('"keep": "latest" requires a "key". Add one.', code="feed-key-required")
        if self.resume and self.position is None:
            raise FieldError('"resume" requires a "position". Add one.', code="feed-position-required")
        if self.start == "start" and required_arguments(self.inputs):
            message = '"start": "start" is impossible for a feed with required arguments. Remove one of them.'
            raise FieldError(message, code="feed-start-with-arguments")
        return self


def required_arguments(inputs: dict[str, Any]) -> list[str]:
    """Return the names of the arguments without which a feed cannot be opened."""
    required = inputs.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
