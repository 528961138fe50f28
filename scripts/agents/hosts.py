"""The agent hosts: how each is configured for a model on loopback without a login, and run with one prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
PROMPT: Final = "Call every tool of the plan."
MODEL: Final = "scripted"
NODE_PACKAGES: Final = HERE / "node"
SERVER: Final = "ws"
"""The name under which the hosts know this server."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is started: a command, and what its environment holds besides PATH and HOME."""

    command: tuple[str, ...]
    environ: Mapping[str, str]


Prepare = Callable[[Path, str, Sequence[str]], Run]
"""Write the host's configuration into a home folder, for the model's URL and the command of the server."""


@dataclass(frozen=True, slots=True)
class AgentHost:
    """A host, its package, how it is prepared, and what is different, by the title of the step."""

    title: str
    package: str
    prepare: Prepare
    differences: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Return the folder with the lock file of its package."""
        return NODE_PACKAGES / self.package.rpartition("/")[2]

    def version(self) -> str:
        """Return the version that is installed."""
        manifest = self.folder / "node_modules" / self.package / "package.json"
        return str(json.loads(manifest.read_text(encoding="utf-8"))["version"])


def _program(folder: str, path: str, *arguments: str) -> tuple[str, ...]:
    return (str(NODE_PACKAGES / folder / "node_modules" / path), *arguments)


def _write(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(value if isinstance(value, str) else json.dumps(value, indent=2), encoding="utf-8")


def _stdio(server: Sequence[str]) -> dict[str, Any]:
    return {"command": server[0], "args": [*server[1:]]}


def _claude(home: Path, model: str, server: Sequence[str]) -> Run:
    _write(home / "mcp.json", {"mcpServers": {SERVER: {"type": "stdio", **_stdio(server)}}})
    options = ("--mcp-config", str(home / "mcp.json"), "--strict-mcp-config", "--allowedTools", f"mcp__{SERVER}")
    environ = {
        "ANTHROPIC_BASE_URL": model,
        "ANTHROPIC_API_KEY": "dummy",
        "CLAUDE_CONFIG_DIR": str(home),
        "DISABLE_TELEMETRY": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    return Run(_program("claude-code", ".bin/claude", "-p", PROMPT, *options), environ)


def _codex(home: Path, model: str, server: Sequence[str]) -> Run:
    config = [
        f'model = "{MODEL}"',
        'model_provider = "loopback"',
        'sandbox_mode = "danger-full-access"',
        'approval_policy = "never"',
        "[model_providers.loopback]",
        'name = "loopback"',
        f'base_url = "{model}/v1"',
        'env_key = "DUMMY_KEY"',
        'wire_api = "responses"',
        f"[mcp_servers.{SERVER}]",
        f"command = {json.dumps(server[0])}",
        f"args = {json.dumps([*server[1:]])}",
        "required = true",
        "tool_timeout_sec = 120",
    ]
    _write(home / ".codex" / "config.toml", "\n".join(config))
    command = ("exec", "--skip-git-repo-check", PROMPT)
    return Run(_program("codex", ".bin/codex", *command), {"DUMMY_KEY": "dummy", "CODEX_HOME": str(home / ".codex")})


def _gemini(home: Path, model: str, server: Sequence[str]) -> Run:
    settings = {
        "mcpServers": {SERVER: {**_stdio(server), "trust": True}},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True},
    }
    _write(home / ".gemini" / "settings.json", settings)
    environ = {
        "GEMINI_API_KEY": "dummy",
        "GOOGLE_GEMINI_BASE_URL": model,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }
    return Run(_program("gemini-cli", ".bin/gemini", "--yolo", "-m", "gemini-2.5-flash", "-p", PROMPT), environ)


def _opencode(home: Path, model: str, server: Sequence[str]) -> Run:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "loopback",
        "options": {"baseURL": f"{model}/v1", "apiKey": "dummy"},
        "models": {MODEL: {"name": MODEL, "tool_call": True, "attachment": True,
                           "modalities": {"input": ["text", "image"], "output": ["text"]}}},
    }  # fmt: skip
    config = {
        "$schema": "https://opencode.ai/config.json",
        "provider": {"loopback": provider},
        "model": f"loopback/{MODEL}",
        "autoupdate": False,
        "share": "disabled",
        "mcp": {SERVER: {"type": "local", "command": [*server], "enabled": True, "timeout": 120_000}},
    }
    _write(home / ".config" / "opencode" / "opencode.json", config)
    environ = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    return Run(_program("opencode-ai", ".bin/opencode", "run", PROMPT), environ)


def _copilot(home: Path, model: str, server: Sequence[str]) -> Run:
    _write(
        home / ".copilot" / "mcp-config.json",
        {"mcpServers": {SERVER: {**_stdio(server), "type": "local", "tools": ["*"]}}},
    )
    environ = {
        "COPILOT_PROVIDER_BASE_URL": f"{model}/v1",
        "COPILOT_PROVIDER_API_KEY": "dummy",
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_MODEL": MODEL,
        "COPILOT_OFFLINE": "true",
        "COPILOT_HOME": str(home / ".copilot"),
    }
    options = ("--allow-all-tools", "--no-auto-update", "--no-color")
    return Run(_program("copilot", ".bin/copilot", "-p", PROMPT, *options), environ)


def _qwen(home: Path, model: str, server: Sequence[str]) -> Run:
    settings = {
        "mcpServers": {SERVER: {**_stdio(server), "trust": True}},
        "security": {"auth": {"selectedType": "openai"}},
        "privacy": {"usageStatisticsEnabled": False},
    }
    _write(home / ".qwen" / "settings.json", settings)
    environ = {"OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "dummy", "OPENAI_MODEL": MODEL}
    return Run(_program("qwen-code", ".bin/qwen", "--yolo", "-p", PROMPT), environ)


def _cline(home: Path, model: str, server: Sequence[str]) -> Run:
    cline = _program("cline", ".bin/cline")[0]
    server_command = " ".join(f"'{part}'" for part in server)
    script = (
        f"'{cline}' auth -p openai -k dummy -b {model}/v1 -m {MODEL} && "
        f"'{cline}' mcp add --yes {SERVER} -- {server_command} && exec '{cline}' --json '{PROMPT}'"
    )
    return Run(("sh", "-c", script), {"CLINE_DIR": str(home / ".cline")})


def _continue(home: Path, model: str, server: Sequence[str]) -> Run:
    config = {
        "name": "loopback",
        "version": "1.0.0",
        "schema": "v1",
        "models": [{"name": MODEL, "provider": "openai", "model": MODEL, "apiBase": f"{model}/v1", "apiKey": "dummy",
                    "roles": ["chat"], "capabilities": ["tool_use", "image_input"]}],
        "mcpServers": [{"name": SERVER, **_stdio(server)}],
    }  # fmt: skip
    _write(home / "config.yaml", config)  # JSON is YAML, too
    options = ("-p", PROMPT, "--auto", "--config", str(home / "config.yaml"))
    return Run(_program("cli", ".bin/cn", *options), {"CONTINUE_TELEMETRY_ENABLED": "0"})


HOSTS: Final = (
    AgentHost("Claude Code", "@anthropic-ai/claude-code", _claude),
    AgentHost("Codex CLI", "@openai/codex", _codex, {"late tools": "in the next run: yes"}),
    AgentHost("Gemini CLI", "@google/gemini-cli", _gemini),
    AgentHost("opencode", "opencode-ai", _opencode),
    AgentHost("Copilot CLI", "@github/copilot", _copilot, {"image": "not shown"}),
    AgentHost("Qwen Code", "@qwen-code/qwen-code", _qwen, {"image": "not shown", "late tools": "in the next run: yes"}),
    AgentHost("Cline", "cline", _cline, {"75 s": "other", "late tools": "in the next run: yes"}),
    AgentHost("Continue", "@continuedev/cli", _continue, {"75 s": "other", "late tools": "in the next run: yes"}),
)
