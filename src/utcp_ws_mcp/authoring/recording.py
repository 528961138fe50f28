"""Hold a conversation with an endpoint, and record it for a draft."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, ClassVar, Final

import anyio

from ..client.connection import Connection
from ..client.connector import Connector
from ..client.dial import Resolver
from ..core.codecs.message import decode
from ..core.expressions.scope import Ambient, Scope
from ..core.network_policy import URL
from ..core.tools.catalog import compile_entry
from ..errors import InvalidManifest, MissingVariable
from ..manifest.loader import load_document
from ..manifest.variables import VARIABLE, VariableResolver
from ..observability import events
from ..observability.events import Observer
from ..observability.redaction import redact_strings
from ..observability.secret_forms import is_word
from ..observability.secret_search import SecretGroup
from ..recorder.manifest import Draft, draft_manifest
from ..recorder.messages import RecordedMessage, sent_text
from ..records import MutableRecord, field, replace

MAX_IDLE_PERIODS: Final = 10
"""Idle periods after which the next message is sent although the endpoint is still sending."""

_ANY_NETWORK: Final = {"allow": ["private", "loopback"], "plaintext": True}
"""Where a recorded connection may lead: the caller decides on the address."""


class Recording(MutableRecord):
    """The state of a recording: the messages, and the variables that they use.

    Attributes:
        variables: The variables that messages may use.
        show: Gets every event.
        max_messages: Messages that are kept; then `full` is set, and later ones are left out.
        max_bytes: Bytes of received messages that are kept.
    """

    not_in_repr: ClassVar = ("variables", "messages", "used_variables")
    variables: Mapping[str, str]
    show: Observer = events.noop
    max_messages: float = math.inf
    max_bytes: float = math.inf
    messages: list[RecordedMessage] = field(default_factory=list)
    used_variables: dict[str, str] = field(default_factory=dict)
    arrived: anyio.Event = field(default_factory=anyio.Event)
    full: anyio.Event = field(default_factory=anyio.Event)
    _received_bytes: int = 0
    _secrets: SecretGroup = field(default_factory=SecretGroup)
    _guarded: SecretGroup = field(default_factory=SecretGroup)

    def observe(self, event: events.Event) -> None:
        """Show an event, and record received messages."""
        if isinstance(event, events.MessageReceived):
            self._keep(event.message)
            self.arrived.set()
            event = replace(event, role="")
        self.show(event)

    def _keep(self, message: str | bytes) -> None:
        self._received_bytes += len(message)
        if len(self.messages) >= self.max_messages or self._received_bytes > self.max_bytes:
            self.full.set()
        else:
            self.messages.append(RecordedMessage(False, decode(message).value))

    def redact(self, text: str) -> str:
        """Return a text without the values of the variables that were used."""
        self._secrets.replace(self.used_variables.values())
        return self._secrets.redact(text)

    def guard(self, text: str) -> str:
        """Return a text, which may be a sentence of this program, without the values that are not a word."""
        self._guarded.replace(value for value in self.used_variables.values() if not is_word(value))
        return self._guarded.redact(text)

    def substitute(self, text: str) -> str:
        """Return a text in which `${NAME}` is replaced by the value of each variable that is set."""

        def value(name: str, whole: str) -> str:
            if name in self.variables:
                self.used_variables[name] = self.variables[name]
            return self.variables.get(name, whole)

        return VARIABLE.sub(lambda found: value(found[1], found[0]) if found[1] else "${", text)

    def require_variables(self, text: str) -> None:
        """Check that each variable of a text is set.

        Raises:
            MissingVariable: with those that are not.
        """
        used = dict.fromkeys(found[1] for found in VARIABLE.finditer(text) if found[1])
        if missing := [name for name in used if name not in self.variables]:
            raise MissingVariable(missing, "record")

    async def send_text(self, connection: Connection, text: str) -> None:
        """Send a text message with the values of its variables; the recording keeps their names."""
        self.messages.append(sent_text(text))
        await connection.send([self.substitute(text)])

    async def send_binary(self, connection: Connection, data: bytes) -> None:
        """Send a binary message."""
        self.messages.append(RecordedMessage(True, data))
        await connection.send([data])

    async def wait_until_idle(self, idle: float) -> None:
        """Wait until nothing was received for `idle` seconds, at most `MAX_IDLE_PERIODS` times as long."""
        with anyio.move_on_after(idle * MAX_IDLE_PERIODS):
            silent = False
            while not silent:
                self.arrived = anyio.Event()
                with anyio.move_on_after(idle) as waiting:
                    await self.arrived.wait()
                silent = waiting.cancelled_caught

    def draft(self, endpoint: dict[str, Any], url: URL) -> Draft:
        """Return the draft of a manifest for the conversation, without the values of variables."""
        draft = draft_manifest(endpoint, url, self.messages, self.used_variables)
        return replace(draft, document=redact_strings(draft.document, self.guard))


def endpoint_fields(url: str, headers: Mapping[str, str], protocols: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a call template for an endpoint, as they were typed."""
    endpoint: dict[str, Any] = {"url": url}
    endpoint |= {"headers": dict(headers)} if headers else {}
    endpoint |= {"protocol": list(protocols)} if protocols else {}
    return endpoint


async def open_recorded(
    endpoint: dict[str, Any],
    recording: Recording,
    resolver: Resolver | None = None,
    limits: Mapping[str, Any] | None = None,
) -> tuple[Connection, URL]:
    """Open the connection of a recording; return it with its URL.

    Args:
        endpoint: The fields of the call template (`endpoint_fields`).
        recording: Gets its events, and has its variables.
        resolver: Resolves the host; None: the operating system.
        limits: The limits of the connection.

    Raises:
        BridgeError: if no connection can be opened.
    """
    watch = {"name": "watch", "tool_call_template": {"listen": True, "stream": True}}
    document = {**endpoint, "name": "record", "network": _ANY_NETWORK, "limits": dict(limits or {}), "tools": [watch]}
    manifest = load_document(document, VariableResolver([recording.variables]), "record", PurePath())
    for disabled in manifest.disabled:
        raise disabled.error()
    (entry,) = manifest.entries
    recording.used_variables |= entry.variables
    tools, problems = compile_entry(entry)
    if problems:
        raise InvalidManifest("record", problems)
    ambient = Ambient(lambda: datetime.now(UTC), secrets.token_bytes, recording.redact)
    request = tools[0].compiled_template.handshake.render(
        Scope(ambient, {"args": {}, "tool": "", "vars": {}, "session": {}})
    )
    assert request.url is not None
    opened = await Connector(ambient, time.monotonic, resolver, recording.observe)(request, {})
    return opened, request.url
