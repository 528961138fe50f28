"""Rule for steps of a login that take other messages for a refusal."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.expressions.expression import compile_expression
from ..core.expressions.scope import CALL_REPLY_NAMES
from ..errors import Problem
from ..manifest.entries import ManifestEntry
from ..manifest.validation import join_path


def check_login(entry: ManifestEntry) -> Iterator[Problem]:
    """Yield a problem for each step that expects an ID, and whose `fail` is true for messages without any field.

    Where `expect` compares no ID, the step may be waiting for the only message that can come.
    """
    for index, step in enumerate(entry.raw.get("on_connect") or ()):
        if not isinstance(step, dict) or not step.get("expect") or not step.get("fail"):
            continue
        expect, fail = (compile_expression(step[field], CALL_REPLY_NAMES) for field in ("expect", "fail"))
        if "request_id" in expect.names and fail.names == ("message",) and fail.is_true({"message": {}}):
            message = (
                "is also true for messages that have not the field that it tests, such as events: the first one that "
                'comes during the step would be a refusal. Compare what "expect" compares, too, such as '
                '"message.id == request_id and not message.ok".'
            )
            path = join_path(entry.path, f"on_connect[{index}].fail")
            yield Problem(path, message, code="login-fail-too-broad")
