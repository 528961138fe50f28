"""The code and the message of what the pure core rejects: URLs, templates, expressions, schemas, packets."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.codecs.message import MessageList
from utcp_ws_mcp.core.codecs.mqtt import MqttCodec
from utcp_ws_mcp.core.codecs.msgpack_cbor import load_cbor
from utcp_ws_mcp.core.codecs.protobuf import load_types
from utcp_ws_mcp.core.codecs.socketio import SocketIOCodec
from utcp_ws_mcp.core.codecs.stomp import StompCodec
from utcp_ws_mcp.core.codecs.text_splitting import compile_length_pattern
from utcp_ws_mcp.core.codecs.values import PackedCodec
from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.core.header_policy import check_subprotocol
from utcp_ws_mcp.core.limits import MAX_EXPRESSION_LENGTH, MAX_MESSAGE_DEPTH
from utcp_ws_mcp.core.network_policy import parse_http_url, parse_url
from utcp_ws_mcp.core.proxy import parse_proxy
from utcp_ws_mcp.core.templates.compiler import PLACEHOLDER_KEY_HINT, Compiler
from utcp_ws_mcp.core.templates.nodes import RenderError, to_render_error
from utcp_ws_mcp.core.tools.argument_schema import InvalidSchema, SchemaValidator
from utcp_ws_mcp.core.url_template import compile_url
from utcp_ws_mcp.errors import BridgeError
from utcp_ws_mcp.manifest.models.framing import Framing

NAMES = frozenset({"message", "args", "vars"})


def evaluate(source: str, **args: Any) -> Any:
    return Expression(source, NAMES).evaluate({"args": args})


def render(template: Any, **args: Any) -> Any:
    return Compiler({}).message(template).render({"args": args})


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 0


COMPILED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "a scheme": (
        lambda: parse_url("https://a.example/"),
        "invalid-url",
        "expected a URL of the form ws://host[:port]/path or wss://host[:port]/path. Replace the scheme by wss://.",
    ),
    "a character": (
        lambda: parse_url("ws://a.example/ä"),
        "invalid-url",
        "the URL contains 'ä'. Percent-encode it, and write hosts in ASCII.",
    ),
    "a password": (
        lambda: parse_url("ws://u:p@a.example/"),
        "credentials-in-url",
        'the URL contains a user name or password. Use "auth".',
    ),
    "plain text": (
        lambda: parse_http_url("http://a.example/"),
        "plaintext-not-allowed",
        (
            "http://a.example/: request blocked because it would be sent as plain text. Use https://, "
            'or set "network": {"plaintext": true} if the server is in your own network.'
        ),
    ),
    "an argument as host": (
        lambda: compile_url("wss://UTCP_ARG_host_UTCP_ARG/", Compiler({}), frozenset()),
        "argument-in-host",
        "an argument is in the scheme, host or port of the URL. Arguments are allowed in the path and query.",
    ),
    "a proxy": (
        lambda: parse_proxy("ftp://a"),
        "invalid-value",
        (
            'the proxy is not "http://host:port", "socks5://host:port" or "env". Percent-encode a user name and a '
            "password."
        ),
    ),
    "a subprotocol": (
        lambda: check_subprotocol("a b"),
        "header-not-allowed",
        "header 'Sec-WebSocket-Protocol': 'a b' is not a token. Remove spaces and commas.",
    ),
    "an unclosed expression": (
        lambda: Compiler({}).message("{{ args.a"),
        "unclosed-expression",
        "'{{ args.a' opens an expression that never ends. Close it with }}; for two literal braces write {{ '{{' }}.",
    ),
    "a variable": (
        lambda: Compiler({"A": "a"}).message("{{ '${A}' }}"),
        "variable-in-expression",
        "{{ '${A}' }} contains ${NAME}. Write vars.NAME in an expression.",
    ),
    "a key": (
        lambda: Compiler({}).message({"{{ args.a }}": 1}),
        "placeholder-in-key",
        f"the key '{{{{ args.a }}}}' contains a placeholder. {PLACEHOLDER_KEY_HINT}",
    ),
    "a path": (
        lambda: Compiler({}, read_file=lambda path: b"").message({"$file": "{{ args.a }}"}),
        "invalid-file-reference",
        '"$file" does not contain a path. Write the path of a file, relative to the manifest.',
    ),
    "depth": (
        lambda: Compiler({}).message(nested(MAX_MESSAGE_DEPTH + 1)),
        "template-too-deep",
        f"the message is nested more than {MAX_MESSAGE_DEPTH} levels deep.",
    ),
    "a long expression": (
        lambda: Expression(f"'{'x' * MAX_EXPRESSION_LENGTH}'", NAMES),
        "expression-too-long",
        f"""the expression "'{"x" * 59}"… has more than {MAX_EXPRESSION_LENGTH} characters. Divide it with "let".""",
    ),
    "a computation from the network": (
        lambda: Expression("args.a * 9", NAMES, local=False),
        "expression-not-allowed",
        (
            "the expression 'args.a * 9' is not allowed: it comes from the network, so it can only look up and compare "
            "values."
        ),
    ),
    "a schema": (
        lambda: load_types("a.binpb", lambda name: b"").select("M", None),
        "invalid-schema-file",
        (
            "'a.binpb' is no FileDescriptorSet. Make it with protoc --include_imports --descriptor_set_out, or name a "
            ".proto file."
        ),
    ),
    "a type of a schema": (
        lambda: load_types("a.proto", lambda name: b"message M {}").select("a.N", None),
        "unknown-message-type",
        "the schema 'a.proto' has no message type 'a.N'. Write its full name, with the package.",
    ),
    "a pattern of a length": (
        lambda: compile_length_pattern("[0-9]+"),
        "invalid-framing",
        "the pattern has 0 groups instead of one, which is the length of the body.",
    ),
    "a pattern": (
        lambda: Expression("args.a | regex_find('(?=a)')", NAMES),
        "pattern-not-allowed",
        (
            "invalid expression \"args.a | regex_find('(?=a)')\": the pattern is not a regular expression: "
            "look-around, back-references and possessive repetition are not supported. Select the text around it with "
            "a group, as in 'id=([0-9]+)'."
        ),
    ),
}


@pytest.mark.parametrize(("compile_it", "code", "message"), COMPILED.values(), ids=COMPILED)
def test_what_cannot_be_compiled_has_a_code_and_a_message(
    compile_it: Callable[[], Any], code: str, message: str
) -> None:
    with pytest.raises(BridgeError) as rejected:
        compile_it()
    assert (rejected.value.code, rejected.value.message) == (code, message)


RENDERED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "an argument": (
        lambda: render("x UTCP_ARG_a_UTCP_ARG"),
        "argument-missing",
        "argument 'a' is missing. Pass it with the call.",
    ),
    "a value": (lambda: render("x {{ args.a if false }}"), "value-missing", "{{ args.a if false }} has no value."),
    "base64": (
        lambda: render({"$base64": "{{ args.a }}"}, a="!"),
        "invalid-base64",
        'the value of "$base64" is not base64.',
    ),
    "bytes in text": (
        lambda: render("x {{ args.a }}", a=b"\xff"),
        "binary-in-text",
        "text cannot contain binary data. Encode it with a filter such as base64.",
    ),
    "infinity": (lambda: render("x {{ args.a }}", a=float("inf")), "not-json", "a value cannot be written as JSON."),
    "an operator": (
        lambda: render("{{ args.a | pack('>B') }}", a=256),
        "expression-failed",
        (
            "the expression \"args.a | pack('>B')\" failed: the number 256 cannot be packed as '>B': a number is "
            "too large, or of another kind."
        ),
    ),
    "an algorithm": (
        lambda: render("{{ {} | jwt('k', alg=args.a) }}", a="none"),
        "unknown-algorithm",
        "the expression \"{} | jwt('k', alg=args.a)\" failed: the algorithm is unknown, or the key is of another kind.",
    ),
    "what is too large": (
        lambda: render("{{ args.a | pack('1000000000x') }}", a=1),
        "value-too-large",
        (
            "the expression \"args.a | pack('1000000000x')\" failed: the result would have more than 67,108,864 "
            "characters."
        ),
    ),
    "a line break": (
        lambda: render("SAY {{ args.a }}", a="x\r\nQUIT"),
        "argument-breaks-message",
        (
            "argument 'a' contains a carriage return, which would end it in this message. Remove it; to allow it here, "
            "the manifest writes {{ args.a | verbatim }}."
        ),
    ),
    "a list": (
        lambda: render({"$each": "{{ args.a }}"}, a="text"),
        "invalid-each",
        'the value of "$each" is no list. For the pieces of text or bytes, write the filter pieces.',
    ),
    "repetitions": (
        lambda: render({"$each": "{{ args.a }}"}, a=[1] * 10_001),
        "request-too-large",
        '"$each" repeats more than 10,000 times. Pass fewer elements, or larger pieces.',
    ),
    "pieces": (
        lambda: render("{{ args.a | pieces(1) }}", a="x" * 10_001),
        "request-too-large",
        (
            "the expression 'args.a | pieces(1)' failed: the filter pieces gives more than 10,000 pieces. Make them "
            "larger."
        ),
    ),
    "CBOR": (
        lambda: render("{{ args.a | from_cbor }}", a=b"\x01\x02"),
        "invalid-frame",
        "the expression 'args.a | from_cbor' failed: the data contains more than one value.",
    ),
}


@pytest.mark.parametrize(("render_it", "code", "message"), RENDERED.values(), ids=RENDERED)
def test_what_cannot_be_rendered_has_a_code_and_a_message(
    render_it: Callable[[], Any], code: str, message: str
) -> None:
    with pytest.raises(RenderError) as rejected:
        render_it()
    assert (rejected.value.code, str(rejected.value)) == (code, message)


ENCODED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "a surrogate": (
        "\ud800".encode,
        "not-json",
        "the message contains a character that UTF-8 cannot encode. Remove it.",
    ),
    "a codec": (
        lambda: PackedCodec(*load_cbor()).encode(datetime),
        "not-json",
        "the codec cannot encode this value (CBOREncodeError).",
    ),
    "MQTT": (
        lambda: MqttCodec().encode({"type": "no"}),
        "invalid-packet",
        'the value is not an MQTT packet. Write {"type": "publish", "topic": …, "payload": …} or another known type.',
    ),
    "Socket.IO": (
        lambda: SocketIOCodec().encode(1),
        "invalid-packet",
        'the value is not a Socket.IO packet. Write {"type": "event", "data": ["name", …]} or another known type.',
    ),
    "a header": (
        lambda: make_framer(Framing(header=4)).encode({"a": 1}),
        "invalid-packet",
        'the value is no message with a header. Write {"header": bytes, "body": …}.',
    ),
    "many large messages": (
        lambda: make_framer(Framing(codec="text")).encode(MessageList(["x" * (1 << 20)] * 65)),
        "request-too-large",
        'the messages of "$each" have more than 64 MiB in total. Send less.',
    ),
    "STOMP": (
        lambda: StompCodec().encode(1),
        "invalid-packet",
        'the value is not a STOMP frame. Write {"command": …, "headers": {…}, "body": …}.',
    ),
}


@pytest.mark.parametrize(("encode", "code", "message"), ENCODED.values(), ids=ENCODED)
def test_what_cannot_be_encoded_has_a_code_and_a_message(encode: Callable[[], Any], code: str, message: str) -> None:
    with pytest.raises(ValueError) as rejected:
        encode()
    error = to_render_error(rejected.value)
    assert (error.code, str(error)) == (code, message)


SCHEMAS: dict[str, tuple[dict[str, Any], str]] = {
    "a keyword": ({"type": "objekt"}, "invalid-schema"),
    "another document": ({"$ref": "https://a.example/s.json"}, "schema-reference-not-allowed"),
}


@pytest.mark.parametrize(("schema", "code"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_that_cannot_be_used_has_a_code(schema: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidSchema) as rejected:
        SchemaValidator(schema)
    assert rejected.value.code == code
    assert str(rejected.value).endswith((".", "…"))
