"""The clients of the fault matrix: the bridge and the reference implementation of UTCP, with the same two endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from utcp_ws_mcp.client.dial import Resolver

from .clients import WITH_IDS, WITHOUT_IDS, Caller, open_bridge, silenced_reference
from .faults import HTTP_STEPS, FaultCase, Phase

Mode = Literal["shared", "exclusive", "one-shot"]
MODES: Final[dict[Mode, dict[str, Any]]] = {
    "shared": WITH_IDS,
    "exclusive": WITHOUT_IDS,
    "one-shot": {**WITHOUT_IDS, "keep_alive": False},
}

TIMEOUT: Final = 3
"""Seconds of a call's timeout."""

SLACK: Final = 2.0
"""Seconds after its deadline from which a call counts as late; the machine may be busy."""

LIMITS: Final = {"connect_timeout": 2.0, "ping_interval": 0.5, "ping_timeout": 1.0}


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the fault matrix."""

    fault_case: FaultCase
    mode: Mode
    phase: Phase

    def __str__(self) -> str:
        return f"{self.fault_case.name}, {self.mode}, {self.phase}"


@dataclass(frozen=True, slots=True)
class Scene:
    """The input of a subject: the ports of the faulty, the healthy and the token endpoint, and the resolver."""

    cell: Cell
    faulty: int
    good: int
    tokens: int
    resolver: Resolver


Subject = Callable[[Scene], AbstractAsyncContextManager[Caller]]
"""Opens a client; the first argument of its calls is "faulty" or "good"."""


@asynccontextmanager
async def bridge_subject(scene: Scene) -> AsyncIterator[Caller]:
    """Open the bridge with two call templates."""
    entries = [_entry(scene, "faulty", scene.faulty), _entry(scene, "good", scene.good)]
    async with open_bridge(entries, resolver=scene.resolver) as opened:

        async def call(name: str, **arguments: Any) -> Any:
            return await opened.call_tool(f"{name}.t", arguments)

        yield call


def _entry(scene: Scene, name: str, port: int) -> dict[str, Any]:
    cell = scene.cell
    entry = {
        "name": name,
        "url": f"ws://{name}.test:{port}/",
        "network": {"allow": ["loopback"], "plaintext": True},
        "timeout": TIMEOUT,
        "limits": LIMITS,
        "pin": "off",
        **MODES[cell.mode],
    }
    if cell.phase != "discovery":
        entry["tools"] = [{"name": "t"}]
    if cell.fault_case.where == "token" and name == "faulty":
        entry["auth"] = {"auth_type": "oauth2", **_credentials(scene)}
    if cell.fault_case.where in HTTP_STEPS and name == "faulty":
        field = "before_connect" if cell.fault_case.where == "login request" else "before_message"
        entry[field] = [_http_step(scene)]
    return entry


def _http_step(scene: Scene) -> dict[str, Any]:
    http = {"method": "POST", "url": f"http://127.0.0.1:{scene.tokens}/"}
    return {"http": http, "capture": {"ticket": "body.access_token"}, "timeout": 1}


def _credentials(scene: Scene) -> dict[str, str]:
    return {"token_url": f"http://127.0.0.1:{scene.tokens}/", "client_id": "c", "client_secret": "s3cret"}


@asynccontextmanager
async def reference_subject(scene: Scene) -> AsyncIterator[Caller]:
    """Open `utcp-websocket` with two call templates; without discovery, since it rejects a correct manual."""
    from utcp.data.auth_implementations.oauth2_auth import OAuth2Auth
    from utcp_websocket.websocket_call_template import WebSocketCallTemplate

    auth = OAuth2Auth(**_credentials(scene)) if scene.cell.fault_case.where == "token" else None
    templates = {
        name: WebSocketCallTemplate(
            name=name,
            url=f"ws://localhost:{port}/",
            response_format="json",
            timeout=TIMEOUT,
            auth=auth if name == "faulty" else None,
            keep_alive=scene.cell.mode != "one-shot",
        )
        for name, port in (("faulty", scene.faulty), ("good", scene.good))
    }
    async with silenced_reference() as protocol:

        async def call(name: str, **arguments: Any) -> Any:
            return await protocol.call_tool(None, f"{name}.t", arguments, templates[name])

        yield call
