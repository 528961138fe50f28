"""Rules for tools that models cannot choose or fill, or whose replies are ambiguous."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..core.exchange.reply_rules import Concurrency
from ..core.expressions.analysis import ALL_MEMBERS, find_arguments, find_expressions, uses_name
from ..core.expressions.paths import node_path
from ..core.expressions.syntax import Node
from ..core.templates.nodes import Argument, Placeholder
from ..core.tools.tool import CompiledTool
from ..errors import Problem
from ..manifest.entries import ManifestEntry, ResolvedTool
from ..manifest.validation import join_path
from ..manifest.variables import MESSAGE_KEYS
from .input_schemas import arguments_outside_properties, check_inputs
from .message_text import check_message_text
from .values import owner_path, suggestion

_ORDERINGS: Final = frozenset({"<", "<=", ">", ">="})
_NUMBERS: Final = ("request_id", "next_id", "counter")
"""Names whose values differ between the requests on a connection, and grow."""

_REQUEST_FIELDS: Final = ("let", "before_message", "message", "then", "url", "query", "headers")
"""Fields whose arguments a call needs."""

_NON_REQUEST_FIELDS: Final = {"reply", "stream", "ignore", "request_id", "on_connect", "heartbeat"}
"""Fields that are no message of a call: an ID in them is another one."""


def check_tools(entry: ManifestEntry, tools: Sequence[CompiledTool]) -> Iterator[Problem]:
    """Yield the problems of the tools of an entry; a problem of an inherited field is reported once."""
    yield from dict.fromkeys(_check_each(entry, tools))


def accepts_any_message(tool: CompiledTool) -> bool:
    """Return whether any message that arrives during a call, and is not ignored, is its reply."""
    rules = tool.rules
    return rules.match is None and rules.stream is None and not rules.no_reply and not rules.listen_only


def _check_each(entry: ManifestEntry, tools: Sequence[CompiledTool]) -> Iterator[Problem]:
    resolved = {tool.tool.name: tool for tool in entry.tools}
    known = set[str]().union(*map(_declared_arguments, tools), *_arguments_of_feeds(entry))
    for tool in tools:
        source = resolved[tool.original_name]
        yield from _check_description(tool, source)
        yield from check_inputs(source.tool.inputs, source.path)
        yield from _check_unused_arguments(tool, source)
        yield from _check_undeclared_arguments(entry, tool, source, known)
        yield from _check_url_arguments(entry, tool, source)
        yield from _check_request_id(tool, source)
        yield from _check_concurrent(tool, source)
        yield from _check_answered(tool, source)
        yield from check_message_text(entry, tool, source)
    yield from _check_ambiguous_replies(entry, tools)


def _check_concurrent(tool: CompiledTool, source: ResolvedTool) -> Iterator[Problem]:
    """Yield a problem where nothing in `match` distinguishes the replies of concurrent calls."""
    reply = tool.template.reply
    if reply.answers_all and reply.match and not uses_name(reply.match, "args", "let", "request_id"):
        fix = "Compare a part of the message with request_id, a value of let or an argument."
        message = f'"answers_all" gives each message to all calls, because "match" is the same for all of them. {fix}'
        yield Problem(join_path(source.path, "name"), message, code="concurrent-not-distinguished")
    elif reply.concurrent and reply.match and not uses_name(reply.match, "args", "tool", "let", "request_id"):
        fix = "Compare a part of the message with an argument, the tool or request_id."
        message = f'"concurrent" lets calls share a connection, but "match" is the same for all of them. {fix}'
        yield Problem(join_path(source.path, "name"), message, code="concurrent-not-distinguished")


def _check_answered(tool: CompiledTool, source: ResolvedTool) -> Iterator[Problem]:
    """Yield a problem where a message can answer several calls, and the manifest does not say that it does."""
    rules = tool.rules
    if rules.match is None or rules.answers_all or rules.concurrency is not Concurrency.MULTIPLEXED:
        return
    counted = {name for name, value in tool.template.let.items() if uses_name(value, *_NUMBERS)}
    for node in rules.match.tree.walk() if rules.match.tree is not None else ():
        if node.kind == "compare" and node.name in _ORDERINGS and _is_range(node, counted):
            message = (
                'a message answers a range of requests here, and only the first call that waits gets it. Set "reply": '
                '{"answers_all": true}.'
            )
            yield Problem(join_path(source.path, "name"), message, code="answers-first-only")
            return


def _is_range(comparison: Node, counted: set[str]) -> bool:
    """Return whether a number of the request is compared with a part of a message; `counted` are such values of let."""
    sides = [{path for part in side.walk() if (path := node_path(part))} for side in comparison.parts]
    numbered = [("request_id",) in paths or any(("let", name) in paths for name in counted) for paths in sides]
    from_message = [any(path[0] == "message" for path in paths) for paths in sides]
    return (numbered[0] and from_message[1]) or (numbered[1] and from_message[0])


def _check_description(tool: CompiledTool, source: ResolvedTool) -> Iterator[Problem]:
    if not tool.description.strip():
        message = f'{tool.full_name} has no "description". Models choose a tool by it; add one.'
        yield Problem(join_path(source.path, "name"), message, code="description-missing")


def _check_unused_arguments(tool: CompiledTool, source: ResolvedTool) -> Iterator[Problem]:
    declared, template = _declared_arguments(tool), tool.template
    document = template.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    used = find_arguments(document, MESSAGE_KEYS).union(template.header_fields)
    if ALL_MEMBERS in used or (template.message is None and not template.listen):
        return
    for name in sorted(declared - used):
        use = (
            f"Compare args.{name} in a predicate"
            if tool.rules.listen_only
            else f"Put UTCP_ARG_{name}_UTCP_ARG into the message"
        )
        message = f"the argument {name!r} is declared, but never used. {use}, or remove it."
        yield Problem(join_path(source.path, f"inputs.properties.{name}"), message, code="argument-not-used")


def _check_undeclared_arguments(
    entry: ManifestEntry, tool: CompiledTool, source: ResolvedTool, known: set[str]
) -> Iterator[Problem]:
    declared = _declared_arguments(tool)
    written = tool.template.model_dump(mode="json", by_alias=True, include={*_REQUEST_FIELDS}, exclude_defaults=True)
    for key in (each for each in _REQUEST_FIELDS if each in written):
        path, is_own = owner_path(entry, source, key)
        is_own = is_own or key in ("url", "headers")  # all tools share them
        others = known if not is_own and (key == "query" or "inputs" in source.tool.model_fields_set) else set()
        required = _required_arguments(key, written[key], declared, is_own, others)
        for name in sorted(required - declared - {ALL_MEMBERS}):
            fix = suggestion(name, declared) or 'Declare it in the "inputs" of the tool.'
            if not is_own and name in known:
                fix += ' If the tool has no arguments, write "inputs": {"type": "object", "properties": {}}.'
            by = "not declared" if is_own else f"not declared by {tool.full_name}"
            message = f"the argument {name!r} is used here, but {by}, so no model will provide it. {fix}"
            yield Problem(join_path(path, key), message, code="argument-not-declared")


def _check_url_arguments(entry: ManifestEntry, tool: CompiledTool, source: ResolvedTool) -> Iterator[Problem]:
    """Yield a problem for each argument in the query of the URL that `query` would leave out, or repeat."""
    path = join_path(owner_path(entry, source, "url")[0], "url")
    properties, required = tool.inputs.get("properties"), tool.inputs.get("required")
    before = ""
    for part in tool.compiled_template.handshake.url.parts:
        if isinstance(part, str):
            before += part
            continue
        name = _whole_argument(part)
        schema = properties.get(name) if isinstance(properties, dict) else None
        if name is None or not isinstance(schema, dict) or "?" not in before:
            continue
        if schema.get("type") == "array":
            reason = "is a list, which a URL has as one JSON text"
        elif name not in (required or ()) and name not in tool.defaults:
            reason = "may be missing, and a call without it fails because of the URL"
        else:
            continue
        example = f'"query": {{"{name}": "{{{{ args.{name} }}}}"}}'
        message = f"the argument {name!r} {reason}. Write the parameter into a field of its own, such as {example}."
        yield Problem(path, message, code="argument-in-url")


def _whole_argument(part: Placeholder) -> str | None:
    """Return the argument whose value a placeholder is, without more; None for any other."""
    if isinstance(part, Argument):
        return part.name
    steps = part.expression.path
    return str(steps[1]) if steps is not None and len(steps) == 2 and steps[0] == "args" else None


def _arguments_of_feeds(entry: ManifestEntry) -> Iterator[frozenset[str]]:
    for feed in entry.template.feeds if entry.template is not None else ():
        properties = feed.inputs.get("properties")
        yield frozenset(properties if isinstance(properties, dict) else ())


def _declared_arguments(tool: CompiledTool) -> set[str]:
    properties = tool.inputs.get("properties")
    names = properties if isinstance(properties, dict) else arguments_outside_properties(tool.inputs)
    return {*names, *tool.defaults, *tool.hidden}


def _required_arguments(key: str, value: Any, declared: set[str], is_own: bool, others: set[str]) -> frozenset[str]:
    """Return the arguments that a field uses.

    An inherited message offers more arguments than each tool declares: one of them is enough, and none is needed
    where the tool says that it has none and other tools declare them, which are `others`. An inherited parameter of
    `query` is left out of the calls of a tool that does not declare its argument.
    """
    arguments = find_arguments({key: value}, MESSAGE_KEYS)
    if key == "query":
        return arguments - others
    if key != "message" or is_own:
        return arguments
    return frozenset() if arguments & declared else arguments - others


def _check_request_id(tool: CompiledTool, source: ResolvedTool) -> Iterator[Problem]:
    rules = tool.rules
    if rules.no_reply or rules.match is None or "request_id" not in rules.match.names:
        return
    if rules.listen_only and rules.stream is not None and rules.stream.match is not None:
        return  # `reply.match` is not used then
    request = tool.template.model_dump(mode="json", by_alias=True, exclude=_NON_REQUEST_FIELDS, exclude_defaults=True)
    if any(uses_name(each, "request_id", "next_id") for each in find_expressions(request, MESSAGE_KEYS)):
        return
    path = join_path(source.path, "name")
    if rules.listen_only:
        message = 'sends nothing, so no message has its request ID. Set "reply.match" or "stream.match".'
        yield Problem(path, f"{tool.full_name} {message}", code="listener-needs-match")
    else:
        message = 'waits for a reply with its request ID, but sends none. Put "{{ request_id }}" into the message.'
        yield Problem(path, f"{tool.full_name} {message}", code="request-id-not-sent")


def _check_ambiguous_replies(entry: ManifestEntry, tools: Sequence[CompiledTool]) -> Iterator[Problem]:
    ambiguous = [tool for tool in tools if accepts_any_message(tool) and not tool.rules.ignore]
    if not ambiguous:
        return
    subject = f"{ambiguous[0].full_name} accepts the first message after its request as the reply"
    if (reason := _unsolicited_reason(entry)) is not None:
        fix = 'Describe the reply in "reply.match", or the other messages in "ignore".'
        yield Problem(entry.path, f"{subject}, but {reason}. {fix}", code="ambiguous-reply")
    for tool in ambiguous:
        messages = [tool.template.message, *tool.template.then]
        expressions = find_expressions(messages, MESSAGE_KEYS, in_template=True)
        if any(uses_name(each, "request_id") for each in expressions):
            path = join_path(entry.path, "request_id" if "request_id" in entry.raw else "reply")
            fix = 'Compare it in "reply.match", such as "message.id == request_id".'
            yield Problem(path, f"{subject}, although it sends an ID. {fix}", code="request-id-not-matched")
            return


def _unsolicited_reason(entry: ManifestEntry) -> str | None:
    """Return what in a manifest shows that the endpoint sends more than replies."""
    template = entry.template
    if template is None:
        return None
    if template.capture:
        return '"capture" shows that other messages arrive'
    if template.heartbeat is not None and template.heartbeat.expect is None:
        return 'the answers to "heartbeat" arrive as well'
    if any(rule.keep for rule in template.auto_reply):
        return '"auto_reply" shows that other messages arrive'
    if any(step.expect is not None for step in template.on_connect):
        return '"on_connect" shows that the endpoint sends the first message'
    return None
