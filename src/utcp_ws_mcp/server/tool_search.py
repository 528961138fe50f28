"""Three tools that search, describe and call the tools of the manifests, for manifests with hundreds of tools."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..core.codecs.message import encode_json
from .content import text_block
from .listing import TAGS_KEY, ToolListing
from .progress import ProgressCallback
from .result import Result
from .tools import FIND_TIMEOUT, ToolService

if TYPE_CHECKING:
    from .auth.access import Caller

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 100
MAX_SUMMARY_LENGTH: Final = 200
"""Characters of a description in the list of tools that were found."""

ToolDefinition = Mapping[str, Any]
"""A tool as JSON in `tools/list`."""

_READ_ONLY: Final = {"readOnlyHint": True}
_NAME_SCHEMA: Final = {"type": "string", "description": "The name, as returned by search_tools."}
META_TOOLS: Final[Mapping[str, ToolDefinition]] = {
    "search_tools": {
        "name": "search_tools",
        "title": "Search tools",
        "description": "Find the tools of this server by words of their names, tags and descriptions. "
        "Without words, list the first ones. Then read the arguments of one with describe_tool.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "Words to look for."},
                "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            },
        },
        "annotations": _READ_ONLY,
    },
    "describe_tool": {
        "name": "describe_tool",
        "title": "Describe a tool",
        "description": "Show the description, the arguments and the result of a tool. Then call it with call_tool.",
        "inputSchema": {"type": "object", "properties": {"name": _NAME_SCHEMA}, "required": ["name"]},
        "annotations": _READ_ONLY,
    },
    "call_tool": {
        "name": "call_tool",
        "title": "Call a tool",
        "description": "Call a tool with the arguments that describe_tool shows.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "name": _NAME_SCHEMA,
                "arguments": {"type": "object", "description": "The tool's arguments."},
            },
            "required": ["name"],
        },
    },
}
_META_TOOLS_JSON: Final = encode_json(list(META_TOOLS.values()))


class MetaTools(ToolService):
    """A tool service that lists the three tools, and gives access to the others through them."""

    async def list_tools(self, caller: Caller | None = None) -> ToolListing:
        """Return the three tools, without waiting for discoveries."""
        return ToolListing({}, (_META_TOOLS_JSON,), (_META_TOOLS_JSON,))

    def find_known(self, name: str) -> Any:
        """Return the name of one of the three, or None."""
        return name if name in META_TOOLS else None

    async def find(self, name: str) -> Any:
        """Return the name of one of the three, or None, without waiting for discoveries."""
        return self.find_known(name)

    def begins_at_once(self, tool: Any) -> bool:
        """Return False: the tool that is called may be any."""
        return False

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the input schema of one of the three, or None."""
        tool = META_TOOLS.get(name)
        return tool["inputSchema"] if tool is not None else None

    async def call(
        self,
        tool: Any,
        arguments: dict[str, Any] | None,
        report: ProgressCallback | None,
        caller: Caller | None = None,
    ) -> Result:
        """Call one of the three; `tool` is what `find` returned."""
        await self._bridge.wait_discovered(FIND_TIMEOUT)
        match tool, arguments or {}:
            case "search_tools", given:
                return self._search(given, caller)
            case "describe_tool", {"name": str(name)}:
                return self._describe(name, caller)
            case "describe_tool", _:
                return _error_result('describe_tool takes "name", a string')
            case _, {"name": str(name), **rest} if isinstance(rest.get("arguments", {}), dict):
                return await self._call(name, rest.get("arguments", {}), report, caller)
        return _error_result('call_tool takes "name", a string, and "arguments", an object')

    def _search(self, arguments: Mapping[str, Any], caller: Caller | None) -> Result:
        query, limit = arguments.get("query", ""), arguments.get("limit", DEFAULT_LIMIT)
        if not isinstance(query, str) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
            return _error_result(f'search_tools takes "query", a string, and "limit", a number from 1 to {MAX_LIMIT}')
        found = search(self._definitions(caller), query)
        shown = [{"name": tool["name"], "description": _summary(tool)} for tool in found[:limit]]
        return self._json_result({"tools": shown, "found": len(found)})

    def _describe(self, name: str, caller: Caller | None) -> Result:
        shown = self._listing(caller).names.get(name, name)
        tool = next((tool for tool in self._definitions(caller) if tool["name"] == shown), None)
        return self._json_result(tool) if tool is not None else _error_result(self.unknown_tool_message(name))

    def _json_result(self, value: ToolDefinition) -> Result:
        text = encode_json(value)
        return Result([text_block(text)], text, form=self.options.json_form)

    def _definitions(self, caller: Caller | None) -> list[ToolDefinition]:
        return [tool for page in self._listing(caller).modern for tool in json.loads(page)]

    async def _call(
        self, name: str, arguments: dict[str, Any], report: ProgressCallback | None, caller: Caller | None
    ) -> Result:
        tool = self._listing().find(name)
        if tool is None:
            return _error_result(self.unknown_tool_message(name))
        return await super().call(tool, arguments, report, caller)


def search(tools: list[ToolDefinition], query: str) -> list[ToolDefinition]:
    """Return the tools that contain a word of the query, best match first; all tools for a query without words."""
    words = re.findall(r"\w+", query.lower())
    if not words:
        return tools
    scored = [(sum(_score(tool, word) for word in words), tool) for tool in tools]
    return [tool for score, tool in sorted(scored, key=lambda pair: -pair[0]) if score]


def _score(tool: ToolDefinition, word: str) -> int:
    """Score a word: a match in the name counts most, then in the tags, then in the description."""
    tags = " ".join(map(str, tool["_meta"].get(TAGS_KEY, ())))
    places = ((f"{tool['name']} {tool['title']}", 4), (tags, 2), (tool["description"], 1))
    return sum(weight for text, weight in places if word in text.lower())


def _summary(tool: ToolDefinition) -> str:
    first: str = tool["description"].strip().partition("\n")[0]
    return first if len(first) <= MAX_SUMMARY_LENGTH else f"{first[:MAX_SUMMARY_LENGTH]}…"


def _error_result(text: str) -> Result:
    return Result([text_block(text)], is_error=True)
