"""Which messages answer a call: one reply (section 5) or a stream (section 6)."""

from typing import Literal

from pydantic import Field

from .base import CountOrExpression, ExpressionSource, Json, Model, OneOrMore, SecondsOrExpression


class Reply(Model):
    """Which message is the reply to a call, and which part of it is the result."""

    none: bool = Field(False, description="Whether no reply is expected; the call ends when its message is sent.")
    match: ExpressionSource | None = Field(
        None,
        description="Predicate: the message is the reply to this call, such as message.id == request_id; by default "
        "the first message after the request that is not ignored.",
    )
    concurrent: bool = Field(
        False,
        description="Whether calls share a connection although match compares no request_id, because it distinguishes "
        "their replies by something else.",
    )
    answers_all: bool = Field(
        False,
        description="Whether a message answers every call for which match is true, such as the acknowledgement of "
        "several requests; by default it answers the first of them.",
    )
    error: ExpressionSource | None = Field(None, description="Predicate: the reply reports a failure.")
    error_message: ExpressionSource | None = Field(
        None, description="Expression: the error text of a reply that reports a failure."
    )
    result: ExpressionSource | None = Field(
        None, description="Expression: the part of the reply that is the result; by default the whole message."
    )
    ack: ExpressionSource | None = Field(
        None, description="Predicate: the message belongs to this call and only confirms receipt; the reply follows."
    )
    cancel: Json = Field(
        None,
        description="The message to send when a cancellation or the timeout ends the call before its reply; null sends "
        "none.",
    )


class Stream(Model):
    """A call with several messages as its result, and where they end."""

    on: bool = Field(True, description="Whether the result is a stream; false turns off an inherited stream.")
    match: ExpressionSource | None = Field(
        None,
        description="Predicate: the message is an item of the stream, if the request has its own reply (available as "
        "reply).",
    )
    after_reply: bool = Field(
        False,
        description="Whether only messages after the reply are items; by default matching messages before it are, too.",
    )
    until: OneOrMore = Field(
        (),
        description="Predicate, or several of which each must have held once: the message ends the stream.",
    )
    until_close: bool = Field(
        False, description="Whether the end of the connection ends the stream, whatever the close code is."
    )
    require_end: bool = Field(
        False,
        description="Whether the call fails, with the items so far, if a bound ends the stream before its own end.",
    )
    include_last: bool = Field(False, description="Whether the message that ends the stream is an item as well.")
    item: ExpressionSource | None = Field(
        None,
        description="Expression: the part of each message that is the item; by default the same as reply.result.",
    )
    max_items: CountOrExpression = Field(
        1000, description="The maximum number of items: a number, or an expression on the arguments."
    )
    max_seconds: SecondsOrExpression | None = Field(
        None,
        description="The maximum duration in seconds from the start of the stream: a number, or an expression on the "
        "arguments; by default the stream ends at the timeout of the call, or fails there if it has an end of its own.",
    )
    idle_seconds: SecondsOrExpression | None = Field(
        None,
        description="Seconds without an item after which the stream ends: a number, or an expression on the arguments.",
    )
    max_bytes: int = Field(1 << 20, ge=1, description="The maximum size of all messages of the stream in bytes.")
    collect: Literal["list", "flat", "last", "text", "bytes"] = Field(
        "list",
        description="The result of the call: all items (list), the elements of all items that are lists (flat), the "
        "last item (last), or the items joined to a text (text) or to binary data (bytes).",
    )
    cancel: Json = Field(
        None,
        description="The message to send when a limit, a cancellation or the timeout ends the stream; null sends none.",
    )
