"""The parsers of untrusted data. Each accepts an input or rejects it with a documented error.

`accept` runs the parser. It returns if the parser accepts the input, and raises one of `refusals` if it rejects it; any
other exception is a defect.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
from mcp_types.methods import serialize_server_result

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.dotenv_files import read_dotenv
from utcp_ws_mcp.client.http_client import HttpResponse
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.oauth import parse_token_response
from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.codecs.message import (
    MessageTooLarge,
    UndecodableStream,
    decode,
    encode_json,
    excerpt,
    to_json_safe,
)
from utcp_ws_mcp.core.codecs.protobuf import load_types
from utcp_ws_mcp.core.network_policy import URL, parse_url
from utcp_ws_mcp.core.tools.catalog import compile_tools
from utcp_ws_mcp.errors import ForbiddenURL, InvalidManifest, TokenRequestError
from utcp_ws_mcp.manifest.entries import ManifestEntry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.models.framing import Framing
from utcp_ws_mcp.manifest.remote_manual import read_manual
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.server.content import result_blocks
from utcp_ws_mcp.server.listing import build_listing
from utcp_ws_mcp.server.result import Result

from . import seeds

Accept = Callable[[bytes], None]

MAX_BYTES: Final = 1 << 20
"""Bytes that a message may inflate to."""

ENDS_OF_CONNECTION: Final = (MessageTooLarge, UndecodableStream)
"""What a framing says where the connection must end."""


@dataclass(frozen=True, slots=True)
class Parser:
    """A parser, valid inputs, and the errors with which it may reject others. `cost` divides the number of inputs."""

    name: str
    accept: Accept
    seeds: Sequence[bytes]
    refusals: tuple[type[Exception], ...] = ()
    cost: int = 1


def text_of(data: bytes) -> str:
    """Return text as it may reach a parser, including lone surrogates."""
    return data.decode("utf-8", "surrogatepass") if _is_utf8(data) else data.decode("latin-1")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def accept_url(data: bytes) -> None:
    """Parse a URL, and check that its normal form and other parsers agree with it."""
    text = text_of(data)
    url = parse_url(text, ("ws", "wss", "http", "https"))
    assert parse_url(url_text(url), (url.scheme,)) == url, "the normal form parses differently"
    other = urlsplit(text)
    assert (other.hostname, other.username) == (url.host, None), "urllib reads another host"
    assert (other.port or url.port) == url.port, "urllib reads another port"
    assert as_resolved(url.host) in (None, url.host), "the resolver reads another address"


def url_text(url: URL) -> str:
    """Return the URL as text, with its query."""
    return f"{url.scheme}://{url.authority}{url.target}"


def as_resolved(host: str) -> str | None:
    """Return the IPv4 address that the C library parses a host as without a query, or None."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def accept_manifest(data: bytes) -> None:
    """Load a manifest file as the commands do, and construct a bridge."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "m.json"
        file.write_bytes(data)
        Bridge([load_manifest(file, environ={"X": "x"})], pin_store=PinStore(Path(folder) / "pins.json"))


def accept_dotenv(data: bytes) -> None:
    """Read a dotenv file."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / ".env"
        file.write_bytes(data)
        content = read_dotenv(file, "m.json")
    assert all(isinstance(value, str) for value in content.variables.values())


def accept_pins(data: bytes) -> None:
    """Read a pin file, and check that a pin can be saved whatever the file holds."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pins.json"
        file.write_bytes(data)
        pins = PinStore(file)
        found = anyio.run(pins.get, "m", "wss://localhost")
        anyio.run(pins.approve, "m", "wss://localhost", {"new": "digest"})
        kept = anyio.run(pins.get, "m", "wss://localhost")
        assert kept.digests == {**found.digests, "new": "digest"}, "a pin was lost"
        assert found.damage is None or not kept.trusts_first_use, "a damaged file is trusted"


def entry(**fields: Any) -> ManifestEntry:
    """Return a manifest entry whose manual comes from the network."""
    document = [{"name": "m", "url": "wss://own.example/ws", **fields}]
    (loaded,) = load_document(document, VariableResolver([{"m_KEY": "k"}]), "m.json", PurePath()).entries
    return loaded


ENTRY: Final = entry()


def accept_manual(data: bytes) -> None:
    """Read a manual from the network; each tool compiles and can be listed, or is left out with a notice."""
    tools, notices = read_manual(decode(text_of(data)).value, ENTRY)
    compiled, problems = compile_tools(ENTRY, tools)
    listing = build_listing(compiled)
    for revision, listed in (("2025-11-25", listing.handshake[0]), ("2026-07-28", listing.modern[0])):
        result = {"tools": json.loads(listed), "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}
        serialize_server_result("tools/list", revision, result)
        listed.encode()
    "\n".join(map(str, [*notices, *problems]))


def accept_token(data: bytes) -> None:
    """Parse the response of a token endpoint, as an error and as a success."""
    url = URL("https", "a.example", 443, "/")
    with suppress(TokenRequestError):
        parse_token_response(url, HttpResponse(400, data))
    token, lifetime = parse_token_response(url, HttpResponse(200, data))
    assert token.isascii()
    assert 0 <= lifetime <= 86_400


def accept_message(framing: Framing) -> Accept:
    """Return a parser of the messages of a framing; every value can be displayed and returned as a result."""

    def accept(data: bytes) -> None:
        schema = None
        if framing.protobuf:
            schema = load_types("m.proto", lambda _: seeds.PROTO).select(framing.protobuf.receive, None)
        framer = make_framer(framing, max_bytes=MAX_BYTES, schema=schema)
        text = text_of(data)
        for raw in (text, data, data[: len(data) // 2], data[len(data) // 2 :]):
            for message in framer.decode(raw):
                excerpt(message.for_display)
                encode_json(to_json_safe(message.value))
                assert message.size >= 0
                blocks, structured = result_blocks(message.value)
                Result(blocks, structured).to_json(modern=True).encode()

    return accept


def parsers() -> list[Parser]:
    """Return all parsers."""
    from .expressions import expression_parsers
    from .lines import accept_line

    framings = [Framing(codec=codec) for codec in seeds.MESSAGES]
    framings += [Framing(separator="\x1e"), Framing(batch=True)]
    return [
        Parser("url", accept_url, seeds.URLS, (ForbiddenURL,)),
        Parser("manifest", accept_manifest, seeds.manifests(), (InvalidManifest,), cost=20),
        Parser("dotenv", accept_dotenv, seeds.DOTENVS, (InvalidManifest,), cost=3),
        Parser("pins", accept_pins, seeds.PINS, cost=4),
        Parser("manual", accept_manual, seeds.manuals(), cost=20),
        Parser("token", accept_token, seeds.TOKENS, (TokenRequestError,)),
        *(
            Parser(f"message {_label(framing)}", accept_message(framing), messages, ENDS_OF_CONNECTION)
            for framing, messages in ((Framing(**fields), messages) for fields, messages in seeds.FRAMED)
        ),
        *(
            Parser(f"message {_label(framing)}", accept_message(framing), seeds.MESSAGES[framing.codec])
            for framing in framings
        ),
        Parser("stdin line", accept_line, seeds.LINES, cost=20),
        *expression_parsers(),
    ]


def _label(framing: Framing) -> str:
    if framing.length or framing.header or framing.compression or framing.protobuf:
        return framing.model_dump_json(exclude_defaults=True)
    return framing.codec + (" separated" if framing.separator else "") + (" batch" if framing.batch else "")
