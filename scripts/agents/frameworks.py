"""Agent frameworks from PyPI: each runs an agent of a few lines in an environment of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .hosts import PROMPT, Run

HERE: Final = Path(__file__).resolve().parent
ENVIRONMENTS: Final = HERE.parents[1] / "build" / "agents"


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework, the package whose version is shown, and the name of its script and requirements.

    `differences` are as for a host.
    """

    title: str
    package: str
    name: str
    differences: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, home: Path, model: str, server: Sequence[str]) -> Run:
        """Return how its agent is started."""
        script = HERE / "python" / f"{self.name.replace('-', '_')}_agent.py"
        python = ENVIRONMENTS / self.name / "bin" / "python"
        environ = {"OPENAI_API_KEY": "dummy", "ANONYMIZED_TELEMETRY": "false", "DO_NOT_TRACK": "1"}
        return Run((str(python), str(script), model, PROMPT, *server), environ)

    def version(self) -> str:
        """Return the version that its requirements pin."""
        pins = (HERE / "python" / f"{self.name}.txt").read_text(encoding="utf-8")
        found = re.search(rf"^{re.escape(self.package)}==([^\s\\]+)", pins, re.MULTILINE)
        return found[1] if found else "?"


FRAMEWORKS: Final = (
    Framework("LangGraph", "langgraph", "langgraph", {"late tools": "in the next run: yes"}),
    Framework("Pydantic AI", "pydantic-ai-slim", "pydantic-ai", {"late tools": "in the next run: yes"}),
    Framework("OpenAI Agents", "openai-agents", "openai-agents"),
    Framework("LlamaIndex", "llama-index-tools-mcp", "llama-index", {"late tools": "in the next run: yes"}),
    Framework("CrewAI", "crewai", "crewai", {"late tools": "in the next run: yes"}),
    Framework("Google ADK", "google-adk", "google-adk", {"late tools": "in the next run: yes"}),
    Framework("smolagents", "smolagents", "smolagents", {"image": "not shown", "late tools": "in the next run: yes"}),
    Framework("FastMCP", "fastmcp", "fastmcp"),
)
