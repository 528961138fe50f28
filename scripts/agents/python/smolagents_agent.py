"""smolagents: a tool-calling agent with the tools of an MCP server."""

from __future__ import annotations

import os
import sys

from mcp import StdioServerParameters
from smolagents import OpenAIServerModel, ToolCallingAgent, ToolCollection


def main(url: str, prompt: str, *command: str) -> None:
    """Run the agent."""
    parameters = StdioServerParameters(command=command[0], args=[*command[1:]], env={**os.environ})
    with ToolCollection.from_mcp(parameters, trust_remote_code=True, structured_output=False) as collection:
        model = OpenAIServerModel("scripted", api_base=f"{url}/v1", api_key="dummy")
        ToolCallingAgent(tools=[*collection.tools], model=model, max_steps=20).run(prompt)


main(*sys.argv[1:])
