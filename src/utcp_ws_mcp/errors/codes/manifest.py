"""Codes of problems in a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MANIFEST: Final[Mapping[str, str]] = {
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
    "unknown-manifest": "A command names a manifest that is neither a file nor an entry of the catalogue.",
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
    "feed-key-required": '`"keep": "latest"` keeps the newest event of each key, and the feed has no `key`.',
    "feed-position-required": "`resume` or `query` continues behind the last position, and the feed has no `position`.",
    "feed-start-with-arguments": "A feed with required arguments cannot be opened when the bridge starts.",
    "feed-argument-reserved": "An argument of a feed has the name of an argument that the tools of every feed have.",
    "invalid-variable": (
        "A text looks like a variable and is none: `${env:NAME}`, `${NAME:?}`, `${a.b}`. It would be sent as it is, "
        "perhaps in place of a credential."
    ),
    "ambiguous-variable": (
        "`${name}` in a message that several tools share is an argument of some of them, and of others it is not. Or "
        "`${NAME}` and `${caller:NAME}` are in the same call template."
    ),
    "caller-variable-not-allowed": (
        "`${caller:NAME}` is in a place where a value of the caller would choose a server, a path, a file, a topic or "
        "a setting."
    ),
    "caller-variable-with-discovery": (
        "A call template with `${caller:NAME}` does not list its tools. At the start, no caller is there to ask for "
        "them."
    ),
    "caller-variable-without-header": (
        "`serve --http` has no `--caller-variable` for a `${caller:NAME}` of the manifest."
    ),
    "secret-in-name": (
        "The name of a tool or of a feed contains a variable that is a credential, by its name or because headers, "
        "`auth` or a login use it. Hosts and models see names."
    ),
    "invalid-env-line": (
        "A line of a dotenv file is not `NAME=value`: a quote is not closed, or text has no `#` in front. Its variable "
        "is not set."
    ),
    "variable-not-set": "A variable of the manifest has no value.",
    "field-replaced": "An earlier version had this field; another one replaces it.",
    "unknown-key": (
        "The object has no field of this name; or a message has a key such as `$ecah`, which looks like `$each`."
    ),
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
    "duplicate-parameter": (
        "A parameter of `query` is also in `url`, or `auth` adds it. Servers read a parameter that is there twice in "
        "different ways."
    ),
    "unknown-let": "A value of `let` uses another one that does not exist, or that comes later.",
    "invalid-let-name": "The name of a `let` value contains other characters than letters, digits and `_`.",
    "invalid-file-reference": "`$file` does not contain a path.",
    "template-too-deep": "A message template is nested deeper than the limit.",
    "extra-not-installed": (
        "A codec, a compression, a filter, a SOCKS proxy, `--otel`, `studio`, or `import` of YAML and GraphQL needs an "
        "extra of utcp-ws-mcp."
    ),
    "certificate-file-not-usable": "A file of `tls` cannot be read, or is not a certificate or key in PEM form.",
    # Schemas
    "invalid-schema": "`inputs` or `outputs` is not a usable JSON Schema: it has a wrong type or keyword.",
    "schema-reference-not-allowed": (
        "A `$ref` refers to another document. Only references within the schema are followed."
    ),
    "schema-root-not-object": ('`inputs` has another `type` than `"object"`. A tool receives its arguments by name.'),
}
