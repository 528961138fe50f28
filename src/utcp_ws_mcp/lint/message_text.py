"""Rules for arguments that make calls fail: in XML, in quotes, and cut into fixed slices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..core.expressions.analysis import ALL_MEMBERS, find_members
from ..core.templates.nodes import Argument, Bounded, Node, Placeholder
from ..core.templates.slices import CompleteSlices
from ..core.templates.text_rule import JoinedText, TextNode, TextRule
from ..core.tools.tool import CompiledTool
from ..errors import Problem
from ..manifest.entries import ManifestEntry, ResolvedTool
from ..manifest.validation import join_path
from .values import owner_path

_NARROWING: Final = frozenset({"enum", "const", "pattern", "format"})
"""Keywords of a schema that say which texts an argument may have."""


def check_message_text(entry: ManifestEntry, tool: CompiledTool, source: ResolvedTool) -> Iterator[Problem]:
    """Yield a problem for each argument with which usual texts, or long values, fail."""
    requests = tool.compiled_template.request
    for index, node in enumerate(requests):
        key = f"then[{index - 1}]" if index else "message"
        path = join_path(owner_path(entry, source, "then" if index else "message")[0], key)
        if isinstance(node, CompleteSlices):
            yield from (_sliced(path, each.value.source, each.end) for each in node.sliced if _is_longer(tool, each))
        for placeholder, rule in _text_parts(node):
            yield from _unescaped(path, tool, placeholder, rule)


def _sliced(path: str, source: str, end: int) -> Problem:
    fix = (
        f'Send pieces of any number: {{"$each": "{{{{ {source} | pieces(65536) }}}}", "$template": "{{{{ item }}}}"}}.'
    )
    message = f"the slices send only the first {end:,} of {source}, and a call with more fails. {fix}"
    return Problem(path, message, code="argument-in-slices")


def _is_longer(tool: CompiledTool, each: Any) -> bool:
    """Return whether the schema of an argument allows more than its slices send."""
    schemas = [_schema(tool, name) for name in find_members(each.value.source, "args")]
    return (
        not all(
            min(schema.get("maxLength", each.end + 1), schema.get("maxItems", each.end + 1)) <= each.end
            for schema in schemas
        )
        or not schemas
    )


def _unescaped(path: str, tool: CompiledTool, placeholder: Placeholder, rule: TextRule) -> Iterator[Problem]:
    is_xml = "<" in rule.refused
    if not is_xml and "\\" not in rule.refused:
        return
    names = (
        [placeholder.name] if isinstance(placeholder, Argument) else find_members(placeholder.expression.source, "args")
    )
    for name in sorted({*names} - {ALL_MEMBERS}):
        if _is_free_text(_schema(tool, name)):
            where, chars = ("XML", "< and &") if is_xml else ("quotes", "quotes")
            fix = f"args.{name} | escape" if is_xml else f"args.{name} | to_json"
            where_not = "" if is_xml else " without the quotes"
            message = (
                f"the argument {name!r} is in {where}, and a call with {chars} in it fails. Write {{{{ {fix} }}}}"
                f'{where_not}, or give the argument a "pattern" that excludes them.'
            )
            yield Problem(path, message, code="argument-not-escaped")


def _text_parts(node: Node) -> Iterator[tuple[Placeholder, TextRule]]:
    while isinstance(node, CompleteSlices | Bounded):
        node = node.message
    parts = node.parts if isinstance(node, TextNode) else node.operands if isinstance(node, JoinedText) else ()
    for part in parts:
        if not isinstance(part, str) and part[1] is not None:
            yield part[0], part[1]


def _schema(tool: CompiledTool, name: str) -> dict[str, Any]:
    properties = tool.inputs.get("properties")
    schema = properties.get(name) if isinstance(properties, dict) else None
    return schema if isinstance(schema, dict) else {}


def _is_free_text(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "string" and not _NARROWING & schema.keys()
