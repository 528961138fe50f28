"""Valid inputs of every parser, which the mutations start from."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, Final

import cbor2
import msgpack
from backports import zstd

from utcp_ws_mcp.core.codecs.mqtt import MqttCodec
from utcp_ws_mcp.core.codecs.stomp import StompCodec
from utcp_ws_mcp.manifest.presets import preset_names

ROOT: Final = Path(__file__).parents[2]


def as_bytes(*values: Any) -> tuple[bytes, ...]:
    """Return the values as JSON."""
    return tuple(json.dumps(value).encode() for value in values)


URLS: Final = tuple(
    text.encode()
    for text in (
        *("wss://a.example/", "ws://localhost:8080/ws?a=b&c=%20", "wss://127.0.0.1:443", "ws://[::1]:9/x/y;z=1"),
        *("https://token.example/oauth/token", "wss://xn--bcher-kva.example/", "ws://[2001:db8::1]/", "wss://a_b.c-d/"),
        *("wss://10.0.0.1/%2e%2e/", "ws://[::ffff:127.0.0.1]:65535/", "http://a.example./?x", "wss://h?q"),
    )
)

DOTENVS: Final = (
    b"A=1\nB='two words'\nexport C=\"x\\n\"\n# comment\nD=\n",
    "PASS=pä${HOME}ss$\r\nEMPTY\n=x\nE = 'multi\nline'\n".encode(),
)

PINS: Final = as_bytes({"m wss://localhost": {"a": "0" * 64, "b": "1" * 64}, "other wss://x": {}}, {})

TOKENS: Final = as_bytes(
    {"access_token": "abc.def-_~+/==", "token_type": "Bearer", "expires_in": 3600, "scope": "a b"},
    {"access_token": "t", "expires_in": "60"},
    {"error": "invalid_client", "error_description": "no such client"},
)

VALUES: Final[tuple[Any, ...]] = (
    {"jsonrpc": "2.0", "id": 1, "result": {"items": [1, 2.5, None, True, "x"]}},
    {"id": "u", "error": {"code": -32000, "message": "no"}},
    [{"type": "event", "data": "é"}, [1, [2, [3]]]],
    {"op": 7, "d": {"requestId": "1", "requestStatus": {"result": True, "code": 100}}},
)

_TEXTS: Final = (*as_bytes(*VALUES), b"plain text", b'["0"]\x1e{"a":1}\x1e', b"\x00\x01\xfe\xff")
_FRAMES: Final = (
    {"command": "MESSAGE", "headers": {"destination": "/a:b", "message-id": "1"}, "body": "a body"},
    {"command": "CONNECTED", "headers": {"version": "1.2"}, "body": ""},
)
_PACKETS: Final = (
    {"type": "publish", "topic": "a/b", "payload": "x", "qos": 1, "packet_id": 7},
    {"type": "connect", "client_id": "c", "username": "u", "password": "p", "will": {"topic": "w"}},
    {"type": "subscribe", "topics": ["a"], "packet_id": 2},
    {"type": "pingreq"},
)
MESSAGES: Final[dict[Any, tuple[bytes, ...]]] = {
    "json": _TEXTS,
    "text": _TEXTS,
    "binary": _TEXTS,
    "msgpack": tuple(msgpack.packb(value) for value in (*VALUES, {1: b"x"}, msgpack.Timestamp(1), [2**63, 1e9])),
    "cbor": tuple(
        cbor2.dumps(value) for value in (*VALUES, {1: b"x"}, 2**80, cbor2.CBORTag(4, [-2, 314]), cbor2.CBORTag(99, 1))
    ),
    "stomp": tuple(
        frame if isinstance(frame, bytes) else str(frame).encode()
        for value in _FRAMES
        for frame in StompCodec().encode(value)
    ),
    "socketio4": (
        *(b'0{"sid":"x","upgrades":[],"pingInterval":25000}', b"2probe", b'42["event",{"a":1}]', b'42/chat,12["x"]'),
        *(b"3", b'4312["ok"]', b'451-["b",{"_placeholder":true,"num":0}]', b'44{"message":"no"}', b"\x01\x02"),
    ),
    "mqtt": (
        *(
            bytes(str(packet), "latin-1") if isinstance(packet, str) else packet
            for value in _PACKETS
            for packet in MqttCodec().encode(value)
        ),
        *(b"\x20\x02\x00\x00", b"\x90\x03\x00\x02\x00", b"\x32\x0a\x00\x03a/b\x00\x07abc", b"\xd0\x00"),
    ),
}

PROTO: Final = b"""syntax = "proto3"; package m;
import "google/protobuf/struct.proto";
message Push { int64 id = 1; repeated Push inner = 2; map<string, bytes> parts = 3; oneof x { double d = 4; E e = 5; }
  google.protobuf.Struct extra = 6; enum E { A = 0; B = 1; } optional float f = 7; }
