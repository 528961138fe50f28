"""Variables of a `UtcpClient`: those that are named for one manual, as UTCP namespaces them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from utcp.data.utcp_client_config import UtcpClientConfig
from utcp.exceptions import UtcpVariableNotFound
from utcp.implementations.default_variable_substitutor import DefaultVariableSubstitutor

from ...manifest.inheritance import referenced_presets
from ...manifest.models.base import Json
from ...manifest.variables import VariableResolver, find_optional, find_variables, namespaced_variable
from .template import DOLLAR


@dataclass(frozen=True, slots=True)
class ClientVariables(Mapping[str, str]):
    """The variables of one manual, by their names without namespace. They are looked up, and cannot be listed."""

    config: UtcpClientConfig = field(repr=False)
    manual: str

    def __getitem__(self, name: str) -> str:
        try:
            return str(DefaultVariableSubstitutor().substitute(f"${{{name}}}", self.config, self.manual))
        except UtcpVariableNotFound:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def make_resolver(document: Json, variables: ClientVariables) -> VariableResolver:
    """What a document's own expressions (`vars.NAME`) and presets refer to.

    Raises:
        UtcpVariableNotFound: for one that is not set, and must be.
    """
    written = [document, *referenced_presets(document)]
    names = set(find_variables(written)) - {DOLLAR}
    found = {name: value for name in names if (value := variables.get(name)) is not None}
    for name in sorted(names - found.keys() - find_optional(written)):
        raise UtcpVariableNotFound(namespaced_variable(variables.manual, name))
    return VariableResolver([found | {DOLLAR: "$"}])
