"""What the field at a JSON path means, for whoever wrote something wrong into it."""

from __future__ import annotations

import re
from typing import Final

from .json_schema import field_descriptions

_MODELS_BY_KEY: Final = {
    "": ("CallTemplate", "ManualOptions"),
    "manual_call_templates": ("CallTemplate", "ManualOptions"),
    "tools": ("Tool",),
    "tool_call_template": ("CallTemplate",),
    "tool_overrides": ("ToolOverride",),
    "annotations": ("Annotations",),
    "reply": ("Reply",),
    "stream": ("Stream",),
    "network": ("Network",),
    "tls": ("Tls",),
    "limits": ("Limits",),
    "on_connect": ("Step",),
    "on_disconnect": ("DisconnectMessage",),
    "before_connect": ("HttpStep",),
    "http": ("HttpRequestTemplate",),
    "auto_reply": ("AutoReply",),
    "capture": ("Capture",),
    "inbox": ("InboxSettings",),
    "heartbeat": ("Heartbeat",),
    "framing": ("Framing",),
    "discovery": ("DiscoverySettings",),
    "auth": ("ApiKeyAuth", "BasicAuth", "OAuth2Auth"),
}
"""The models of the object that stands under a key, or in the array there."""

_PATH_STEP = re.compile(r"[^.\[\]]+")


def describe_field(path: str) -> str | None:
    """What the field is for, or None where nobody knows: the path leads into a template, a schema, or nowhere."""
    steps = [step for step in _PATH_STEP.findall(path) if not step.isdigit()]
    if not steps:
        return None
    around = steps[-2] if len(steps) > 1 else ""
    if len(steps) > 2 and steps[-3] == "tool_overrides":
        around = "tool_overrides"
    said = field_descriptions()
    found = (said[model].get(steps[-1]) for model in _MODELS_BY_KEY.get(around, ()))
    return next((meaning for meaning in found if meaning), None)
