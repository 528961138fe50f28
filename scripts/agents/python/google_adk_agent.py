"""Google ADK: an agent with an MCP toolset."""

from __future__ import annotations

import asyncio
import os
import sys

from google.adk.agents import LlmAgent
from google.adk.runners import InMemoryRunner
from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams
from google.genai import types
from mcp import StdioServerParameters


async def main(url: str, prompt: str, *command: str) -> None:
    """Run the agent."""
    os.environ |= {"GOOGLE_API_KEY": "dummy", "GOOGLE_GEMINI_BASE_URL": url}
    parameters = StdioServerParameters(command=command[0], args=[*command[1:]])
    toolset = McpToolset(connection_params=StdioConnectionParams(server_params=parameters, timeout=120))
    agent = LlmAgent(name="ws", model="gemini-2.5-flash", tools=[toolset])
    runner = InMemoryRunner(agent=agent, app_name="ws")
    session = await runner.session_service.create_session(app_name="ws", user_id="user")
    message = types.Content(role="user", parts=[types.Part(text=prompt)])
    async for _ in runner.run_async(user_id="user", session_id=session.id, new_message=message):
        pass
    await toolset.close()


asyncio.run(main(*sys.argv[1:]))