"""
"""A schema with every kind of field."""

_NATS: Final = {"pattern": r"^MSG .* (\d+)$", "trailer": "\r\n"}
_BODIES: Final = (*as_bytes(*VALUES), b"\x00\x01\xfe\xff", b"")


def compressed(method: str, flush: int = zlib.Z_FINISH) -> tuple[bytes, ...]:
    """Return messages that are compressed each on its own."""
    if method == "zstd":
        return (*map(zstd.compress, _BODIES), *_BODIES)
    packed = []
    for body in _BODIES:
        deflater = zlib.compressobj(wbits={"gzip": 31, "zlib": 15, "deflate": -15}[method])
        packed.append(deflater.compress(body) + deflater.flush(flush))
    return (*packed, *_BODIES)


FRAMED: Final[tuple[tuple[dict[str, Any], tuple[bytes, ...]], ...]] = (
    *(({"compression": method}, compressed(method)) for method in ("gzip", "zlib", "deflate", "zstd")),
    *(
        ({"compression": {"method": method, "context": "connection"}}, compressed(method, zlib.Z_SYNC_FLUSH))
        for method in ("zlib", "zstd")
    ),
    ({"length": {"size": 4}}, tuple(len(body).to_bytes(4) + body for body in _BODIES)),
    (
        {"length": {"size": "varint"}, "codec": "msgpack", "spans_messages": True},
        (b"\x02\x91\x06", b"\x80\x01\x81\xa1a\x01"),
    ),
    (
        {
            "header": 6,
            "length": {"size": 4, "at": 2, "counts": "all"},
            "compression": {"method": "zlib", "nested": True},
        },
        tuple(bytes(2) + (len(body) + 6).to_bytes(4) + body for body in compressed("zlib")),
    ),
    (
        {"separator": "\r\n", "length": _NATS, "spans_messages": True},
        (b"+OK\r\nMSG a 1 2\r\nhi\r\nPING\r\n", b"MSG a 1 0\r\n\r\n", b'MSG b 9 7\r\n{"a":1}\r\n'),
    ),
    (
        {"length": {"between": ["~m~", "~m~"], "unit": "utf16"}, "spans_messages": True},
        tuple(f"~m~{len(text.encode('utf-16-le')) // 2}~m~{text}".encode() for text in ("~h~1", '{"a":"é"}', "😀", "")),
    ),
    ({"length": {"between": ["", ":"], "unit": "code_points", "trailer": ","}}, ("2:é😀,".encode(), b"0:,1:x,")),
    (
        {"separator": "\r\n\r\n", "length": {"pattern": r"Length: (\d+)"}},
        (b"Content-Length: 2\r\n\r\n{}", b"x\r\n\r\n"),
    ),
    (
        {"codec": "protobuf", "protobuf": {"schema": "m.proto", "receive": "m.Push"}},
        (
            b"\x08\x07\x12\x02\x08\x01\x1a\x05\n\x01a\x12\x00",
            b"!\x00\x00\x00\x00\x00\x00\xf8?",
            b"2\x08\n\x06\n\x01a\x12\x01\x08",
        ),
    ),
)
"""Framings with layers around the codec, and messages of each."""

_EXPRESSIONS: Final = (
    *("message.id == request_id", "message.error is defined", "args.items[0]['x']", "message.type in ['a', 'b']"),
    *("(vars.A ~ session.salt) | sha256 | base64", "args.n + 1 if args.n else 0", "message.result | length > 2"),
    *("'a' ~ args.s | upper", "message is mapping and message.tools is sequence", "args | to_json", "uuid()[:8]"),
    *("message.startswith('PING')", "args.t | regex_find('[a-z]+')", "[1, 2] | pack('>BB') | hex"),
    *("args.s | unbase64 | utf8", "{'a': args.n} | jwt('k')", "message.items | map(attribute='x') | list"),
    *("args.s | from_json", "args.s | byte_length", "message.data | unpack('>H')", "1.5 ** 2", "args.items | sort"),
    *("now_ms // 1000", "not args.f"),
)
EXPRESSIONS: Final = tuple(text.encode() for text in _EXPRESSIONS)

TEMPLATES: Final = (
    *as_bytes(
        {"id": "{{ request_id }}", "method": "x", "params": "{{ args }}", "n": 1},
        {"a": "UTCP_ARG_s_UTCP_ARG", "b": ["x UTCP_ARG_n_UTCP_ARG y", "{{ args.items }}"], "c": {"d": None}},
        '{"q": "UTCP_ARG_s_UTCP_ARG", "n": UTCP_ARG_n_UTCP_ARG}',
        "GET {{ args.s }} ${X} {{ uuid() }}",
        {"$base64": "{{ args.s | base64 }}"},
        ["{{ args.t | sha256 | hex }}", "$X", "$${X}"],
    ),
)

LINES: Final = as_bytes(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}},
    {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "m_t", "arguments": {"a": [1, "é"]}}},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    {"jsonrpc": "2.0", "id": 5, "result": {}},
    {"jsonrpc": "2.0", "id": 5, "error": {"code": -1, "message": "no"}},
    [{"jsonrpc": "2.0", "id": 1, "method": "ping"}],
)


def manifests() -> tuple[bytes, ...]:
    """Return the example manifests, and a minimal call template for every preset."""
    files = [file.read_bytes() for file in sorted((ROOT / "manifests").glob("*.json"))]
    named = as_bytes(*({"name": "m", "url": "wss://a.example/", "preset": name} for name in sorted(preset_names())))
    return (*files, *named, *as_bytes({"variables": {"A": "1"}, "manual_call_templates": [{"url": "wss://${A}/"}]}))


def manuals() -> tuple[bytes, ...]:
    """Return manuals with the tools of the example manifests, and one with all fields."""
    documents = []
    for file in sorted((ROOT / "manifests").glob("*.json")):
        document = json.loads(file.read_bytes())
        for template in document.get("manual_call_templates", [document]):
            tools = template.get("tools", [])
            fields = {key: value for key, value in template.items() if key not in ("tools", "name", "url")}
            documents.append({"tools": [{**tool, "tool_call_template": fields} for tool in tools[:2]]})
    return as_bytes(*documents, _MANUAL)


_MANUAL: Final = {
    "utcp_version": "1.0.1",
    "manual_version": "1.0.0",
    "tools": [
        {
            "name": "t",
            "description": "d",
            "tags": ["a"],
            "inputs": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^a+$"}}, "required": ["a"]},
            "outputs": {"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "null"}}},
            "annotations": {"readOnlyHint": True, "title": "T"},
            "tool_call_template": {
                "call_template_type": "websocket",
                "url": "wss://own.example/ws",
                "message": {"a": "UTCP_ARG_a_UTCP_ARG", "b": "{{ args.a }}"},
                "headers": {"X-A": "b"},
                "auth": {"auth_type": "api_key", "api_key": "${KEY}", "var_name": "X-Key"},
                "reply": {"match": "message.id == request_id", "result": "message.result"},
                "stream": {"until": "message.done", "max_items": "args.n"},
                "response_format": "json",
                "on_connect": [{"expect": "message.op == 0", "capture": {"h": "message.d"}}],
                "heartbeat": {"every": 30, "send": "ping"},
            },
        }
    ],
}
