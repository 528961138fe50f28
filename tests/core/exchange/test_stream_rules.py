"""Until when a call waits for the next message of a stream."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.core.exchange.stream_rules import StreamEnd, StreamLimits, StreamRules
from utcp_ws_mcp.core.expressions.expression import compile_expression
from utcp_ws_mcp.manifest.models.reply import Stream

NOW, STARTED, TIMEOUT = 10.0, 7.0, 30.0

DEADLINES = {
    "without a bound, the timeout": (None, None, (30.0, "max_seconds")),
    "its duration, from its beginning": (5.0, None, (12.0, "max_seconds")),
    "a duration beyond the timeout, too": (60.0, None, (67.0, "max_seconds")),
    "a pause, from now": (None, 2.0, (12.0, "idle_seconds")),
    "the end of its duration before that of a pause": (4.0, 2.0, (11.0, "max_seconds")),
    "the same instant": (5.0, 2.0, (12.0, "max_seconds")),
    "the timeout before the end of a pause": (None, 20.0, (30.0, "max_seconds")),
}


@pytest.mark.parametrize(("seconds", "idle", "expected"), DEADLINES.values(), ids=DEADLINES)
def test_a_call_waits_until_the_first_bound(
    seconds: float | None, idle: float | None, expected: tuple[float, StreamEnd]
) -> None:
    limits = StreamLimits(1000, seconds, idle)
    assert limits.next_deadline(NOW, STARTED, TIMEOUT, "max_seconds") == expected


def test_a_bound_ends_a_stream_that_the_timeout_would_cut() -> None:
    assert StreamLimits(1, None, None).next_deadline(NOW, STARTED, TIMEOUT, None) == (30.0, None)
    assert StreamLimits(1, 1.0, None).next_deadline(NOW, STARTED, TIMEOUT, None) == (8.0, "max_seconds")


@pytest.mark.parametrize(
    ("until", "bounds", "end"),
    [
        (False, {}, "max_seconds"),
        (True, {}, None),
        (False, {"until_close": True}, None),
        (False, {"require_end": True}, None),
    ],
)
def test_the_timeout_is_the_end_of_a_stream_only_if_it_has_no_end_of_its_own(
    until: bool, bounds: dict[str, bool], end: StreamEnd | None
) -> None:
    predicates = (compile_expression("message.done", frozenset({"message"})),) if until else ()
    assert StreamRules(None, predicates, None, Stream.model_validate(bounds)).end_at_timeout == end
