"""Read what is imported: a file and those beside it, a folder, a document on the web, or an endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urljoin, urlsplit, urlunsplit

import anyio

from ..client.dial import Resolver
from ..client.http_client import HttpRequest, send_request
from ..client.resolver import EndpointResolver
from ..core.network_policy import parse_url
from ..errors import AuthoringRefused, BridgeError, ForbiddenURL, ImportFailed
from ..importers.model import Document, Format, ImportOptions
from ..importers.reading import MAX_SOURCE_BYTES, check_size, parse_text
from ..importers.references import files_of
from ..importers.run import Imported, import_document
from ..importers.urls import shown_url
from ..manifest.models.network import Network
from ..manifest.secret_names import is_secret_name
from ..manifest.variables import VARIABLE
from ..observability.redaction import redact_strings
from ..records import Record, field, replace

FETCH_TIMEOUT: Final = 30.0
"""Seconds in which a document must have been fetched."""

MAX_DOCUMENTS: Final = 200
"""Documents that one description may refer to."""

MAX_SCHEMA_FILES: Final = 2000
"""Files of a folder of JSON Schemas."""

ANY_ADDRESS: Final = Network(allow=("private", "loopback"), plaintext=True)
"""Where the user may send `import`: the address was typed."""


class SourceOptions(Record):
    """The options that say how a source is read.

    `headers` may contain `${NAME}` of `variables`; `resolver` resolves hosts, by default the operating system.
    """

    not_in_repr: ClassVar = ("headers", "variables")
    format: Format | None
    preset: str | None
    headers: Mapping[str, str]
    variables: Mapping[str, str]
    remote_references: bool
    resolver: Resolver | None = None

    def sent_headers(self) -> dict[str, str]:
        """Return the headers with the values of their variables."""
        return {name: self.substitute(value) for name, value in self.headers.items()}

    def substitute(self, text: str) -> str:
        """Return a text in which each `${NAME}` that is set is replaced by its value."""
        return VARIABLE.sub(lambda found: self.variables.get(found[1] or "", found[0]), text)

    def credentials(self, source: str) -> Iterator[str]:
        """Yield the secrets that asking for a source sends: of headers, and of the query of its URL."""
        query = urlsplit(source).query if "://" in source else ""
        for name, value in (*self.headers.items(), *parse_qsl(query)):
            yield from (self.variables[each] for each in VARIABLE.findall(value) if each in self.variables)
            if is_secret_name(name):  # "Bearer TOKEN" is two words, and the endpoint may repeat the second one
                yield from self.substitute(value).split()


class Source(Record):
    """What was read.

    Attributes:
        name: What the document is called in messages.
        document: Its value.
        format: Its format, if it is known.
        others: The documents that it refers to.
        url: The endpoint that was asked, or that the source belongs to.
        fields: Fields of the endpoint that were needed to ask it.
    """

    not_in_repr: ClassVar = ("document", "others", "url", "fields")
    name: str
    document: Any
    format: Format | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    url: str | None = None
    fields: Document = field(default_factory=dict)

    def redacted(self, redact: Callable[[str], str]) -> Source:
        """Return the source without secrets in its documents, before names are made of their texts."""
        others = {name: redact_strings(other, redact) for name, other in self.others.items()}
        return replace(self, document=redact_strings(self.document, redact), others=others)

    def options(self, options: ImportOptions) -> ImportOptions:
        """Return the options, with the endpoint of the source where the user gave none."""
        return options if options.url is not None or self.url is None else replace(options, url=self.url)


def _scheme_of(source: str) -> str:
    return source.partition("://")[0].lower() if "://" in source else ""


def is_endpoint(source: str) -> bool:
    """Return whether a source is an endpoint, which is asked for its description."""
    return _scheme_of(source) in ("ws", "wss")


async def read_source(source: str, options: SourceOptions) -> Source:
    """Return the description that a file, a folder, a document on the web or an endpoint gives.

    Raises:
        ImportFailed: if it cannot be read.
    """
    scheme = _scheme_of(source)
    if is_endpoint(source):
        from .import_questions import ask_endpoint  # only endpoints that are asked need the client

        return await ask_endpoint(source, options)
    if scheme in ("http", "https"):
        return await _fetch(source, options)
    return await _read_path(Path(source), options)


async def source_of_text(text: str, name: str) -> Source:
    """Return the source that is a text; `name` is what it is called in messages.

    Raises:
        ImportFailed: if it is too large, or neither JSON, YAML nor GraphQL.
    """
    check_size(len(text), name)
    return Source(name, await anyio.to_thread.run_sync(parse_text, text, name))


async def import_within(
    seconds: float, read: Callable[[], Awaitable[Source]], options: ImportOptions, redact: Callable[[str], str]
) -> Imported:
    """Return the manifest for a source.

    Args:
        seconds: How long reading and importing may take.
        read: Reads the source.
        options: The options of `import`.
        redact: Removes secrets from its texts, before names are made of them.

    Raises:
        AuthoringRefused: if it takes longer.
        BridgeError: if it cannot be read or imported.
    """
    imported: Imported | None = None
    with anyio.move_on_after(seconds):
        source = (await read()).redacted(redact)
        make = partial(import_document, source.document, source.options(options), source.name, source.format)
        run = partial(make, source.others, source.fields)
        imported = await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
    if imported is None:
        raise AuthoringRefused(
            f"nothing is imported within {seconds:g} s. Choose less with include, or pass the text.",
            code="try-timeout",
        )
    return imported


async def _read_path(path: Path, options: SourceOptions) -> Source:
    if await anyio.Path(path).is_dir():
        return _read_folder(path)
    document = parse_text(_read_text(path), path.name)
    folder = path.parent

    async def read(name: str) -> Any:
        if urlsplit(name).scheme in ("http", "https"):
            return await _fetch_other(name, options)
        for candidate in (folder / name, folder / Path(name).name):  # some are written from another folder
            file = candidate.resolve()
            if file.is_relative_to(folder.resolve()) and file.is_file():
                return parse_text(_read_text(file), name)
        return None

    return Source(path.name, document, options.format, await _others(document, read))


async def _others(document: Any, read: Any) -> dict[str, Any]:
    """Return the documents that a document refers to, and those that these refer to; what is missing is left out."""
    others: dict[str, Any] = {}
    tried: set[str] = set()
    waiting = [] if isinstance(document, str) else list(dict.fromkeys(files_of(document)))
    while waiting and len(tried) < MAX_DOCUMENTS:
        name = waiting.pop()
        if name in tried:
            continue
        tried.add(name)
        found = await read(name)
        if found is not None and not isinstance(found, str):
            others[name] = found
            waiting += dict.fromkeys(files_of(found, name))
    return others


def _read_text(path: Path) -> str:
    try:
        check_size(path.stat().st_size, path.name)
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        message = f"{path} cannot be read: it is not UTF-8 text. Save it as UTF-8."
        raise ImportFailed(message, code="description-not-readable") from None
    except (OSError, ValueError) as failed:
        missing = isinstance(failed, FileNotFoundError)
        reason = "there is no such file" if missing else (getattr(failed, "strerror", None) or "no such name").lower()
        message = f"{path} cannot be read: {reason}. Give a file, a folder or a URL."
        raise ImportFailed(message, code="description-not-readable") from None


def _read_folder(folder: Path) -> Source:
    """Return the JSON Schemas of a folder by their path in it."""
    files = sorted(each for each in folder.rglob("*.json") if each.is_file())[: MAX_SCHEMA_FILES + 1]
    if len(files) > MAX_SCHEMA_FILES:
        message = f"{folder} is too large: it has more than {MAX_SCHEMA_FILES:,} files. Give a folder inside it."
        raise ImportFailed(message, code="description-too-large")
    schemas: dict[str, Any] = {}
    for file in files:
        name = file.relative_to(folder).as_posix()
        schemas[name] = parse_text(_read_text(file), name)
    return Source(folder.resolve().name or str(folder), schemas, Format.JSON_SCHEMA, schemas)


async def _fetch(url: str, options: SourceOptions) -> Source:
    target = _document_url(url, options)
    document = parse_text(await _get(target, options), shown_url(target))

    async def read(name: str) -> Any:
        return await _fetch_other(urljoin(target, name), options)

    others = await _others(document, read)
    is_browser = urlsplit(target).path == "/json/protocol"
    endpoint = _websocket_url(target, "/devtools/browser/{{ session.browser }}") if is_browser else None
    fields = _browser_fields(target) if is_browser else {}
    return Source(shown_url(target), document, options.format, others, endpoint, fields)


def _document_url(url: str, options: SourceOptions) -> str:
    """Return the URL of the document: a browser has it at a well-known path."""
    parts = urlsplit(url)
    if options.format is Format.CDP and parts.path in ("", "/"):
        return urlunsplit(parts._replace(path="/json/protocol"))
    return url


def _browser_fields(url: str) -> Document:
    """Return what a manifest needs for a browser, whose address changes at each start."""
    version = urlunsplit(urlsplit(url)._replace(path="/json/version"))
    capture = {"browser": "body.webSocketDebuggerUrl.split('/') | last"}
    return {"before_connect": [{"http": {"url": version}, "capture": capture}]}


def _websocket_url(url: str, path: str) -> str:
    parts = urlsplit(url)
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{path}"


async def _fetch_other(url: str, options: SourceOptions) -> Any:
    """Return a document that a description refers to by its URL, if the user asked for it.

    The description chose the URL, so that neither headers nor values of variables are sent there.
    """
    if not options.remote_references:
        return None
    return parse_text(await _get(url, replace(options, headers={}, variables={})), shown_url(url))


async def _get(url: str, options: SourceOptions) -> str:
    try:
        parsed = parse_url(options.substitute(url), ("http", "https"))
        request = HttpRequest("GET", parsed, options.sent_headers(), {}, max_response_bytes=MAX_SOURCE_BYTES)
        response = await send_request(request, ANY_ADDRESS, options.resolver or EndpointResolver(), FETCH_TIMEOUT)
    except BridgeError as failed:
        raise ImportFailed(
            f"{shown_url(url)} cannot be fetched: {failed.message}", code="description-not-fetched"
        ) from None
    if response.status != 200:
        location = response.headers.get("location", "")
        hint = f" It redirects to {_redirect(location)}: give that URL." if location else " Check the URL and --header."
        message = f"{shown_url(url)} cannot be fetched: the server answered with HTTP {response.status}.{hint}"
        raise ImportFailed(message, code="description-not-fetched")
    try:
        return response.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        message = f"{shown_url(url)} cannot be read: it is not UTF-8 text. Give the URL of a description."
        raise ImportFailed(message, code="description-not-readable") from None


def _redirect(location: str) -> str:
    """Return where a server redirects to; a text that is no URL could say anything."""
    try:
        return parse_url(location, ("http", "https")).address
    except ForbiddenURL:
        return "another place"
