"""Rules for feeds: connections that they take from calls, messages that are no events, and arguments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from ..core.exchange.match_index import find_terms
from ..core.exchange.reply_rules import Concurrency
from ..core.expressions.analysis import (
    ALL_MEMBERS,
    find_arguments,
    find_correlation_path,
    find_expressions,
    find_members,
    find_optional_members,
    uses_name,
)
from ..core.expressions.expression import Expression, compile_expression
from ..core.expressions.paths import UNDEFINED, Path
from ..core.expressions.scope import CALL_REPLY_NAMES
from ..core.tools.tool import CompiledTool
from ..errors import Problem
from ..manifest.entries import ManifestEntry
from ..manifest.inheritance import apply_preset
from ..manifest.models.feed import Feed, FeedStep
from ..manifest.validation import join_path
from ..manifest.variables import MESSAGE_KEYS
from ..records import Record
from .input_schemas import arguments_outside_properties, check_inputs
from .values import find_captures, suggestion

SHORT_LINGER: Final = 1.0
"""Seconds; a feed that lingers no longer keeps nothing for a reader who reads again."""
_STEP_NAMES: Final = CALL_REPLY_NAMES | {"position"}
_OTHER: Final = "\x00 another value"
_LIST_CODECS: Final = frozenset({"json", "msgpack", "cbor"})
"""Codecs whose messages can be lists."""
_UNKNOWN_VALUES: Final = frozenset({"reply", "request", "let", "vars"})
"""Names whose values say what belongs to the subscription; they are known only while it runs."""


class _FeedPlace(Record):
    """A feed of an entry, its compiled `match`, and its JSON path."""

    feed: Feed
    match: Expression | None
    path: str

    @property
    def has_own_connection(self) -> bool:
        """Return whether nothing else uses its connection."""
        return bool(self.feed.query)


def check_feeds(entry: ManifestEntry, tools: Sequence[CompiledTool]) -> Iterator[Problem]:
    """Yield the problems of the feeds of an entry.

    Args:
        entry: The entry.
        tools: All its tools, those of the feeds, too.
    """
    calls = [tool for tool in tools if tool.feed is None]
    places = list(_places(entry, tools))
    preset = _preset_defaults(entry)
    if not places and entry.raw.get("feed_defaults", preset) != preset:
        yield _without_effect(join_path(entry.path, "feed_defaults"), "without feeds")
    sharing = [place for place in places if not place.has_own_connection]
    for place in places:
        yield from _check_description(place)
        yield from _check_arguments(entry, place)
        yield from _check_session(entry, place)
        yield from _check_match(entry, place, calls, is_alone=place.has_own_connection or sharing == [place])
        yield from _check_error(entry, place)
        yield from _check_steps(place)
        yield from _check_close(place, preset.get("open"))
        yield from _check_flat(entry, place)
        yield from _check_lifetime(place)
    yield from _check_connections(entry, places, calls)


def _places(entry: ManifestEntry, tools: Sequence[CompiledTool]) -> Iterator[_FeedPlace]:
    feeds = entry.template.feeds if entry.template is not None else ()
    compiled = {tool.feed.feed.definition.name: tool.feed.feed for tool in tools if tool.feed is not None}
    for index, feed in enumerate(feeds):
        if feed.name not in compiled:
            continue  # excluded by a pattern
        stream = compiled[feed.name].subscription.rules.stream
        yield _FeedPlace(feed, stream.match if stream else None, f"{join_path(entry.path, 'feeds')}[{index}]")


def _preset_defaults(entry: ManifestEntry) -> Any:
    return apply_preset({"preset": entry.raw.get("preset")}).get("feed_defaults") or {}


def _check_description(place: _FeedPlace) -> Iterator[Problem]:
    if not place.feed.description.strip():
        message = f'the feed {place.feed.name} has no "description". Models choose its tools by it; add one.'
        yield Problem(join_path(place.path, "name"), message, code="description-missing")


def _check_arguments(entry: ManifestEntry, place: _FeedPlace) -> Iterator[Problem]:
    """Yield a problem for each argument that is declared and not used, or used and not declared."""
    assert entry.template is not None
    yield from check_inputs(place.feed.inputs, place.path)
    properties = place.feed.inputs.get("properties")
    declared = set(properties if isinstance(properties, dict) else arguments_outside_properties(place.feed.inputs))
    own = find_arguments(place.feed.model_dump(mode="json", exclude={"inputs"}), MESSAGE_KEYS | {"close"})
    login = {"url", "query", "headers", "before_connect", "on_connect", "capture", "heartbeat"}
    login |= {"reconnect_when", "fail_when"}
    connection = find_arguments(entry.template.model_dump(mode="json", by_alias=True, include=login), MESSAGE_KEYS)
    used = own | connection | set(entry.template.header_fields)
    for name in sorted(own - declared - {ALL_MEMBERS}):
        fix = suggestion(name, declared) or 'Declare it in the "inputs" of the feed.'
        message = f"the argument {name!r} is used here, but not declared, so no model will provide it. {fix}"
        yield Problem(place.path, message, code="argument-not-declared")
    for name in sorted(declared - used) if ALL_MEMBERS not in used else ():
        message = f"the argument {name!r} is declared, but never used: all values have the same events. Remove it."
        yield Problem(join_path(place.path, f"inputs.properties.{name}"), message, code="argument-not-used")


def _check_session(entry: ManifestEntry, place: _FeedPlace) -> Iterator[Problem]:
    """Yield a problem for each value of `session` that nothing captures."""
    assert entry.template is not None
    template = entry.template.model_dump(mode="json", exclude={"feeds", "feed_defaults"})
    captured = {name for _, name in find_captures(template)}
    expressions = list(find_expressions(place.feed.model_dump(mode="json"), MESSAGE_KEYS | {"close"}))
    optional = {name for each in expressions for name in find_optional_members(each, "session")}
    used = {name for each in expressions for name in find_members(each, "session")}
    for name in sorted(used - captured - optional - {ALL_MEMBERS}):
        fix = suggestion(name, captured) or 'Add it to a "capture".'
        message = f"session.{name} is used here, but no message is captured for it. {fix}"
        yield Problem(place.path, message, code="session-value-not-captured")


def _check_match(
    entry: ManifestEntry, place: _FeedPlace, calls: Sequence[CompiledTool], *, is_alone: bool
) -> Iterator[Problem]:
    """Yield a problem where `match` also selects what is no event: replies of calls, or events of other feeds."""
    path = join_path(place.path, "match")
    for tool in () if place.has_own_connection else calls:
        reply_id = tool.rules.correlation_path
        if reply_id is not None and _selects(place, _message_with(reply_id, 1)):
            message = f"is also true for replies to {tool.full_name}, which would be events. Compare what events have."
            yield Problem(path, f'"match" of the feed {place.feed.name} {message}', code="feed-takes-replies")
            return
    assert entry.template is not None
    beats = entry.template.heartbeat is not None and entry.template.heartbeat.expect is not None
    if (beats or not is_alone) and _selects(place, {}):
        other = "events of the other feeds" if not is_alone else "answers to the heartbeat"
        message = f'"match" of the feed {place.feed.name} is true for any message, also for {other}. Compare a field.'
        yield Problem(path, message, code="feed-match-too-broad")


def _check_error(entry: ManifestEntry, place: _FeedPlace) -> Iterator[Problem]:
    """Yield a problem where `reply.error` is true for an event because this has not the field that replies have."""
    assert entry.template is not None
    source = entry.template.reply.error
    if source is None or place.match is None or not (place.feed.open or place.feed.query):
        return
    error = compile_expression(source, CALL_REPLY_NAMES)
    known = {"message": _least_event(place.match), "tool": place.feed.name}
    if known.keys() >= {*error.names} and error.is_true(known):
        message = (
            f"is also true for events of the feed {place.feed.name}, which have not the field that it tests: each "
            "would say that the subscription has failed. Test that the field is there, such as "
            '"message.ok is defined and not message.ok".'
        )
        yield Problem(join_path(entry.path, "reply.error"), message, code="feed-error-too-broad")


def _least_event(match: Expression) -> dict[str, Any]:
    """Return a message that has only what `match` compares with literals."""
    event: dict[str, Any] = {}
    for path, value in _literal_terms(match.source).items():
        held: Any = {"message": event}
        for step in path[:-1]:
            held = held.setdefault(step, {}) if isinstance(held, dict) else None
        if isinstance(held, dict) and len(path) > 1:
            held[path[-1]] = value
    return event


def _message_with(path: Path, value: Any) -> Any:
    """Return a message that has only a value at a path."""
    for step in reversed(path):
        value = [None] * step + [value] if isinstance(step, int) else {step: value}
    return value


def _selects(place: _FeedPlace, message: Any) -> bool:
    match = place.match
    if match is None or not _UNKNOWN_VALUES.isdisjoint(match.names):
        return False
    session = dict.fromkeys(find_members(match.source, "session"), _OTHER)
    args = dict.fromkeys(find_members(match.source, "args"), _OTHER)
    known = {"message": message, "tool": place.feed.name, "session": session, "args": args, "request_id": _OTHER}
    return match.is_true(defaultdict(lambda: UNDEFINED, known))


def _check_steps(place: _FeedPlace) -> Iterator[Problem]:
    """Yield a problem for each step whose `fail` is true for no message that `expect` selects, or whose `answers_all`
    has no effect, or too much.
    """
    for field in ("open", "resume"):
        for index, step in enumerate(getattr(place.feed, field)):
            if step.answers_all:
                yield from _check_answers_all(step, join_path(place.path, f"{field}[{index}].answers_all"))
            if step.expect and step.fail and (shown := _contradiction(step.expect, step.fail)) is not None:
                message = (
                    f'is asked only about the message that "expect" selects, in which {shown}. '
                    "Let \"expect\" select the refusal, too, such as by a list: … in ['subscribed', 'error']."
                )
                yield Problem(join_path(place.path, f"{field}[{index}].fail"), message, code="feed-fail-never-true")


def _check_answers_all(step: FeedStep, path: str) -> Iterator[Problem]:
    if step.expect is None:
        yield _without_effect(path, 'in a step that sends: write it in the one with "expect"')
    elif find_correlation_path(step.expect)[0]:
        yield _without_effect(path, 'where "expect" compares a part of the message with request_id: it confirms one')
    elif not uses_name(step.expect, "args", "tool", "request_id", "reply"):
        fix = "Compare a part of the message with an argument, the tool or request_id."
        message = f'lets one message confirm all feeds that wait, because "expect" is the same for all of them. {fix}'
        yield Problem(path, message, code="concurrent-not-distinguished")


def _contradiction(expect: str, fail: str) -> str | None:
    """Return the part of a message that two predicates compare with different values, and the value of the first."""
    expected, failed = _literal_terms(expect), _literal_terms(fail)
    for path in expected.keys() & failed.keys():
        value, other = expected[path], failed[path]
        if type(value) is type(other) and isinstance(value, str | int) and value != other:
            return f"{'.'.join(map(str, path))} is {value!r}"
    return None


def _literal_terms(source: str) -> dict[Path, Any]:
    """Return the parts of a message that a predicate compares with literals, and these."""
    found: dict[Path, Any] = {}
    for term in find_terms(compile_expression(source, _STEP_NAMES)):
        with suppress(KeyError):  # the value of a name, which is known only when the feed is opened
            found[term.path] = term.value({})
    return found


def _check_close(place: _FeedPlace, preset_open: Any) -> Iterator[Problem]:
    """Yield a problem where a manifest writes what subscribes, and not what unsubscribes.

    Args:
        place: The feed.
        preset_open: The steps of the preset, which knows whether anything unsubscribes.
    """
    steps = place.feed.model_dump(mode="json", include={"open"}, exclude_unset=True)["open"] if place.feed.open else []
    subscribes = any(step.send is not None for step in place.feed.open)
    kept = place.feed.start == "start"
    says_nothing = "close" not in place.feed.model_fields_set  # null says that the API cannot unsubscribe
    if subscribes and not kept and not place.has_own_connection and says_nothing and steps != preset_open:
        message = (
            f'the feed {place.feed.name} is opened by a message, and has no "close": after it is closed, the endpoint '
            "goes on sending events over a connection that calls share. Add the message that unsubscribes, or null if "
            "the API has none."
        )
        yield Problem(join_path(place.path, "open"), message, code="feed-not-closed")


def _check_flat(entry: ManifestEntry, place: _FeedPlace) -> Iterator[Problem]:
    """Yield a problem for a `flat` that never finds a list."""
    assert entry.template is not None
    framing = entry.template.framing
    if not place.feed.flat or place.feed.item is not None:
        return
    path = join_path(place.path, "flat")
    if framing.codec not in _LIST_CODECS:
        yield _without_effect(path, f'without "item": no message of the codec {framing.codec!r} is a list')
    elif framing.batch is True:
        yield _without_effect(path, 'without "item", because "framing.batch" takes the lists apart already')


def _check_lifetime(place: _FeedPlace) -> Iterator[Problem]:
    feed, written = place.feed, place.feed.model_fields_set
    if feed.start == "start" and "linger" in written:
        yield _without_effect(join_path(place.path, "linger"), 'with "start": "start", which keeps the feed open')
    elif feed.linger < SHORT_LINGER:
        message = (
            f'the feed {feed.name} is closed {feed.linger:g} s after each read ("linger"): what the endpoint sends '
            "until the next read is lost. Raise it."
        )
        yield Problem(join_path(place.path, "linger"), message, code="feed-not-kept")
    if "max_instances" in written and not feed.inputs.get("properties"):
        yield _without_effect(join_path(place.path, "max_instances"), "without arguments")


def _check_connections(
    entry: ManifestEntry, places: Sequence[_FeedPlace], calls: Sequence[CompiledTool]
) -> Iterator[Problem]:
    """Yield a problem where calls or feeds wait for a connection that an open feed never leaves."""
    if not places:
        return
    assert entry.template is not None
    limit = entry.template.limits.max_connections
    own = [place for place in places if place.has_own_connection]
    if len(own) + (len(own) < len(places) or bool(calls)) > limit:
        message = (
            f"each feed with a query has a connection for itself, and limits.max_connections is {limit}: not all feeds "
            'and tools could be used at the same time. Raise "limits.max_connections".'
        )
        yield Problem(join_path(own[0].path, "query"), message, code="feed-occupies-connection")
        return
    if limit > 1:
        return
    for tool in calls:
        alone = tool.rules.concurrency is Concurrency.EXCLUSIVE or not tool.template.keep_alive
        if alone and tool.template.limits.max_connections == 1:
            message = (
                f"{tool.full_name} needs a connection for itself, and the feed {places[0].feed.name} keeps the only "
                'one: calls would time out while the feed is open. Raise "limits.max_connections", or recognize '
                'replies by an ID, or by "reply.match" with "concurrent": true.'
            )
            yield Problem(join_path(places[0].path, "name"), message, code="feed-occupies-connection")
            return


def _without_effect(path: str, reason: str) -> Problem:
    return Problem(path, f"has no effect {reason}.", code="field-without-effect")
