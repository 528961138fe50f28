"""Codes of URLs, headers, connections and logins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CONNECTIONS: Final[Mapping[str, str]] = {
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
    # Before the connection is open
    "account-held-elsewhere": (
        "With `--shared`, another replica has the only connection of an account (`limits.max_connections` is 1)."
    ),
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
    # Messages that cannot be decoded
    "invalid-frame": (
        "The message does not match its codec. MQTT: a length of more than four digits, or a packet of more "
        "than 16 MiB. CBOR and MessagePack: a tag that is not supported (a reference to itself, a regular "
        "expression), more than one value, or too many levels."
    ),
}
