"""A manual that came over the network: data, which may do less than a manifest (sections 8 and 10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ..errors import Problem
from .inheritance import CALL_TEMPLATE_KEYS, apply_preset, normalize
from .loader import WEBSOCKET, ManifestEntry, ResolvedTool, check_tool
from .models.base import Json
from .models.call_template import Annotations, Tool
from .pinning import tool_digest
from .sanitize import sanitize_schema, sanitize_text, schema_problem
from .validation import is_deeper
from .variables import VARIABLE, WHOLE_STRING_VARIABLE

FORBIDDEN_KEYS = frozenset({"network", "tls", "proxy", "pin", "before_connect", "name"})
"""What a manual from the network may not say."""

MAX_DEPTH: Final = 100
"""Levels of nesting of a tool."""

_CROSS_ORIGIN_SAFE = frozenset(
    {"call_template_type", "response_format", "timeout", "keep_alive", "request_id", "typed_arguments", "reply"}
    | {"ignore", "limits", "framing", "send_as", "network"}
)
"""What a tool at another origin inherits: nothing that could hold a credential."""


def read_manual(document: Json, entry: ManifestEntry) -> tuple[list[ResolvedTool], list[str]]:
    """The tools of a manual, and one line for each thing in it that is left out.

    `${NAME}` is replaced in `auth` only, and only by variables that the user named for this manual.
    """
    tools: list[ResolvedTool] = []
    notices: list[str] = []
    listed = document.get("tools") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        return [], [f"{entry.name}: its answer holds no list of tools"]
    most = entry.options.max_tools
    if len(listed) > most:
        notices.append(
            f'{entry.name}: its manual has {len(listed)} tools, the first {most} are offered; see "max_tools"'
        )
    for index, raw in enumerate(listed[:most]):
        tool, wrong = _read_tool(raw, entry, f"tools[{index}]")
        if tool and any(tool.tool.name == other.tool.name for other in tools):
            wrong, tool = [Problem(f"tools[{index}]", f"is another tool named {tool.tool.name!r}; left out")], None
        notices += [f"{entry.name}: its manual, {problem}" for problem in wrong]
        tools += [tool] if tool else []
    return tools, notices


def _read_tool(raw: Json, entry: ManifestEntry, path: str) -> tuple[ResolvedTool | None, list[Problem]]:
    if not isinstance(raw, dict):
        return None, [Problem(path, "is no tool (an object); left out")]
    if is_deeper(raw, MAX_DEPTH):
        return None, [Problem(path, f"is nested more than {MAX_DEPTH} deep; left out")]
    own = raw.get("tool_call_template")
    own = own if isinstance(own, dict) else {}
    kind = own.get("call_template_type", WEBSOCKET)
    if kind != WEBSOCKET:
        return None, [Problem(path, f"call_template_type {str(kind)[:40]!r} is not served here; left out")]
    unread = [key for key in own if key not in CALL_TEMPLATE_KEYS or key in FORBIDDEN_KEYS - {"name"}]
    kept = {key: value for key, value in own.items() if key not in unread}
    kept = normalize({key: value for key, value in kept.items() if key != "name"})
    notices = [Problem(path, f"tool_call_template.{key[:40]} is not read; left out") for key in unread]
    if "auth" in kept and (why := _auth_problem(kept, str(entry.raw.get("url", "")))):
        return None, [Problem(path, f"{why}; left out")]
    if "auth" in kept:
        kept["auth"], missing = _bind_auth(kept["auth"], entry.own_variables)
        if missing:
            return None, [
                Problem(path, f"needs {name!r}, which is not set for this manual; left out") for name in missing
            ]
    known = {key: value for key, value in raw.items() if key in Tool.model_fields and value is not None}
    known["annotations"] = _known_annotations(known.get("annotations"))
    known |= {key: sanitize_text(known[key]) for key in ("name", "description") if isinstance(known.get(key), str)}
    for key in ("inputs", "outputs"):
        if key in known and (why := schema_problem(known[key])):
            return None, [Problem(path, f"{key} {why}; left out")]
        known |= {key: sanitize_schema(known[key])} if key in known else {}
    tool, wrong = check_tool(
        {**known, "tool_call_template": kept}, _inherited_document(entry, kept), path, entry.template
    )
    remote = frozenset(
        apply_preset(kept) if _is_cross_origin(entry, kept) else kept
    )  # no variable of a preset goes elsewhere
    return (
        replace(tool, remote_fields=remote, discovered=True, digest=tool_digest(raw)) if tool else None
    ), notices + wrong


def _known_annotations(annotations: Json) -> Json:
    known = {field.alias or name for name, field in Annotations.model_fields.items()}
    return {key: value for key, value in annotations.items() if key in known} if isinstance(annotations, dict) else {}


_FIELDS_USING_LET = frozenset({"let", "message", "then", "reply", "ignore", "stream", "auto_reply"})
"""Fields in which `let` is used."""


def _inherited_document(entry: ManifestEntry, own: Mapping[str, Json]) -> dict[str, Json]:
    """What a tool inherits: what may hold credentials only where the tool stays at the entry's origin."""
    raw = dict(entry.raw)
    if not _FIELDS_USING_LET.isdisjoint(own):
        raw.pop("let", None)  # it was written for the entry's own messages
    if not _is_cross_origin(entry, own):
        return raw
    kept = {key: value for key, value in raw.items() if key in _CROSS_ORIGIN_SAFE}
    authority = {key: value for key, value in raw.get("tls", {}).items() if key == "ca_file"}
    return kept | ({"tls": authority} if authority else {})


def _is_cross_origin(entry: ManifestEntry, own: Mapping[str, Json]) -> bool:
    """Whether a tool points at another origin than its manual's."""
    return "url" in own and not _same_origin(str(own["url"]), str(entry.raw.get("url", "")))


def _auth_problem(own: Mapping[str, Json], manual_url: str) -> str | None:
    """Why a tool may not bring credentials: they, and what fetches a token with them, stay at the manual's own host."""
    auth = own["auth"]
    token_url = auth.get("token_url") if isinstance(auth, dict) else None
    if "url" in own and not _same_origin(str(own["url"]), manual_url):
        return "brings credentials for another origin than its manual's"
    if token_url is not None and not _same_origin(_as_websocket(str(token_url)), manual_url):
        return "has a token_url at another origin than its manual's"
    return None


def _as_websocket(url: str) -> str:
    return re.sub(r"^http(s?)://", r"ws\1://", url)


def _same_origin(one: str, other: str) -> bool:
    return _origin(one) == _origin(other)


def _origin(url: str) -> str:
    found = re.match(r"(wss?)://([^/?#]*)", url.lower())
    if found is None:
        return url
    return f"{found[1]}://{found[2].removesuffix(':443' if found[1] == 'wss' else ':80')}"


def _bind_auth(auth: Any, variables: Mapping[str, str]) -> tuple[Any, list[str]]:
    missing: list[str] = []

    def bound(text: str) -> str:
        def value(name: str) -> str:
            if name not in variables:
                missing.append(name)
            return variables.get(name, "")

        if whole := WHOLE_STRING_VARIABLE.match(text):
            return value(whole[1])
        return VARIABLE.sub(lambda found: value(found[1]) if found[1] else "${", text)

    if not isinstance(auth, dict):
        return auth, []
    return {key: bound(item) if isinstance(item, str) else item for key, item in auth.items()}, missing
