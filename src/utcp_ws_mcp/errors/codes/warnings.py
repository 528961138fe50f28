"""Codes of the warnings of `check`, and of the notes about hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WARNINGS: Final[Mapping[str, str]] = {
    # Replies
    "ambiguous-reply": (
        "The tool accepts the first message after its request as the reply, but the manifest indicates that other "
        "messages arrive: `on_connect` expects a greeting, `capture` or `auto_reply` handle other messages, or "
        "`heartbeat` has answers. Such a message would become the result."
    ),
    "concurrent-not-distinguished": (
        "`reply.concurrent` lets calls share a connection, or `reply.answers_all` lets one message answer several, but "
        "`reply.match` names nothing that differs between calls."
    ),
    "answers-first-only": (
        "`reply.match` compares a number of the request with a range in the message, so that one message can answer "
        "several calls. Only the first of them would get it."
    ),
    "request-id-not-matched": (
        "The tool sends an ID, but does not compare it. Replies could be assigned by the ID, and are not."
    ),
    "request-id-not-sent": (
        "The tool waits for a reply with the ID of its request, but sends none. No reply will match, and "
        "each call will time out."
    ),
    "listener-needs-match": (
        'A tool with `"listen": true` inherits a `reply.match` that compares IDs, such as that of a '
        "preset. It sends nothing, so no message will match."
    ),
    # Packages
    "package-missing": (
        "A codec, a compression, a filter or a SOCKS proxy of the manifest needs an extra of utcp-ws-mcp that is not "
        "installed. Each call that needs it fails."
    ),
    # Feeds
    "login-fail-too-broad": (
        "`fail` of a step of `on_connect` is true for messages that have not the field that it tests, although "
        "`expect` waits for the message with an ID. The first other message would be a refusal."
    ),
    "feed-occupies-connection": (
        "A feed keeps a connection, only one is allowed, and a tool needs one for itself: while the feed is open, its "
        "calls would time out. Or feeds with a `query` need more connections for themselves than are allowed."
    ),
    "feed-takes-replies": "The `match` of a feed is true for replies to calls, which would be its events.",
    "feed-match-too-broad": (
        "The `match` of a feed is true for any message, also for the events of other feeds or for the answers to the "
        "heartbeat."
    ),
    "feed-fail-never-true": (
        "`expect` and `fail` of a step of a feed compare the same field with different values. `fail` is asked only "
        "about the expected message, so a refusal is seen only when the step times out."
    ),
    "feed-error-too-broad": (
        "`reply.error` is true for the events of a feed, because they have not the field that it tests. The first one "
        "would end the subscription as a failure."
    ),
    "feed-not-closed": (
        "A feed subscribes with `open` and has no `close`: when it is closed, the endpoint goes on sending events."
    ),
    "feed-not-kept": "`linger` is so short that the feed is closed between two reads, and loses what comes then.",
    # Secrets and transport
    "secret-in-manifest": (
        "The manifest contains a secret: by the name of the field, by the form of the text, or in the query of a "
        "URL. Everyone who can read the file has it."
    ),
    "plaintext-transport": (
        "The URL has `ws://` to another machine. Everyone on the network path can read and change the messages."
    ),
    "insecure-tls": (
        '`"insecure": true` accepts any certificate. Everyone on the network path can impersonate the endpoint.'
    ),
    # Tools and arguments
    "subprotocol-missing": "The codec is `mqtt`, and `protocol` is missing. Brokers refuse such connections.",
    "description-missing": "The tool has no `description`. Models choose a tool by its description.",
    "tool-name-changed": (
        "Hosts accept only letters, digits, `_` and `-` in names, and at most 64 characters; or two tools "
        "have the same name after this change. Models see another name than you do; see Names."
    ),
    "argument-not-declared": ("A template uses an argument that `inputs` does not declare. No model will provide it."),
    "inputs-without-properties": (
        "`inputs` is a JSON Schema, but lists arguments outside of `properties`. Models do not see them, and their "
        "values are not checked."
    ),
    "argument-not-escaped": (
        "An argument is in XML without the filter `escape`, or in quotes. A call with `<`, `&` or such a quote in it "
        "fails, because it would end the argument."
    ),
    "argument-in-slices": (
        "The message sends fixed slices of an argument, which can be longer. Such a call fails, because the rest would "
        "be lost."
    ),
    "argument-in-url": (
        "An argument in the query of `url` may be missing, and such a call fails; or it is a list, which becomes one "
        "JSON text. Parameters of `query` are left out, or repeated."
    ),
    "argument-not-used": (
        "`inputs` declares an argument that nothing uses. Models are asked for a value that is discarded."
    ),
    "no-tools-offered": "The call template offers no tool, so it has no effect.",
    "pattern-matches-nothing": "No tool has a name that matches a pattern of `include_tools` or `exclude_tools`.",
    # Unused and missing values
    "field-without-effect": "The field has no effect together with the others. The message names the reason.",
    "variable-not-used": "Nothing refers to a variable of `variables`.",
    "let-not-used": "Nothing uses a value of `let`.",
    "let-not-defined": (
        "An expression uses `let.name`, which nothing computes. A message with it has no value there or "
        "cannot be made; a `match` with it never holds."
    ),
    "session-value-not-used": "Nothing uses a value that `capture` stores in `session`.",
    "session-value-not-captured": (
        "An expression uses `session.name`, which nothing captures. A message with it cannot be made; a "
        "`match` with it never holds."
    ),
    "duplicate-key": "A key appears twice in an object. JSON parsers use the last value silently.",
    # Notes about hosts
    "annotations-missing": (
        "Tools have no `annotations`. Codex and Copilot CLI deny such tools in a run without a person who could allow "
        "it; other hosts ask more often."
    ),
    "description-long": (
        "A description has more than 1,024 characters. OpenAI's API refuses it, and Claude Code cuts at 2,048."
    ),
    "argument-untyped": (
        "An argument, or a property below one, has no type. Gemini's API may refuse it, and Codex offers it as text."
    ),
    "enum-not-text": "An `enum` contains numbers or other values than text, which Gemini's API refuses.",
    "schema-simplified": (
        "Hosts see the schema in a simpler form, because some fail on it with all tools: it refers to "
        "itself, has a pattern with look-around, or is too large. Arguments are checked with the schema "
        "itself."
    ),
    "argument-name-changed": (
        "Claude's API refuses the name of an argument. Hosts see another one, and the endpoint gets the original name."
    ),
    "message-key-unknown": (
        "A key in a message begins with `$` and is none of those with a meaning (`$each`, `$template`, `$raw`, "
        "`$base64`, `$file`). It is sent as it is."
    ),
    "many-tools": (
        "The manifest lists more than 128 tools. OpenAI's API and VS Code accept 128, and models choose "
        "worse among many."
    ),
}
