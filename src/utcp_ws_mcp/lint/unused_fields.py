"""What a manifest says and nobody reads: fields without effect, variables that nothing refers to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from ..core.expressions.analysis import uses_name
from ..core.tools.tool import CompiledTool
from ..errors import Problem
from ..manifest.inheritance import referenced_presets
from ..manifest.loader import Manifest, ManifestEntry, inline_variables
from ..manifest.models.base import Json
from ..manifest.models.call_template import CallTemplate
from ..manifest.validation import closest_match, join_path
from ..manifest.variables import find_variables, namespaced_variable
from .session_values import entry_expressions

HasNoEffect = Callable[[CallTemplate], object]

NO_REPLY_READ_MESSAGE: Final = 'has no effect: with "reply": "none" a call ends when its message is sent'

INEFFECTIVE_FIELDS: Final[tuple[tuple[str, HasNoEffect, str], ...]] = (
    (
        "reply.error_message",
        lambda template: template.reply.error_message and not template.reply.error,
        'has no effect without "error", which says what a failure is',
    ),
    (
        "then",
        lambda template: template.then and template.message is False,
        'has no effect: with "message": false nothing is sent',
    ),
    (
        "stream.include_last",
        lambda template: template.stream.include_last and template.stream.on and not template.stream.until,
        'has no effect without "until"',
    ),
    ("stream", lambda template: template.stream.on and template.reply.none, NO_REPLY_READ_MESSAGE),
    *(
        (f"reply.{name}", lambda template, name=name: _is_unread_reply_rule(template, name), NO_REPLY_READ_MESSAGE)
        for name in ("result", "error", "ack")
    ),
    (
        "tls",
        lambda template: template.url.startswith("ws:") and template.tls.model_fields_set,
        "has no effect on ws://; is the url meant to be wss://?",
    ),
    (
        "tls.client_key",
        lambda template: template.tls.client_key and not template.tls.client_cert,
        'has no effect without "client_cert"',
    ),
    (
        "network.plaintext",
        lambda template: template.network.plaintext and template.url.startswith("wss:"),
        "has no effect on wss://; take it out",
    ),
    (
        "limits.ping_timeout",
        lambda template: "ping_timeout" in template.limits.model_fields_set and not template.limits.ping_interval,
        'has no effect: "ping_interval" 0 sends no pings',
    ),
    (
        "heartbeat.timeout",
        lambda template: (
            template.heartbeat
            and "timeout" in template.heartbeat.model_fields_set
            and template.heartbeat.expect is None
        ),
        'has no effect without "expect", which says what answers a heartbeat',
    ),
)
"""Fields that have no effect beside others: where they stand, when, and why."""


def check_ineffective_fields(entry: ManifestEntry, plans: Sequence[CompiledTool]) -> Iterator[Problem]:
    """A problem for each field of an entry that changes nothing."""
    own = entry.template
    for path, idle, why in INEFFECTIVE_FIELDS:
        if own is not None and idle(own):
            yield Problem(join_path(entry.path, path), why)
        for tool in entry.tools:
            if _has_path(tool.tool.tool_call_template, path) and idle(tool.template):
                yield Problem(join_path(join_path(tool.path, "tool_call_template"), path), why)
    yield from _ineffective_stream_results(entry)
    yield from _fail_without_expect(entry)
    yield from _unused_request_id(entry)
    yield from _ineffective_options(entry, plans)


def check_unused_variables(document: Json, manifest: Manifest) -> Iterator[Problem]:
    """A problem for each of the manifest's own variables that nothing refers to."""
    written = document
    if isinstance(document, dict):
        written = {key: value for key, value in document.items() if key != "variables"}
    names = set(find_variables(written))
    for entry in manifest.entries:
        names.update(find_variables(referenced_presets(entry.raw)))
    used = names | {namespaced_variable(entry.name, name) for entry in manifest.entries for name in names}
    remote = tuple(namespaced_variable(entry.name, "") for entry in manifest.entries if entry.uses_discovery)
    for name in inline_variables(document):
        if name not in used and not (remote and name.startswith(remote)):
            near = closest_match(name, names)
            hint = f"; is {near!r} meant?" if near else "; take it out"
            yield Problem(join_path("variables", name), f"nothing refers to this variable{hint}")


def _ineffective_stream_results(entry: ManifestEntry) -> Iterator[Problem]:
    """Results of tools that stream, where the items are something else; presets say what theirs are."""
    for tool in entry.tools:
        stream = tool.template.stream
        if stream.on and (stream.item or stream.match) and _has_path(tool.tool.tool_call_template, "reply.result"):
            item = f'"stream.item", here {stream.item!r}' if stream.item else 'the whole message; write "stream.item"'
            path = join_path(join_path(tool.path, "tool_call_template"), "reply.result")
            yield Problem(path, f"has no effect: an item of the stream is {item}")


def _fail_without_expect(entry: ManifestEntry) -> Iterator[Problem]:
    """Steps of a login that look for a refusal and read nothing."""
    for index, step in enumerate(entry.raw.get("on_connect") or ()):
        if step.get("send") is not None and "fail" in step:
            why = "has no effect in a step that sends; put it into the step that expects the answer"
            yield Problem(join_path(entry.path, f"on_connect[{index}].fail"), why)
        elif "fail_message" in step and "fail" not in step:
            why = 'has no effect without "fail", which says what a refusal is'
            yield Problem(join_path(entry.path, f"on_connect[{index}].fail_message"), why)


def _unused_request_id(entry: ManifestEntry) -> Iterator[Problem]:
    used = any(uses_name(each, "request_id", "next_id") for each in entry_expressions(entry))
    if "request_id" in entry.raw and not used:
        why = 'has no effect: no message holds "{{ request_id }}"'
        yield Problem(join_path(entry.path, "request_id"), why)


def _ineffective_options(entry: ManifestEntry, plans: Sequence[CompiledTool]) -> Iterator[Problem]:
    if entry.uses_discovery:
        return
    for key in ("allow_origins", "max_tools", "pin"):
        if key in entry.options.model_fields_set:
            why = 'has no effect: all tools are listed, so the endpoint is not asked ("discovery")'
            yield Problem(join_path(entry.path, key), why)
    names = [tool.tool.name for tool in entry.tools]
    for key in ("include_tools", "exclude_tools"):
        for index, glob in enumerate(getattr(entry.options, key) or ()):
            if not any(fnmatchcase(name, glob) for name in names):
                yield Problem(join_path(join_path(entry.path, key), index), f"no tool has a name like {glob!r}")
    if not plans:
        yield Problem(join_path(entry.path, "tools"), "no tool is offered, so this call template does nothing")


def _is_unread_reply_rule(template: CallTemplate, name: str) -> bool:
    """Whether a rule of `reply` is never asked; those of a preset are not the manifest's to take out."""
    return template.reply.none and not template.preset and getattr(template.reply, name) is not None


def _has_path(document: Any, path: str) -> bool:
    """Whether a document holds a value at a path of keys."""
    for key in path.split("."):
        if not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True
