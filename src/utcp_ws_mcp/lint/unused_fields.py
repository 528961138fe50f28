"""Rules for parts of a manifest without effect: fields, options, variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from ..core.expressions.analysis import find_correlation_path, uses_name
from ..core.tools.tool import CompiledTool
from ..errors import Problem
from ..manifest.entries import Manifest, ManifestEntry
from ..manifest.inheritance import referenced_presets
from ..manifest.loader import inline_variables
from ..manifest.models.auth import OAuth2Auth
from ..manifest.models.base import Json
from ..manifest.models.call_template import CallTemplate
from ..manifest.models.connection import HttpStep, Step
from ..manifest.validation import join_path
from ..manifest.variables import find_variables, namespaced_variable
from .values import entry_expressions, selects_items, suggestion

IsIneffective = Callable[[CallTemplate], object]

_NO_REPLY: Final = 'with "reply": "none", because the call ends when its message is sent'
_INEFFECTIVE_FIELDS: Final[tuple[tuple[str, IsIneffective, str], ...]] = (
    (
        "reply.error_message",
        lambda template: template.reply.error_message and not template.reply.error,
        'without "error", which detects a failure',
    ),
    ("then", lambda template: template.then and template.listen, 'with "listen": true, because nothing is sent'),
    (
        "stream.include_last",
        lambda template: template.stream.include_last and template.stream.on and not template.stream.until,
        'without "until"',
    ),
    ("stream", lambda template: template.stream.on and template.reply.none, _NO_REPLY),
    *(
        (f"reply.{name}", lambda template, name=name: _is_unused_reply_rule(template, name), _NO_REPLY)
        for name in ("result", "error", "ack", "cancel")
    ),
    (
        "tls",
        lambda template: template.url.startswith("ws:") and template.tls.model_fields_set,
        "with a ws:// url. Did you mean wss://?",
    ),
    (
        "tls.client_key",
        lambda template: template.tls.client_key and not template.tls.client_cert,
        'without "client_cert"',
    ),
    (
        "network.plaintext",
        lambda template: template.network.plaintext and template.url.startswith("wss:") and not _uses_http(template),
        "with a wss:// url. Remove it.",
    ),
    (
        "limits.ping_timeout",
        lambda template: "ping_timeout" in template.limits.model_fields_set and not template.limits.ping_interval,
        'with "ping_interval": 0, because no pings are sent',
    ),
    (
        "fail_message",
        lambda template: template.fail_message and not template.fail_when,
        'without "fail_when", which detects that the session has ended',
    ),
    (
        "session_identity",
        lambda template: template.session_identity and not template.preset and template.limits.max_connections != 1,
        'without "limits": {"max_connections": 1}, because several connections have several sessions',
    ),
    (
        "reply.concurrent",
        lambda template: template.reply.concurrent and not template.reply.match,
        'without "match", which distinguishes the replies of calls',
    ),
    (
        "reply.answers_all",
        lambda template: template.reply.answers_all and not template.reply.match,
        'without "match", which selects the calls that a message answers',
    ),
    (
        "reply.answers_all",
        lambda template: (
            template.reply.answers_all and template.reply.match and find_correlation_path(template.reply.match)[0]
        ),
        'where "match" compares a part of the message with request_id, which is true for one call',
    ),
    (
        "reply.cancel",
        lambda template: template.reply.cancel is not None and not template.preset and template.listen,
        'with "listen": true, because nothing is sent that could be cancelled',
    ),
    (
        "stream.cancel",
        lambda template: (
            template.stream.cancel is not None and template.stream.on and template.listen and template.keep_alive
        ),
        'with "listen": true on a shared connection, because the call began nothing that could be cancelled',
    ),
    (
        "stream.after_reply",
        lambda template: template.stream.after_reply and not (template.stream.match and template.reply.match),
        'without "stream.match" and "reply.match", because the stream has no reply of its own',
    ),
    (
        "heartbeat.timeout",
        lambda template: (
            template.heartbeat
            and "timeout" in template.heartbeat.model_fields_set
            and template.heartbeat.expect is None
        ),
        'without "expect", which detects the answer to a heartbeat',
    ),
)
"""Fields that have no effect together with others: the path, the condition, and the reason."""


def check_ineffective_fields(entry: ManifestEntry, tools: Sequence[CompiledTool]) -> Iterator[Problem]:
    """Yield a problem for each field and option of an entry without effect."""
    own = entry.template
    for path, is_ineffective, reason in _INEFFECTIVE_FIELDS:
        if own is not None and is_ineffective(own):
            yield _without_effect(join_path(entry.path, path), reason)
        for tool in entry.tools:
            if _has_path(tool.tool.tool_call_template, path) and is_ineffective(tool.template):
                yield _without_effect(join_path(tool.path, f"tool_call_template.{path}"), reason)
    yield from _ineffective_stream_results(entry)
    yield from _ineffective_login_fields(entry)
    yield from _unused_request_id(entry)
    yield from _ineffective_options(entry, tools)


def check_subprotocol(entry: ManifestEntry) -> Iterator[Problem]:
    """Yield a problem for MQTT without the subprotocol that it needs (MQTT 3.1.1, section 6)."""
    template = entry.template
    if template is not None and template.framing.codec == "mqtt" and not template.protocol:
        message = 'MQTT brokers refuse connections without their subprotocol. Add "protocol": "mqtt".'
        yield Problem(join_path(entry.path, "framing.codec"), message, code="subprotocol-missing")


def check_unused_variables(document: Json, manifest: Manifest) -> Iterator[Problem]:
    """Yield a problem for each of the manifest's own variables that nothing refers to.

    Args:
        document: The parsed JSON of the manifest, without comments.
        manifest: The same manifest after it was loaded.
    """
    if not isinstance(document, dict):
        return  # a list of entries has no variables
    names = set(find_variables({key: value for key, value in document.items() if key != "variables"}))
    for entry in manifest.entries:
        names.update(find_variables(referenced_presets(entry.raw)))
    used = names | {namespaced_variable(entry.name, name) for entry in manifest.entries for name in names}
    # A variable that is named for a manual can be meant for the tools that its endpoint announces.
    remote = tuple(namespaced_variable(entry.name, "") for entry in manifest.entries if entry.uses_discovery)
    for name in inline_variables(document):
        if name not in used and not name.startswith(remote):
            fix = suggestion(name, names) or "Remove it."
            path = join_path("variables", name)
            yield Problem(path, f"nothing refers to this variable. {fix}", code="variable-not-used")


def _without_effect(path: str, reason: str) -> Problem:
    end = "" if reason.endswith((".", "?")) else "."
    return Problem(path, f"has no effect {reason}{end}", code="field-without-effect")


def _ineffective_stream_results(entry: ManifestEntry) -> Iterator[Problem]:
    """Yield a problem for each `reply.result` of a tool with a stream whose items are selected by another field."""
    for tool in entry.tools:
        stream = tool.template.stream
        if selects_items(tool.template) and _has_path(tool.tool.tool_call_template, "reply.result"):
            item = f'"stream.item", here {stream.item!r}' if stream.item else 'the whole message; set "stream.item"'
            path = join_path(tool.path, "tool_call_template.reply.result")
            yield _without_effect(path, f"in a tool with a stream, whose item is {item}")


def _ineffective_login_fields(entry: ManifestEntry) -> Iterator[Problem]:
    for index, step in enumerate(entry.raw.get("on_connect") or ()):
        path = join_path(entry.path, f"on_connect[{index}]")
        if step.get("send") is not None and "fail" in step:
            reason = "in a step that sends. Move it to the step that expects the answer."
            yield _without_effect(join_path(path, "fail"), reason)
        elif "fail_message" in step and "fail" not in step and "http" not in step:
            yield _without_effect(join_path(path, "fail_message"), 'without "fail", which detects a failed login')


def _unused_request_id(entry: ManifestEntry) -> Iterator[Problem]:
    used = any(uses_name(each, "request_id", "next_id") for each in entry_expressions(entry))
    if "request_id" in entry.raw and not used:
        yield _without_effect(join_path(entry.path, "request_id"), 'because no message contains "{{ request_id }}"')


def _ineffective_options(entry: ManifestEntry, tools: Sequence[CompiledTool]) -> Iterator[Problem]:
    if entry.uses_discovery:
        return
    for key in ("allow_origins", "max_tools", "pin"):
        if key in entry.options.model_fields_set:
            reason = 'because all tools are listed, and no manual is requested ("discovery")'
            yield _without_effect(join_path(entry.path, key), reason)
    names = _tool_names(entry)
    for key in ("include_tools", "exclude_tools"):
        for index, pattern in enumerate(getattr(entry.options, key) or ()):
            if not any(fnmatchcase(name, pattern) for name in names):
                path = join_path(join_path(entry.path, key), index)
                message = f"the pattern {pattern!r} matches no tool. Correct or remove it."
                yield Problem(path, message, code="pattern-matches-nothing")
    if not tools:
        message = "the call template offers no tool. Correct include_tools, exclude_tools or tools."
        yield Problem(join_path(entry.path, "tools"), message, code="no-tools-offered")


def _tool_names(entry: ManifestEntry) -> list[str]:
    """Return the names of the tools that patterns choose from, with those of feeds."""
    feeds = entry.template.feeds if entry.template is not None else ()
    events = [f"{feed.name}_events" for feed in feeds]
    latest = [f"{feed.name}_latest" for feed in feeds if feed.key is not None]
    return [*(tool.tool.name for tool in entry.tools), *events, *latest]


def _uses_http(template: CallTemplate) -> bool:
    """Return whether a template sends requests in plain text over HTTP."""
    steps = (*template.before_connect, *template.on_connect, *template.before_message)
    urls = [step.http.url for step in steps if isinstance(step, HttpStep | Step) and step.http is not None]
    urls += [template.auth.token_url] if isinstance(template.auth, OAuth2Auth) else []
    return any(not url.startswith("https:") for url in urls)


def _is_unused_reply_rule(template: CallTemplate, name: str) -> bool:
    """Return whether a rule of `reply` is never evaluated; the author cannot remove those of a preset."""
    return template.reply.none and not template.preset and getattr(template.reply, name) is not None


def _has_path(document: Any, path: str) -> bool:
    """Return whether a document has a value at a path of keys."""
    for key in path.split("."):
        if not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True
