"""Codes of the commands and of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COMMANDS: Final[Mapping[str, str]] = {
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
    "invalid-issuer": (
        "`--issuer` is not the URL of an authorization server: `https://`, or `http://` on loopback, without a query."
    ),
    "invalid-audience": (
        "`--audience` is missing, or is not the URL at which clients reach this server: `https://`, or `http://` on "
        "loopback, without a query. Or `--token-audience` is not an identifier."
    ),
    "invalid-scope-tools": "`--scope-tools` is not `SCOPE=GLOB`, such as `tools:read=weather.*`.",
    "scope-tools-unused": "A pattern of `--scope-tools` matches no tool, so that it allows nothing.",
    "invalid-caller-variable": (
        "`--caller-variable` is not `NAME=HEADER`, names a variable twice, or names a header with a meaning of its own."
    ),
    "oauth-options-conflict": "An option needs `--issuer`, or contradicts it.",
    "issuer-unreachable": (
        "The metadata or the keys of the authorization server cannot be fetched. The last keys are used for a day; "
        "without any, requests get 503."
    ),
    "cannot-listen": (
        "The server cannot listen on the address: another program uses the port, or the address does not "
        "belong to this machine."
    ),
    # Replicas
    "invalid-shared-url": (
        "`--shared`, the file of `--shared-file` or `UTCP_WS_MCP_SHARED` is not the URL of a Redis server; or the "
        "URL of `--shared` contains a password."
    ),
    "invalid-shared-key": "The key of `--shared-key-file` or `UTCP_WS_MCP_SHARED_KEY` is too short to be random.",
    "shared-store-refused": (
        "The shared store refuses the login, lacks a permission for its user, has a wrong certificate, or is no Redis "
        "server."
    ),
    "shared-store-away": (
        "The shared store does not answer. Calls go on: this replica takes its part of each rate, and feeds keep "
        "what they have."
    ),
    "shared-store-full": "The memory of the shared store is full. Calls go on as if the store were away.",
    # Access tokens
    "subject-rate-exceeded": "A subject calls more tools in a second than `--requests-per-subject` allows.",
    "scope-required": "The access token has no scope that allows the tool.",
    # Values of callers
    "caller-value-missing": "A request does not have the header that brings a value which the tool needs.",
    "caller-value-refused": (
        "A header that brings a value of the caller occurs twice, or its value has characters or a length that are not "
        "allowed."
    ),
    "too-many-callers": (
        "As many callers with values of their own are calling as the server has places for: 256, and 8 for each "
        "subject of an authorization server."
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
    # Import
    "not-a-description": "The document is none of the formats that `import` reads, or lacks what they must have.",
    "description-not-readable": (
        "The file of a description cannot be read: it does not exist, is not UTF-8, or is not valid JSON, YAML or "
        "GraphQL at the reported place."
    ),
    "description-not-fetched": "The URL of a description cannot be fetched.",
    "description-too-large": (
        "A description has more than 32 MiB, is nested too deeply, or has aliases that repeat too much."
    ),
    "description-malformed": "A part of a description has another form than its format demands.",
    "description-ambiguous": "The document looks like two formats at once.",
    "description-version": "The document has a version of its format that `import` does not read.",
    "server-missing": "The description names no server, and `--url` is not given.",
    "server-not-websocket": "The description names only servers of other protocols than WebSocket, such as https.",
    "server-not-usable": "The URL of the endpoint is malformed, or not of a WebSocket.",
    "endpoint-not-described": "The endpoint cannot be reached, or answers none of the questions for its methods.",
    "nothing-to-import": "The description has no operation that the options choose and that can be expressed.",
    "import-target-invalid": "The file to which `import` should write exists and is no manifest.",
    # Author
    "host-not-allowed": "The operator has not allowed `author` to connect to the host.",
    "variable-not-allowed": "The operator has not allowed `author` to send the variable to the host, or it is not set.",
    "host-not-fixed": "The host of a URL is only known when a tool is called, so `author` cannot check it.",
    "file-not-allowed": "A manifest that an agent writes refers to a file, or to another file of variables.",
    "proxy-not-allowed": "A manifest that an agent writes uses a proxy.",
    "secret-in-argument": "An agent passed a secret as plain text to a tool of `author`.",
    "invalid-grant": "`--allow-host` is not HOST or HOST:PORT, or `--allow-variable` is not NAME@HOST.",
    "invalid-author-arguments": "A tool of `author` was called with arguments that its schema does not allow.",
    "invalid-manifest-name": "The name of a manifest has other characters than letters, digits, `_` and `-`.",
    "manifest-not-saved": (
        "A manifest cannot be written to the folder of `author` or from `studio`, or the folder has too many of them."
    ),
    "manifest-not-found": "The folder of `author` has no manifest of this name, or it is no regular file.",
    "reserved-name": "A tool of a manifest would have the name of a tool of `author`.",
    "try-timeout": "`try_call` or `import_description` of `author`, or an import of `studio`, took longer than it may.",
    # Studio
    "invalid-studio-input": "What was typed in the studio cannot be meant, or cannot be done now.",
    # The program
    "port-in-use": "The port is used by another program, perhaps by another `demo` or `studio`.",
    "internal-error": "A bug of utcp-ws-mcp.",
}
