"""What the scripted model does with each server."""

from __future__ import annotations

import json
from typing import Final

from .event_plans import EVENTS
from .plan import Plan, from_catalog, rpc, save, text_input

DEMO: Final = Plan(
    "demo (announces its tools)",
    "demo",
    "The server at $URL$ speaks UTCP: ask it with {type: utcp} for its tools.",
    [save("demo", manifest={"name": "demo", "url": "$URL$"})],
    ("demo_add", {"a": 2, "b": 3}),
    "5",
)

CALCULATOR: Final = Plan(
    "calculator (describes itself)",
    "calculator",
    "A calculator with JSON-RPC 2.0 at $URL$. It implements rpc.discover.",
    [
        ("import_description", {"url": "$URL$"}),
        save("calculator", base="draft", manifest={"name": "calc"}),
    ],
    ("calc_get_sum", {"a": 20, "b": 22}),
    "42",
)

WEATHER: Final = Plan(
    "weather (login, ids, events)",
    "weather",
    'Connect to $URL$ and send {"op": "login", "key": KEY}; the answer is {"event": "ready"}. Then ask with {"op": '
    '"weather", "ref": N, "city": NAME}; the answer has the same ref and data, or error. Events may come in between.',
    [
        (
            "probe",
            {
                "url": "$URL$",
                "messages": [
                    '{"op": "login", "key": "${WEATHER_KEY}"}',
                    '{"op": "weather", "ref": 1, "city": "Oslo"}',
                    '{"op": "weather", "ref": 2, "city": "Rome"}',
                ],
            },
        ),
        ("try_call", {"base": "draft", "tool": "weather", "arguments": {"city": "Rome"}}),
        save(
            "weather",
            base="draft",
            manifest={
                "name": "weather",
                "reply": {
                    "match": "message.ref == request_id",
                    "error": "message.error is defined",
                    "error_message": "message.error",
                    "result": "message.data",
                },
                "tools": [
                    {
                        "name": "now",
                        "description": "The temperature in a city in degrees.",
                        "inputs": text_input("city"),
                        "annotations": {"readOnlyHint": True},
                        "tool_call_template": {
                            "message": {"op": "weather", "ref": "{{ request_id }}", "city": "{{ args.city }}"}
                        },
                    }
                ],
            },
        ),
    ],
    ("weather_now", {"city": "Oslo"}),
    '"degrees":4',
    {"WEATHER_KEY": "KEY"},
)

WEBSOCKETD: Final = Plan(
    "websocketd",
    "websocketd",
    "$URL$ runs the calculator bc: each text message is one line, the next message is its answer.",
    [
        (
            "check_manifest",
            {
                "manifest": {
                    "name": "bc",
                    "url": "$URL$",
                    "framing": {"codec": "text"},
                    "response_format": "text",
                    "tools": [
                        {
                            "name": "calculate",
                            "description": "Evaluate one line of bc, such as 6*7.",
                            "inputs": text_input("line"),
                            "annotations": {"readOnlyHint": True},
                            "tool_call_template": {"message": "{{ args.line }}"},
                        }
                    ],
                }
            },
        ),
    ],
    ("bc_calculate", {"line": "2^64"}),
    "18446744073709551616",
)

ARIA2: Final = Plan(
    "aria2",
    "aria2",
    "aria2c with --enable-rpc at $URL$: JSON-RPC 2.0, ids are strings. The first parameter of each call is "
    '"token:SECRET". aria2.getVersion has no others.',
    [
        ("probe", {"url": "$URL$", "messages": [rpc("aria2.getVersion", ["token:${ARIA2_SECRET}"])]}),
        save(
            "aria2",
            base="draft",
            manifest={
                "name": "aria2",
                "request_id": "string_counter",
                "tools": [
                    {
                        "name": "version",
                        "description": "The version of aria2.",
                        "annotations": {"readOnlyHint": True},
                        "tool_call_template": {
                            "message": {
                                "jsonrpc": "2.0",
                                "id": "{{ request_id }}",
                                "method": "aria2.getVersion",
                                "params": ["token:${ARIA2_SECRET}"],
                            }
                        },
                    }
                ],
            },
        ),
    ],
    ("aria2_version", {}),
    '"version":',
    {"ARIA2_SECRET": "SECRET"},
)

