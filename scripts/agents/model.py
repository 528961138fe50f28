"""A scripted model on loopback, behind the interfaces of several providers.

The results in a conversation say which step is next. The first request that shows the result of a step is recorded, so
that exactly what reached the model can be judged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .interfaces import (
    Conversation,
    ToolCall,
    read_chat,
    read_generate,
    read_messages,
    read_responses,
    write_chat,
    write_generate,
    write_messages,
    write_responses,
)
from .plan import Step

SEARCH_WORDS = ("tool_search", "toolsearch", "search_tool")
"""Parts of the names of the tools with which hosts let a model find deferred tools."""
CALL_WORDS = ("tool_call",)
"""Parts of the names of the tools with which hosts let a model call a deferred tool."""
SEARCH_LIMIT = 2
"""Searches for one step; after these its tool is missing."""


@dataclass
class Transcript:
    """What reached the model.

    Attributes:
        names: For each step, the name of its tool as the host shows it.
        results: For each step, everything that the conversation holds after it.
        missing: Steps whose tool the host did not show.
        requests: All requests with tools, for debugging.
    """

    names: dict[int, str] = field(default_factory=dict)
    results: dict[int, str] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)
    requests: list[Any] = field(default_factory=list)


class ScriptedModel:
    """The model of one host."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.transcript = Transcript()

    def next_call(self, conversation: Conversation) -> ToolCall | None:
        """Return the next call, or None at the end; steps whose tool is missing are skipped."""
        for call_id, result in conversation.results.items():
            if call_id.startswith("s"):
                self.transcript.results.setdefault(int(call_id[1:]), result)
        for number, step in enumerate(self.steps):
            if f"s{number}" in conversation.results or number in self.transcript.missing:
                continue
            if call := self._call(number, step, conversation):
                return call
            self.transcript.missing.add(number)
        return None

    def _call(self, number: int, step: Step, conversation: Conversation) -> ToolCall | None:
        for name, tool in conversation.tools.items():
            if name.endswith(step.tool):
                self.transcript.names[number] = name
                return ToolCall(f"s{number}", name, step.arguments, tool.get("namespace"))
        return self._deferred(number, step, conversation)

    def _deferred(self, number: int, step: Step, conversation: Conversation) -> ToolCall | None:
        """Return a search for the tool, or its call through the host's own tool."""
        found = _find_name(step.tool, json.dumps([*conversation.results.values()]))
        caller = next((name for name in conversation.tools if any(word in name.lower() for word in CALL_WORDS)), None)
        if caller and found:
            self.transcript.names[number] = f"{found} (through {caller})"
            return ToolCall(f"s{number}", caller, {"name": found, "arguments": step.arguments})
        searches = sum(call_id.startswith(f"q{number}.") for call_id in conversation.results)
        search = next((name for name in conversation.tools if any(word in name.lower() for word in SEARCH_WORDS)), None)
        if search and searches < SEARCH_LIMIT:
            query = step.tool.replace("_", " ") if searches else step.tool
            return ToolCall(f"q{number}.{searches}", search, {"query": query})
        return None


def _find_name(end: str, text: str) -> str | None:
    """Return the shortest word of a text that ends with a tool's name, behind the prefix of the host."""
    words = "".join(c if c.isalnum() or c in "_-." else " " for c in text).split()
    return min((word for word in words if word.endswith(end) and word != end), key=len, default=None)


def application(model: ScriptedModel) -> Starlette:
    """Return the model as a web application; requests without tools (titles, summaries) are answered with text."""

    async def chat(request: Request) -> Response:
        body = await request.json()
        return write_chat(_answer(model, body, read_chat(body)), body)

    async def responses(request: Request) -> Response:
        body = await request.json()
        return write_responses(_answer(model, body, read_responses(body)), body)

    async def messages(request: Request) -> Response:
        body = await request.json()
        return write_messages(_answer(model, body, read_messages(body)), body)

    async def count_tokens(request: Request) -> Response:
        return JSONResponse({"input_tokens": 1, "totalTokens": 1})

    async def generate(request: Request) -> Response:
        body = await request.json()
        call = _answer(model, body, read_generate(body))
        return write_generate(call, body, stream="stream" in request.path_params["method"])

    async def models(request: Request) -> Response:
        listed = {"id": "scripted", "object": "model", "created": 1, "owned_by": "loopback"}
        return JSONResponse({"object": "list", "data": [listed], "models": []})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/responses", responses, methods=["POST"]),
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
            Route("/v1beta/models/{model}:countTokens", count_tokens, methods=["POST"]),
            Route("/v1beta/models/{model}:{method}", generate, methods=["POST"]),
            Route("/v1/models", models),
        ]
    )


def _answer(model: ScriptedModel, body: Any, conversation: Conversation) -> ToolCall | None:
    if not conversation.tools:
        return None
    model.transcript.requests.append(body)
    return model.next_call(conversation)
