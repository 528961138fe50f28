"""The rules of a stream: which messages are its items, which end it, and how long a call waits for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from ...manifest.models.reply import Stream
from ...records import Record, field
from ..expressions.expression import EvaluationError, Expression
from ..templates.nodes import RenderError

StreamEnd = Literal["until", "max_items", "max_seconds", "idle_seconds", "max_bytes", "closed"]
"""What ended a stream."""

COMPUTABLE_BOUNDS: Final = ("max_items", "max_seconds", "idle_seconds")
"""Bounds of a stream that may be expressions."""


class StreamLimits(Record):
    """The bounds of one stream.

    Args:
        max_items: How many items it has at most.
        max_seconds: How long it lasts at most; None for the timeout of the call.
        idle_seconds: How long it may pause; None for no limit.
    """

    max_items: int
    max_seconds: float | None
    idle_seconds: float | None

    def next_deadline(
        self, now: float, started_at: float, timeout_at: float, end_at_timeout: StreamEnd | None
    ) -> tuple[float, StreamEnd | None]:
        """Return until when to wait for the next message, and how the stream ends then; None if the call times out.

        Args:
            now: The time, in seconds of some clock.
            started_at: When the stream began.
            timeout_at: When the call times out.
            end_at_timeout: How the stream ends then, if `max_seconds` does not say when it ends.
        """
        deadline, end = timeout_at, end_at_timeout
        if self.max_seconds is not None:
            deadline, end = started_at + self.max_seconds, "max_seconds"
        if self.idle_seconds is not None and now + self.idle_seconds < deadline:
            return now + self.idle_seconds, "idle_seconds"
        return deadline, end


class StreamRules(Record):
    """Which messages are items of a stream, which end it, and its bounds.

    The stream ends when each predicate of `until` has been true for a message. With `match`, the items are the messages
    for which it is true; the reply to the request comes first, and expressions see it as `reply`.
    """

    match: Expression | None
    until: tuple[Expression, ...]
    item: Expression | None
    bounds: Stream
    computed_bounds: Mapping[str, Expression] = field(default_factory=dict)

    @property
    def end_at_timeout(self) -> StreamEnd | None:
        """Return how a stream without `max_seconds` ends at the timeout of the call; None if that is a failure.

        The timeout is no bound of a stream that has an end of its own: without it, the stream is cut.
        """
        has_end = self.until or self.bounds.until_close or self.bounds.require_end
        return None if has_end else "max_seconds"

    def limits(self, scope: Mapping[str, Any]) -> StreamLimits:
        """Return the bounds of one exchange.

        Raises:
            RenderError: where an expression gives no number above zero.
        """
        values = {name: getattr(self.bounds, name) for name in COMPUTABLE_BOUNDS}
        for name, expression in self.computed_bounds.items():
            try:
                value = expression.evaluate(scope)
            except EvaluationError as error:
                raise RenderError(f"stream.{name}: {error}", code=error.code) from None
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise RenderError(
                    f"stream.{name}: {expression.source} is not a number above zero.", code="expression-failed"
                )
            values[name] = value
        return StreamLimits(int(values["max_items"]), values["max_seconds"], values["idle_seconds"])
