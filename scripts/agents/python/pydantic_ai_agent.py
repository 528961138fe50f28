"""pydantic-ai: an agent with an MCP toolset."""

from __future__ import annotations

import asyncio
import sys

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


async def main(url: str, prompt: str, *command: str) -> None:
    """Run the agent."""
    model = OpenAIChatModel("scripted", provider=OpenAIProvider(base_url=f"{url}/v1", api_key="dummy"))
    toolset = MCPToolset(StdioTransport(command[0], [*command[1:]]))
    agent = Agent(model, toolsets=[toolset], retries=5)
    async with agent:
        await agent.run(prompt)


asyncio.run(main(*sys.argv[1:]))
