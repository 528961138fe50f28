"""LangGraph with langchain-mcp-adapters: a ReAct agent."""

from __future__ import annotations

import asyncio
import sys

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI


async def main(url: str, prompt: str, *command: str) -> None:
    """Run the agent."""
    client = MultiServerMCPClient({"ws": {"transport": "stdio", "command": command[0], "args": [*command[1:]]}})
    async with client.session("ws") as session:
        from langchain_mcp_adapters.tools import load_mcp_tools

        model = ChatOpenAI(model="scripted", base_url=f"{url}/v1", api_key="dummy")
        agent = create_agent(model, await load_mcp_tools(session))
        await agent.ainvoke({"messages": [("user", prompt)]}, {"recursion_limit": 60})


asyncio.run(main(*sys.argv[1:]))
