"""Three tools instead of hundreds: search, describe and call the tools of the manifests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ..core.codecs.message import encode_json
from .content import text_block
from .listing import Offered
from .progress import Report
from .result import Result
from .tools import CALL_PATIENCE, Tools

FEW: Final = 10
MANY: Final = 100
LONGEST_SUMMARY: Final = 200
"""Characters of a description in a list of tools that were found."""

Tool = Mapping[str, Any]
"""A tool in its form on the wire."""

_READ_ONLY: Final = {"readOnlyHint": True}
_NAME: Final = {"type": "string", "description": "The name, as search_tools gives it."}
META_TOOLS: Final[Mapping[str, Tool]] = {
    "search_tools": {
        "name": "search_tools",
        "title": "Search tools",
        "description": "Find the tools of this server by words of their names, tags and descriptions. "
        "Without words, list the first ones. Then read the arguments of one with describe_tool.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "Words to look for."},
                "limit": {"type": "integer", "minimum": 1, "maximum": MANY, "default": FEW},
            },
        },
        "annotations": _READ_ONLY,
    },
    "describe_tool": {
        "name": "describe_tool",
        "title": "Describe a tool",
        "description": "Show the description, the arguments and the result of a tool. Then call it with call_tool.",
        "inputSchema": {"type": "object", "properties": {"name": _NAME}, "required": ["name"]},
        "annotations": _READ_ONLY,
    },
    "call_tool": {
        "name": "call_tool",
        "title": "Call a tool",
        "description": "Call a tool with the arguments that describe_tool shows.",
        "inputSchema": {
            "type": "object",
            "properties": {"name": _NAME, "arguments": {"type": "object", "description": "The tool's arguments."}},
            "required": ["name"],
        },
    },
}
_LISTED: Final = encode_json(list(META_TOOLS.values()))


class MetaTools(Tools):
    """Lists the three tools, and keeps the others behind them."""

    async def listed(self) -> Offered:
        """The three tools, at once."""
        return Offered({}, _LISTED, _LISTED)

    async def find(self, name: str) -> Any:
        """The name of one of the three, or None."""
        return name if name in META_TOOLS else None

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """The input schema of one of the three."""
        tool = META_TOOLS.get(name)
        return tool["inputSchema"] if tool is not None else None

    async def call(self, plan: Any, arguments: dict[str, Any] | None, report: Report) -> Result:
        """Call the one of the three that `plan` names."""
        await self._bridge.wait_discovered(CALL_PATIENCE)
        match plan, arguments or {}:
            case "search_tools", given:
                return self._search(given)
            case "describe_tool", {"name": str(name)}:
                return self._describe(name)
            case "describe_tool", _:
                return _error('describe_tool takes "name", a string')
            case _, {"name": str(name), **rest} if isinstance(rest.get("arguments", {}), dict):
                return await self._call(name, rest.get("arguments", {}), report)
        return _error('call_tool takes "name", a string, and "arguments", an object')

    def _search(self, given: Mapping[str, Any]) -> Result:
        query, limit = given.get("query", ""), given.get("limit", FEW)
        if not isinstance(query, str) or not isinstance(limit, int) or not 1 <= limit <= MANY:
            return _error(f'search_tools takes "query", a string, and "limit", a number from 1 to {MANY}')
        found = search(json.loads(self._offer().modern), query)
        shown = [{"name": tool["name"], "description": _summary(tool)} for tool in found[:limit]]
        return _json({"tools": shown, "found": len(found)})

    def _describe(self, name: str) -> Result:
        tools: list[Tool] = json.loads(self._offer().modern)
        tool = next((tool for tool in tools if tool["name"] == name), None)
        return _json(tool) if tool is not None else _unknown(name)

    async def _call(self, name: str, arguments: dict[str, Any], report: Report) -> Result:
        plan = self._offer().plans.get(name)
        return await super().call(plan, arguments, report) if plan is not None else _unknown(name)


def search(tools: list[Tool], query: str) -> list[Tool]:
    """The tools that hold a word of the query, the best first; all in their order for a query without words."""
    words = re.findall(r"\w+", query.lower())
    if not words:
        return tools
    scored = [(sum(_score(tool, word) for word in words), tool) for tool in tools]
    return [tool for score, tool in sorted(scored, key=lambda pair: -pair[0]) if score]


def _score(tool: Tool, word: str) -> int:
    """A word counts most in the name, then in the tags, then in the description."""
    tags = " ".join(map(str, tool["_meta"].get("utcp/tags", ())))
    places = ((f"{tool['name']} {tool['title']}", 4), (tags, 2), (tool["description"], 1))
    return sum(weight for text, weight in places if word in text.lower())


def _summary(tool: Tool) -> str:
    first: str = tool["description"].strip().partition("\n")[0]
    return first if len(first) <= LONGEST_SUMMARY else f"{first[:LONGEST_SUMMARY]}…"


def _json(value: Tool) -> Result:
    text = encode_json(value)
    return Result([text_block(text)], text)


def _unknown(name: str) -> Result:
    return _error(f"there is no tool {name[:100]!r}; search_tools finds names")


def _error(text: str) -> Result:
    return Result([text_block(text)], is_error=True)
