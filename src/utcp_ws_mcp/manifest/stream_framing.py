"""UTCP's framing of a stream: the rules that apply where a manifest writes none (section 6).

The rules themselves are data of the preset `utcp`. They belong to the model, not to the document, because a tool that
inherits `"stream": true` and adds rules of its own must not inherit these.
"""

from __future__ import annotations

from .models.call_template import CallTemplate
from .models.reply import Reply, Stream
from .presets import read_bare_stream


def with_utcp_framing(template: CallTemplate) -> CallTemplate:
    """Return a template whose stream has rules: UTCP's where nothing is written of its messages, else itself."""
    stream = template.stream
    has_rules = bool(stream.until) or stream.item is not None or stream.match is not None
    if not stream.on or has_rules or template.listen or template.reply != Reply():
        return template
    return _framed(template)


def as_utcp_stream(template: CallTemplate) -> CallTemplate:
    """Return a template as a stream, for a caller that asks for a stream of a tool which is not written as one.

    That is possible where the template writes nothing of its replies, or has UTCP's envelope; else it is returned as
    it is.
    """
    if template.stream.on or template.listen or template.reply.none:
        return template
    until = Stream(**read_bare_stream()["stream"]).until
    if template.stream.until == until:  # the preset utcp: its `reply` has all rules for the messages
        return template.model_copy(update={"stream": Stream(until=until)})
    return _framed(template.model_copy(update={"stream": Stream()})) if template.reply == Reply() else template


def _framed(template: CallTemplate) -> CallTemplate:
    framing = read_bare_stream()
    rules = Stream(**framing["stream"])
    stream = template.stream.model_copy(update={"until": rules.until, "item": rules.item})
    return template.model_copy(update={"reply": Reply(**framing["reply"]), "stream": stream})
