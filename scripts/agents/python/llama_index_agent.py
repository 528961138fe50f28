"""LlamaIndex: a function agent with the tools of an MCP server."""

from __future__ import annotations

import asyncio
import sys

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


async def main(url: str, prompt: str, *command: str) -> None:
    """Run the agent."""
    client = BasicMCPClient(command[0], args=[*command[1:]], timeout=120)
    tools = await McpToolSpec(client=client).to_tool_list_async()
    model = OpenAILike(
        model="scripted", api_base=f"{url}/v1", api_key="dummy", is_chat_model=True, is_function_calling_model=True
    )
    agent = FunctionAgent(tools=tools, llm=model, timeout=300)
    await agent.run(prompt, max_iterations=60)


asyncio.run(main(*sys.argv[1:]))