ARIA2_CATALOG: Final = Plan(
    "aria2 (catalogue)",
    "aria2",
    "aria2c with --enable-rpc and a secret runs at $URL$.",
    from_catalog("aria2", "aria2"),
    ("aria2_version", {}),
    '"version":',
    {"ARIA2_SECRET": "SECRET"},
)

PYLSP: Final = Plan(
    "pylsp",
    "pylsp",
    "The Language Server Protocol over WebSocket at $URL$, one JSON-RPC message per frame. First initialize with "
    "processId, rootUri and capabilities, then the notification initialized. textDocument/didOpen opens a "
    "document. Its problems come later as the notification textDocument/publishDiagnostics with the same uri.",
    [
        (
            "check_manifest",
            {
                "manifest": {
                    "name": "pylsp",
                    "url": "$URL$",
                    "preset": "jsonrpc2",
                    "on_connect": [
                        {
                            "send": {
                                "jsonrpc": "2.0",
                                "id": "{{ request_id }}",
                                "method": "initialize",
                                "params": {"processId": None, "rootUri": None, "capabilities": {}},
                            },
                            "request_id": True,
                        },
                        {"expect": "message.id == request_id", "timeout": 20},
                        {"send": {"jsonrpc": "2.0", "method": "initialized", "params": {}}},
                    ],
                    "tools": [
                        {
                            "name": "check",
                            "description": "Find the problems of a Python text.",
                            "inputs": text_input("uri", "text"),
                            "annotations": {"readOnlyHint": True},
                            "tool_call_template": {
                                "message": {
                                    "jsonrpc": "2.0",
                                    "method": "textDocument/didOpen",
                                    "params": {
                                        "textDocument": {
                                            "uri": "{{ args.uri }}",
                                            "languageId": "python",
                                            "version": 1,
                                            "text": "{{ args.text }}",
                                        }
                                    },
                                },
                                "reply": {
                                    "match": "message.method == 'textDocument/publishDiagnostics' and "
                                    "message.params.uri == args.uri",
                                    "result": "message.params.diagnostics",
                                },
                            },
                        }
                    ],
                }
            },
        ),
    ],
    ("pylsp_check", {"uri": "file:///nowhere/a.py", "text": "x = undefined_name\n"}),
    "undefined name 'undefined_name'",
)

SOCKETIO: Final = Plan(
    "Socket.IO",
    "socketio",
    'A Socket.IO 4 server at $URL$. Connect with {"token": TOKEN}. Emit "add" with two numbers; the acknowledgement is '
    '{"sum": N}.',
    [
        ("list_presets", {"name": "socketio4"}),
        (
            "check_manifest",
            {
                "manifest": {
                    "name": "sio",
                    "url": "$URL$",
                    "framing": {"codec": "socketio4"},
                    "on_connect": [
                        {"expect": "message.type == 'open'"},
                        {"send": {"type": "connect", "data": {"token": "${SIO_TOKEN}"}}},
                        {"expect": "message.type == 'connect'", "fail": "message.type == 'connect_error'"},
                    ],
                    "auto_reply": [{"match": "message.type == 'ping'", "send": {"type": "pong"}}],
                    "request_id": "counter",
                    "response_format": "json",
                    "reply": {
                        "match": "message.id == request_id and message.type == 'ack'",
                        "result": "message.data[0]",
                    },
                    "tools": [
                        {
                            "name": "add",
                            "description": "Add two numbers.",
                            "inputs": text_input("a", "b", kind="number"),
                            "annotations": {"readOnlyHint": True},
                            "tool_call_template": {
                                "message": {
                                    "type": "event",
                                    "id": "{{ request_id }}",
                                    "data": ["add", "{{ args.a }}", "{{ args.b }}"],
                                }
                            },
                        }
                    ],
                }
            },
        ),
    ],
    ("sio_add", {"a": 20, "b": 22}),
    '"sum":42',
    {"SIO_TOKEN": "TOKEN"},
)

