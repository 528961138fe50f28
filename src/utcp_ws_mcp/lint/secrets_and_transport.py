"""Rules for secrets in plain text, and for connections on which others can read or change messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ..core.network_policy import parse_ip, parse_url
from ..errors import ForbiddenURL, Problem
from ..manifest.entries import ManifestEntry
from ..manifest.models.base import Json
from ..manifest.models.call_template import CallTemplate
from ..manifest.secret_names import MIN_SECRET_LENGTH, is_secret_name
from ..manifest.validation import join_path
from ..manifest.variables import DOCUMENTATION_KEYS, find_variables, substitute

_PLAIN_VALUE: Final = (
    'this is a secret in plain text. Write "${NAME}", and set NAME in the environment or in a .env file.'
)
_PLAINTEXT: Final = (
    "ws:// is not encrypted: everyone on the network path can read and change the messages. "
    "Use wss:// if the endpoint supports it."
)
_ANY_CERTIFICATE: Final = (
    "any certificate is accepted: everyone on the network path can impersonate the endpoint. "
    'Pin its certificate with "fingerprint" instead.'
)
_MANIFEST_FIELD = re.compile(r"(?:^|\.)tls\.client_key$|^(?:(?:manual_call_templates)?\[\d+\]\.)?pin$")
"""The paths of fields with the name of a secret that hold none: the name of a file, and how tools are pinned."""

_PLACEHOLDER = re.compile(r"\$\{|\{\{|\A\$[A-Za-z_]\w*\Z|UTCP_ARG_")
_KNOWN_SECRET = re.compile(
    r"\b(?:sk-[\w-]{20,}|gh[pousr]_\w{30,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+)"
)
"""The forms of well-known keys: OpenAI, GitHub, GitLab, Slack, AWS, JWT."""

_QUERY_PARAMETER = re.compile(r"[?&]([\w.-]+)=(?!\$\{|\{\{|UTCP_ARG_)[^&#]{6,}")
_IN_QUERY = re.compile(
    r"(?:^(?:(?:manual_call_templates)?\[\d+\]\.)?(?:feeds\[\d+\]\.|feed_defaults\.)?|\.tool_call_template\.|\.http\.)query\."
)
"""The path of a parameter in the field `query`, and not in a message."""

_SKIPPED_KEYS: Final = DOCUMENTATION_KEYS | {"capture", "set", "reply", "annotations", "catalog"}
"""Keys whose values are not sent: texts for models and for people, expressions."""


def check_hardcoded_secrets(document: Json, path: str = "", name: str = "") -> Iterator[Problem]:
    """Yield a problem for each text that is a secret by its name, its form, or its place in a URL.

    Args:
        document: A part of the manifest without comments.
        path: The JSON path of the part.
        name: The key of the part; empty for elements of an array.
    """
    if isinstance(document, dict):
        for key, value in document.items():
            if key not in _SKIPPED_KEYS:
                yield from check_hardcoded_secrets(value, join_path(path, key), key)
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from check_hardcoded_secrets(value, join_path(path, index))
    elif isinstance(document, str) and _is_secret(path, name, document):
        yield Problem(path, _PLAIN_VALUE, code="secret-in-manifest")


def check_insecure_transport(entry: ManifestEntry) -> Iterator[Problem]:
    """Yield a problem for each call template whose messages others can read or change."""
    for path, template in _own_templates(entry):
        if template.network.plaintext and not _is_protected(template, entry.variables):
            yield Problem(join_path(path, "url"), _PLAINTEXT, code="plaintext-transport")
        if template.tls.insecure:
            yield Problem(join_path(path, "tls.insecure"), _ANY_CERTIFICATE, code="insecure-tls")


def _is_secret(path: str, name: str, text: str) -> bool:
    if _KNOWN_SECRET.search(text) or any(_is_query_secret(key) for key in _QUERY_PARAMETER.findall(text)):
        return True
    if not text.strip() or _PLACEHOLDER.search(text) or _MANIFEST_FIELD.search(path):
        return False
    is_parameter = len(text) >= MIN_SECRET_LENGTH and _IN_QUERY.search(path)
    return is_secret_name(name) or bool(is_parameter and _is_query_secret(name))


def _is_query_secret(key: str) -> bool:
    # In a query, `key` alone is the usual name of an API key; in a message it is mostly something else.
    return is_secret_name(key) or key.lower().endswith("key")


def _own_templates(entry: ManifestEntry) -> Iterator[tuple[str, CallTemplate]]:
    """Yield the call templates of an entry, without those of tools that inherit URL, network and TLS."""
    own = entry.template
    if own is not None:
        yield entry.path, own
    for tool in entry.tools:
        template = tool.template
        if own is None or (template.url, template.network, template.tls) != (own.url, own.network, own.tls):
            yield join_path(tool.path, "tool_call_template"), template


def _is_protected(template: CallTemplate, variables: Mapping[str, str]) -> bool:
    """Return whether messages are encrypted, or stay on this machine or in a network that the manifest names."""
    plain = substitute(template.url, {**dict.fromkeys(find_variables(template.url), "x"), **variables})
    try:
        url = parse_url(re.sub(r"\{\{.*?\}\}|UTCP_ARG_\w+?_UTCP_ARG", "x", plain))
    except ForbiddenURL:
        return False
    address = parse_ip(url.host)
    own_network = bool(template.network.allow) if address is None else address.is_private
    return url.secure or url.is_loopback_literal or own_network
