"""Installing a manifest into a host from the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.errors import InstallError
from utcp_ws_mcp.hosts.hosts import supported_hosts
from utcp_ws_mcp.hosts.installation import Place
from utcp_ws_mcp.studio.installing import InstallForm, ShownInstallation, host_titles, preview

MANIFEST = {"name": "m", "url": "wss://api.example/x", "tools": [{"name": "t"}]}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(MANIFEST), encoding="utf-8")
    return file


def shown(manifest: Path | None, config: Path, host: str = "cursor", **options: Any) -> ShownInstallation:
    place = Place(host, options.get("name"), config)
    return preview(place, manifest, options.get("env_files", ()), options.get("environ", {}), changed=bool(options))


@pytest.mark.parametrize("host", list(host_titles()))
def test_a_preview_writes_nothing_and_its_change_makes_the_file(host: str, manifest: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    before = shown(manifest, config, host)
    assert (before.problem, before.notes) == ("", ())
    assert str(manifest) in before.diff
    assert not config.exists()
    assert before.change is not None
    before.change.apply()
    entries = supported_hosts()[host].config_format.entries(
        config.read_text(encoding="utf-8"), supported_hosts()[host].servers_key
    )
    assert list(entries) == ["m"]
    after = shown(manifest, config, host)
    assert (after.diff, after.change, after.problem) == ("", None, "")
    assert after.success.startswith(f"{host_titles()[host]} has a server 'm'")


def test_a_broken_file_is_a_problem_and_stays_as_it_is(manifest: Path, tmp_path: Path) -> None:
    config = tmp_path / "mcp.json"
    config.write_text('{"mcpServers": {', encoding="utf-8")
    found = shown(manifest, config)
    assert "Nothing was changed" in found.problem
    assert found.change is None
    assert config.read_text(encoding="utf-8") == '{"mcpServers": {'


def test_a_file_that_another_program_changed_after_the_preview_is_not_written(manifest: Path, tmp_path: Path) -> None:
    config = tmp_path / "mcp.json"
    found = shown(manifest, config)
    config.write_text('{"mcpServers": {}}', encoding="utf-8")
    assert found.change is not None
    with pytest.raises(InstallError, match="changed by another program"):
        found.change.apply()
    assert config.read_text(encoding="utf-8") == '{"mcpServers": {}}'


@pytest.mark.parametrize("path", [None, Path("not-there.json")])
def test_a_manifest_without_a_file_must_be_saved_first(path: Path | None, tmp_path: Path) -> None:
    assert shown(path, tmp_path / "c").problem.startswith("Save the manifest first")


def test_what_was_typed_since_the_manifest_was_saved_is_said_not_to_be_installed(
    manifest: Path, tmp_path: Path
) -> None:
    found = shown(manifest, tmp_path / "c", changed=True)
    assert any("since the manifest was saved" in note for note in found.notes)
    assert found.change is not None


def test_an_invalid_manifest_is_not_installed(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text('{"name": "m"}', encoding="utf-8")
    found = shown(manifest, tmp_path / "c")
    assert found.problem.startswith("The saved manifest has problems")
    assert found.change is None


def test_a_name_that_hosts_refuse_is_a_problem(manifest: Path, tmp_path: Path) -> None:
    assert "1 to 64 letters" in shown(manifest, tmp_path / "c", name="two words").problem
    assert "'mine'" in shown(manifest, tmp_path / "c", name="mine").success


def test_a_variable_that_only_the_page_has_is_said_to_be_missing_in_the_host(manifest: Path, tmp_path: Path) -> None:
    secret = {**MANIFEST, "headers": {"Authorization": "Bearer ${API_TOKEN}"}}
    manifest.write_text(json.dumps(secret), encoding="utf-8")
    found = shown(manifest, tmp_path / "c", environ={"API_TOKEN": "a-secret-value"})
    assert any("API_TOKEN" in note and "--env-file" in note for note in found.notes)
    assert "a-secret-value" not in repr(found)


def test_what_was_typed_says_where_to_install_and_empty_fields_mean_what_is_usual(tmp_path: Path) -> None:
    form = InstallForm()
    assert form.place() == Place("claude-desktop", None, None)
    form.host, form.name, form.file = "cursor", " mine ", f" {tmp_path / 'mcp.json'} "
    assert form.place() == Place("cursor", "mine", tmp_path / "mcp.json")


def test_files_with_variables_are_passed_to_the_server(manifest: Path, tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text("API_TOKEN=x\n", encoding="utf-8")
    assert str(file) in shown(manifest, tmp_path / "c", env_files=(file,)).diff
