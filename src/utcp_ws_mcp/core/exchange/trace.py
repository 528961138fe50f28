"""Why a message is taken for what it is: which rule holds, which does not, and what could not be evaluated.

Nothing here changes anything: every predicate is evaluated once more, before the message is classified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ..codecs.message import Message, clean, encode_json
from ..connection_rules import Captures, StepPlan
from ..expressions.expression import Expression, ExpressionFailed
from ..expressions.paths import LITERAL, UNDEFINED, look_up, parse_path
from ..expressions.scope import Scope
from .connection_state import Session
from .dispatcher import Exchanges
from .exchange import Exchange
from .reply_rules import AutoReplies, Rules

LONGEST_VALUE: Final = 60
"""Characters of a value that is shown."""

MOST_EXCHANGES: Final = 3
"""Exchanges whose rules are explained for one message."""

_NAMES = re.compile(
    r"(?<![\w.])(?:message|session|args|let|reply)(?:\.\w+\b(?!\()|\[-?\d+\]|\['[^']*'\])+|(?<![\w.])request_id\b"
)


def explain_message(session: Session, exchanges: Exchanges, message: Message) -> tuple[str, ...]:
    """What the rules of a connection and of the exchanges on it say of a message that has just come."""
    account = Account(session.scope(message=message.value))
    if session.conduct.retire is not None and account.holds("retire", session.conduct.retire):
        account.say("the next call opens another connection")
    account.captures(session)
    if account.answers(session.conduct.auto_replies):
        return tuple(account.lines)
    heartbeat = session.conduct.heartbeat
    if heartbeat and heartbeat.expect and session.answers_heartbeat(message):
        answered = Account(session.beat_scope(message))
        answered.holds("heartbeat.expect", heartbeat.expect)
        return (*account.lines, *answered.lines)
    if session.conduct.inbox is not None:
        account.holds("inbox.match", session.conduct.inbox.match)
    waiting = list(exchanges.pending())
    for exchange in waiting[:MOST_EXCHANGES]:
        account.lines += _of_exchange(exchange, message)
    if len(waiting) > MOST_EXCHANGES:
        account.say(f"and the rules of {len(waiting) - MOST_EXCHANGES} calls more")
    if not waiting:
        last = exchanges.last_owned
        ignoring = Account(last.seeing(message)) if last else account
        if last is None or not ignoring.ignored(last.rules):
            account.say("no call waits for it")
        elif last:
            account.lines += ignoring.lines
    return tuple(account.lines)


def explain_step(step: StepPlan, index: int, scope: Scope) -> tuple[str, ...]:
    """What an expecting step of `on_connect` says of a message."""
    account = Account(scope)
    if step.fail is None or not account.holds(f"on_connect[{index}].fail", step.fail):
        assert step.expect is not None
        if account.holds(f"on_connect[{index}].expect", step.expect, say_no=True):
            account.kept(f"on_connect[{index}].capture", step.captures)
    return tuple(account.lines)


def explain_when(step: StepPlan, index: int, scope: Scope) -> tuple[str, ...]:
    """Whether a step of `on_connect` is done."""
    account = Account(scope)
    if step.when is not None and not account.holds(f"on_connect[{index}].when", step.when, say_no=True):
        account.say(f"on_connect[{index}] is left out")
    return tuple(account.lines)


class Account:
    """Collects sentences on one message."""

    def __init__(self, scope: Scope) -> None:
        self.lines: list[str] = []
        self._scope = scope

    def say(self, line: str) -> None:
        """Add a sentence."""
        self.lines.append(line)

    def holds(self, name: str, predicate: Expression, *, say_no: bool = False) -> bool:
        """Whether a predicate holds. That is said if it does, or cannot be evaluated, or with `say_no`."""
        try:
            value = predicate.evaluate(self._scope)
        except ExpressionFailed as failed:
            self.say(f"{name} does not hold: {failed}")
            return False
        holds = value is not UNDEFINED and bool(value)
        if holds or say_no:
            self.say(f"{name} {'holds' if holds else 'does not hold'}: {predicate.source}{self._values(predicate)}")
        return holds

    def ignored(self, rules: Rules) -> bool:
        """Whether one of `ignore` holds."""
        return any(self.holds(f"ignore[{index}]", predicate) for index, predicate in enumerate(rules.ignore))

    def answers(self, rules: AutoReplies) -> bool:
        """Whether an `auto_reply` answers the message, and that is all."""
        for index, rule in enumerate(rules):
            if self.holds(f"auto_reply[{index}].match", rule.match):
                return not rule.keep
        return False

    def captures(self, session: Session) -> None:
        """What `capture` keeps of the message."""
        for index, (predicate, captures) in enumerate(session.conduct.captures):
            if self.holds(f"capture[{index}].match", predicate):
                self.kept(f"capture[{index}].set", captures)

    def kept(self, name: str, captures: Captures) -> None:
        """What is kept of the message under which name, and what is not there."""
        for key, expression in captures:
            try:
                value = expression.evaluate(self._scope)
            except ExpressionFailed as failed:
                self.say(f"{name}.{key} keeps nothing: {failed}")
                continue
            if value is UNDEFINED:
                self.say(f"{name}.{key} keeps nothing: the message has no {expression.source}")
            else:
                self.say(f"session.{key} is now {_shown(value)}")

    def sentence(self, error_message: Expression | None) -> None:
        """Why a failure is not told in the words that `error_message` should find."""
        if error_message is None:
            return
        try:
            if error_message.evaluate(self._scope) is not UNDEFINED:
                return
            why = f"the message has no {error_message.source}"
        except ExpressionFailed as failed:
            why = str(failed)
        self.say(f"reply.error_message has no value, so the whole message is shown: {why}")

    def not_asked(self, until: Iterable[Expression]) -> None:
        """That a message would end a stream, if it belonged to it."""
        for index, predicate in enumerate(until):
            if predicate.holds(self._scope):
                self.say(f"stream.until[{index}] would hold, and is only asked where stream.match holds")

    def _values(self, predicate: Expression) -> str:
        """The values that a predicate looked at."""
        bare = LITERAL.sub(lambda found: "_" * len(found[0]) if found[0][0] == '"' else found[0], predicate.source)
        paths = [path for name in dict.fromkeys(_NAMES.findall(bare)) if (path := parse_path(name))]
        shown = [f"{_written(path)} is {_shown(look_up(self._scope, path))}" for path in paths]
        return f" ({', '.join(shown)})" if shown else ""


def _of_exchange(exchange: Exchange, message: Message) -> Iterator[str]:
    """What the rules of one call say."""
    rules, account = exchange.rules, Account(exchange.seeing(message))
    if not account.answers(rules.auto_replies) and _claims(exchange, account) and not account.ignored(rules):
        _classify(exchange, account)
    yield from account.lines


def _claims(exchange: Exchange, account: Account) -> bool:
    """Whether the message belongs to the call."""
    stream = exchange.rules.stream
    if exchange.in_stream and stream and stream.match:
        claimed = account.holds("stream.match", stream.match, say_no=True)
        if not claimed:
            account.not_asked(stream.until)
        return claimed
    if exchange.rules.match is None:
        return True
    return account.holds("reply.match", exchange.rules.match, say_no=True)


def _classify(exchange: Exchange, account: Account) -> None:
    """What the message is to the call that it belongs to."""
    rules = exchange.rules
    if rules.error is not None and account.holds("reply.error", rules.error):
        account.sentence(rules.error_message)
        return
    if exchange.in_stream and rules.stream is not None:
        ends = [account.holds(f"stream.until[{index}]", each) for index, each in enumerate(rules.stream.until)]
        if any(ends):
            return
    if rules.skip is not None and account.holds("reply.skip", rules.skip):
        return
    if rules.match is None and not exchange.in_stream:
        account.say("the first message after the request that is not ignored")


def _written(path: tuple[str | int, ...]) -> str:
    return str(path[0]) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path[1:])


def _shown(value: Any) -> str:
    if value is UNDEFINED:
        return "not there"
    text = encode_json(clean(value))
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
