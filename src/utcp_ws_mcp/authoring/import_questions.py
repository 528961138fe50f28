"""Ask an endpoint for its own description, over its WebSocket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..bridge import Bridge
from ..client.manifest_files import load_call_template
from ..core.codecs.message import decode, excerpt
from ..core.login_demand import preset_with_login_for
from ..errors import BridgeError, CallTimeout, ImportFailed, Outcome
from ..importers.model import Document, Format
from ..importers.openrpc.introspection import QUESTIONS
from ..importers.urls import shown_url
from ..manifest.variables import VariableResolver
from ..observability.events import Event, MessageReceived
from ..recorder.credentials import SecretVariables, without_secrets
from .import_sources import Source, SourceOptions

QUESTION_TIMEOUT: Final = 20.0
"""Seconds in which an endpoint must answer a question."""

LATER_QUESTION_TIMEOUT: Final = 3.0
"""The same for the questions after one that was left unanswered: most such endpoints answer none."""

MAX_HEARD: Final = 20
"""Messages of an endpoint in which the sign of a preset is searched for."""

INTROSPECTION: Final = """
query IntrospectionQuery {
  __schema {
    queryType { name } mutationType { name } subscriptionType { name }
    types {
      kind name description
      fields(includeDeprecated: true) {
        name description isDeprecated deprecationReason args { ...Input } type { ...Type }
      }
      inputFields { ...Input }
      interfaces { name kind ofType { name kind } }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
      possibleTypes { name kind ofType { name kind } }
    }
    directives { name description locations args { ...Input } }
  }
}
fragment Input on __InputValue { name description type { ...Type } defaultValue }
fragment Type on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
  ofType { kind name ofType { kind name } } } } } } }
}
"""


async def ask_endpoint(url: str, options: SourceOptions) -> Source:
    """Return what an endpoint says of itself.

    Raises:
        ImportFailed: if it cannot be reached, or answers none of the questions.
    """
    secrets = SecretVariables()
    headers = without_secrets(dict(options.headers), "", options.variables, secrets) if options.headers else {}
    fields: Document = {"headers": headers} if headers else {}
    failures: dict[str, list[str]] = {}
    unreachable: set[str] = set()
    timeout = QUESTION_TIMEOUT
    heard: list[str | bytes] = []
    for format_, preset, tool in _questions(url, options):
        if preset in unreachable:  # with another one, the endpoint may accept the subprotocol
            continue
        try:
            answer = await _ask(url, options, preset, tool, timeout, heard)
        except BridgeError as failed:
            failures.setdefault(excerpt(str(failed)), []).append(tool["name"])
            timeout = LATER_QUESTION_TIMEOUT if isinstance(failed, CallTimeout) else timeout
            if failed.outcome is Outcome.NOT_SENT:
                unreachable.add(preset)
            continue
        return Source(shown_url(url), answer, format_, {}, url, fields)
    reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in failures.items())
    message = (
        f"{shown_url(url)} does not describe itself: {reasons}. {_preset_hint(heard)}"
        "Check the URL, --header and --preset, or give a file with the description."
    )
    raise ImportFailed(message, code="endpoint-not-described")


def _preset_hint(heard: Sequence[str | bytes]) -> str:
    """Return which preset to name if one of the messages shows it."""
    preset = next(filter(None, (preset_with_login_for(decode(raw).value) for raw in heard)), None)
    return "" if preset is None else f"Endpoints of the preset {preset} send such messages: try --preset {preset}. "


def _questions(url: str, options: SourceOptions) -> list[tuple[Format, str, Document]]:
    """Return the questions in the order in which they are asked: what the options or the URL say comes first."""
    graphql = (Format.GRAPHQL, "graphql-transport-ws", _graphql_tool())
    rpc = [
        (Format.OPENRPC, options.preset or "jsonrpc2", _rpc_tool(name, params)) for name, params in QUESTIONS.items()
    ]
    if options.preset == "homeassistant" or options.format is Format.HOMEASSISTANT:
        return [(Format.HOMEASSISTANT, "homeassistant", {"name": "get_services"})]
    if options.format is Format.GRAPHQL or options.preset == "graphql-transport-ws":
        return [graphql]
    if options.format is Format.OPENRPC or options.preset in ("jsonrpc2", "mopidy"):
        return rpc
    return [graphql, *rpc] if "graphql" in url.lower() else [*rpc, graphql]


def _rpc_tool(name: str, params: Document) -> Document:
    message = {"jsonrpc": "2.0", "id": "{{ request_id }}", "method": name, "params": params}
    return {"name": name, "tool_call_template": {"message": message}}


def _graphql_tool() -> Document:
    message = {"id": "{{ request_id }}", "type": "subscribe", "payload": {"query": INTROSPECTION}}
    return {"name": "introspection", "tool_call_template": {"message": message}}


async def _ask(
    url: str, options: SourceOptions, preset: str, tool: Mapping[str, Any], timeout: float, heard: list[str | bytes]
) -> Any:
    """Call one tool of the endpoint. Private addresses and plain text are allowed, because the user typed the URL.

    The first messages of the endpoint are added to `heard`.
    """
    document: Document = {
        "name": "endpoint",
        "url": url,
        "preset": preset,
        "timeout": timeout,
        "network": {"allow": ["private", "loopback"], "plaintext": True},
        "limits": {"max_message_bytes": 1 << 25},
        "tools": [tool],
        **({"headers": dict(options.headers)} if options.headers else {}),
    }
    loaded = load_call_template(document, VariableResolver([options.variables]), "import", Path())
    for disabled in loaded.manifest.disabled:
        message = f"the endpoint cannot be asked: {', '.join(disabled.missing)} is not set. Set it, or give --env-file."
        raise ImportFailed(message, code="endpoint-not-described")

    def observe(event: Event) -> None:
        if isinstance(event, MessageReceived) and len(heard) < MAX_HEARD:
            heard.append(event.message)

    async with Bridge([loaded], resolver=options.resolver, observe=observe) as bridge:
        return await bridge.call_tool(f"endpoint.{tool['name']}", {})
