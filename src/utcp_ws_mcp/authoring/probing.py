"""Connect to an endpoint for an agent: send messages, show the conversation, and draft a manifest from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import anyio

from ..client.connection import Connection
from ..client.dial import CheckedResolver
from ..core.codecs.message import decode
from ..core.network_policy import URL, parse_url
from ..errors import AuthoringRefused
from ..manifest.variables import VARIABLE
from ..observability.redaction import redact_strings
from ..recorder.credentials import SecretVariables, protocols_without_secrets, url_without_secrets, without_secrets
from ..records import Record, field
from .quoting import DATA_NOTICE, ShownConversation, shown_json, without_comment
from .recording import Recording, endpoint_fields, open_recorded

MAX_SECONDS: Final = 20.0
"""Seconds that a probe may listen after its last message."""

MAX_PROBE_SECONDS: Final = 60.0
"""Seconds that a probe may take once its connection is open."""

MAX_SENT: Final = 50
"""Messages that one probe sends."""

MAX_RECORDED: Final = 300
"""Messages that are recorded. After as many, the probe ends."""

MAX_RECORDED_BYTES: Final = 2 << 20
_LIMITS: Final = {"max_message_bytes": 1 << 20, "connect_timeout": 10}
_IDLE: Final = 0.4
"""Seconds without messages before the next one is sent."""

Redact = Callable[[str], str]


class ProbeRequest(Record):
    """What a probe does. `seconds` is how long it listens after the last message; None: until it is quiet."""

    not_in_repr: ClassVar = ("headers", "messages")
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    protocols: Sequence[str] = ()
    messages: Sequence[str | bytes] = ()
    seconds: float | None = None

    def texts(self) -> Iterator[str]:
        """Yield every text that may refer to variables."""
        yield self.url
        yield from self.headers.values()
        yield from self.protocols
        yield from (message for message in self.messages if isinstance(message, str))

    def variables(self) -> list[str]:
        """Return the names of the variables that are used."""
        return [name for text in self.texts() for name in VARIABLE.findall(text) if name]


class Probed(Record):
    """The text for the agent, and the drafted manifest; None if nothing could be drafted."""

    text: str
    draft: dict[str, Any] | None


def check_request(request: ProbeRequest, schemes: tuple[str, ...] = ("ws", "wss")) -> URL:
    """Return the URL of a request whose host is fixed and that contains no secret.

    Raises:
        ForbiddenURL: for a URL that no endpoint has.
        AuthoringRefused: for a host that is not written in the URL, and for secrets.
    """
    host = request.url.partition("://")[2].partition("/")[0].partition("?")[0]
    if "$" in host or "{" in host:
        message = "the host of the URL must be written, so that it can be checked. Write it."
        raise AuthoringRefused(message, code="host-not-fixed")
    url = parse_url(VARIABLE.sub("x", request.url), schemes)
    _refuse_secrets(request)
    return url


def _refuse_secrets(request: ProbeRequest) -> None:
    known, found = set(request.variables()), SecretVariables()
    url_without_secrets(request.url, known, found)
    without_secrets(dict(request.headers), "", known, found)
    protocols_without_secrets(request.protocols, known, found)
    for message in request.messages:
        without_secrets(decode(message).value, "", known, found)
    if found.values:
        names = ", ".join(f"${{{name}}}" for name in found.values)
        raise AuthoringRefused(
            f"nothing is sent: the arguments contain a secret as plain text. Write {names} in its place, and ask the "
            "person whom you work for to set the variable.",
            code="secret-in-argument",
        )


async def probe(
    request: ProbeRequest, variables: Mapping[str, str], resolver: CheckedResolver, redact: Redact
) -> Probed:
    """Connect, send, listen, and return the conversation with a draft.

    Args:
        request: A request that `check_request` accepts.
        variables: The values of the variables that it uses.
        resolver: Decides which hosts may be connected to.
        redact: Removes secrets from texts.

    Raises:
        BridgeError: if no connection can be opened.
    """
    recording = Recording(variables, max_messages=MAX_RECORDED, max_bytes=MAX_RECORDED_BYTES)
    shown = ShownConversation(lambda text: recording.redact(redact(text)))
    recording.show = shown
    endpoint = endpoint_fields(request.url, request.headers, request.protocols)
    connection, url = await open_recorded(endpoint, recording, resolver, _LIMITS)
    with anyio.move_on_after(MAX_PROBE_SECONDS):
        await _converse(connection, recording, request)
    if connection.is_open:  # it sends more than is recorded, or the probe took too long
        connection.abort()
    if recording.full.is_set():
        shown.lines.append(f"! the probe ended after {len(recording.messages)} messages, because it has enough of them")
    draft = await anyio.to_thread.run_sync(_draft, recording, endpoint, url)
    parts = [DATA_NOTICE, shown.text()]
    if draft is None:
        parts.append("No manifest can be drafted from this; write one (guide).")
    else:
        parts.append(
            'Draft, a guess; use it as base "draft", or correct it:\n' + shown_json(redact_strings(draft, redact))
        )
    return Probed("\n\n".join(parts), draft)


async def _converse(connection: Connection, recording: Recording, request: ProbeRequest) -> None:
    """Send the messages one after the other, until the endpoint goes, or there is enough."""
    async with anyio.create_task_group() as tasks:

        async def stop_when(done: Callable[[], Any]) -> None:
            await done()
            tasks.cancel_scope.cancel()

        tasks.start_soon(stop_when, connection.receive_loop)
        tasks.start_soon(stop_when, recording.full.wait)
        await recording.wait_until_idle(_IDLE)
        for message in request.messages:
            if isinstance(message, bytes):
                await recording.send_binary(connection, message)
            else:
                await recording.send_text(connection, message)
            await recording.wait_until_idle(_IDLE)
        await anyio.sleep(request.seconds or 0)
        await connection.aclose()


def _draft(recording: Recording, endpoint: dict[str, Any], url: URL) -> dict[str, Any] | None:
    try:
        return without_comment(recording.draft(endpoint, url).document)
    except RecursionError:  # a message that is nested very deeply
        return None


def as_messages(values: Iterable[Any], *, binary: bool) -> list[str | bytes]:
    """Return the messages that an agent passed: texts, JSON values, or hexadecimal digits.

    Raises:
        AuthoringRefused: for digits that are not hexadecimal, or too many messages.
    """
    listed = list(values)
    if len(listed) > MAX_SENT:
        raise AuthoringRefused(f"{len(listed)} messages are too many for one probe. Send at most {MAX_SENT}.")
    texts = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in listed]
    if not binary:
        return list(texts)
    try:
        return [bytes.fromhex(text) for text in texts]
    except ValueError:
        raise AuthoringRefused('a binary message is not hexadecimal. Write its bytes as "00ff…".') from None
