"""What reads the text of an endpoint takes processor time that grows with its length, and not faster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import pytest

from utcp_ws_mcp.core.codecs.message import decode, decode_values, excerpt, http_error_detail
from utcp_ws_mcp.core.codecs.proto_schema import _parse as parse_schema
from utcp_ws_mcp.core.limits import json_text_is_deeper
from utcp_ws_mcp.core.value_size import is_too_large
from utcp_ws_mcp.errors import InvalidTemplate
from utcp_ws_mcp.errors.base import end_sentence, quote_endpoint, sentence
from utcp_ws_mcp.manifest.invisible import escape_in_json, escape_invisible, remove_invisible
from utcp_ws_mcp.manifest.sanitize import ascii_tool_name, sanitize_name, sanitize_text
from utcp_ws_mcp.manifest.secret_names import REDACTED, is_secret_name, redact_by_key
from utcp_ws_mcp.observability.secret_search import SecretGroup
from utcp_ws_mcp.server.http.body import has_too_many_values

MAX_RATIO: Final = 6.0
"""For four times the length: 4 where the time is linear, 16 where it is quadratic."""

REPETITIONS: Final = 3
SECRETS: Final = SecretGroup(["/+9zKq7Lm2Xw4Rt8", "plain-Secret-0123", "-----BEGIN KEY-----"])


def read_schema(text: str) -> None:
    """Read text as a `.proto` file."""
    with suppress(InvalidTemplate):
        parse_schema.__wrapped__("a.proto", "a.proto", text.encode())


READERS: Mapping[str, Callable[[str], Any]] = {
    "the search for secrets": SECRETS.redact,
    "the search for credentials by name": redact_by_key,
    "the names of secrets": is_secret_name,
    "the escapes of invisible characters": escape_invisible,
    "the same in JSON": escape_in_json,
    "the removal of invisible characters": remove_invisible,
    "the texts of a manual": sanitize_text,
    "the names of a manual": sanitize_name,
    "the names of tools for hosts": ascii_tool_name,
    "quotes of an endpoint": quote_endpoint,
    "sentences of an endpoint": sentence,
    "the ends of sentences": end_sentence,
    "excerpts of messages": excerpt,
    "the reasons of HTTP responses": lambda text: http_error_detail(400, text.encode()),
    "the parser of several messages in one": decode_values,
    "the depth of JSON": lambda text: json_text_is_deeper(text, 64),
    "the parser of messages": lambda text: decode(text).value,
    "the size of values": lambda text: is_too_large([*text]),
    "the schemas of Protobuf": read_schema,
    "the count of values of a body": lambda text: has_too_many_values(text.encode()),
}
PIECES: Mapping[str, str] = {
    "backslashes": "\\",
    "quotes": '"',
    "escaped quotes": '\\"',
    "brackets": "[",
    "slashes": "/",
    "the beginning of a secret": "/+9zKq7",
    "names of secrets": "token=",
    "names of secrets in JSON": '"password":"',
    "escapes": "\\u002",
    "percent signs": "%25",
    "invisible characters": "\u202e",
    "digits": "9",
    "blanks": " ",
}


def seconds(read: Callable[[str], Any], text: str) -> float:
    """Return the processor time of a call, the shortest of several: caches and other programs only add to it."""
    times = []
    for _ in range(REPETITIONS):
        start = time.process_time()
        with suppress(ValueError):  # refused, with its reason
            read(text)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_the_time_is_linear_in_the_length_of_the_text(read: Callable[[str], Any], piece: str) -> None:
    length = 10_000
    shorter, longer = (piece * (count // len(piece)) for count in (length, 4 * length))
    read_once = seconds(read, shorter)
    assert seconds(read, longer) <= MAX_RATIO * read_once + 0.002  # the resolution of the clock


@pytest.mark.parametrize(("secret", "is_hidden"), [('ab1c2"/:;-', True), ('ab1c"/:;-x9', False)])
def test_secrets_with_five_letters_or_digits_in_a_row_are_hidden_in_escaped_form_however_many_there_are(
    secret: str, is_hidden: bool
) -> None:
    group = SecretGroup([secret], max_mixed=0)
    assert group.redact(f"x {secret} y") == f"x {REDACTED} y"
    escaped = json.dumps(secret)[1:-1]
    assert (group.redact(f"x {escaped} y") == f"x {REDACTED} y") is is_hidden
