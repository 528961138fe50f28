"""Draft a whole manifest from a recorded conversation: endpoint, login, reply rules, tools."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..core.network_policy import URL
from ..manifest.secret_names import is_secret_name, is_session_name
from ..manifest.variables import VARIABLE
from .correlation import Conversation, RecordedExchange, analyze, infer_reply_rules
from .messages import RecordedMessage, kind_predicate, leaves
from .tools import draft_tools, escape_template

Document = dict[str, Any]

LINE_WIDTH: Final = 110
"""The maximum length of a line of formatted JSON in characters."""


@dataclass(slots=True)
class Draft:
    """A drafted manifest, and the variables that replace the secrets that were typed in plain text."""

    document: Document
    missing_variables: list[str] = field(default_factory=list)


def draft_manifest(
    endpoint: Document, url: URL, messages: Sequence[RecordedMessage], variables: Collection[str]
) -> Draft:
    """Return a manifest for a conversation.

    Args:
        endpoint: The call template fields of the recorded connection, as they were typed.
        url: The parsed URL of the endpoint.
        messages: The conversation, in order.
        variables: The names of the variables that are set, and so may occur in the messages.
    """
    conversation = analyze(messages)
    draft = Draft({"$comment": _comment(conversation), "name": _manual_name(url), **endpoint, **_network_fields(url)})
    if "headers" in endpoint:
        draft.document["headers"] = _without_secrets(endpoint["headers"], "", variables, draft.missing_variables)
    logins = [exchange for exchange in conversation.exchanges if _is_login(exchange.request.value, variables)]
    steps = _greeting_step(conversation.greeting)
    for exchange in logins:
        steps += _login_steps(exchange, variables, draft.missing_variables)
    if steps:
        draft.document["on_connect"] = steps
    exchanges = [exchange for exchange in conversation.exchanges if exchange not in logins]
    draft.document |= _exchange_fields(conversation, exchanges)
    draft.document["tools"] = draft_tools(exchanges, conversation.ids, variables) or [_watch_tool()]
    return draft


def format_json(value: Any, depth: int = 0, prefix_width: int = 0) -> str:
    """Return the text of a JSON value as people write manifests: what fits on a line is on one line.

    Args:
        value: The JSON value.
        depth: The level of nesting, for the indentation.
        prefix_width: The number of characters before the value on its line, such as those of its key.
    """
    short = json.dumps(value, ensure_ascii=False)
    fits = depth and 2 * depth + prefix_width + len(short) < LINE_WIDTH
    if not isinstance(value, dict | list) or not value or fits:
        return short
    indent, end = "\n" + "  " * (depth + 1), "\n" + "  " * depth
    if isinstance(value, list):
        return f"[{indent}" + f",{indent}".join(format_json(item, depth + 1) for item in value) + f"{end}]"
    keys = ((json.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items())
    members = (key + format_json(item, depth + 1, len(key)) for key, item in keys)
    return f"{{{indent}" + f",{indent}".join(members) + f"{end}}}"


def _exchange_fields(conversation: Conversation, exchanges: Sequence[RecordedExchange]) -> Document:
    if not exchanges:
        return {}
    ids = {"request_id": conversation.ids.kind} if conversation.ids else {}
    rest = Conversation(conversation.greeting, exchanges, conversation.unsolicited, conversation.ids)
    return ids | infer_reply_rules(rest)


def _comment(conversation: Conversation) -> list[str]:
    return [
        f"Drafted from {len(conversation.exchanges)} sent messages; {_correlation_comment(conversation)}",
        "Names, descriptions and types of arguments are guesses. Try it with: utcp-ws-mcp call … --trace",
    ]


def _correlation_comment(conversation: Conversation) -> str:
    """Say how replies are matched to requests."""
    if not any(exchange.replies for exchange in conversation.exchanges):
        return "none was answered. Does the endpoint expect another form, such as a line break at the end?"
    if conversation.ids:
        return "replies are matched by IDs."
    return "replies are matched by their order: the first message after a request is its reply."


def _manual_name(url: URL) -> str:
    labels = [label for label in url.host.split(".") if label not in ("www", "api", "ws", "wss", "stream")]
    word = re.sub(r"[^A-Za-z0-9]+", "_", labels[0] if labels else "").strip("_")[:20]
    return word if re.match(r"[A-Za-z]", word) else "api"


def _network_fields(url: URL) -> Document:
    """Return what the endpoint needs in addition to a public address over TLS."""
    if url.is_loopback_literal:
        return {}
    private = re.match(r"10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|f[cd]", url.host)
    local = "." not in url.host or url.host.endswith((".local", ".lan", ".home", ".internal"))
    network: Document = {"allow": ["private"]} if private or local else {}
    network |= {} if url.secure else {"plaintext": True}
    return {"network": network} if network else {}


def _greeting_step(greeting: RecordedMessage | None) -> list[Document]:
    if greeting is None:
        return []
    return [{"$comment": "The endpoint sends the first message.", "expect": kind_predicate(greeting.value)}]


def _is_login(value: Any, variables: Collection[str]) -> bool:
    """Return whether a message contains a credential: by the name of a field, or of a variable in a text.

    The ID of a session is a secret as well, but requests repeat it long after the login.
    """
    if isinstance(value, str):
        names = [name for name in VARIABLE.findall(value) if name in variables]
    else:
        names = [path[-1] for path, item in leaves(value) if path and isinstance(path[-1], str) and item]
    return any(is_secret_name(name) and not is_session_name(name) for name in names)


def _login_steps(
    exchange: RecordedExchange, variables: Collection[str], missing_variables: list[str]
) -> list[Document]:
    send = _without_secrets(exchange.request.value, "", variables, missing_variables)
    steps: list[Document] = [{"$comment": "A login.", "send": send}]
    if exchange.replies:
        steps.append({"expect": kind_predicate(exchange.replies[0].value)})
    return steps


def _without_secrets(value: Any, name: str, variables: Collection[str], missing_variables: list[str]) -> Any:
    """Return a message with a variable in place of each secret, and append its name to `missing_variables`."""
    if isinstance(value, dict):
        return {key: _without_secrets(item, str(key), variables, missing_variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, name, variables, missing_variables) for item in value]
    if not is_secret_name(name) or not isinstance(value, str):
        return escape_template(value, variables) if isinstance(value, str) else value
    if {found[1] for found in VARIABLE.finditer(value)} & set(variables):
        return value
    variable = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).upper()
    missing_variables.append(variable)
    return f"${{{variable}}}"


def _watch_tool() -> Document:
    return {
        "name": "watch",
        "description": "Return the messages that the endpoint sends in the next ten seconds.",
        "inputs": {"type": "object", "properties": {}, "additionalProperties": False},
        "annotations": {"readOnlyHint": True},
        "tool_call_template": {"listen": True, "stream": {"max_seconds": 10}},
    }
