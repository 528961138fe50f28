"""The interfaces of model providers: how a request shows the conversation, and how a call of the model is written.

OpenAI's chat completions and responses, Anthropic's messages, and Google's generateContent, streaming and not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

CALL_AS_TEXT = re.compile(r"Calling tools:\\n\[\{'id': '([sq][\d.]+)'")
"""A call in the text of smolagents."""
OWN_ERROR = "Now let's retry"
"""In the text with which smolagents refuses the call after the one that it shows."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of the model: its id contains the step, as `s3` or, for a search, `q3`."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request shows: the names of the tools, and the results of earlier calls by their id."""

    tools: Mapping[str, Any]
    results: Mapping[str, str]


def text_of(value: Any) -> str:
    """Return a value as text, as it stands in the request."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_chat(body: Mapping[str, Any]) -> Conversation:
    """Return the conversation of a request to /chat/completions.

    A user message after a result may hold its images. smolagents writes calls and results as text.
    """
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools", ()) if "function" in tool}
    results: dict[str, str] = {}
    last = ""
    for message in body["messages"]:
        if message["role"] == "tool":
            last = message["tool_call_id"]
            results[last] = text_of(message["content"])
        elif message["role"] == "user" and last:
            content = text_of(message["content"])
            if OWN_ERROR in content and not results[last]:
                results[f"s{int(last[1:]) + 1}"] = content
            results[last] += content
        elif called := CALL_AS_TEXT.search(text_of(message.get("content") or "")):
            last = called[1]
            results[last] = ""
    return Conversation(tools, results)


def write_chat(call: ToolCall | None, body: Mapping[str, Any]) -> Response:
    """Return the response of /chat/completions."""
    tool_calls = [
        {"index": 0, "id": call.id, "type": "function",
         "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
    ] if call else None  # fmt: skip
    message = {"role": "assistant", "content": None if call else "done", **({"tool_calls": tool_calls} if call else {})}
    reason = "tool_calls" if call else "stop"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    common = {"id": "chatcmpl-1", "created": 1, "model": body.get("model", "scripted")}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return JSONResponse({**common, "object": "chat.completion", "choices": [choice], "usage": usage})
    chunk = {**common, "object": "chat.completion.chunk"}
    events: list[Any] = [
        {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {**chunk, "choices": [], "usage": usage},
    ]
    return _events([(None, event) for event in events], end="data: [DONE]\n\n")


def read_responses(body: Mapping[str, Any]) -> Conversation:
    """Return the conversation of a request to /responses; namespaces hold tools of their own."""
    tools: dict[str, Any] = {}
    for tool in body.get("tools", ()):
        if tool.get("type") == "namespace":
            tools |= {each["name"]: {**each, "namespace": tool["name"]} for each in tool["tools"]}
        else:
            tools[tool.get("name") or tool["type"]] = tool
    items = body["input"] if isinstance(body["input"], list) else []
    results = {
        item["call_id"]: text_of(item["output"]) for item in items if str(item.get("type", "")).endswith("_output")
    }
    return Conversation(tools, results)


def write_responses(call: ToolCall | None, body: Mapping[str, Any]) -> Response:
    """Return the response of /responses."""
    item: dict[str, Any] = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                            "content": [{"type": "output_text", "text": "done", "annotations": []}]}  # fmt: skip
    if call:
        item = {"type": "function_call", "id": f"fc_{call.id}", "call_id": call.id, "name": call.name,
                "status": "completed", "arguments": json.dumps(call.arguments)}  # fmt: skip
        item |= {"namespace": call.namespace} if call.namespace else {}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **details}
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": body.get("model", "scripted"),
                "status": "completed", "output": [item], "usage": usage, "parallel_tool_calls": False,
                "tool_choice": "auto", "tools": []}  # fmt: skip
    if not body.get("stream"):
        return JSONResponse(response)
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": {**response, "status": "in_progress", "output": [], "usage": None}}),
        ("response.output_item.added", {"output_index": 0, "item": {**item, "status": "in_progress"}}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": response}),
    ]
    return _events(
        [(kind, {"type": kind, "sequence_number": number, **event}) for number, (kind, event) in enumerate(events)]
    )


def read_messages(body: Mapping[str, Any]) -> Conversation:
    """Return the conversation of a request to /v1/messages."""
    tools = {tool["name"]: tool for tool in body.get("tools", ())}
    results = {}
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block.get("type") == "tool_result":
                results[block["tool_use_id"].removeprefix("toolu_").replace("-", ".")] = text_of(block.get("content"))
    return Conversation(tools, results)


def write_messages(call: ToolCall | None, body: Mapping[str, Any]) -> Response:
    """Return the response of /v1/messages. An id may hold letters, digits, `_` and `-`."""
    block: dict[str, Any] = {"type": "text", "text": "done"}
    if call:
        block_id = f"toolu_{call.id.replace('.', '-')}"
        block = {"type": "tool_use", "id": block_id, "name": call.name, "input": dict(call.arguments)}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body.get("model", "scripted"),
               "content": [block], "stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None,
               "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    if not body.get("stream"):
        return JSONResponse(message)
    empty = {**block, "input": {}} if call else {"type": "text", "text": ""}
    delta = {"type": "text_delta", "text": "done"}
    if call:
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call.arguments)}
    events: list[tuple[str, dict[str, Any]]] = [
        ("message_start", {"message": {**message, "content": [], "stop_reason": None}}),
        ("content_block_start", {"index": 0, "content_block": empty}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
                           "usage": {"output_tokens": 1}}),
        ("message_stop", {}),
    ]  # fmt: skip
    return _events([(kind, {"type": kind, **event}) for kind, event in events])


def read_generate(body: Mapping[str, Any]) -> Conversation:
    """Return the conversation of a request to :generateContent; results have the ids that the calls had."""
    declared = [each for tool in body.get("tools", ()) for each in tool.get("functionDeclarations", ())]
    results: dict[str, str] = {}
    last = ""
    for content in body["contents"]:
        for part in content["parts"]:
            if response := part.get("functionResponse"):
                last = response.get("id") or f"s{len(results)}"
                results[last] = text_of(response)
            elif last and content["role"] == "user":
                results[last] += text_of(part)
    return Conversation({each["name"]: each for each in declared}, results)


def write_generate(call: ToolCall | None, body: Mapping[str, Any], stream: bool) -> Response:
    """Return the response of :generateContent or :streamGenerateContent."""
    part: dict[str, Any] = {"text": "done"}
    if call:
        part = {"functionCall": {"id": call.id, "name": call.name, "args": dict(call.arguments)}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    answer = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}
    return _events([(None, answer)]) if stream else JSONResponse(answer)


def _events(events: Sequence[tuple[str | None, Any]], end: str = "") -> Response:
    """Return Server-Sent Events."""

    def lines() -> Iterator[str]:
        for kind, event in events:
            yield (f"event: {kind}\n" if kind else "") + f"data: {json.dumps(event)}\n\n"
        yield end

    return Response("".join(lines()), media_type="text/event-stream")
