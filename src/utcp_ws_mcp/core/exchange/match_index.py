"""Find the exchanges whose `match` may hold for a message, without asking each of them.

A connection may have a thousand streams or feeds, and every message of it would be compared with all of their
predicates. Most of these say that a part of the message equals a value that the exchange knows from its beginning:
`message.params.subscription == reply.result`, `message.channel == args.channel`, `message.type == 'tick'`. An exchange
with such a term is found by the value. Where a value is of a type whose equality is not obvious, all that ask for this
part of the message are asked; an exchange without such a term always is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import count
from typing import Any, Final

from ...records import Record
from ..codecs.message import Message
from ..expressions.direct import MAX_INTEGER, compile_lookup, compile_predicate
from ..expressions.expression import Expression
from ..expressions.paths import UNDEFINED, NotDirect, Path, node_path
from ..expressions.syntax import Node
from .exchange import Exchange

_FIXED: Final = frozenset({"args", "tool", "vars", "let", "reply", "request_id"})
"""Names whose values do not change while an exchange waits for the same kind of message."""

_NEVER_EQUAL: Final = frozenset({type(None), type(UNDEFINED), dict, list})
"""Types whose values equal neither a text nor an integer."""

Lookup = Callable[[Mapping[str, Any]], Any]
Key = str | int


class EqualTerm(Record):
    """A term of a predicate without which it is false: the part of a message at `path` has a certain value."""

    path: Path
    in_message: Lookup
    value: Lookup


class MatchIndex:
    """Exchanges that wait for messages of which no correlation id says whose they are, in the order of insertion."""

    def __init__(self) -> None:
        self._order = count()
        self._others: dict[Exchange, int] = {}
        self._lookups: dict[Path, Lookup] = {}
        self._by_value: dict[Path, dict[Key, dict[Exchange, int]]] = {}
        self._places: dict[Exchange, tuple[Path, Key]] = {}

    def add(self, exchange: Exchange) -> None:
        """Add an exchange, or index it again: what its `match` compares is known, or another than before."""
        known = self.discard(exchange)
        order = next(self._order) if known is None else known
        place = _find_place(exchange)
        if place is None:
            self._others[exchange] = order
            return
        term, key = place
        self._lookups[term.path] = term.in_message
        self._by_value.setdefault(term.path, {}).setdefault(key, {})[exchange] = order
        self._places[exchange] = term.path, key

    def discard(self, exchange: Exchange) -> int | None:
        """Remove an exchange, if it is there; return its place in the order."""
        place = self._places.pop(exchange, None)
        if place is None:
            return self._others.pop(exchange, None)
        path, key = place
        keys = self._by_value[path]
        order = keys[key].pop(exchange)
        if not keys[key]:
            del keys[key]
        if not keys:
            del self._by_value[path]
        return order

    def find(self, message: Message) -> list[Exchange]:
        """Return the exchanges that a message matches."""
        if not self._others and not self._by_value:  # as on most connections with correlation ids
            return []
        return [exchange for exchange in self._candidates(message) if exchange.matches(message)]

    def _candidates(self, message: Message) -> list[Exchange]:
        if not self._by_value:
            return list(self._others)
        found = dict(self._others)
        for each in self._keyed_candidates({"message": message.value}):
            found.update(each)
        return sorted(found, key=found.__getitem__)

    def _keyed_candidates(self, scope: Mapping[str, Any]) -> Iterator[dict[Exchange, int]]:
        for path, keys in self._by_value.items():
            try:
                value = self._lookups[path](scope)
            except NotDirect:
                yield from keys.values()
                continue
            kind = type(value)
            if kind is str or kind is int:
                if exchanges := keys.get(value):
                    yield exchanges
            elif kind not in _NEVER_EQUAL:
                yield from keys.values()


def _find_place(exchange: Exchange) -> tuple[EqualTerm, Key] | None:
    """Return the term of the `match` of an exchange and the value in it; None without one that can be looked up."""
    match = exchange.current_match
    for term in () if match is None else find_terms(match):
        try:
            value = term.value(exchange.scope)
        except NotDirect:
            continue
        if type(value) is str or (type(value) is int and abs(value) < MAX_INTEGER):
            return term, value
    return None


@lru_cache(maxsize=1024)  # expressions are compiled once for all tools
def find_terms(match: Expression) -> tuple[EqualTerm, ...]:
    """Return the terms of a predicate that can be looked up, those that differ between exchanges first.

    A term counts only if those before it can always be evaluated: what goes wrong in them is reported.
    """
    terms: list[tuple[bool, EqualTerm]] = []
    for node in () if match.tree is None else _conjunction(match.tree):
        if compile_predicate(node) is None:
            break
        for own, other in (node.parts, node.parts[::-1]) if node.kind == "compare" and node.name == "==" else ():
            if (term := _equal_term(own, other)) is not None:
                terms.append((other.kind == "literal", term))
    return tuple(term for _, term in sorted(terms, key=lambda each: each[0]))


def _conjunction(tree: Node) -> list[Node]:
    """Return the terms of `a and b and c`, in order."""
    if tree.kind != "and":
        return [tree]
    return [*_conjunction(tree.parts[0]), *_conjunction(tree.parts[1])]


def _equal_term(own: Node, other: Node) -> EqualTerm | None:
    path, in_message = node_path(own), compile_lookup(own)
    if path is None or in_message is None or path[0] != "message":
        return None
    if other.kind == "literal":
        return EqualTerm(path, in_message, lambda scope: other.value)
    root, value = node_path(other), compile_lookup(other)
    if root is None or value is None or root[0] not in _FIXED:
        return None
    return EqualTerm(path, in_message, value)
