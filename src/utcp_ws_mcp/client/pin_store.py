"""Store the digests of approved tools between runs: one JSON file in the state folder of the user.

A missing file means that nothing was approved yet. One that cannot be read may have held approvals: then no tool is
trusted on first use until the operator approves it, and the file is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Self

from anyio import to_thread

from ..errors import PinStoreError
from ..files import reason_of
from ..records import MutableRecord, Record, field
from .state_files import UnreadableFile, read_state_file, replace_state_file, state_folder

MAX_BYTES: Final = 16 << 20
LOCK_TIMEOUT: Final = 5.0
"""Seconds that a change waits for another process that changes the file."""

FORMAT: Final = 2
FIRST_NUMBER: Final = 1
"""The number of approvals in files of the first format, which had none."""


class Approval(Record):
    """The approved definition of a tool: its digest, and a number that grows with each approval in the store."""

    digest: str
    number: int


class ManualPins(Record):
    """The approved tools of a manual at an origin, by name.

    `trusts_first_use` is False if the store was damaged. `damage` is why it cannot be read now.
    """

    approved: Mapping[str, Approval] = field(default_factory=dict)
    trusts_first_use: bool = True
    damage: str | None = None

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each approved tool."""
        return {name: approval.digest for name, approval in self.approved.items()}


class PinStore:
    """The approved tools of all manuals. Files are read and written in a thread: the event loop does not wait."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def default(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return the store in the state folder."""
        return cls(state_folder(environ) / "pins.json")

    async def get(self, manual: str, origin: str) -> ManualPins:
        """Return the approved tools of a manual at an origin, such as wss://example.com:443."""
        return await to_thread.run_sync(self._get, manual, origin)

    async def trust(self, manual: str, origin: str, digests: Mapping[str, str]) -> int:
        """Add tools that are trusted on first use; a tool that was approved in the meantime keeps its digest.

        Returns:
            The number of these approvals.

        Raises:
            PinStoreError: If the file cannot be written, or cannot be read and must not be lost.
        """
        return await to_thread.run_sync(self._change, manual, origin, digests, False)

    async def approve(self, manual: str, origin: str, digests: Mapping[str, str]) -> int:
        """Add tools that the operator approves, in place of older definitions. A damaged file is kept under a name.

        Returns:
            The number of these approvals.

        Raises:
            PinStoreError: If the file cannot be written.
        """
        return await to_thread.run_sync(self._change, manual, origin, digests, True)

    def _get(self, manual: str, origin: str) -> ManualPins:
        try:
            document = self._read()
        except UnreadableFile as damage:
            return ManualPins(trusts_first_use=False, damage=f"{self._path}: {damage}")
        return ManualPins(document.manuals.get(f"{manual} {origin}", {}), document.trusts_first_use)

    def _change(self, manual: str, origin: str, digests: Mapping[str, str], by_operator: bool) -> int:
        try:
            with self._lock():
                document = self._read_for_change(by_operator)
                number = document.next_number()
                approved = document.manuals.setdefault(f"{manual} {origin}", {})
                added = {name: Approval(digest, number) for name, digest in digests.items()}
                merged = {**approved, **added} if by_operator else {**added, **approved}
                if merged != approved:
                    document.manuals[f"{manual} {origin}"] = merged
                    replace_state_file(self._path, document.to_json())
                return number
        except OSError as failed:  # a lock that is not free in time is a TimeoutError
            raise PinStoreError(str(self._path), reason_of(failed)) from failed

    def _lock(self) -> AbstractContextManager[Any]:
        from filelock import FileLock  # here, because most starts change nothing

        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self._path.with_suffix(".lock"), timeout=LOCK_TIMEOUT, mode=0o600)

    def _read_for_change(self, by_operator: bool) -> _Document:
        try:
            return self._read()
        except UnreadableFile as damage:
            if not by_operator:
                raise PinStoreError(str(self._path), f"the file cannot be read ({damage})") from None
            self._path.replace(self._free_path())
            return _Document({}, trusts_first_use=False)

    def _free_path(self) -> Path:
        """Return a path for a damaged file."""
        number = 1
        while (path := self._path.with_suffix(f".damaged-{number}")).exists():
            number += 1
        return path

    def _read(self) -> _Document:
        text = read_state_file(self._path, MAX_BYTES)
        return _Document({}) if text is None else _Document.parse(text)


class _Document(MutableRecord):
    """The content of the file: the approvals by manual and origin, then by tool."""

    manuals: dict[str, dict[str, Approval]]
    trusts_first_use: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a file.

        Raises:
            UnreadableFile: If it has another form.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise UnreadableFile("it is not JSON") from None
        try:
            if "format" not in document:  # version 0.1.0 stored only digests
                return cls({key: _read_digests(value) for key, value in document.items()})
            if document["format"] != FORMAT or not isinstance(document["trusts_first_use"], bool):
                raise UnreadableFile("it was written by another version")
            manuals = {key: _read_approvals(value) for key, value in document["manuals"].items()}
            return cls(manuals, document["trusts_first_use"])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UnreadableFile("it does not have the form of approved tools") from None

    def next_number(self) -> int:
        """Return a number above those of all approvals."""
        numbers = (approval.number for approved in self.manuals.values() for approval in approved.values())
        return max(numbers, default=FIRST_NUMBER) + 1

    def to_json(self) -> str:
        """Return the text of the file."""
        manuals = {
            key: {name: [approval.digest, approval.number] for name, approval in approved.items()}
            for key, approved in self.manuals.items()
        }
        document = {"format": FORMAT, "trusts_first_use": self.trusts_first_use, "manuals": manuals}
        return json.dumps(document, indent=1, sort_keys=True)


def _read_digests(value: Any) -> dict[str, Approval]:
    return {name: Approval(_text(digest), FIRST_NUMBER) for name, digest in value.items()}


def _read_approvals(value: Any) -> dict[str, Approval]:
    return {name: Approval(_text(digest), int(number)) for name, (digest, number) in value.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
