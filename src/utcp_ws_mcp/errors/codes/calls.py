"""Codes of calls: their arguments, their replies, and what ends them early."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CALLS: Final[Mapping[str, str]] = {
    # Arguments
    "unknown-tool": (
        "There is no tool with this name. The name is wrong, the endpoint has not announced its tools yet, "
        "or its call template lacks a variable."
    ),
    "unknown-feed": "There is no feed with this name: it is wrong, or that of a tool.",
    "invalid-arguments": "The arguments do not match `inputs`.",
    "argument-read-from-text": (
        "A host sent an array, an object, a number or a boolean as JSON in a text, where `inputs` allows no text. "
        "It was read, and the call continued. Logged once for each tool."
    ),
    "argument-missing": ("A template needs an argument that the call does not have, and `inputs` does not require it."),
    "value-missing": "An expression `{{ … }}` has no value.",
    "expression-failed": (
        "A filter or an operator cannot process these values: `pack` of a number that is too large, "
        "`from_json` of something else, `from_json` of a very long text, or an expression of `stream` that "
        "is not a number above zero."
    ),
    "predicate-failed": (
        "A predicate of `reply`, `ignore` or `stream` cannot be evaluated on the message that answers the call: it "
        "calls a method of text on an object, for example. The message cannot be classified. The same for `when`, "
        "`expect` and `fail` of a step."
    ),
    "value-too-large": "An expression, a message or a result would be larger than the limit.",
    "argument-breaks-message": (
        "An argument contains a character that would change another part of a text message, such as a line break or "
        "the separator."
    ),
    "invalid-url-argument": "An argument in the URL is `.` or `..`, or makes a segment of the path one of them.",
    "invalid-query-value": ("A parameter of `query` is an object, a list in a list, or text that UTF-8 cannot encode."),
    "invalid-base64": "The value of `$base64`, or text for a Protobuf field of bytes, is not base64.",
    "invalid-each": "The value of `$each` is not a list.",
    "nothing-to-send": "The list of `$each` is empty, and the request has no other message.",
    "request-too-large": (
        "`$each` repeats more than 10,000 times, its messages have more than 64 MiB in total, or the filter `pieces` "
        "gives more than 10,000 pieces."
    ),
    "argument-cut": (
        "The messages of the request send a value in slices of fixed bounds, and the value is longer than all of them: "
        "the rest would be lost."
    ),
    "binary-in-text": (
        "A template or an expression puts bytes into text or JSON, for example a digest into a longer text."
    ),
    "not-json": (
        "A value cannot be written as JSON: `NaN`, an infinite number, bytes, half of a surrogate pair, or "
        "too many levels. With a codec, a value that the codec cannot write."
    ),
    "invalid-packet": (
        "The value of `message` is not a packet of its codec (MQTT, Socket.IO, STOMP), not a message of its Protobuf "
        "type, or has no header where `framing` says that messages have one."
    ),
    # Replies
    "tool-error": (
        "`reply.error` held: the endpoint reports that the tool failed. The text is the endpoint's own, "
        "selected by `error_message`; `payload` is the whole message, and `partial` the items of a stream "
        "before it."
    ),
    "reply-not-json": (
        '`response_format` is `"json"`, and the reply is something else: a greeting, an event, an error '
        "text; or it is nested too deeply. With the codecs `cbor` and `msgpack`: the message is not one whole value."
    ),
    "reply-not-text": '`response_format` is `"text"`, and the reply is binary and not UTF-8.',
    "result-missing": "`reply.result` or `stream.item` has no value for this message.",
    "output-mismatch": "The result does not match the `outputs` of the tool. The error contains the result.",
    "result-too-large": (
        "The result is longer than a message to the host may be (`serve --max-line-bytes`), even in one form. The "
        "request was executed."
    ),
    "too-many-held-messages": (
        "While the HTTP requests of a call were under way, the endpoint sent more messages than are kept for the call. "
        "Its reply may be among those that were not, so the call fails."
    ),
    "message-too-big": (
        "The endpoint sent a message that is, inflates to, or announces more than `limits.max_message_bytes`. The "
        "connection was closed. If "
        "several calls shared the connection, all of them fail, because the message could belong to any of "
        "them."
    ),
    # Timeouts and lost connections
    "pool-timeout": (
        "No connection was available within the timeout. All connections are busy, `requests_per_second` "
        "allows no more requests, or a connection was still being opened or logged in. The request was not "
        "sent."
    ),
    "http-timeout": (
        "The HTTP requests of `before_message` were not answered within the timeout of the call. If one was sent, it "
        "may have been executed."
    ),
    "send-timeout": "The request could not be sent within the timeout, because the endpoint does not read.",
    "invalid-cursor": "The cursor was not returned by a read of this feed in this life of the bridge.",
    "too-many-feeds": (
        "As many sets of arguments of a feed are followed as `max_instances` allows, and all of them were read within "
        "`linger`."
    ),
    "too-many-reads": "64 reads of one feed are waiting, and this one would be the next.",
    "reply-timeout": (
        "No reply arrived within the timeout. Either the endpoint is slow, or the reply arrived and was not "
        "recognized; then the message contains the last message that did not answer the call, and what became of it. "
        "The request was sent and may have been executed."
    ),
    "stream-timeout": (
        "A stream did not end within the timeout of the call: `until` (or, with `until_close`, the end of the "
        "connection) did not come. The error contains the items that arrived before. The request was sent and may "
        "have been executed."
    ),
    "stream-incomplete": (
        "A bound (`max_items`, `max_seconds`, `idle_seconds`, `max_bytes`) or a normal close ended a stream before "
        "its own end, and the manifest sets `stream.require_end`. The error contains the items that arrived "
        "before."
    ),
    "unsolicited-messages": (
        "The tool accepts the first message after its request as the reply, and less than 60 s ago the endpoint sent "
        "an unsolicited message over a connection that is still open. Such a message could become the result. The "
        "request was not sent, unless the first message after it was one that the endpoint had sent before without a "
        "request; the error states which."
    ),
    "listen-timeout": (
        "A tool that only listens received nothing that it waits for. The error states whether anything of the "
        "call was sent, such as an `auto_reply`."
    ),
    "connection-lost": "An open connection ended while a call waited.",
    "session-lost": (
        "A message for which `fail_when` is true ended the session while a call waited. Or an earlier session ended, "
        "`session_identity` differs in the new one, and the call was not sent so that its caller learns of it."
    ),
}
