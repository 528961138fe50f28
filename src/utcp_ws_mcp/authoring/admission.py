"""Load a manifest that an agent wrote: without files, with the hosts and variables that the operator allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Final, NoReturn

from ..client.manifest_files import LoadedManifest, load_parsed, parse_manifest
from ..core.network_policy import URL, parse_url
from ..errors import ForbiddenURL, InvalidManifest, InvalidTemplate, Problem, VariableNotAllowed
from ..lint.placeholders import load_with_placeholders
from ..manifest.entries import Manifest, ManifestEntry
from ..manifest.loader import inline_variables, variable_files
from ..manifest.models.auth import OAuth2Auth
from ..manifest.models.call_template import CallTemplate
from ..manifest.models.connection import HttpStep, Step
from ..manifest.validation import join_path
from ..manifest.variables import VARIABLE, VariableResolver
from .grants import Grants, HostPattern

MAX_MANIFEST_BYTES: Final = 1 << 20
"""Bytes of a manifest that an agent writes."""

_HOST_PART: Final = re.compile(r"(wss?|https?)://([^/?#{}$\\\s]+)(?=[/?#]|\Z)")
_TLS_FILES: Final = ("ca_file", "client_cert", "client_key")


def admit(text: str, source: str, grants: Grants) -> LoadedManifest:
    """Return a manifest whose endpoints are all allowed, with the variables that all of them may get.

    A call template whose variables are missing is disabled, as everywhere.

    Raises:
        InvalidManifest: with every problem, also for files and proxies.
        HostNotAllowed: if it connects to a host that is not allowed.
    """
    document = parse_bounded(text, source)
    names = grants.names()
    while True:
        loaded = load_with(text, document, source, grants.values(names))
        _check_entries(loaded.manifest, source)
        urls = endpoint_urls(loaded.manifest, source)
        grants.check_urls(urls)
        allowed = frozenset(name for name in names if grants.may_send(name, urls))
        if allowed == names:
            return loaded
        names = allowed  # other variables, other defaults, perhaps other hosts


def parse_bounded(text: str, source: str) -> Any:
    """Return the document of a manifest.

    Raises:
        InvalidManifest: if it is too large, no JSON, or names a file of variables.
    """
    if len(text.encode("utf-8", "replace")) > MAX_MANIFEST_BYTES:
        message = f"the manifest has more than {MAX_MANIFEST_BYTES:,} bytes. Write several manifests."
        raise InvalidManifest(source, [Problem("", message, code="file-too-large")])
    document = parse_manifest(text, source)
    if variable_files(document):
        message = "a manifest that is made here reads no files. Leave it out; the operator sets variables."
        raise InvalidManifest(source, [Problem("load_variables_from", message, code="file-not-allowed")])
    return document


def load_with(text: str, document: Any, source: str, values: Mapping[str, str]) -> LoadedManifest:
    """Return a manifest with these variables, and those that it contains.

    Raises:
        InvalidManifest: with every problem.
    """
    resolver = VariableResolver([inline_variables(document), values])
    return load_parsed(text, document, resolver, source, Path(), _refuse_file)


def require_variables(text: str, loaded: LoadedManifest, grants: Grants) -> None:
    """Check that no call template is disabled.

    Raises:
        VariableNotAllowed: with the variables, and the hosts that would get them.
    """
    missing = missing_variables(loaded.manifest)
    if not missing:
        return
    source = loaded.manifest.source
    document = parse_manifest(text, source)
    load = partial(_load_with_placeholders, text, document, source, grants)
    complete, _ = load_with_placeholders(document, missing, load)
    urls = endpoint_urls(complete.manifest, source) if complete is not None else ()
    raise VariableNotAllowed(missing, tuple(dict.fromkeys(str(HostPattern.of(url)) for url in urls)) or ("HOST",))


def missing_variables(manifest: Manifest) -> tuple[str, ...]:
    """Return the variables without which call templates are disabled."""
    return tuple(dict.fromkeys(name for disabled in manifest.disabled for name in disabled.missing))


def _load_with_placeholders(
    text: str, document: Any, source: str, grants: Grants, placeholders: Mapping[str, str]
) -> LoadedManifest:
    return load_with(text, document, source, {**grants.values(grants.names()), **placeholders})


def _refuse_file(_: PurePath, name: str) -> NoReturn:
    message = f"the file {name!r} is not read: a manifest that is made here reads no files. Write its content instead."
    raise InvalidTemplate(message, code="file-not-allowed")


def _check_entries(manifest: Manifest, source: str) -> None:
    problems = [problem for entry in manifest.entries for problem in _forbidden_fields(entry)]
    if problems:
        raise InvalidManifest(source, list(dict.fromkeys(problems)))


def _forbidden_fields(entry: ManifestEntry) -> Iterator[Problem]:
    """Yield a problem for each field that reads a file, or goes around the check of hosts."""
    for path, template in _templates(entry):
        for key in _TLS_FILES:
            if getattr(template.tls, key) is not None:
                message = 'a manifest that is made here reads no files. Use "fingerprint", or leave it out.'
                yield Problem(join_path(path, f"tls.{key}"), message, code="file-not-allowed")
        if template.proxy is not None:
            message = "a manifest that is made here uses no proxy. Leave it out."
            yield Problem(join_path(path, "proxy"), message, code="proxy-not-allowed")


def endpoint_urls(manifest: Manifest, source: str) -> Sequence[URL]:
    """Return the URLs that the call templates of a manifest connect to, without what is behind the host.

    Raises:
        InvalidManifest: for a host that is only known later.
    """
    found: dict[URL, None] = {}
    problems = []
    for entry in manifest.entries:
        for path, text in _urls(entry):
            url = _fixed_host(text, entry.variables)
            if url is None:
                message = "the host must be written in the URL, so that it can be checked before anything is sent."
                problems.append(Problem(path, f"{message} Write it.", code="host-not-fixed"))
            else:
                found[url] = None
    if problems:
        raise InvalidManifest(source, list(dict.fromkeys(problems)))
    return tuple(found)


def _fixed_host(text: str, variables: Mapping[str, str]) -> URL | None:
    """Return the beginning of a URL; None if it depends on more than variables."""
    bound = VARIABLE.sub(lambda found: variables.get(found[1] or "", found[0]), text)
    found = _HOST_PART.match(bound)
    if found is None or "UTCP_ARG_" in found[2]:
        return None
    try:
        return parse_url(f"{found[1]}://{found[2]}/", ("ws", "wss", "http", "https"))
    except ForbiddenURL:
        return None


def _urls(entry: ManifestEntry) -> Iterator[tuple[str, str]]:
    """Yield the URLs of an entry with their JSON paths."""
    for path, template in _templates(entry):
        yield join_path(path, "url"), template.url
        for key in ("before_connect", "on_connect", "before_message"):
            steps: Sequence[Step | HttpStep] = getattr(template, key)
            yield from ((join_path(path, key), step.http.url) for step in steps if step.http is not None)
        if isinstance(template.auth, OAuth2Auth):
            yield join_path(path, "auth.token_url"), template.auth.token_url


def _templates(entry: ManifestEntry) -> Iterator[tuple[str, CallTemplate]]:
    if entry.template is not None:
        yield entry.path, entry.template
    for tool in entry.tools:
        if tool.template is not entry.template:
            yield join_path(tool.path, "tool_call_template"), tool.template


def check_reserved_names(loaded: LoadedManifest, shown: Sequence[str], reserved: frozenset[str]) -> None:
    """Check that no tool takes the name of a tool of `author`.

    Raises:
        InvalidManifest: if one does.
    """
    taken = sorted(reserved.intersection(shown))
    if taken:
        message = f"a tool would be shown as {taken[0]!r}, which is a tool of this server. Rename the call template."
        raise InvalidManifest(loaded.manifest.source, [Problem("name", message, code="reserved-name")])
