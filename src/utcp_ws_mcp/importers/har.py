"""Import a HAR file with WebSocket messages, as the developer tools of a browser save it.

What was recorded is drafted as `record` drafts a conversation. Secrets become variables, wherever they stand.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

from ..core.codecs.message import decode
from ..core.network_policy import URL, parse_url
from ..errors import BridgeError, ImportFailed
from ..manifest.secret_names import is_secret_name
from ..recorder.credentials import SecretVariables
from ..recorder.manifest import draft_manifest
from ..recorder.messages import RecordedMessage, sent_text
from ..records import Record
from .model import Description, Document, Format, ImportOptions, Operation, Skipped
from .naming import is_reading
from .shapes import mapping, objects
from .urls import shown_url

MIN_SECRET: Final = 8
"""Characters of a secret that is replaced wherever it stands; shorter ones may be words."""

_HEADER: Final = re.compile(r"[A-Za-z0-9-]+\Z")
_OF_BROWSER: Final = re.compile(
    r"(?:sec-websocket-(?:key|version|extensions|accept)|upgrade|connection|host|user-agent|accept.*|cache-control|pragma|"
    r"sec-(?:fetch|ch-ua|gpc).*|dnt|te|content-length|priority|:.*)\Z",
    re.IGNORECASE,
)
"""Headers that every browser sends."""


_NOTES: Final = (
    "Names, descriptions and types of arguments are guesses, drafted from what was recorded: check each tool.",
    "What a tool changes cannot be known from messages: correct its annotations.",
)


def import_har(document: Mapping[str, Any], options: ImportOptions, source: str) -> Description:
    """Return the tools for the WebSocket conversations of a HAR file.

    Raises:
        ImportFailed: if it has none.
    """
    entries = _entries(document)
    if not entries:
        message = (
            f"{source} has no WebSocket messages. Open the developer tools before the page connects, use the page, "
            'and save the network log "with content".'
        )
        raise ImportFailed(message, code="nothing-to-import")
    endpoints: dict[str, Document] = {}
    operations: list[Operation] = []
    skipped: list[Skipped] = []
    secrets = SecretVariables()
    used: dict[str, list[str]] = {}
    for url, group in _by_url(entries).items():
        try:
            draft, variables = _draft(options.url or url, group, secrets)
        except BridgeError as failed:
            skipped.append(Skipped(shown_url(url), failed.message.rstrip(".")))
            continue
        tools, feeds = draft.pop("tools", []), draft.pop("feeds", [])
        key = url.partition("://")[2]
        for name in variables:
            used.setdefault(name, []).append(key.partition("/")[0])
        endpoints[key] = {name: value for name, value in draft.items() if name not in ("name", "$comment")}
        operations += [_operation(tool, key) for tool in tools]
        operations += [Operation(feed["name"], feed=feed, endpoint=key, read_only=True) for feed in feeds]
    hosts = [key.partition("/")[0] for key in endpoints]
    return Description(
        title=hosts[0].partition(":")[0] if hosts else source,
        format=Format.HAR,
        endpoints=endpoints,
        operations=operations,
        skipped=skipped,
        notes=list(_NOTES),
        variables={name: _secret_of(those if len(endpoints) > 1 else ()) for name, those in used.items()},
    )


def _secret_of(hosts: Sequence[str]) -> str:
    """Return what a variable is; `hosts` are those that get it, where there are others."""
    return "a secret of the recording" + (f", for {', '.join(dict.fromkeys(hosts))}" if hosts else "")


class HarConversation(Record):
    """What a HAR file has of one endpoint, with variables in place of its secrets.

    Attributes:
        endpoint: The fields of the call template.
        url: The parsed URL.
        messages: The messages.
        variables: The names of the variables.
    """

    not_in_repr: ClassVar = ("endpoint", "messages")
    endpoint: Document
    url: URL
    messages: Sequence[RecordedMessage]
    variables: Sequence[str]


def longest_conversation(document: Any) -> HarConversation | None:
    """Return the conversation with the endpoint of a HAR file that has the most messages; None if there is none."""
    groups = _by_url(_entries(document)) if isinstance(document, dict) else {}
    recorded = []
    for written, group in groups.items():
        with suppress(BridgeError):  # a URL that no endpoint has; the report of the import names it
            recorded.append(_recorded(written, group))
    if not recorded:
        return None
    endpoint, url, messages = max(recorded, key=lambda each: len(each[2]))
    names = _variables(endpoint, url, messages, SecretVariables())
    public = [RecordedMessage(each.sent, _without(each.value, names)) for each in messages]
    return HarConversation(_without(endpoint, names), url, public, list(names.values()))


def _entries(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the entries of a HAR file that have messages."""
    return [each for each in objects(mapping(document.get("log")).get("entries")) if each.get("_webSocketMessages")]


