"""Recognize messages that answer several requests: with a list of their IDs, or with the first one and their number.

That two requests have the same ID elsewhere could be chance. So a form counts only if it accounts for every request:
each is answered once, after it was sent, and at least one message answers more than one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice, product
from typing import Any, Final

from ..core.expressions.paths import Path, value_at
from ..records import Record
from .messages import RecordedMessage, leaves, path_expression

MAX_ANSWERED: Final = 10_000
"""Requests that one message answers at most: the number in it may be any."""

MAX_FORMS: Final = 100
"""Forms that are tried: an endpoint may send lists under any number of names."""

MAX_NUMBERS: Final = 12
"""Numbers in a message among which the number of requests is searched for."""


class SharedForm(Record):
    """Where a message has the IDs of the requests that it answers.

    Attributes:
        ids: The path of their list, or of the first ID.
        count: The path of their number; None for a list.
    """

    ids: Path
    count: Path | None = None

    def answered(self, value: Any) -> list[Any]:
        """Return the IDs that a message names; none if it has not this form."""
        found = value_at(value, self.ids)
        if self.count is None:
            return found if isinstance(found, list) else []
        count = value_at(value, self.count)
        is_range = type(found) is int and type(count) is int and 0 < count <= MAX_ANSWERED
        return list(range(found, found + count)) if is_range else []

    @property
    def predicate(self) -> str:
        """Return the predicate that is true for the requests that a message answers."""
        ids = path_expression(self.ids)
        if self.count is None:
            return f"request_id in {ids}"
        return f"{ids} <= request_id and request_id < {ids} + {path_expression(self.count)}"


def find_shared_form(messages: Sequence[RecordedMessage], sent: Path, requests: Collection[Any]) -> SharedForm | None:
    """Return the form of the messages that answer all requests, some of them together, or None.

    Args:
        messages: The conversation.
        sent: The path of the ID in requests.
        requests: The IDs at this path.
    """
    forms = islice(_possible_forms(messages, sent), MAX_FORMS)
    return next((form for form in forms if _accounts_for(form, messages, sent, requests)), None)


def _possible_forms(messages: Sequence[RecordedMessage], sent: Path) -> Iterator[SharedForm]:
    received = [list(leaves(message.value)) for message in messages if not message.sent]
    found = (SharedForm(path) for each in received for path, value in each if path and isinstance(value, list))
    yield from dict.fromkeys(found)
    numbers = ([path for path, value in each if path and type(value) is int][:MAX_NUMBERS] for each in received)
    # Small numbers are everywhere: the first ID has the name that it has in requests.
    ranges = (
        SharedForm(first, count)
        for paths in numbers
        for first, count in product(paths, repeat=2)
        if first != count and first[-1] == sent[-1] and isinstance(sent[-1], str)
    )
    yield from dict.fromkeys(ranges)


def _accounts_for(form: SharedForm, messages: Sequence[RecordedMessage], sent: Path, requests: Collection[Any]) -> bool:
    """Return whether messages of a form answer each request once, and one of them several."""
    waiting: list[Any] = []
    unanswered, most = len(requests), 0
    for message in messages:
        if message.sent:
            key = value_at(message.value, sent)
            waiting += [key] if type(key) in (int, str) and key in requests else []
            continue
        answered = form.answered(message.value)
        if any(type(key) not in (int, str) or key not in waiting for key in answered):
            return False
        waiting = [key for key in waiting if key not in answered]
        unanswered -= len(answered)
        most = max(most, len(set(answered)))
    return unanswered == 0 and most > 1
