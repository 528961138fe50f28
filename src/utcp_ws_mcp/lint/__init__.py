"""Lint rules: likely problems of a valid manifest, for the command `check`.

A rule is a function `check_*` that yields a `Problem` for each finding, whose code is a key of `RULES`. To add a rule,
add its code here, call its function in `lint_manifest`, and describe it on the page of warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..client.manifest_files import LoadedManifest
from ..errors import Problem
from ..manifest.models.base import Json
from ..manifest.validation import strip_comments
from .feeds import check_feeds
from .login import check_login
from .packages import check_packages
from .places import Places
from .secrets_and_transport import check_hardcoded_secrets, check_insecure_transport
from .tools import check_tools
from .unused_fields import check_ineffective_fields, check_subprotocol, check_unused_variables
from .values import check_let, check_session_values

RULES: Final[Mapping[str, str]] = {
    "secret-in-manifest": "The manifest contains a secret in plain text.",
    "plaintext-transport": "Messages to another machine are not encrypted.",
    "insecure-tls": "Any certificate of the endpoint is accepted.",
    "subprotocol-missing": "The protocol of the codec needs a subprotocol.",
    "package-missing": "An optional package that the manifest needs is not installed.",
    "ambiguous-reply": "Any message can be the reply, and other messages arrive as well.",
    "request-id-not-matched": "A request has an ID that its reply is not compared with.",
    "concurrent-not-distinguished": "Calls share a connection, and nothing distinguishes their replies.",
    "answers-first-only": "A message can answer several calls, and answers only the first of them.",
    "request-id-not-sent": "A reply is compared with an ID that the request does not contain.",
    "listener-needs-match": "A tool that only listens waits for the ID of a request.",
    "login-fail-too-broad": "Any message during a step of the login would be a refusal.",
    "feed-occupies-connection": "Feeds keep all connections, and calls or other feeds need one.",
    "feed-takes-replies": "Replies to calls would be events of a feed.",
    "feed-match-too-broad": "Any message would be an event of a feed.",
    "feed-fail-never-true": "A step of a feed expects no message for which its `fail` is true.",
    "feed-error-too-broad": "Each event of a feed would be a failure.",
    "feed-not-closed": "A feed subscribes and does not unsubscribe.",
    "feed-not-kept": "A feed is closed between two reads.",
    "inputs-without-properties": "Arguments stand where the keywords of a schema belong.",
    "description-missing": "A tool or a feed has no description.",
    "argument-not-declared": "A message uses an argument that no model can provide.",
    "argument-not-escaped": "An argument in XML or in quotes fails with usual texts.",
    "argument-in-slices": "A message sends a fixed part of an argument of any length.",
    "argument-in-url": "An argument in the URL may be missing, or is a list.",
    "argument-not-used": "A declared argument is never used.",
    "no-tools-offered": "A call template offers no tool.",
    "pattern-matches-nothing": "A pattern of tool names matches no tool.",
    "field-without-effect": "A field has no effect together with the other fields.",
    "variable-not-used": "A variable of the manifest is never used.",
    "let-not-used": "A value of let is never used.",
    "let-not-defined": "A value of let is used and not defined.",
    "session-value-not-used": "A captured value is never used.",
    "session-value-not-captured": "A value of session is used and never captured.",
    "duplicate-key": "An object has a key twice.",
}
"""The codes of all warnings, each with a summary. `duplicate-key` is reported by `manifest.source_map`."""


def lint_manifest(document: Json, loaded: LoadedManifest) -> Iterator[Problem]:
    """Yield a problem for each finding of any rule.

    Args:
        document: The parsed JSON of the manifest, as it was written.
        loaded: The same manifest after it was loaded.
    """
    uncommented = strip_comments(document)
    places = Places(uncommented, loaded.manifest.entries)
    yield from (places.relocate(problem) for problem in _check(uncommented, loaded))


def _check(uncommented: Json, loaded: LoadedManifest) -> Iterator[Problem]:
    yield from check_hardcoded_secrets(uncommented)
    yield from check_unused_variables(uncommented, loaded.manifest)
    for entry in loaded.manifest.entries:
        tools = loaded.tools[entry.name]
        yield from check_insecure_transport(entry)
        yield from check_ineffective_fields(entry, tools)
        yield from check_subprotocol(entry)
        yield from check_packages(entry)
        yield from check_login(entry)
        yield from check_session_values(entry)
        yield from check_let(entry)
        # The tools of feeds are generated: the manifest has no fields of their own.
        yield from check_tools(entry, [tool for tool in tools if tool.feed is None])
        yield from check_feeds(entry, tools)
