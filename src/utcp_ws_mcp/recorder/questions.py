"""Find what the endpoint asked and the recorded client answered, and draft the answers as `auto_reply`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from ..core.expressions.paths import UNDEFINED, Path, value_at
from ..records import Record
from .correlation import ID_KEYS, is_id
from .credentials import SecretVariables, is_login, without_secrets
from .messages import (
    RecordedMessage,
    is_heartbeat,
    kind_predicate,
    leaves,
    message_kind,
    path_expression,
    with_value,
)
from .replies import RESULT_KEYS
from .templates import CONSTANT_KEYS

MAX_QUESTIONS: Final = 20
"""Kinds of questions that a draft answers: an endpoint may send any number of them."""

_RESPONSE_KEYS: Final = (*RESULT_KEYS, "error")
"""Keys of a message that is an answer, if it has no kind."""

_DATA_KEYS: Final = (*RESULT_KEYS, "params")
"""Keys that can hold what a question says."""


_Key = tuple[type, Any]
"""An ID and its type: a text is another ID than a number."""


class Answer(Record):
    """A received message with an ID, the sent message that answers it, and the paths of the ID in both."""

    asked: RecordedMessage
    sent: RecordedMessage
    asked_path: Path
    sent_path: Path


class Question(Record):
    """One kind of message that an endpoint sends and that was answered.

    Attributes:
        asked: All such messages.
        answers: The answers, in order.
        is_regular: Whether each such message was answered in the same way, so that a rule can do it. A single answer
            can be a decision of a person, unless it only says that the client is there.
        keeps: Whether the message also says something, which a feed may want.
    """

    asked: Sequence[RecordedMessage]
    answers: Sequence[Answer]
    is_regular: bool
    keeps: bool

    @property
    def kind(self) -> Any:
        """Return the kind of the message."""
        kind = message_kind(self.answers[0].asked.value)
        return kind[1] if kind else None


def find_questions(messages: Sequence[RecordedMessage], variables: Collection[str]) -> list[Question]:
    """Return what the endpoint asked and was answered, one for each kind of message.

    Args:
        messages: The conversation, in order.
        variables: The names of the variables that are set; a message with a credential is a login, no answer.
    """
    answers: dict[str, list[Answer]] = {}
    for answer in _find_answers(messages, variables):
        answers.setdefault(kind_predicate(answer.asked.value), []).append(answer)
    asked: dict[str, list[RecordedMessage]] = {}
    for message in filter(_asks, messages if answers else ()):
        asked.setdefault(kind_predicate(message.value), []).append(message)
    found = (_question(listed, asked[kind]) for kind, listed in answers.items())
    return list(islice((question for question in found if question is not None), MAX_QUESTIONS))


def _find_answers(messages: Sequence[RecordedMessage], variables: Collection[str]) -> Iterator[Answer]:
    """Yield the sent messages that may answer a received one with the same ID, each with the last such one."""
    received = [(key, index) for index, each in enumerate(messages) if not each.sent for _, key in _ids(each.value)]
    last_received = dict(received)
    asked: dict[_Key, tuple[RecordedMessage, Path]] = {}
    sent: set[_Key] = set()
    for index, message in enumerate(messages):
        ids = _ids(message.value)
        if _asks(message):
            asked |= {key: (message, path) for path, key in reversed(ids)}
        elif message.sent and message.mark is None and not is_login(message.value, variables):
            for path, key in (each for each in ids if each[1] in asked):
                question, asked_path = asked[key]
                is_only_use = key not in sent and last_received[key] < index
                if is_only_use or _is_response(message.value, question.value):
                    yield Answer(question, message, asked_path, path)
                    break
        if message.sent:
            sent.update(key for _, key in ids)


def _ids(value: Any) -> list[tuple[Path, _Key]]:
    """Return the IDs at the root of an object, and their paths."""
    members = value.items() if isinstance(value, dict) else ()
    return [((key,), (type(item), item)) for key, item in members if key in ID_KEYS and is_id(item)]


def _asks(message: RecordedMessage) -> bool:
    return not message.sent and message.mark is None and message_kind(message.value) is not None


def _is_response(sent: Any, asked: Any) -> bool:
    """Return whether a message cannot be a request: it has a result and no kind, or both messages are heartbeats."""
    kind = message_kind(asked)
    is_bare = kind is not None and value_at(sent, kind[0]) is UNDEFINED and any(key in sent for key in _RESPONSE_KEYS)
    return is_bare or (is_heartbeat(asked) and is_heartbeat(sent))


def _question(answers: Sequence[Answer], of_kind: Sequence[RecordedMessage]) -> Question | None:
    """Return the question of some answers; None where a single message may as well be a request.

    Args:
        answers: The answers to the messages of one kind.
        of_kind: All messages of this kind.
    """
    first = answers[0]
    only_alive = is_heartbeat(first.asked.value)
    if len(answers) == 1 and not only_alive and not _is_response(first.sent.value, first.asked.value):
        return None
    asked = [each for each in of_kind if value_at(each.value, first.asked_path) is not UNDEFINED]
    is_regular = (
        (only_alive or len(answers) > 1)
        and {id(each) for each in asked[: len(answers)]} == {id(answer.asked) for answer in answers}
        and all(_template(each) == _template(first) for each in answers)
    )
    keeps = any(value_at(first.asked.value, (key,)) not in (UNDEFINED, None, {}, []) for key in _DATA_KEYS)
    return Question(asked, answers, is_regular, keeps)


def _template(answer: Answer) -> Any:
    """Return the answer with an expression in place of each value that it repeats from the question."""
    value = answer.sent.value
    for path, expression in _echoes(answer):
        value = with_value(value, path, expression)
    return value


def _echoes(answer: Answer) -> list[tuple[Path, str]]:
    """Return the paths of the answer whose values are those of the question at the same path, and the ID."""
    places = [
        path
        for path, item in leaves(answer.sent.value)
        if path[-1] not in CONSTANT_KEYS and value_at(answer.asked.value, path) == item
    ]
    echoes = [(path, f"{{{{ {path_expression(path)} }}}}") for path in places]
    return [*echoes, (answer.sent_path, f"{{{{ {path_expression(answer.asked_path)} }}}}")]


def draft_auto_replies(
    questions: Sequence[Question], variables: Collection[str], secrets: SecretVariables
) -> list[dict[str, Any]]:
    """Return a rule of `auto_reply` for each question that was answered in the same way each time."""
    return [_auto_reply(question, variables, secrets) for question in questions if question.is_regular]


def _auto_reply(question: Question, variables: Collection[str], secrets: SecretVariables) -> dict[str, Any]:
    first = question.answers[0]
    send = without_secrets(first.sent.value, "", variables, secrets)
    for path, expression in _echoes(first):
        send = with_value(send, path, expression)
    match = f"{kind_predicate(first.asked.value)} and {path_expression(first.asked_path)} is defined"
    return {"match": match, "send": send} | ({"keep": True} if question.keeps else {})


def comments(questions: Sequence[Question]) -> list[str]:
    """Return what a draft says of questions that a person decided."""
    return [
        f"The endpoint asked {str(question.kind)[:40]!r}, and an answer was sent by hand. "
        'If it is always the same, write "auto_reply".'
        for question in questions
        if not question.is_regular
    ]
