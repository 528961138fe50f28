"""What a value of a call may hold where it is a part of a topic of MQTT, such as a room in `home/{{ args.room }}/set`.

`/` begins another level of a topic, and `+` and `#` stand for all topics of a level or below it (section 4.7 of the
standard). A value that is a whole topic may hold all of these. The filter `verbatim` allows them in a part, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .nodes import Placeholder
from .text_rule import NO_BREAKS, Part, TextRule, allowing_fix, is_checked

TOPIC_KEYS: Final = ("topic", "topics")
"""The keys of a packet whose texts are topics."""

_REFUSED: Final = frozenset("/+#")


def compile_topic(parts: Sequence[str | Placeholder]) -> tuple[str | Part, ...]:
    """Return the parts of a topic, literal text and placeholders, each placeholder with its rule."""
    return tuple(part if isinstance(part, str) else (part, _rule(parts, part)) for part in parts)


def _rule(parts: Sequence[str | Placeholder], part: Placeholder) -> TextRule | None:
    if len(parts) == 1 or not is_checked(part):
        return None
    return TextRule(NO_BREAKS, _REFUSED, "", allowing_fix(part), "topic")
