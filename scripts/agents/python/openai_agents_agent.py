"""OpenAI Agents SDK: an agent with an MCP server."""

from __future__ import annotations

import asyncio
import sys

from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio
from openai import AsyncOpenAI


async def main(url: str, prompt: str, *command: str) -> None:
    """Run the agent."""
    set_tracing_disabled(True)
    model = OpenAIResponsesModel("scripted", AsyncOpenAI(base_url=f"{url}/v1", api_key="dummy"))
    parameters = {"command": command[0], "args": [*command[1:]]}
    async with MCPServerStdio(params=parameters, client_session_timeout_seconds=120) as server:
        await Runner.run(Agent("ws", model=model, mcp_servers=[server]), prompt, max_turns=60)


asyncio.run(main(*sys.argv[1:]))
