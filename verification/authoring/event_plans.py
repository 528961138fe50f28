"""What the scripted model does with servers that send messages of their own between the replies."""

from __future__ import annotations

import json
from typing import Any, Final

from .plan import Plan, from_catalog, rpc, save, text_input


def _vite(ref: Any, a: Any, b: Any) -> dict[str, Any]:
    return {"type": "custom", "event": "example:add", "data": {"ref": ref, "a": a, "b": b}}


VITE: Final = Plan(
    "Vite",
    "vite",
    "The development server of Vite at ws://127.0.0.1:$PORT$/?token=TOKEN with the subprotocol vite-hmr. It sends "
    '{"type": "connected"} first and updates at any time. A plugin adds: {"type": "custom", "event": "example:add", '
    '"data": {"ref": N, "a": A, "b": B}}; the answer is the event example:sum with the same ref, and sum.',
    [
        (
            "probe",
            {
                "url": "ws://127.0.0.1:$PORT$/?token=${VITE_TOKEN}",
                "protocol": ["vite-hmr"],
                "messages": [json.dumps(_vite(1, 20, 22)), json.dumps(_vite(2, 1, 2))],
            },
        ),
        save(
            "vite",
            base="draft",
            manifest={
                "name": "vite",
                "reply": {
                    "match": "message.event == 'example:sum' and message.data.ref == request_id",
                    "result": "message.data.sum",
                },
                "tools": [
                    {
                        "name": "add",
                        "description": "Add two numbers.",
                        "inputs": text_input("a", "b", kind="number"),
                        "annotations": {"readOnlyHint": True},
                        "tool_call_template": {
                            "message": _vite("{{ request_id }}", "{{ args.a }}", "{{ args.b }}"),
                        },
                    }
                ],
            },
        ),
    ],
    ("vite_add", {"a": 40, "b": 2.5}),
    "42.5",
    {"VITE_TOKEN": "TOKEN"},
)

MOPIDY: Final = Plan(
    "Mopidy",
    "mopidy",
    "The music server Mopidy at $URL$: JSON-RPC 2.0, and events without id in between. core.library.browse takes uri "
    "and lists a folder; the music is in $MEDIA$. core.mixer.set_volume takes volume, 0 to 100.",
    [
        (
            "probe",
            {
                "url": "$URL$",
                "messages": [
                    rpc("core.mixer.set_volume", {"volume": 40}),
                    rpc("core.library.browse", {"uri": "$MEDIA$"}, 2),
                ],
            },
        ),
        save("mopidy", base="draft", manifest={"name": "mopidy"}),
    ],
    ("mopidy_core_library_browse", {"uri": "$MEDIA$"}),
    "beta.wav",
)

MOPIDY_CATALOG: Final = Plan(
    "Mopidy (catalogue)",
    "mopidy",
    "The music server Mopidy runs at $URL$.",
    from_catalog("mopidy", "mopidy"),
    ("mopidy_playback_state", {}),
    '"stopped"',
)

NODE_CATALOG: Final = Plan(
    "Node.js inspector (catalogue)",
    "node-inspect",
    "A Node.js process was started with --inspect; its inspector is at $URL$.",
    from_catalog("node-inspector", "node"),
    ("node_evaluate", {"expression": "total() * 5 + 2"}),
    "42",
)

CHANNEL: Final = json.dumps({"channel": "CalcChannel", "room": "1"})


def _perform(data: str) -> dict[str, str]:
    return {"command": "message", "identifier": CHANNEL, "data": data}


SUBSCRIBE: Final = {"command": "subscribe", "identifier": CHANNEL}

ACTION_CABLE: Final = Plan(
    "Action Cable",
    "actioncable",
    "Rails Action Cable at ws://127.0.0.1:$PORT$/cable?token=TOKEN, subprotocol actioncable-v1-json. After welcome, "
    'send command subscribe with identifier, a JSON text of channel and room: {"channel": "CalcChannel", "room": "1"}; '
    "then comes confirm_subscription or reject_subscription. Command message performs an action: identifier as before, "
    'and data, a JSON text {"action": "add", "ref": N, "a": A, "b": B}; the answer has message.ref and message.sum. '
    "Pings come in between.",
    [
        (
            "probe",
            {
                "url": "ws://127.0.0.1:$PORT$/cable?token=${CABLE_TOKEN}",
                "protocol": ["actioncable-v1-json"],
                "messages": [
                    json.dumps(SUBSCRIBE),
                    json.dumps(_perform(json.dumps({"action": "add", "ref": 1, "a": 20, "b": 22}))),
                ],
            },
        ),
        save(
            "cable",
            base="draft",
            manifest={
                "name": "cable",
                "request_id": "counter",
                "on_connect": [
                    {"expect": "message.type == 'welcome'", "fail": "message.type == 'disconnect'"},
                    {"send": SUBSCRIBE},
                    {
                        "expect": "message.type == 'confirm_subscription'",
                        "fail": "message.type == 'reject_subscription'",
                    },
                ],
                "reply": {"match": "message.message.ref == request_id", "result": "message.message.sum"},
                "tools": [
                    {
                        "name": "add",
                        "description": "Add two numbers.",
                        "inputs": text_input("a", "b", kind="number"),
                        "annotations": {"readOnlyHint": True},
                        "tool_call_template": {
                            "message": _perform(
                                '{"action": "add", "ref": {{ request_id }}, "a": {{ args.a }}, "b": {{ args.b }}}'
                            )
                        },
                    }
                ],
            },
        ),
    ],
    ("cable_add", {"a": 40, "b": 2.5}),
    "42.5",
    {"CABLE_TOKEN": "TOKEN"},
)

JUPYTER: Final = Plan(
    "Jupyter",
    "jupyter",
    "A Jupyter server; the channels of its running kernel are at $URL$, messages of version 5.3. The handshake has the "
    "header Authorization: token TOKEN.",
    [
        ("list_presets", {"name": "jupyter"}),
        (
            "check_manifest",
            {
                "manifest": {
                    "name": "kernel",
                    "url": "$URL$",
                    "preset": "jupyter",
                    "tools": [
                        {
                            "name": "run",
                            "description": "Run Python code and give all that it puts out.",
                            "inputs": text_input("code"),
                        }
                    ],
                }
            },
        ),
    ],
    ("kernel_run", {"code": "print('working')\n6*7"}),
    '"text/plain":"42"',
    {"JUPYTER_TOKEN": "TOKEN"},
)

EVENTS: Final = (VITE, MOPIDY, MOPIDY_CATALOG, NODE_CATALOG, ACTION_CABLE, JUPYTER)
