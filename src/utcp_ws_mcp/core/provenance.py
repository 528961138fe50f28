"""Who wrote what of a call template: the local manifest, or an endpoint's manual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where each field of a call template came from: `remote` names those that came over the network.

    Only fields of the local manifest may use `values`, its variables.
    """

    values: Mapping[str, str] = field(repr=False)
    remote: frozenset[str] = frozenset()

    def is_local(self, key: str) -> bool:
        """Whether the local manifest wrote this field."""
        return key not in self.remote

    def variables(self, key: str) -> Mapping[str, str] | None:
        """The variables for the templates in this field, or None where it has none."""
        return self.values if self.is_local(key) else None
