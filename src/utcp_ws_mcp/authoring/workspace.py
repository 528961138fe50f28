"""What an agent works on: the folder of manifests, the last draft, and the bridge that serves what is saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from ..bridge import Bridge
from ..client.dial import CheckedResolver
from ..client.manifest_files import LoadedManifest, check_unique_names, parse_manifest
from ..client.resolver import EndpointResolver
from ..errors import AuthoringRefused, BridgeError, HostNotAllowed, InvalidManifest, Problem
from ..observability.redaction import Redactor
from ..observability.secret_forms import is_word
from ..observability.secret_search import SecretGroup
from ..recorder.manifest import format_json
from ..records import MutableRecord, field
from .admission import admit
from .folder import ManifestFolder
from .grants import Grants
from .reading import catalog_text

DRAFT: Final = "draft"
"""The base that stands for the result of the last probe or import."""

CATALOG_PREFIX: Final = "catalog:"


class Workspace(MutableRecord, dict=True):
    """The manifests of a folder, under the grants of the operator.

    Attributes:
        folder: Where manifests are saved.
        grants: What is allowed.
        redactor: The redactor of the bridge.
        draft: The result of the last probe or import.
        refused: Why a saved manifest is not served, by its name.
    """

    folder: ManifestFolder
    grants: Grants
    redactor: Redactor = field(default_factory=Redactor)
    draft: dict[str, Any] | None = None
    refused: dict[str, str] = field(default_factory=dict)
    _bridge: Bridge | None = None

    @cached_property
    def resolver(self) -> CheckedResolver:
        """Return the resolver that every connection has to use: it refuses hosts that are not allowed."""
        lookup = EndpointResolver()

        async def resolve(host: str, port: int) -> list[str]:
            addresses = await lookup(host, port)
            self.grants.check_addresses(host, addresses)
            return addresses

        return CheckedResolver(resolve, self.grants.check_url)

    def redact(self, text: str) -> str:
        """Return a text without the values of variables and the tokens of logins."""
        secrets = SecretGroup(each for each in self.grants.secrets() if not is_word(each))
        return self.redactor.guard(secrets.redact(text))

    def open_bridge(self) -> Bridge:
        """Return the bridge for the saved manifests; enter it with `async with`."""
        self._bridge = Bridge(self.load_all(), resolver=self.resolver, redactor=self.redactor)
        return self._bridge

    def reload(self) -> None:
        """Serve what is saved now."""
        assert self._bridge is not None
        self._bridge.reload(self.load_all())

    def load_all(self) -> list[LoadedManifest]:
        """Return the saved manifests that may be served, and remember why the others may not."""
        self.refused = {}
        loaded: list[LoadedManifest] = []
        for name in self.folder.names():
            try:
                one = admit(self.folder.read(name), name, self.grants)
                check_unique_names([*loaded, one])
                loaded.append(one)
            except BridgeError as failed:
                self.refused[name] = str(failed)
        return loaded

    def text_of(self, manifest: Any, base: str | None) -> tuple[str, str]:
        """Return the text of the manifest that an agent means, and its name in problems.

        Args:
            manifest: The manifest as an object or as JSON text; with a base, a merge patch. None: the base itself.
            base: What it starts from.

        Raises:
            AuthoringRefused: if there is neither, or no such base.
            InvalidManifest: if a text is no JSON.
        """
        if isinstance(manifest, str):
            manifest = parse_manifest(manifest, "manifest")
        if base is None:
            if not manifest:
                raise AuthoringRefused('there is no manifest. Pass "manifest", or "base" for the one to start from.')
            return format_json(manifest), "manifest"
        document = json.loads(self._base(base))
        return format_json(merge_patch(document, manifest) if manifest is not None else document), base

    def _base(self, base: str) -> str:
        if base == DRAFT:
            if self.draft is None:
                raise AuthoringRefused("there is no draft yet. Call probe or import_description first.")
            return json.dumps(self.draft)
        if base.startswith(CATALOG_PREFIX):
            return catalog_text(base.removeprefix(CATALOG_PREFIX))
        text = self.folder.read(base)
        parse_manifest(text, base)
        return text

    def save(self, name: str, text: str) -> tuple[LoadedManifest, bool]:
        """Save a manifest and serve it; return it, and whether there was one of this name.

        Raises:
            InvalidManifest: if it cannot be served beside the others.
            HostNotAllowed: if it connects to a host that is not allowed.
        """
        loaded = admit(text, name, self.grants)
        others = [one for one in self.load_all() if one.manifest.source != name]
        check_unique_names([*others, loaded])
        replaced = self.folder.save(name, text + "\n")
        self.reload()
        return loaded, replaced

    def remove(self, name: str) -> None:
        """Remove a manifest with its tools.

        Raises:
            AuthoringRefused: if there is none of this name.
        """
        self.folder.remove(name)
        self.reload()

    def unavailable(self, problem: BridgeError) -> list[Problem]:
        """Return the problems for which a manifest is not admitted."""
        if isinstance(problem, InvalidManifest):
            return list(problem.problems)
        path = "url" if isinstance(problem, HostNotAllowed) else ""
        return [Problem(path, problem.message, code=problem.code)]


def merge_patch(document: Any, patch: Any) -> Any:
    """Return a document with a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
