"""What a plan is: the documentation that the scripted model gets, its calls, and the right answer.

`$URL$` and other names between dollar signs stand for what the person would tell it. The texts of documentation are
the project's own, as long as the part of a manual that a person would paste.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Call = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """The work on one server.

    Attributes:
        name: The name in the table.
        server: The endpoint, or the launcher of a real server.
        documentation: What the person pastes.
        calls: The calls that lead to a saved manifest.
        question: The call of the saved tool.
        answer: What its result contains.
        variables: The variables of the environment, by name, as `$NAME$` of the launcher.
    """

    name: str
    server: str
    documentation: str
    calls: Sequence[Call]
    question: Call
    answer: str
    variables: Mapping[str, str] = field(default_factory=dict)


def rpc(method: str, params: Any, number: int = 1) -> str:
    """Return a JSON-RPC request."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def text_input(*names: str, kind: str = "string") -> dict[str, Any]:
    """Return the input schema of required arguments of one type."""
    return {"type": "object", "properties": {name: {"type": kind} for name in names}, "required": list(names)}


def from_catalog(entry: str, name: str) -> list[Call]:
    """Return the calls that find an entry of the catalogue and save it for the server of the plan."""
    return [
        ("list_catalog", {}),
        ("list_catalog", {"name": entry}),
        save(name, base=f"catalog:{entry}", manifest={"url": "$URL$"}),
    ]


def save(name: str, **arguments: Any) -> Call:
    """Return the call that saves the result."""
    return ("save_manifest", {"name": name, **arguments})
