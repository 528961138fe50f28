"""CrewAI: a crew of one agent with the tools of an MCP server."""

from __future__ import annotations

import os
import sys

os.environ |= {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "CREWAI_TRACING_ENABLED": "false"}

from crewai import LLM, Agent, Crew, Task  # reads the environment when it is imported
from crewai_tools import MCPServerAdapter
from mcp import StdioServerParameters


def main(url: str, prompt: str, *command: str) -> None:
    """Run the crew."""
    parameters = StdioServerParameters(command=command[0], args=[*command[1:]], env={**os.environ})
    with MCPServerAdapter(parameters, connect_timeout=60) as tools:
        llm = LLM(model="openai/gpt-4o", base_url=f"{url}/v1", api_key="dummy")
        agent = Agent(role="caller", goal=prompt, backstory="It calls tools.", tools=[*tools], llm=llm, max_iter=40)
        task = Task(description=prompt, expected_output="done", agent=agent)
        Crew(agents=[agent], tasks=[task], tracing=False).kickoff()


main(*sys.argv[1:])
