"""S5: a manual from the network names variables and gets none of them.

A manual names a canary in every place for a text, in every way in which configuration files name variables. The canary
stands in the environment, in the process' own, and in a dotenv file beside the manifest. Oracle: it is nowhere in what
a host is shown and gets, nor in anything that the endpoint receives; nothing looks it up, and no dotenv file is opened,
once the manifest is loaded; and where a text is only text, it stays as it was written.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

from utcp_ws_mcp import Bridge, BridgeError
from utcp_ws_mcp.observability import events
from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.security.bridges import STEP_TIMEOUT, JSONObject, open_bridge
from verification.security.endpoint import echo, endpoint, manual_of

NAME: Final = "CANARY"
VALUE: Final = "canary-7f3a9c51"

PLAIN: Final = (
    *("${CANARY}", "$CANARY", "${CANARY:-y}", "${${CANARY}}", "${env:CANARY}", "$(CANARY)", "%CANARY%", "{CANARY}"),
    *(
        "$${CANARY}",
        "a ${CANARY} b ${CANARY}",
        "<CANARY>",
        "vars.CANARY",
        "!ENV CANARY",
        "{% CANARY",
        "${other_CANARY}",
    ),
)
"""Texts that are only texts in a manual from the network."""

EXPRESSIONS: Final = (
    *("{{ vars.CANARY }}", "{{ vars['CANARY'] }}", "{{ env.CANARY }}", "{{ environ['CANARY'] }}", "{{ CANARY }}"),
    *("{{ vars }}", "{{ vars|tojson }}", "{% if true %}${CANARY}{% endif %}"),
)
"""Texts that an expression language reads."""

ToolFactory = Callable[[str], JSONObject]


def _template(**fields: Callable[[str], Any]) -> ToolFactory:
    return lambda text: {"tool_call_template": {key: make(text) for key, make in fields.items()}}


SLOTS: Final[Mapping[str, ToolFactory]] = {
    "description": lambda text: {"description": text},
    "a property's description": lambda text: {"inputs": {"properties": {"n": {"description": text}}}},
    "a property's default": lambda text: {"inputs": {"properties": {"n": {"default": text}}}},
    "a property's name": lambda text: {"inputs": {"properties": {text: {}}}},
    "an enum": lambda text: {"inputs": {"properties": {"n": {"enum": [1, text]}}}},
    "outputs": lambda text: {"outputs": {"type": "object", "description": text}},
    "the title": lambda text: {"annotations": {"title": text}},
    "tags": lambda text: {"tags": [text]},
    "the message": _template(message=str),
    "inside a message": _template(message=lambda text: {"a": [{"b": f"x{text}"}]}),
    "a key of a message": _template(message=lambda text: {text: 1}),
    "the path": _template(url=lambda text: f"{{url}}a/{text}"),
    "the query": _template(url=lambda text: f"{{url}}?a={text}"),
    "a header": _template(headers=lambda text: {"X-A": text}),
    "a header's name": _template(headers=lambda text: {text: "a"}),
    "the subprotocol": _template(protocol=str),
    "a login": _template(on_connect=lambda text: [{"send": {"login": text}}]),
    "a heartbeat": _template(heartbeat=lambda text: {"send": text, "every": 1}),
    "an automatic reply": _template(auto_reply=lambda text: [{"match": "true", "send": text, "keep": True}]),
    "the end of a stream": _template(stream=lambda text: {"max_items": 1, "cancel": text}),
    "a predicate": _template(ignore=lambda text: [f"message == '{text}'"]),
    "a result": _template(reply=lambda text: {"result": f"'{text}'"}),
    "an error": _template(reply=lambda text: {"error": "true", "error_message": f"'{text}'"}),
    "an api key": _template(auth=lambda text: {"auth_type": "api_key", "api_key": text}),
    "a password": _template(auth=lambda text: {"auth_type": "basic", "username": "ann", "password": text}),
}
"""The places of a tool for a text. `{url}` is where its endpoint is."""

SENT_VERBATIM: Final = ("the message", "inside a message", "a key of a message")
LISTED_VERBATIM: Final = ("description", "a property's description", "a property's default", "an enum")


class RecordingEnvironment(dict[str, str]):
    """An environment that says whether somebody looks the canary up in it, or opens a dotenv file instead."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.lookups: list[str] = []
        sys.addaudithook(self._audit)

    def get(self, key: str, default: Any = None) -> Any:
        """A value; the lookup is noted if it is the canary's."""
        self._note(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self._note(key)
        return super().__getitem__(key)

    def _note(self, key: str) -> None:
        if NAME in key:
            self.lookups.append(key)

    def _audit(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and str(details[0]).endswith(".env"):
            self.lookups.append(str(details[0]))


@dataclass
class Observed:
    """Everything that came out of one bridge: `shown` to a host, `told` to the operator, `sent` to the endpoint."""

    listed: dict[str, Any] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    @property
    def leaks(self) -> list[str]:
        """Where the canary is."""
        everything = {"lists": [json.dumps(self.listed)], "results": self.results, "events": self.warnings}
        everything["messages"] = self.sent
        return [name for name, texts in everything.items() if any(VALUE in text for text in texts)]


async def measure(size: Size) -> Sequence[Figure]:
    """One manual for each way to name a variable, with a tool for each place."""
    calls, changed, leaks, lookups = 0, list[str](), list[str](), list[str]()
    watched = RecordingEnvironment({NAME: VALUE, f"other_{NAME}": VALUE})
    with _own_environment():
        for text in (*PLAIN, *EXPRESSIONS):
            seen = await _used(text, watched)
            leaks += [f"{text} in {where}" for where in seen.leaks]
            changed += _changed(text, seen) if text in PLAIN else []
            lookups += watched.lookups
            calls += len(seen.results)
        control = await _used("${CANARY}", watched, local=True)
    tried = len(SLOTS) * len((*PLAIN, *EXPRESSIONS))
    told = f"{_some(leaks)} in {tried} texts, {calls} calls"
    found = f"found in {len(control.leaks)} kinds of output"
    return [
        Figure("S5", "variables that a manual got", told, "0 in >= 300 calls", not leaks and calls >= 300),
        Figure("S5", "lookups for a manual", _some(lookups), "0", not lookups),
        Figure("S5", "texts that did not stay as they were", _some(changed), "0", not changed),
        Figure("S5", "the same in the user's own manifest", found, ">= 1", bool(control.leaks)),
    ]


async def _used(text: str, environ: RecordingEnvironment, *, local: bool = False) -> Observed:
    """List and call everything that a manual with this text offers, or, if `local`, a manifest."""
    seen = Observed()

    async def hear(connection: ServerConnection, message: Any) -> None:
        seen.sent.append(json.dumps(message))
        await echo(connection, message)

    def tools() -> list[JSONObject]:
        places = [SLOTS[place] for place in SENT_VERBATIM] if local else list(SLOTS.values())
        made = [{"name": f"t{index}", **make(text)} for index, make in enumerate(places)]
        return list(json.loads(json.dumps(made).replace("{url}", asked.url)))

    with TemporaryDirectory() as name:
        (Path(name) / ".env").write_text(f"{NAME}={VALUE}\n")
        async with endpoint(hear, manual=lambda: manual_of(*tools())) as asked:
            document = {"name": "m", "url": asked.url, "timeout": 1, **({"tools": tools()} if local else {})}
            async with open_bridge(document, environ=environ, observe=_note(seen), folder=Path(name)) as bridge:
                environ.lookups.clear()
                await bridge.wait_discovered(STEP_TIMEOUT)
                seen.listed = {
                    name: [plan.description, plan.inputs, plan.outputs] for name, plan in bridge.tools.items()
                }
                seen.results += await asyncio.gather(*(_called(bridge, name) for name in bridge.tools))
            seen.sent += [f"{each.request}" for each in asked.connections]
    return seen


def _note(seen: Observed) -> events.Observer:
    return lambda event: seen.warnings.append(repr(event))


async def _called(bridge: Bridge, name: str) -> str:
    try:
        return repr(await bridge.call_tool(name, {"n": 1}))
    except BridgeError as failed:
        return str(failed)


def _changed(text: str, seen: Observed) -> Iterator[str]:
    """The places in which a text that is only text became another one."""
    names = list(SLOTS)
    sent, written = "\n".join(seen.sent), json.dumps(text)[1:-1]
    for slot in SENT_VERBATIM:
        if f"m.t{names.index(slot)}" in seen.listed and written not in sent:
            yield f"{text} in {slot}"
    for slot in LISTED_VERBATIM:
        if written not in json.dumps(seen.listed.get(f"m.t{names.index(slot)}")):
            yield f"{text} in {slot}"


@contextmanager
def _own_environment() -> Iterator[None]:
    os.environ[NAME] = VALUE
    try:
        yield
    finally:
        del os.environ[NAME]


def _some(found: Sequence[str]) -> str:
    return f"{len(found)}" + (f", such as {found[0]}" if found else "")


if __name__ == "__main__":
    run(measure)