HELLO: Final = "query($n: String!) { hello(name: $n) }"

GRAPHQL: Final = Plan(
    "GraphQL",
    "graphql-ws",
    "GraphQL at $URL$ with the subprotocol graphql-transport-ws; connection_init needs {token: TOKEN}. The query "
    "hello(name: String!) greets.",
    [
        (
            "probe",
            {
                "url": "$URL$",
                "protocol": ["graphql-transport-ws"],
                "messages": [
                    '{"type": "connection_init", "payload": {"token": "${GQL_TOKEN}"}}',
                    json.dumps(
                        {"id": "1", "type": "subscribe", "payload": {"query": HELLO, "variables": {"n": "World"}}}
                    ),
                ],
            },
        ),
        save(
            "gql",
            base="draft",
            manifest={
                "name": "gql",
                "tools": [
                    {
                        "name": "hello",
                        "description": "Greet someone.",
                        "inputs": text_input("n"),
                        "annotations": {"readOnlyHint": True},
                        "tool_call_template": {
                            "message": {
                                "id": "{{ request_id }}",
                                "type": "subscribe",
                                "payload": {
                                    "query": HELLO,
                                    "variables": {"n": "{{ args.n }}"},
                                },
                            }
                        },
                    }
                ],
            },
        ),
    ],
    ("gql_hello", {"n": "Ada"}),
    "Hello Ada",
    {"GQL_TOKEN": "TOKEN"},
)

NCHAN: Final = Plan(
    "Nchan",
    "nchan",
    "nginx with Nchan at ws://127.0.0.1:$PORT$. /pub/CHANNEL publishes each message; with the header Accept: text/json "
    "the receipt is JSON with messages and subscribers.",
    [
        (
            "probe",
            {
                "url": "ws://127.0.0.1:$PORT$/pub/alpha",
                "headers": {"Accept": "text/json"},
                "messages": ['{"n": 1}', '{"n": 2}'],
            },
        ),
        save(
            "nchan",
            base="draft",
            manifest={
                "name": "nchan",
                "response_format": "json",
                "tools": [
                    {
                        "name": "publish",
                        "description": "Publish a text to the channel alpha; returns the receipt.",
                        "inputs": text_input("text"),
                        "tool_call_template": {"message": "{{ args.text }}"},
                    }
                ],
            },
        ),
    ],
    ("nchan_publish", {"text": "hello"}),
    '"subscribers":',
)

NODE: Final = Plan(
    "Node.js inspector",
    "node-inspect",
    "The inspector of Node.js at $URL$: the Chrome DevTools Protocol. Runtime.evaluate takes expression and "
    "returnByValue; the result is in result.result.",
    [
        (
            "probe",
            {
                "url": "$URL$",
                "messages": [
                    json.dumps(
                        {"id": n, "method": "Runtime.evaluate", "params": {"expression": e, "returnByValue": True}}
                    )
                    for n, e in ((1, "6*7"), (2, "1+1"))
                ],
            },
        ),
        save("node", base="draft", manifest={"name": "node"}),
    ],
    ("node_Runtime_evaluate", {"expression": "40 + 2"}),
    "42",
)

LIGHT: Final = (DEMO, CALCULATOR, WEATHER)
"""Plans whose endpoints need no installation; CI runs them."""

REAL: Final = (WEBSOCKETD, ARIA2, ARIA2_CATALOG, PYLSP, SOCKETIO, GRAPHQL, NCHAN, NODE, *EVENTS)
