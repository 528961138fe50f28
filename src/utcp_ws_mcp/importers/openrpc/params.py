"""The parameters of a method: as arguments of a tool, and as `params` of a request."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from ...recorder.messages import literal
from ...records import Record
from ..model import Document
from ..naming import argument_name, message_key
from ..schemas import Schemas

_ETHEREUM: Final = re.compile(r"[A-Za-z0-9]+_[A-Za-z0-9_]+\Z")
"""Names of methods in the style of Ethereum, such as `eth_getBalance`: such endpoints read parameters by position."""


class Parameters(Record):
    """The parameters of a method. `names` are the arguments, by the name of the parameter."""

    inputs: Document
    names: Mapping[str, str]
    required: Collection[str]
    by_position: bool

    @property
    def are_plain(self) -> bool:
        """Return whether the arguments as they are can be the `params` of a request."""
        return not self.by_position and all(name == argument for name, argument in self.names.items())

    def template(self) -> Any:
        """Return the template of `params`."""
        if self.by_position:
            return _positions(list(self.names.values()), {self.names[name] for name in self.required})
        if not self.names:
            return {}
        return {message_key(name): f"{{{{ args.{argument} }}}}" for name, argument in self.names.items()}


def read_parameters(
    listed: Sequence[Any], schemas: Schemas, by_position: bool, reserved: Collection[str] = ()
) -> Parameters:
    """Return the parameters that content descriptors describe."""
    names: dict[str, str] = {}
    properties: Document = {}
    required: list[str] = []
    for descriptor in (schemas.resolve(each) for each in listed):
        if not isinstance(descriptor, Mapping) or not isinstance(descriptor.get("name"), str):
            continue
        name = descriptor["name"]
        names[name] = argument_name(name, {*names.values(), *reserved})
        properties[names[name]] = _described(descriptor)
        if descriptor.get("required") is True:
            required.append(name)
    return Parameters(_object(properties, [names[each] for each in required], schemas), names, required, by_position)


def _object(properties: Document, required: Sequence[str], schemas: Schemas) -> Document:
    schema: Document = {"type": "object", "properties": properties}
    schema |= {"required": list(required)} if required else {}
    return schemas.complete({**schema, "additionalProperties": False})


def _described(descriptor: Mapping[str, Any]) -> Any:
    """Return the schema of a parameter with the description of the parameter."""
    schema = descriptor.get("schema", {})
    text = descriptor.get("description") or descriptor.get("summary")
    if not isinstance(text, str) or not isinstance(schema, Mapping) or "description" in schema:
        return schema
    return {**schema, "description": " ".join(text.split())}


def _positions(arguments: Sequence[str], required: Collection[str]) -> list[str]:
    """Return the array of parameters: one that is missing is null if one behind it is there."""
    elements = []
    for index, name in enumerate(arguments):
        behind = arguments[index + 1 :]
        optional = [f"args.{other} is defined" for other in behind if other not in required]
        if name in required or not behind:
            elements.append(f"{{{{ args.{name} }}}}")
        elif len(optional) < len(behind):
            elements.append(f"{{{{ args.{name} | default(none) }}}}")
        else:
            elements.append(f"{{{{ args.{name} | default(none if {' or '.join(optional)} else omit) }}}}")
    return elements


def reads_positions(method: Mapping[str, Any], option: str | None, document_default: bool) -> bool:
    """Return whether a method reads its parameters by position: its own word decides, then the option."""
    structure = method.get("paramStructure")
    if structure in ("by-position", "by-name"):
        return bool(structure == "by-position")
    return document_default if option is None else option == "position"


def guess_positions(methods: Sequence[Mapping[str, Any]], schemas: Schemas) -> tuple[bool, str]:
    """Return whether the methods that do not say it read parameters by position, and why."""
    open_ones = [each for each in methods if each.get("paramStructure") in (None, "either")]
    names = [str(each.get("name", "")) for each in open_ones]
    if sum(bool(_ETHEREUM.match(name)) for name in names) * 2 > len(names):
        return True, f"methods are called like {literal(names[0])}, as at Ethereum nodes"
    parameters = (schemas.resolve(each) for method in open_ones for each in method.get("params", ()))
    odd = next((each["name"] for each in parameters if _is_no_identifier(each)), None)
    if odd is not None:
        return True, f"{literal(odd)} would be no usual name"
    return False, "the specification allows it for every method"


def _is_no_identifier(descriptor: Any) -> bool:
    name = descriptor.get("name") if isinstance(descriptor, Mapping) else None
    return isinstance(name, str) and not re.fullmatch(r"[\w$.-]+", name)