def _by_url(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        url = str(mapping(entry.get("request")).get("url", "")).partition("?")[0]
        groups.setdefault(url, []).append(entry)
    return groups


def _draft(url: str, entries: Sequence[Mapping[str, Any]], secrets: SecretVariables) -> tuple[Document, Sequence[str]]:
    """Return the draft of the conversations with one endpoint, and its variables, which are added to `secrets`."""
    endpoint, parsed, messages = _recorded(url, entries)
    others = {*secrets.values}
    found = draft_manifest(endpoint, parsed, messages, (), secrets)
    own = secrets.values.keys() - others
    document: Document = _without(found.document, _variables(endpoint, parsed, messages, secrets))
    return document, [name for name in secrets.values if name in own or _mentions(document, f"${{{name}}}")]


def _variables(
    endpoint: Document, url: URL, messages: Sequence[RecordedMessage], secrets: SecretVariables
) -> dict[str, str]:
    """Return the variable of each secret: what has one name need not be one secret."""
    found = _secrets(endpoint.get("headers", {}), url.query, messages)
    return {value: secrets.variable_for(value, name) for name, value in found}


def _recorded(url: str, entries: Sequence[Mapping[str, Any]]) -> tuple[Document, URL, list[RecordedMessage]]:
    """Return the fields of a call template for an endpoint, its parsed URL, and its messages."""
    request = mapping(entries[0].get("request"))
    headers = dict(_headers(request))
    protocols = headers.pop("Sec-WebSocket-Protocol", "")
    recorded = _without_polling(str(request.get("url")))
    parsed = parse_url(recorded if url == recorded.partition("?")[0] else url)
    endpoint: Document = {"url": recorded if parsed.query else url}
    endpoint |= {"headers": headers} if headers else {}
    endpoint |= {"protocol": [each.strip() for each in protocols.split(",")]} if protocols else {}
    return endpoint, parsed, [message for entry in entries for message in _messages(entry)]


def _without_polling(url: str) -> str:
    """Return a URL of Engine.IO without the session that polling has opened: only the page can go on with it."""
    address, mark, query = url.partition("?")
    parts = query.split("&")
    if not any(part.startswith("EIO=") for part in parts):
        return url
    return f"{address}{mark}{'&'.join(part for part in parts if not part.startswith(('sid=', 't=')))}"


def _headers(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the headers that the endpoint may need."""
    for each in objects(request.get("headers")):
        name, value = str(each.get("name", "")), str(each.get("value", ""))
        if name.lower() == "sec-websocket-protocol":
            yield "Sec-WebSocket-Protocol", value
        elif _HEADER.match(name) and not _OF_BROWSER.match(name):
            yield name, value


def _messages(entry: Mapping[str, Any]) -> Iterator[RecordedMessage]:
    for each in objects(entry["_webSocketMessages"]):
        data, is_sent = str(each.get("data", "")), each.get("type") in ("send", "request")
        if each.get("opcode") == 2:
            with suppress(ValueError):  # no base64
                yield RecordedMessage(is_sent, base64.b64decode(data, validate=True))
        elif each.get("opcode", 1) == 1:
            yield sent_text(data) if is_sent else _received_text(data)


def _received_text(text: str) -> RecordedMessage:
    value = decode(text).value
    return RecordedMessage(False, value if isinstance(value, dict | list | str) else text)


def _secrets(headers: Mapping[str, str], query: str, messages: Sequence[RecordedMessage]) -> Iterator[tuple[str, str]]:
    """Yield names and values: everything long that stands under the name of a secret."""
    pairs: list[tuple[str, Any]] = [*headers.items()]
    pairs += [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))]
    for message in messages:
        pairs += list(_members(message.value))
    for name, value in pairs:
        text = re.sub(r"^(?:Bearer|Basic|Token)\s+", "", value) if isinstance(value, str) else ""
        if is_secret_name(name) and len(text) >= MIN_SECRET and "${" not in text:
            yield name, text


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield from ((str(key), item) for key, item in each.items() if isinstance(item, str))
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _without(value: Any, secrets: Mapping[str, str]) -> Any:
    """Return a document with variables in place of secrets, wherever they stand."""
    if isinstance(value, dict):
        return {key: _without(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in sorted(secrets, key=len, reverse=True):
            value = value.replace(secret, f"${{{secrets[secret]}}}")
    return value


def _mentions(value: Any, text: str) -> bool:
    if isinstance(value, dict):
        return any(_mentions(item, text) for item in value.values())
    if isinstance(value, list):
        return any(_mentions(item, text) for item in value)
    return isinstance(value, str) and text in value


def _operation(tool: Document, endpoint: str) -> Operation:
    return Operation(tool["name"], tool=tool, endpoint=endpoint, read_only=is_reading(tool["name"]))
