"""Draft a whole manifest from a recorded conversation: endpoint, login, reply rules, feeds, tools."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Final

from ..core.expressions.paths import UNDEFINED, value_at
from ..core.network_policy import URL, classify_address, parse_ip
from ..manifest.invisible import escape_in_json
from ..manifest.variables import VARIABLE
from ..records import MutableRecord, Record, field, replace
from .correlation import Conversation, CorrelationIds, RecordedExchange, analyze
from .credentials import (
    SecretVariables,
    headers_without_secrets,
    is_login,
    opens_session,
    protocols_without_secrets,
    url_fields,
    without_secrets,
)
from .feeds import draft_feeds, is_event
from .messages import (
    Mark,
    RecordedMessage,
    alike,
    distinguishing_predicate,
    kind_predicate,
    message_kind,
    with_value,
)
from .preset_forms import PresetForm, Recorded, recognize_preset
from .questions import Question, comments, draft_auto_replies, find_questions
from .replies import error_rules, find_errors, infer_reply_rules, reply_match, take_acknowledgements
from .templates import REQUEST_ID
from .tools import draft_tools, without

Document = dict[str, Any]

_OPEN_VARIABLES: Final = frozenset({"WAMP_REALM", "STOMP_HOST", "WAMP_AUTHID", "STOMP_LOGIN"})
"""Variables of presets that are no secrets: their values may stand in the draft."""

HOW_TO_TRY: Final = "Try it with: utcp-ws-mcp call … --trace"
"""The next step, as a comment of a draft says it."""

LINE_WIDTH: Final = 110
"""The maximum length of a line of formatted JSON in characters."""


class Draft(MutableRecord):
    """A drafted manifest, and the variables that replace the secrets that were typed in plain text."""

    not_in_repr: ClassVar = ("secrets",)
    document: Document
    secrets: SecretVariables = field(default_factory=SecretVariables)

    @property
    def missing_variables(self) -> list[str]:
        """Return the names of the variables that have to be set."""
        return list(self.secrets.values)


class Understood(Record):
    """What a conversation is classified as.

    Attributes:
        form: The form of the preset whose protocol it has, or None.
        messages: The messages as they are understood: for each recorded one those that the preset finds in it.
        conversation: The exchanges with their logins, which a preset has not.
        logins: The exchanges that are logins.
        exchanges: The exchanges that become tools.
        questions: What the endpoint asked and was answered; their answers are in no exchange.
    """

    form: PresetForm | None
    messages: Sequence[Sequence[RecordedMessage]]
    conversation: Conversation
    logins: Sequence[RecordedExchange]
    exchanges: Conversation
    questions: Sequence[Question]


def understand(endpoint: Document, messages: Sequence[RecordedMessage], variables: Collection[str]) -> Understood:
    """Return what a conversation is classified as; the arguments are those of `draft_manifest`."""
    questions = find_questions(messages, variables)
    taken = _taken_by(questions)
    others = [message for message in messages if id(message) not in taken]
    form = recognize_preset(Recorded(endpoint["url"], endpoint.get("protocol", ()), others))
    if form is not None:
        parts = form.parts(messages)
        if form.opens_session:  # the preset answers what its protocol asks
            questions, taken = [], frozenset()
        conversation = _preset_conversation(form, [each for part in parts for each in part if id(each) not in taken])
        logins = [] if form.opens_session else _logins(conversation, variables)
        return Understood(form, parts, conversation, logins, without(conversation, logins), questions)
    conversation = analyze(others, is_login=lambda value: is_login(value, variables))
    conversation = without(conversation, _ignored(conversation))
    logins = _logins(conversation, variables)
    exchanges = without(conversation, logins)
    take_acknowledgements(exchanges.exchanges)
    return Understood(None, [[message] for message in messages], conversation, logins, exchanges, questions)


def _taken_by(questions: Sequence[Question]) -> frozenset[int]:
    """Return the `id()` of the answers to questions, and of the questions that only rules need."""
    answers = [answer.sent for question in questions for answer in question.answers]
    asked = [each for question in questions if question.is_regular and not question.keeps for each in question.asked]
    return frozenset(map(id, answers + asked))


def _logins(conversation: Conversation, variables: Collection[str]) -> list[RecordedExchange]:
    """Return the exchanges that open a session: by a credential, or as the first ones, which introduce the client."""
    kinds = [message_kind(each.request.value) for each in conversation.exchanges]
    introduces = [kind is not None and kinds.count(kind) == 1 and opens_session(kind[1]) for kind in kinds]
    if all(introduces):  # who sends nothing else wants it as a call
        introduces = []
    return [
        each
        for index, each in enumerate(conversation.exchanges)
        if _is_login(each.request, variables)
        or (
            introduces
            and all(introduces[: index + 1])
            and each.request.mark is not Mark.REQUEST
            and not find_errors(each.replies)
        )
    ]


def draft_manifest(
    endpoint: Document,
    url: URL,
    messages: Sequence[RecordedMessage],
    variables: Collection[str],
    known: SecretVariables | None = None,
) -> Draft:
    """Return a manifest for a conversation.

    Args:
        endpoint: The call template fields of the recorded connection, as they were typed.
        url: The parsed URL of the endpoint.
        messages: The conversation, in order.
        variables: The names of the variables that are set, and so may occur in the messages.
        known: The variables of other conversations, which keep their values.
    """
    secrets = SecretVariables() if known is None else known
    fields = _public_endpoint(endpoint, variables, secrets)
    draft = Draft({"name": _manual_name(url), **fields, **network_fields(url)}, secrets)
    understood = understand(endpoint, messages, variables)
    form, conversation, exchanges = understood.form, understood.conversation, understood.exchanges
    if form is not None:
        draft.document |= _preset_fields(form, messages, variables, secrets)
    steps = [] if form is not None else _greeting_step(conversation)
    for exchange in understood.logins:
        steps += _login_steps(exchange, conversation, variables, secrets)
    draft.document |= {"on_connect": steps} if steps else {}
    replies = draft_auto_replies(understood.questions, variables, secrets)
    draft.document |= {"auto_reply": replies} if replies else {}
    if form is None:
        draft.document |= _exchange_fields(exchanges)
    tools, feeds = draft_tools(exchanges, variables, form), draft_feeds(exchanges, form)
    draft.document |= ({"feeds": feeds} if feeds else {}) | ({"tools": tools} if tools else {})
    comment = _comment(conversation, form) + comments(understood.questions)
    strays = sum(map(form.is_stray, messages)) if form is not None else 0
    if strays:
        left_out = "text that was sent is" if strays == 1 else "texts that were sent are"
        comment.append(f"{strays} {left_out} left out: no message of this protocol is a text.")
    draft.document = {"$comment": comment, **draft.document}
    return draft


def _public_endpoint(endpoint: Document, variables: Collection[str], secrets: SecretVariables) -> Document:
    """Return the fields of the connection, with variables in place of the secrets that were typed."""
    others = {key: value for key, value in endpoint.items() if key != "url"}
    fields: Document = {**url_fields(endpoint["url"], variables, secrets), **others}
    if "headers" in endpoint:
        fields["headers"] = headers_without_secrets(endpoint["headers"], variables, secrets)
    if "protocol" in endpoint:
        fields["protocol"] = protocols_without_secrets(endpoint["protocol"], variables, secrets)
    return fields


def _preset_conversation(form: PresetForm, decoded: Sequence[RecordedMessage]) -> Conversation:
    """Return the exchanges of a conversation in the protocol of a preset, without what the preset sends by itself."""
    first, *others = form.reply_paths
    ids = CorrelationIds(form.id_path, first, "counter", tuple(others))
    start = next((index for index, each in enumerate(decoded) if each.sent), len(decoded))
    conversation = analyze(decoded[start:], ids)
    own = [each for each in conversation.exchanges if form.is_own(each.request.value)]
    events = [event for each in conversation.exchanges for event in _take_events(form, each)]
    rest = without(conversation, [*own, *_ignored(conversation)])
    return replace(rest, unsolicited=[*rest.unsolicited, *events])


def _take_events(form: PresetForm, exchange: RecordedExchange) -> list[RecordedMessage]:
    """Take the events out of the replies: they answer nothing, unless a person says so.

    An event behind a message without an ID counts as its answer where its kind comes nowhere else.
    """
    events = [
        reply
        for reply in exchange.replies
        if form.event(reply.value) is not None and reply.mark not in (Mark.REPLY, Mark.ERROR)
    ]
    exchange.replies = [reply for reply in exchange.replies if reply not in events]
    return events


def _ignored(conversation: Conversation) -> list[RecordedExchange]:
    """Return the exchanges whose request is to become no tool, because a person says so."""
    marked = [each.request for each in conversation.exchanges if each.request.mark is Mark.IGNORED]
    return [each for each in conversation.exchanges if each.request in marked or alike(each.request, marked)]


def _is_login(request: RecordedMessage, variables: Collection[str]) -> bool:
    return request.mark is not Mark.REQUEST and is_login(request.value, variables)


def _preset_fields(
    form: PresetForm, messages: Sequence[RecordedMessage], variables: Collection[str], secrets: SecretVariables
) -> Document:
    """Return the preset, and the variables of its login: those that are no secrets with their value."""
    fields: Document = {"preset": form.preset}
    values: Document = {}
    for message in form.decoded(messages):
        if message.sent and form.is_own(message.value):
            values |= form.login(message.value)
    for name, value in values.items():
        if name in _OPEN_VARIABLES and isinstance(value, str) and not VARIABLE.search(value):
            fields.setdefault("variables", {})[name] = value
        elif value != f"${{{name}}}":
            secrets.values.setdefault(name, str(value))
    payload = next((each.value["payload"] for each in messages if each.sent and _is_init(each.value)), None)
    if form.preset == "graphql-transport-ws" and payload:
        send = {"type": "connection_init", "payload": without_secrets(payload, "", variables, secrets)}
        fields["on_connect"] = [{"send": send}, {"expect": "message.type == 'connection_ack'"}]
    return fields


def _is_init(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "connection_init" and "payload" in value


def format_json(value: Any, depth: int = 0, prefix_width: int = 0) -> str:
    """Return the text of a JSON value as people write manifests: what fits on a line is on one line.

    Texts of an endpoint or of a description may be among the values: what is invisible is escaped.

    Args:
        value: The JSON value.
        depth: The level of nesting, for the indentation.
        prefix_width: The number of characters before the value on its line, such as those of its key.
    """
    short = escape_in_json(json.dumps(value, ensure_ascii=False))
    fits = depth and 2 * depth + prefix_width + len(short) < LINE_WIDTH
    if not isinstance(value, dict | list) or not value or fits:
        return short
    indent, end = "\n" + "  " * (depth + 1), "\n" + "  " * depth
    if isinstance(value, list):
        return f"[{indent}" + f",{indent}".join(format_json(item, depth + 1) for item in value) + f"{end}]"
    keys = ((escape_in_json(json.dumps(key, ensure_ascii=False)) + ": ", item) for key, item in value.items())
    members = (key + format_json(item, depth + 1, len(key)) for key, item in keys)
    return f"{{{indent}" + f",{indent}".join(members) + f"{end}}}"


def _exchange_fields(conversation: Conversation) -> Document:
    if not conversation.exchanges:
        return {}
    ids = {"request_id": conversation.ids.kind} if conversation.ids else {}
    return ids | infer_reply_rules(conversation)


def _comment(conversation: Conversation, form: PresetForm | None) -> list[str]:
    how = f"in the protocol of the preset {form.preset}." if form else _correlation_comment(conversation)
    count = len(conversation.exchanges)
    return [
        f"Drafted from {count} sent message{'s' * (count != 1)}; {how}",
        f"Names, descriptions and types of arguments are guesses. {HOW_TO_TRY}",
        'What a tool changes cannot be known from messages: write "annotations", such as {"readOnlyHint": true}.',
    ]


def _correlation_comment(conversation: Conversation) -> str:
    """Say how replies are matched to requests."""
    if not any(exchange.replies for exchange in conversation.exchanges):
        return "none was answered. Does the endpoint expect another form, such as a line break at the end?"
    if conversation.ids:
        return "replies are matched by IDs."
    return "replies are matched by their order: the first message after a request is its reply."


def _manual_name(url: URL) -> str:
    labels = [label for label in url.host.split(".") if label not in ("www", "api", "ws", "wss", "stream")]
    word = re.sub(r"[^A-Za-z0-9]+", "_", labels[0] if labels else "").strip("_")[:20]
    return word if re.match(r"[A-Za-z]", word) else "api"


def network_fields(url: URL) -> Document:
    """Return what the endpoint needs in addition to a public address over TLS."""
    if url.is_loopback_literal:
        return {}
    network: Document = {"allow": ["private"]} if is_near(url.host) else {}
    network |= {} if url.secure else {"plaintext": True}
    return {"network": network} if network else {}


def is_near(host: str) -> bool:
    """Return whether a host is a private address or this machine, or a name that only a local network knows."""
    address = parse_ip(host)
    if address is not None:
        return classify_address(address) in ("private", "loopback")
    return "." not in host or host.endswith((".local", ".lan", ".home", ".internal"))


def _greeting_step(conversation: Conversation) -> list[Document]:
    greeting = conversation.greeting
    if greeting is None or is_event(greeting, conversation):
        return []
    return [{"$comment": "The endpoint sends the first message.", "expect": kind_predicate(greeting.value)}]


def _login_steps(
    exchange: RecordedExchange, conversation: Conversation, variables: Collection[str], secrets: SecretVariables
) -> list[Document]:
    """Return the steps of a login: its message with an ID of its own, and the answer, which nothing else fulfils."""
    value = exchange.request.value
    comment = "A login." if is_login(value, variables) else "The client introduces itself."
    step: Document = {"$comment": comment, "send": without_secrets(value, "", variables, secrets)}
    ids = None if exchange.by_order else conversation.ids
    if ids is not None and value_at(value, ids.sent) is UNDEFINED:
        ids = None
    if ids is not None:
        step |= {"send": with_value(step["send"], ids.sent, REQUEST_ID), "request_id": True}
    if not exchange.replies:
        return [step]
    reply = exchange.replies[0].value
    others = [other for other in conversation.exchanges if other is not exchange]
    answers = [each.value for other in others for each in other.replies]
    if ids is not None:
        fails = next((rules["error"] for each in answers if (rules := error_rules(each))), "message.error")
        return [step, {"expect": reply_match(conversation, ids), "fail": fails}]
    received = [each.value for each in conversation.unsolicited] + answers
    received += [other.ack.value for other in others if other.ack is not None]
    return [step, {"expect": distinguishing_predicate([reply], received) or kind_predicate(reply)}]
