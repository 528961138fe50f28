"""S18: an expression from the network may only look up and compare, and its time and its value are bounded.

Expressions are drawn from a grammar that also has what is forbidden: arithmetic, filters, calls, lists of values. What
is accepted is checked by other means: without its texts, it holds no sign of an operation, and no call. It is evaluated
with a large message; its value must be a part of the message, a literal, or a verdict.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from typing import Any, Final

from utcp_ws_mcp.core.codecs.message import encode_json, to_json_safe
from utcp_ws_mcp.core.expressions.expression import EvaluationError, Expression
from utcp_ws_mcp.core.expressions.scope import MESSAGE_NAMES
from utcp_ws_mcp.core.expressions.vocabulary import BUILTIN_FILTERS, FUNCTIONS, METHODS
from utcp_ws_mcp.errors import InvalidTemplate
from verification.harness.clock import unit_of_work
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .expressions import scope

MAX_UNITS: Final = 20.0
"""Processor time of an evaluation, in units of about 10 ms; the message has about 1 MiB."""

MESSAGE: Final = {
    "id": 3,
    "type": "a",
    "items": [{"x": number, "y": "z" * 60} for number in range(5_000)],
    "text": "b" * 500_000,
    "deep": {"er": {"est": [1, 2, 3]}},
}
PATHS: Final = ("message", "message.text", "message.items", "message.items[7]", "message['deep'].er.est[-1]", "args.t")
PATHS_TOO: Final = (
    "message.items[1:]",
    "request_id",
    "reply.id",
    "message.none",
    "session.salt",
    "message.items[-1].y",
)
LITERALS: Final = ("1", "-1", "2.5", "'a'", '"b"', "true", "none", "['a', 'b']", "[]", "{'a': 1}", "()", "(1,)")
OPERATORS: Final = (
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "not in",
    "and",
    "or",
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "**",
    "~",
    "is",
    "|",
)
_TEXTS: Final = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_OPERATION: Final = re.compile(r"[+*/%~|{]|-(?![\s(-]*\d)")
_CALL: Final = re.compile(r"(?<![\w.])(?!(?:and|or|not|in|if|else|is)\b)[\w.]*[\w\])]\s*\(")


def draw(rng: random.Random, depth: int) -> str:
    """Return an expression."""
    if depth == 0:
        return rng.choice((*PATHS, *PATHS_TOO, *LITERALS))
    one, other, third = (draw(rng, rng.randrange(depth)) for _ in range(3))
    return rng.choice(
        (
            f"{one} {rng.choice(OPERATORS)} {other}",
            f"{one} {rng.choice(OPERATORS)} {other}",
            f"{one} {rng.choice(('==', 'in', 'and', 'or'))} {other}",
            f"{one} if {other} else {third}",
            f"({one})",
            f"not {one}",
            f"-{one}",
            f"[{one}, {other}]",
            f"{one} is {rng.choice(('defined', 'none', 'string', 'sameas(1)', 'divisibleby 2'))}",
            f"{one}[{other}]",
            f"{one} | {rng.choice(sorted(BUILTIN_FILTERS))}",
            f"{one}.{rng.choice(sorted(METHODS))}({other})",
            f"{rng.choice((*FUNCTIONS, 'range', 'dict', 'namespace'))}({one})",
            f"{{'k': {one}, 'l': {other}}}",
        )
    )


def looks_foreign(text: str) -> bool:
    """Return whether an expression does more than to look up and to compare, judged by its signs alone."""
    bare = _TEXTS.sub("'", text)
    return bool(_OPERATION.search(bare) or _CALL.search(bare))


async def measure(size: Size) -> Sequence[Figure]:
    """Draw, compile and evaluate."""
    rng, wrong, slow, refused = size.random(), list[str](), list[str](), 0
    names, values = MESSAGE_NAMES - {"vars"}, scope().with_values(message=MESSAGE)
    limit = len(encode_json(MESSAGE))
    unit = min(unit_of_work() for _ in range(5))
    count, accepted, longest = size.of(4_000, 400_000), 0, 0.0
    for _ in range(count):
        text = draw(rng, rng.randrange(1, 4))
        try:
            expression = Expression(text, names, local=False)
        except InvalidTemplate:
            refused += 1
            continue
        accepted += 1
        started = time.process_time()
        try:
            value = expression.evaluate(values)
        except EvaluationError:
            value = None
        units = (time.process_time() - started) / unit
        longest = max(longest, units)
        slow += [f"{text!r} ({units:.0f})"] if units > MAX_UNITS else []
        if looks_foreign(text) or size_of(value) > limit + len(text):
            wrong.append(text)
    result = f"{len(wrong)} wrong of {accepted} accepted, {refused} refused" + "".join(
        f"; {each}" for each in wrong[:3]
    )
    took = f"{longest:.1f} units of work" + "".join(f"; {each}" for each in slow[:3])
    return [
        Figure("S18", f"{count} expressions from the network", result, "0 wrong, some accepted and refused",
               not wrong and accepted > count // 50 and refused > count // 50),
        Figure("S18", "the longest evaluation with a message of 1 MiB", took, f"{MAX_UNITS:.0f} units", not slow),
    ]  # fmt: skip


def size_of(value: Any) -> int:
    """Return the length of a value as JSON."""
    return len(encode_json(to_json_safe(value))) if isinstance(value, list | dict | str) else 0


if __name__ == "__main__":
    run(measure)
