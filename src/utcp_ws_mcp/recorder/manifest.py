"""The whole draft: endpoint, login, replies, tools."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.network_policy import URL
from ..lint.hardcoded_secrets import is_secret_name
from ..manifest.variables import VARIABLE
from .correlation import Conversation, RecordedExchange, analyze, infer_reply_rules
from .messages import RecordedMessage, kind_predicate, leaves
from .tools import draft_tools, escape_template

Document = dict[str, Any]


@dataclass(slots=True)
class Draft:
    """A drafted manifest, and the variables that must be set for it, because secrets were typed in clear."""

    document: Document
    missing_variables: list[str] = field(default_factory=list)


def draft_manifest(
    endpoint: Document, url: URL, messages: Sequence[RecordedMessage], variables: Collection[str]
) -> Draft:
    """A manifest for a conversation. `endpoint` holds the fields with which it was connected, as they were typed."""
    conversation = analyze(messages)
    draft = Draft({"$comment": _comment(conversation), "name": _manual_name(url), **endpoint, **_network_fields(url)})
    if "headers" in endpoint:
        draft.document["headers"] = _without_secrets(endpoint["headers"], "", variables, draft.missing_variables)
    login = [exchange for exchange in conversation.exchanges if _is_login(exchange.request.value, variables)]
    steps = _greeting_step(conversation.greeting)
    for exchange in login:
        steps += _login_steps(exchange, variables, draft.missing_variables)
    if steps:
        draft.document["on_connect"] = steps
    others = [exchange for exchange in conversation.exchanges if exchange not in login]
    draft.document |= _exchange_fields(conversation, others)
    draft.document["tools"] = draft_tools(others, conversation.ids, variables) or [_watch_tool()]
    return draft


def _exchange_fields(conversation: Conversation, exchanges: Sequence[RecordedExchange]) -> Document:
    if not exchanges:
        return {}
    ids = {"request_id": conversation.ids.kind} if conversation.ids else {}
    rest = Conversation(conversation.greeting, exchanges, conversation.unsolicited, conversation.ids)
    return ids | infer_reply_rules(rest)


def _comment(conversation: Conversation) -> list[str]:
    return [
        f"Drafted from {len(conversation.exchanges)} messages that were sent; {_correlation_comment(conversation)}",
        "Names, descriptions and types of arguments are guesses. Try it with: utcp-ws-mcp call … --trace",
    ]


def _correlation_comment(conversation: Conversation) -> str:
    """How replies are told from other messages."""
    if not any(exchange.replies for exchange in conversation.exchanges):
        return "nothing answered them: does the endpoint want another form, such as a line break at the end?"
    by_order = "told by their order: the first message after a request answers"
    return f"replies are {'told apart by ids' if conversation.ids else by_order}."


def _manual_name(url: URL) -> str:
    labels = [label for label in url.host.split(".") if label not in ("www", "api", "ws", "wss", "stream")]
    word = re.sub(r"[^A-Za-z0-9]+", "_", labels[0] if labels else "").strip("_")[:20]
    return word if re.match(r"[A-Za-z]", word) else "api"


def _network_fields(url: URL) -> Document:
    """What the endpoint needs beyond a public address over TLS."""
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
    return [{"$comment": "The endpoint speaks first.", "expect": kind_predicate(greeting.value)}]


def _is_login(value: Any, variables: Collection[str]) -> bool:
    """Whether a message holds a secret by the name of one of its fields, or of a variable in its text."""
    if isinstance(value, str):
        return any(is_secret_name(name) for name in VARIABLE.findall(value) if name in variables)
    return any(isinstance(path[-1], str) and is_secret_name(path[-1]) for path, item in leaves(value) if path and item)


def _login_steps(
    exchange: RecordedExchange, variables: Collection[str], missing_variables: list[str]
) -> list[Document]:
    send = _without_secrets(exchange.request.value, "", variables, missing_variables)
    steps: list[Document] = [{"$comment": "A login.", "send": send}]
    if exchange.replies:
        steps.append({"expect": kind_predicate(exchange.replies[0].value)})
    return steps


def _without_secrets(value: Any, name: str, variables: Collection[str], missing_variables: list[str]) -> Any:
    """A message with a variable in place of each secret."""
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
        "description": "What the endpoint says in the next ten seconds.",
        "inputs": {"type": "object", "properties": {}, "additionalProperties": False},
        "tool_call_template": {"message": False, "stream": {"max_seconds": 10}},
    }
