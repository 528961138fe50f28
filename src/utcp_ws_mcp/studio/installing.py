"""Install the saved manifest into a host: what would change, and the change itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..client.manifest_files import load_manifest
from ..errors import InstallError, InvalidManifest
from ..hosts.change import Change
from ..hosts.hosts import supported_hosts
from ..hosts.installation import NAME_RULE, SERVER_NAME, Place, plan_server
from ..records import MutableRecord, Record, field


class InstallForm(MutableRecord):
    """The fields as they were typed: the host, the name of the server, and the file of the host."""

    host: str = field(default_factory=lambda: next(iter(supported_hosts())))
    name: str = ""
    file: str = ""

    def place(self) -> Place:
        """Return where to install; an empty field means what is usual."""
        file = self.file.strip()
        return Place(self.host, self.name.strip() or None, Path(file).expanduser() if file else None)


class ShownInstallation(Record):
    """What the page shows before anything is written.

    Attributes:
        diff: The change of the host's file as a person reads it; empty if there is nothing to change.
        success: What to say after it was applied.
        notes: What to know before: variables that the host does not have, changes that are not saved.
        problem: Why nothing can be installed; empty if something can.
        change: The change; None if there is none.
    """

    diff: str = ""
    success: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""
    change: Change | None = None


def host_titles() -> dict[str, str]:
    """Return the hosts and what people call them."""
    return {name: host.title for name, host in supported_hosts().items()}


def preview(
    place: Place, manifest: Path | None, env_files: Sequence[Path], environ: Mapping[str, str], *, changed: bool
) -> ShownInstallation:
    """Return what the installation would change. Nothing is written.

    Args:
        place: The host, the name of the server, and the file of the host.
        manifest: The saved manifest; None if it was never saved.
        env_files: The files with variables that the command was started with.
        environ: The variables that the page has.
        changed: Whether something is typed that is not saved.
    """
    if manifest is None or not manifest.exists():
        return ShownInstallation(problem="Save the manifest first: a host starts a server for a file.")
    if place.name is not None and not SERVER_NAME.match(place.name):
        return ShownInstallation(problem=f"The name: {NAME_RULE}.")
    try:
        loaded = load_manifest(manifest, environ, env_files)
        planned = plan_server(place, [manifest.absolute()], env_files, [loaded])
    except InvalidManifest as invalid:
        return ShownInstallation(problem=f"The saved manifest has problems: {invalid}")
    except InstallError as refused:
        return ShownInstallation(problem=str(refused))
    unsaved = ("What was typed since the manifest was saved is not installed.",) if changed else ()
    diff = planned.change.diff
    return ShownInstallation(
        diff, planned.success, (*unsaved, *planned.warnings), change=planned.change if diff else None
    )
