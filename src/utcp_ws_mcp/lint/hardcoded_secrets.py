"""Secrets that stand in a manifest in clear, and roads on which anybody can read along."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..core.network_policy import parse_url
from ..errors import ForbiddenURL, Problem
from ..manifest.loader import ManifestEntry
from ..manifest.models.base import Json
from ..manifest.models.call_template import CallTemplate
from ..manifest.validation import join_path
from ..manifest.variables import DOCUMENTATION_KEYS

HARDCODED_SECRET_MESSAGE: Final = (
    'a secret stands here in clear; write "${NAME}", and set NAME in the environment or in a .env file'
)
_SECRET_NAME = re.compile(
    r"(?:^|[a-z0-9][_-]|[_-])(?:token|secret|password|passwd|passphrase|api_?key|apikey|authorization|cookie)\Z",
    re.IGNORECASE,
)
_CAMEL_CASE_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PLACEHOLDER = re.compile(r"\$\{|\{\{|\A\$[A-Za-z_]\w*\Z|UTCP_ARG_")
_KNOWN_SECRET = re.compile(
    r"\b(?:sk-[\w-]{20,}|gh[pousr]_\w{30,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+)"
)
_SECRET_IN_QUERY = re.compile(
    r"[?&](?:[\w-]*token|[\w-]*key|secret|password)=(?!\$\{|\{\{|UTCP_ARG_)[^&#]{6,}", re.IGNORECASE
)
_SKIPPED_KEYS: Final = DOCUMENTATION_KEYS | {"capture", "set", "reply", "annotations"}
"""Keys below which nothing is sent: texts for models, expressions."""


def check_hardcoded_secrets(document: Json, path: str = "", name: str = "") -> Iterator[Problem]:
    """A problem for each text that is a secret by its name, by its form, or by its place in a URL."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key not in _SKIPPED_KEYS:
                yield from check_hardcoded_secrets(value, join_path(path, key), key)
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from check_hardcoded_secrets(value, join_path(path, index))
    elif isinstance(document, str) and _is_secret(name, document):
        yield Problem(path, HARDCODED_SECRET_MESSAGE)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    return name not in ("token_url", "auth_type") and bool(_SECRET_NAME.search(_CAMEL_CASE_BOUNDARY.sub("_", name)))


def _is_secret(name: str, text: str) -> bool:
    if _PLACEHOLDER.search(text) and not _KNOWN_SECRET.search(text):
        return bool(_SECRET_IN_QUERY.search(text))
    named = bool(text.strip()) and is_secret_name(name)
    return named or bool(_KNOWN_SECRET.search(text) or _SECRET_IN_QUERY.search(text))


def check_insecure_transport(entry: ManifestEntry) -> Iterator[Problem]:
    """A problem for each call template whose messages others can read or change on their way."""
    for path, template in _templates(entry):
        if not template.url.startswith("wss:") and template.network.plaintext and not _is_loopback(template.url):
            why = "everybody on the way can read and change what goes over ws://; use wss:// if the endpoint has it"
            yield Problem(join_path(path, "url"), why)
        if template.tls.insecure:
            why = 'anybody on the way can pretend to be the endpoint; give its certificate as "ca_file" instead'
            yield Problem(join_path(path, "tls.insecure"), why)


def _templates(entry: ManifestEntry) -> Iterator[tuple[str, CallTemplate]]:
    """The call templates of an entry, without tools that only inherit its way."""
    own = entry.template
    if own is not None:
        yield entry.path, own
    for tool in entry.tools:
        template = tool.template
        if own is None or (template.url, template.network, template.tls) != (own.url, own.network, own.tls):
            yield join_path(tool.path, "tool_call_template"), template


def _is_loopback(url: str) -> bool:
    try:
        return parse_url(re.sub(r"\$\{\w+\}|\{\{.*?\}\}|UTCP_ARG_\w+?_UTCP_ARG", "x", url)).is_loopback_literal
    except ForbiddenURL:
        return False
