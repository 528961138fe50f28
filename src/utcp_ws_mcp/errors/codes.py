"""The registry of codes: every error, lint warning and manifest problem has one. The documentation is keyed by them.

A code never changes its meaning. A new message gets a new code; a code that is no longer used is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CODES: Final[Mapping[str, str]] = {
    # The file
    "invalid-json": "The file is not JSON: a comma or quote is missing, or it contains a comment (`//` or `#`).",
    "invalid-encoding": (
        "The file is not UTF-8 text, or a value contains what UTF-8 cannot encode: bytes of another encoding "
        "in an environment variable, or half of a surrogate pair (`\\ud800`)."
    ),
    "file-too-large": (
        "The manifest has more than 16 MiB, is nested more than 128 levels deep, or contains a number that "
        "cannot be represented."
    ),
    "unknown-manifest-form": (
        "The file has none of the forms of a manifest: an object with `manual_call_templates`, an array of "
        "call templates, one call template (with `url`), or a UTCP manual (with `tools`)."
    ),
    "other-protocol": (
        "A call template or a tool has another `call_template_type` than `websocket`. It is skipped; the others are "
        "served."
    ),
    "nothing-to-serve": (
        "No WebSocket call template is left in the file: all entries have another `call_template_type`."
    ),
    "file-not-readable": "The file does not exist or cannot be read.",
    "invalid-manifest": "The manifest has errors; each one is listed with its own code.",
    # Fields
    "misplaced-key": "A field of call templates, such as `reply` or `response_format`, is in the tool itself.",
    "missing-key": (
        "A required field is missing. `url` is required for a tool in a UTCP manual; `name` is required if "
        "the URL has a placeholder in its host, because the name is otherwise made from the host; "
        '`request_data_template` is required with `"request_data_format": "text"`.'
    ),
    "wrong-type": "The value has another type than the field expects.",
    "invalid-value": (
        "The field does not accept this value, such as another word than `json` or `text`, a `proxy` that is "
        "not `http://host:port`, `socks5://host:port` or `env`, or an HTTP method that is not a word like "
        "`POST`."
    ),
    "protocol-not-allowed": "`allowed_communication_protocols` excludes the tools of its own call template.",
    "field-needs-format": '`request_data_template` is read only with `"request_data_format": "text"`.',
    "invalid-user-name": (
        "A user name of basic authentication contains `:` (RFC 7617 §2). The server could not determine where it ends."
    ),
    "duplicate-name": (
        "Two call templates have the same name, or the same host from which the name is made. The message "
        "also reports it for two manifests that are served together."
    ),
    "duplicate-tool": "Two tools of a manual have the same name, perhaps through `tool_overrides`.",
    "unknown-tool-override": "`tool_overrides` names a tool that does not exist.",
    "unknown-preset": "There is no preset of this name.",
    "certificate-required": "`check_hostname` is false, but neither `ca_file` nor `fingerprint` names the certificate.",
    "separator-required": (
        "`framing.spans_messages` is set without a `separator` or a `length`, which say where a message ends."
    ),
    "invalid-framing": (
        "Fields of `framing` exclude each other or need each other, such as `separator` and a binary `length`, or "
        "`length.pattern` has no group for the length."
    ),
    "invalid-schema-file": (
        "A file of `framing.protobuf.schema` is no `.proto` file and no FileDescriptorSet, is too large, or imports "
        "what is not there."
    ),
    "unknown-message-type": (
        "The Protobuf schema has no message of this name. Write the full name, with the package: `chat.v1.Event`."
    ),
    "step-not-exclusive": "A step of `on_connect` has none or several of `send`, `expect` and `http`.",
    "invalid-variable": (
        "A text looks like a variable and is none: `${env:NAME}`, `${NAME:?}`, `${a.b}`. It would be sent as it is, "
        "perhaps in place of a credential."
    ),
    "ambiguous-variable": (
        "`${name}` in a message that several tools share is an argument of some of them, and of others it is not."
    ),
    "variable-not-set": "A variable of the manifest has no value.",
    "unknown-key": "The object has no field of this name.",
    # Templates and expressions
    "invalid-message": (
        "A message is not a string, an object or an array: `message` is a number or `true`, `send` of "
        "`on_disconnect` or `then` contains a number, `null` or a boolean."
    ),
    "unknown-name": "An expression uses a name that expressions do not have.",
    "invalid-expression": "An expression has a syntax error, or uses a filter or test that does not exist.",
    "unclosed-expression": "`{{` opens an expression that never ends.",
    "expression-too-long": "An expression is longer than the limit, or contains characters that are not text.",
    "expression-not-allowed": (
        "A tool that an endpoint announced uses an expression that computes. Such tools may only look up and compare "
        "values."
    ),
    "pattern-not-allowed": (
        "A pattern of `regex_find` is no regular expression of RE2: it has a syntax error, is too long, or uses "
        "look-around or back-references."
    ),
    "unknown-algorithm": "The filter `jwt` does not know the algorithm, or the key is of another kind.",
    "variable-in-expression": "`${NAME}` is inside `{{ … }}`.",
    "placeholder-in-key": "The key of an object contains a placeholder. Placeholders are allowed only in values.",
    "unknown-let": "A value of `let` uses another one that does not exist, or that comes later.",
    "invalid-let-name": "The name of a `let` value contains other characters than letters, digits and `_`.",
    "invalid-file-reference": "`$file` does not contain a path.",
    "template-too-deep": "A message template is nested deeper than the limit.",
    "extra-not-installed": "A codec, a filter, a proxy or `--otel` needs an additional package.",
    "certificate-file-not-usable": "A file of `tls` cannot be read, or is not a certificate or key in PEM form.",
    # Schemas
    "invalid-schema": "`inputs` or `outputs` is not a usable JSON Schema: it has a wrong type or keyword.",
    "schema-reference-not-allowed": (
        "A `$ref` refers to another document. Only references within the schema are followed."
    ),
    "schema-root-not-object": ('`inputs` has another `type` than `"object"`. A tool receives its arguments by name.'),
    # URLs and headers
    "plaintext-not-allowed": "A URL with `ws://` or `http://` would send the messages as plain text.",
    "invalid-url": (
        "The URL is malformed: a scheme other than `ws` or `wss`, characters that must be percent-encoded, a "
        "host that is not a host name, an IPv4 address in another form than four decimal numbers, an invalid "
        "IPv6 address or port, a fragment (RFC 6455 §3), or more characters than allowed."
    ),
    "credentials-in-url": "A URL contains a user name or password.",
    "argument-in-host": "An argument, or a value of `session`, is in the scheme, host or port of a URL.",
    "placeholder-not-allowed": "`proxy` or `token_url` contains a placeholder. Only variables are allowed there.",
    "origin-not-allowed": (
        "A discovered tool uses another origin than its manual, has an expression in its URL, or an HTTP step. Or the "
        "URL of an HTTP step came from the endpoint and leads to a server that the manifest does not name."
    ),
    "address-not-allowed": "The host resolves to an address that is not public, such as a private one.",
    "redirect-not-followed": "The server answered with a redirect. Redirects are never followed.",
    "header-not-allowed": (
        "The header belongs to the handshake, its name contains other characters than letters, digits and "
        "hyphens, or its value is empty, too long, or contains other characters than visible ASCII. A "
        "subprotocol must be a token: it contains no spaces and commas."
    ),
    # Server options
    "invalid-listen-address": "`--http` is not `PORT` or `HOST:PORT` with an IP address or `localhost`.",
    "token-required": "The server has no token.",
    "invalid-token": "The token is empty, or contains other characters than visible ASCII.",
    "no-auth-not-allowed": (
        "`--no-auth` is set, but the server can be reached from other machines, or a token is set as well."
    ),
    "allowed-host-required": "The server listens on every address of the machine, so its own name is unknown.",
    "invalid-allowed-host": "`--allowed-host` is not `NAME` or `NAME:PORT`.",
    "invalid-allowed-origin": "`--allowed-origin` is not `SCHEME://NAME` or `SCHEME://NAME:PORT`.",
    "cannot-listen": (
        "The server cannot listen on the address: another program uses the port, or the address does not "
        "belong to this machine."
    ),
    # Installation into a host
    "host-file-invalid": (
        "The file of the host is not valid at the reported line: it is not JSON with comments, a key appears "
        "twice, or it is nested too deeply. The host could not read it either. For Goose: the YAML must be "
        "written as Goose writes it, with the extensions one below the other, without anchors and tabs, in "
        "one document."
    ),
    "host-file-not-readable": (
        "The file of the host cannot be read or written, is not UTF-8 text, or has more than 16 MiB."
    ),
    "host-file-changed": "The host wrote its file while `install` waited for your answer.",
    "server-name-taken": "The host has another server with this name.",
    "server-not-found": "The host has no server of utcp-ws-mcp, or none of this name.",
    "server-ambiguous": "The host has several servers of utcp-ws-mcp.",
    "server-not-ours": "The server of this name was not installed by utcp-ws-mcp.",
    "host-command-failed": (
        "The command of the host, such as `claude mcp add`, failed, could not be started, or took longer than a minute."
    ),
    # Arguments
    "unknown-tool": (
        "There is no tool with this name. The name is wrong, the endpoint has not announced its tools yet, "
        "or its call template lacks a variable."
    ),
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
        "calls a method of text on an object, for example. The message cannot be classified."
    ),
    "value-too-large": "An expression, a message or a result would be larger than the limit.",
    "argument-breaks-message": (
        "An argument contains a character that would change another part of a text message, such as a line break or "
        "the separator."
    ),
    "invalid-url-argument": "An argument in the URL is `.` or `..`, or makes a segment of the path one of them.",
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
        "text. With the codecs `cbor` and `msgpack`: the message is not one whole value."
    ),
    "reply-not-text": '`response_format` is `"text"`, and the reply is binary and not UTF-8.',
    "result-missing": "`reply.result` or `stream.item` has no value for this message.",
    "output-mismatch": "The result does not match the `outputs` of the tool. The error contains the result.",
    "result-too-large": (
        "The result is longer than a message to the host may be (`serve --max-line-bytes`), even in one form. The "
        "request was executed."
    ),
    "message-too-big": (
        "The endpoint sent a message that is, inflates to, or announces more than `limits.max_message_bytes`. The "
        "connection was closed. If "
        "several calls shared the connection, all of them fail, because the message could belong to any of "
        "them."
    ),
    "ambiguous-reply": (
        "The tool accepts the first message after its request as the reply, but the manifest indicates that other "
        "messages arrive: `on_connect` expects a greeting, `capture` or `auto_reply` handle other messages, or "
        "`heartbeat` has answers. Such a message would become the result."
    ),
    "concurrent-not-distinguished": (
        "`reply.concurrent` lets calls share a connection, but `reply.match` names nothing that differs between calls."
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
    # Timeouts
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
    # Before the connection is open
    "connection-refused": "No program listens on the port.",
    "host-not-found": "The host name cannot be resolved.",
    "host-unreachable": "The operating system has no route to the host, or rejects the connection for another reason.",
    "http-request-failed": (
        "A request to a token endpoint got no HTTP response, no connection, or a response with more bytes than allowed."
    ),
    "connect-timeout": (
        "No connection was established within `limits.connect_timeout`: a firewall, or a slow server. If the "
        "port is open but the upgrade is not answered, another program uses the port, the server is stuck, "
        "or it answers only requests with an `Origin` header."
    ),
    "tls-failed": (
        "The TLS handshake failed: the certificate is not valid, the port speaks plain text, the connection "
        "was cut during the handshake, the server requires a client certificate (with TLS 1.3 it may report "
        "that only during the upgrade), or it supports only TLS before 1.2."
    ),
    "not-a-websocket": "The answer was not a WebSocket upgrade.",
    "upgrade-cut": (
        "The connection was cut during the upgrade: a server that rejects credentials or a missing "
        "subprotocol this way, a server that is starting or overloaded, a proxy in between, or no WebSocket "
        "server at all."
    ),
    "subprotocol-rejected": ("The server accepts none of the offered subprotocols, or chose one that was not offered."),
    "handshake-rejected": (
        "The server answered the upgrade with an HTTP status such as 401, 403, 404, 429 or 503. The message "
        "contains the text of the server, unless it is a page, and what the status usually means."
    ),
    "proxy-failed": (
        'The proxy cannot be reached, rejects the host, has an invalid URL, or `"proxy": "env"` is set '
        "and the environment names no proxy for the host."
    ),
    "token-request-failed": (
        "The token endpoint returned no token: an HTTP error, an answer without a usable `access_token`, or "
        "a token of another type than Bearer."
    ),
    # Login
    "login-timeout": "No message for which `expect` holds arrived within the timeout of the step.",
    "login-rejected": (
        "`fail` held: the server rejected the login. The text is what `fail_message` selects, or the message."
    ),
    "login-closed": (
        "The server closed the connection during the login, with or without a code. Many servers close "
        "instead of answering. The code, the reason and the last message are the server's; a message that "
        "contains a variable is not shown."
    ),
    "login-value-missing": (
        "A step uses a value that no step before it captured, an argument that the call does not have, or "
        '`request_id` without `"request_id": true` in the step; or the message of the step contains what '
        "UTF-8 cannot encode."
    ),
    "before-connect-failed": (
        "An HTTP request of `before_connect` failed: `fail` held, the status was 300 or above (without "
        "`fail`), no HTTP answer arrived, no connection could be opened, or the answer has more bytes than "
        "allowed. The text of the server follows, unless it is a page."
    ),
    "before-connect-value-missing": (
        "The answer of a `before_connect` step does not contain the value that `capture` selects."
    ),
    "http-step-failed": (
        "An HTTP request of `on_connect` or `before_message` failed: `fail` held, the status was 300 or above (without "
        "`fail`), no HTTP answer arrived in time, no connection could be opened, or the answer has more bytes than "
        "allowed."
    ),
    "capture-found-nothing": (
        "`capture` of a step selects a value that the message or the response does not have, or that is null."
    ),
    # After the connection was open
    "discovery-timeout": "The endpoint did not announce its tools in time. It probably does not speak UTCP.",
    # Discovered tools that are left out
    "tool-changed": "A tool is withheld because its definition changed after it was approved.",
    "tool-not-approved": 'A tool is withheld because it was never approved and `pin` is `"strict"`.',
    "pins-not-saved": "The approved tools cannot be stored in the state folder.",
    "pins-not-readable": (
        "The file of approved tools exists and cannot be read, or has another form. Tools that are not approved are "
        "withheld, because a changed one would look new."
    ),
    "approval-refused": "`approve` was called for a tool that is not withheld, or that has another definition by now.",
    "too-many-approved": (
        "A tool is withheld because its manual has brought more different tools over time than are trusted on first "
        "use."
    ),
    "warnings-omitted": "A manual from the network caused more warnings than are shown.",
    "too-many-tools": "The manual has more tools than `max_tools`; only the first are offered.",
    "tool-name-similar": (
        "A tool is withheld because hosts show its name like that of an approved tool: only characters differ that "
        "hosts replace."
    ),
    "tool-added": "A tool was added to a manual after the manual was first seen. It is offered.",
    "remote-manual-invalid": "The message that was taken as the manual has no list of tools.",
    "remote-tool-invalid": (
        "The definition of a tool is wrong: it is not an object, another tool has the same name, it is "
        "nested too deeply, or it has another `call_template_type`. The rest of the message names the "
        "problem."
    ),
    "remote-field-not-allowed": (
        "A field of `tool_call_template` is unknown, or not allowed in a manual from the network. It is ignored."
    ),
    "remote-credentials-not-allowed": (
        "The tool has credentials, or a `token_url`, for another origin than that of its manual. A secret "
        "would be sent elsewhere."
    ),
    "remote-variable-not-set": "The `auth` of the tool uses a variable that is not set for this manual.",
    "schema-too-complex": (
        "The `inputs` or `outputs` of the tool exceed a limit: nesting, size, number of parts, with "
        "references replaced, or references that lead to themselves in several ways. The time to validate a "
        "value could grow without bound."
    ),
    "schema-pattern-unsupported": (
        "A regular expression in the schema of the tool is too long, or uses lookaround, backreferences or "
        "nested repetition; or there are too many."
    ),
    # Messages that cannot be decoded
    "invalid-frame": (
        "The message does not match its codec. MQTT: a length of more than four digits, or a packet of more "
        "than 16 MiB. CBOR and MessagePack: a tag that is not supported (a reference to itself, a regular "
        "expression), more than one value, or too many levels."
    ),
    # The command line
    "port-in-use": "The port is used by another program, perhaps by another `demo`.",
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
    "description-missing": "The tool has no `description`. Models choose a tool by its description.",
    "tool-name-changed": (
        "Hosts accept only letters, digits, `_` and `-` in names, and at most 64 characters; or two tools "
        "have the same name after this change. Models see another name than you do; see Names."
    ),
    "argument-not-declared": ("A template uses an argument that `inputs` does not declare. No model will provide it."),
    "argument-not-escaped": (
        "An argument is in XML without the filter `escape`, or in quotes. A call with `<`, `&` or such a quote in it "
        "fails, because it would end the argument."
    ),
    "argument-in-slices": (
        "The message sends fixed slices of an argument, which can be longer. Such a call fails, because the rest would "
        "be lost."
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
    # Internal errors
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
    "many-tools": (
        "The manifest lists more than 128 tools. OpenAI's API and VS Code accept 128, and models choose "
        "worse among many."
    ),
    "internal-error": "A bug of utcp-ws-mcp.",
}
"""What each code means, in one or two sentences of plain text."""
