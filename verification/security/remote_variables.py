"""S5: a manual from the network cannot read variables.

A manual names a canary variable in every text field, in every common syntax of variables. The canary is in the
environment of the manifest and of the process, and in a dotenv file next to the manifest. Pass criteria: no tool list,
result, event or message to the endpoint holds its value; after the manifest is loaded, no variable is looked up and no
dotenv file is opened; and a text without an expression is not changed.
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
from verification.security.bridge_fixture import STEP_TIMEOUT, JSONObject, open_bridge
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
"""Texts without an expression in a manual from the network."""

EXPRESSIONS: Final = (
    *("{{ vars.CANARY }}", "{{ vars['CANARY'] }}", "{{ env.CANARY }}", "{{ environ['CANARY'] }}", "{{ CANARY }}"),
    *("{{ vars }}", "{{ vars|tojson }}", "{% if true %}${CANARY}{% endif %}"),
)
"""Texts with an expression."""

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
"""The text fields of a tool. `{url}` is the URL of its endpoint."""

SENT_VERBATIM: Final = ("the message", "inside a message", "a key of a message")
LISTED_VERBATIM: Final = ("description", "a property's description", "a property's default", "an enum")


class RecordingEnvironment(dict[str, str]):
    """An environment that records lookups of the canary, and dotenv files that are opened."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.lookups: list[str] = []
        sys.addaudithook(self._audit)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value; a lookup of the canary is recorded."""
        self._record(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self._record(key)
        return super().__getitem__(key)

    def _record(self, key: str) -> None:
        if NAME in key:
            self.lookups.append(key)

    def _audit(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and str(details[0]).endswith(".env"):
            self.lookups.append(str(details[0]))


@dataclass
class Observed:
    """The outputs of a bridge: tools listed, results of calls, events (`warnings`), and messages sent."""

    listed: dict[str, Any] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    @property
    def leaks(self) -> list[str]:
        """The outputs that hold the canary."""
        outputs = {"lists": [json.dumps(self.listed)], "results": self.results, "events": self.warnings}
        outputs["messages"] = self.sent
        return [name for name, texts in outputs.items() if any(VALUE in text for text in texts)]


async def measure(size: Size) -> Sequence[Figure]:
    """Use one manual for each text, with a tool for each text field."""
    calls, changed, leaks, lookups = 0, list[str](), list[str](), list[str]()
    environ = RecordingEnvironment({NAME: VALUE, f"other_{NAME}": VALUE})
    with _process_environment():
        for text in (*PLAIN, *EXPRESSIONS):
            observed = await _use(text, environ)
            leaks += [f"{text} in {where}" for where in observed.leaks]
            changed += _changed(text, observed) if text in PLAIN else []
            lookups += environ.lookups
            calls += len(observed.results)
        control = await _use("${CANARY}", environ, local=True)
    count = len(SLOTS) * len((*PLAIN, *EXPRESSIONS))
    result = f"{_count_with_example(leaks)} in {count} texts, {calls} calls"
    detected = f"found in {len(control.leaks)} kinds of output"
    return [
        Figure("S5", "variables that a manual read", result, "0 in >= 300 calls", not leaks and calls >= 300),
        Figure("S5", "lookups for a manual", _count_with_example(lookups), "0", not lookups),
        Figure("S5", "texts that were changed", _count_with_example(changed), "0", not changed),
        Figure("S5", "control: the same text in a local manifest", detected, ">= 1", bool(control.leaks)),
    ]


async def _use(text: str, environ: RecordingEnvironment, *, local: bool = False) -> Observed:
    """List and call all tools of a manual with this text or, if `local`, of a manifest with it."""
    observed = Observed()

    async def answer(connection: ServerConnection, message: Any) -> None:
        observed.sent.append(json.dumps(message))
        await echo(connection, message)

    def tools() -> list[JSONObject]:
        places = [SLOTS[place] for place in SENT_VERBATIM] if local else list(SLOTS.values())
        tool_list = [{"name": f"t{index}", **make(text)} for index, make in enumerate(places)]
        return list(json.loads(json.dumps(tool_list).replace("{url}", served.url)))

    with TemporaryDirectory() as name:
        (Path(name) / ".env").write_text(f"{NAME}={VALUE}\n")
        async with endpoint(answer, manual=lambda: manual_of(*tools())) as served:
            document = {"name": "m", "url": served.url, "timeout": 1, **({"tools": tools()} if local else {})}
            async with open_bridge(document, environ=environ, observe=_record(observed), folder=Path(name)) as bridge:
                environ.lookups.clear()
                await bridge.wait_discovered(STEP_TIMEOUT)
                observed.listed = {
                    name: [tool.description, tool.inputs, tool.outputs] for name, tool in bridge.tools.items()
                }
                observed.results += await asyncio.gather(*(_call(bridge, name) for name in bridge.tools))
            observed.sent += [f"{each.request}" for each in served.connections]
    return observed


def _record(observed: Observed) -> events.Observer:
    return lambda event: observed.warnings.append(repr(event))


async def _call(bridge: Bridge, name: str) -> str:
    try:
        return repr(await bridge.call_tool(name, {"n": 1}))
    except BridgeError as failed:
        return str(failed)


def _changed(text: str, observed: Observed) -> Iterator[str]:
    """Yield the fields in which the text was changed."""
    names = list(SLOTS)
    sent, written = "\n".join(observed.sent), json.dumps(text)[1:-1]
    for slot in SENT_VERBATIM:
        if f"m.t{names.index(slot)}" in observed.listed and written not in sent:
            yield f"{text} in {slot}"
    for slot in LISTED_VERBATIM:
        if written not in json.dumps(observed.listed.get(f"m.t{names.index(slot)}")):
            yield f"{text} in {slot}"


@contextmanager
def _process_environment() -> Iterator[None]:
    os.environ[NAME] = VALUE
    try:
        yield
    finally:
        del os.environ[NAME]


def _count_with_example(cases: Sequence[str]) -> str:
    return f"{len(cases)}" + (f", such as {cases[0]}" if cases else "")


if __name__ == "__main__":
    run(measure)
