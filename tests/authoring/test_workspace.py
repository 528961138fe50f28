"""What an agent works on: bases, patches, and which manifests are served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.authoring import actions
from utcp_ws_mcp.authoring.admission import admit, missing_variables, parse_bounded, require_variables
from utcp_ws_mcp.authoring.folder import ManifestFolder
from utcp_ws_mcp.authoring.grants import Grants, HostPattern, VariableGrant
from utcp_ws_mcp.authoring.workspace import Workspace, merge_patch
from utcp_ws_mcp.errors import AuthoringRefused, HostNotAllowed, InvalidManifest, Problem, VariableNotAllowed


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    grants = Grants(
        [HostPattern.parse("a.example")],
        [VariableGrant.parse("KEY@a.example"), VariableGrant.parse("KEY@b.example")],
        {"KEY": "s3cret-value-1", "OTHER": "s3cret-value-2"},
    )
    return Workspace(ManifestFolder.open(tmp_path), grants)


def manifest(name: str = "m", url: str = "wss://a.example/", **fields: Any) -> dict[str, Any]:
    return {"name": name, "url": url, "tools": [{"name": "t"}], **fields}


PATCHES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("document", "patch", "merged"), PATCHES)
def test_a_patch_is_merged_as_rfc_7396_says(document: Any, patch: Any, merged: Any) -> None:
    before = json.dumps(document)
    assert merge_patch(document, patch) == merged
    assert json.dumps(document) == before


def test_a_manifest_is_an_object_a_text_or_a_patch_of_a_base(workspace: Workspace) -> None:
    for given in ({"a": 1}, '{"a": 1}'):
        text, source = workspace.text_of(given, None)
        assert (json.loads(text), source) == ({"a": 1}, "manifest")
    workspace.draft = {"a": 1, "b": 2}
    for patch, merged in ((None, {"a": 1, "b": 2}), ({"b": None}, {"a": 1}), ('{"b": null}', {"a": 1})):
        text, source = workspace.text_of(patch, "draft")
        assert (json.loads(text), source) == (merged, "draft")
    workspace.folder.save("saved", '{"c": 3}')
    assert json.loads(workspace.text_of({"d": 4}, "saved")[0]) == {"c": 3, "d": 4}
    assert "url" in json.loads(workspace.text_of(None, "catalog:aria2")[0])


def test_what_is_no_base_is_refused(workspace: Workspace) -> None:
    for given in (None, {}, ""):
        with pytest.raises((AuthoringRefused, InvalidManifest)):
            workspace.text_of(given, None)
    with pytest.raises(AuthoringRefused, match='there is no manifest. Pass "manifest", or "base"'):
        workspace.text_of(None, None)
    with pytest.raises(AuthoringRefused, match="there is no draft yet. Call probe or import_description first."):
        workspace.text_of(None, "draft")
    with pytest.raises(AuthoringRefused, match="there is no manifest 'nothing'"):
        workspace.text_of(None, "nothing")
    workspace.folder.save("broken", "{")
    with pytest.raises(InvalidManifest, match="broken:1:2"):
        workspace.text_of(None, "broken")
    with pytest.raises(InvalidManifest, match="manifest:1:2"):
        workspace.text_of("{", "draft")


def test_manifests_that_may_not_be_served_are_remembered_with_the_reason(workspace: Workspace) -> None:
    workspace.folder.save("a", json.dumps(manifest()))
    workspace.folder.save("b", json.dumps(manifest("other", "wss://elsewhere.example/")))
    workspace.folder.save("c", json.dumps(manifest()))
    workspace.folder.save("d", "{")
    assert [one.manifest.source for one in workspace.load_all()] == ["a"]
    assert list(workspace.refused) == ["b", "c", "d"]
    assert "elsewhere.example:443" in workspace.refused["b"]
    workspace.folder.remove("b")
    workspace.folder.remove("a")
    assert [one.manifest.source for one in workspace.load_all()] == ["c"]
    assert list(workspace.refused) == ["d"]


async def test_what_is_saved_is_served_at_once_and_no_longer_when_it_is_removed(workspace: Workspace) -> None:
    async with workspace.open_bridge() as bridge:
        loaded, replaced = workspace.save("a", json.dumps(manifest()))
        assert (loaded.manifest.source, replaced, list(bridge.tools)) == ("a", False, ["m.t"])
        assert workspace.folder.read("a").endswith("}\n")
        assert workspace.save("a", json.dumps(manifest(tools=[{"name": "u"}])))[1] is True
        assert list(bridge.tools) == ["m.u"]
        with pytest.raises(InvalidManifest):
            workspace.save("b", json.dumps(manifest()))
        with pytest.raises(HostNotAllowed):
            workspace.save("c", json.dumps(manifest("o", "wss://elsewhere.example/")))
        assert (workspace.folder.names(), list(bridge.tools)) == (["a"], ["m.u"])
        workspace.remove("a")
        assert list(bridge.tools) == []


async def test_each_connection_is_checked_with_its_addresses(workspace: Workspace) -> None:
    workspace.grants.hosts.append(HostPattern.parse("localhost"))
    assert await workspace.resolver("localhost", 80)
    workspace.grants.hosts.append(HostPattern.parse("ip6-localhost"))
    with pytest.raises(AuthoringRefused, match="address-not-allowed|is no name of the own network"):
        workspace.grants.check_addresses("public.example", ["127.0.0.1"])


def test_values_of_variables_that_hosts_may_get_are_redacted(workspace: Workspace) -> None:
    assert "s3cret-value-1" not in workspace.redact("it is s3cret-value-1")
    assert workspace.redact("it is s3cret-value-2") == "it is s3cret-value-2"
    workspace.grants.environ = {"KEY": "development"}
    assert workspace.redact("in development") == "in development"


def test_problems_of_a_refused_manifest_have_their_places(workspace: Workspace) -> None:
    problems = [Problem("a", "x", code="c")]
    assert workspace.unavailable(InvalidManifest("m", problems)) == problems
    (host,) = workspace.unavailable(HostNotAllowed(("h:1",)))
    assert (host.path, host.code) == ("url", "host-not-allowed")
    (other,) = workspace.unavailable(AuthoringRefused("no.", code="c"))
    assert (other.path, other.message, other.code) == ("", "no.", "c")


def test_variables_are_used_only_if_every_host_of_a_manifest_may_get_them(workspace: Workspace) -> None:
    workspace.grants.hosts += [HostPattern.parse("b.example"), HostPattern.parse("c.example")]
    for url, missing in (("wss://b.example/", ()), ("wss://c.example/", ("KEY",))):
        text = json.dumps([manifest(headers={"X": "${KEY}"}), manifest("n", url)])
        loaded = admit(text, "m", workspace.grants)
        assert missing_variables(loaded.manifest) == missing
        if not missing:
            require_variables(text, loaded, workspace.grants)
            continue
        with pytest.raises(VariableNotAllowed) as refused:
            require_variables(text, loaded, workspace.grants)
        assert (refused.value.names, refused.value.hosts) == (("KEY",), ("a.example:443", "c.example:443"))


ENV_FILE = {"variable_loader_type": "dotenv", "env_file_path": "x.env"}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"tls": {"ca_file": "x.pem"}}, "tls.ca_file", "file-not-allowed"),
    ({"tls": {"client_cert": "x", "client_key": "y"}}, "tls.client_cert", "file-not-allowed"),
    ({"proxy": "http://a.example:1/"}, "proxy", "proxy-not-allowed"),
    (
        {"load_variables_from": [{"variable_loader_type": "dotenv", "env_file_path": "x.env"}]},
        "load_variables_from",
        "file-not-allowed",
    ),
]


@pytest.mark.parametrize(("fields", "path", "code"), REFUSED)
def test_what_reads_a_file_or_goes_around_the_check_is_refused(
    workspace: Workspace, fields: dict[str, Any], path: str, code: str
) -> None:
    with pytest.raises(InvalidManifest) as refused:
        admit(json.dumps(manifest(**fields)), "m", workspace.grants)
    assert (path, code) in [(each.path, each.code) for each in refused.value.problems]


def test_a_manifest_has_at_most_a_mebibyte(workspace: Workspace) -> None:
    text = json.dumps(manifest())
    padded = text + " " * ((1 << 20) - len(text))
    assert parse_bounded(padded, "m")["name"] == "m"
    with pytest.raises(InvalidManifest) as refused:
        parse_bounded(f"{padded} ", "m")
    assert refused.value.problems[0].code == "file-too-large"
    assert "more than 1,048,576 bytes" in refused.value.problems[0].message


async def test_a_manifest_is_checked_with_its_problems_and_its_tools(workspace: Workspace) -> None:
    async def check(**fields: Any) -> list[str]:
        return (await actions.run_action(workspace, "check_manifest", {"manifest": manifest(**fields)})).splitlines()

    valid = await check()
    assert valid[0] == "Valid. Next: try_call, then save_manifest."
    at = valid.index("1 tools, as a host sees them:")
    (tool,) = (json.loads(line) for line in valid[at + 1 :])
    assert set(tool) <= {"name", "description", "inputSchema"}
    assert tool["name"] == "m_t"
    invalid = await check(timeout="soon")
    assert invalid[0] == "Not valid:"
    assert invalid[1].startswith("error: timeout: ")
    assert invalid[2].startswith("  timeout: ")
    disabled = await check(headers={"X": "${OTHER}"})
    assert any(line.startswith("missing: ") and "OTHER" in line for line in disabled)
    announced = await check(tools=[], discover=True)
    assert announced[-1].startswith("No tools are listed; those that the endpoint announces") or announced[0]


async def test_a_saved_manifest_is_listed_with_its_tools_or_why_it_is_not_served(workspace: Workspace) -> None:
    async def run(tool: str, /, **arguments: Any) -> str:
        return await actions.run_action(workspace, tool, arguments)

    async with workspace.open_bridge():
        assert await run("list_manifests") == "There are none. save_manifest adds one."
        saved = await run("save_manifest", name="a", manifest=manifest(headers={"X": "${OTHER}"}))
        assert saved.splitlines()[0].startswith("a is saved. Tools: ")
        assert "Disabled until the operator sets and allows OTHER." in saved
        workspace.folder.save("z", "{")
        listed = (await run("list_manifests")).splitlines()
        assert listed[0].endswith(" (disabled: OTHER missing)")
        assert listed[1].startswith("z: not served: ")
        assert (await run("save_manifest", name="a", manifest=manifest())).startswith("a is replaced. Tools: m_t.")
        assert (await run("list_manifests")).splitlines()[0] == "a: m.t"
        assert json.loads(await run("list_manifests", name="a")) == manifest()
        assert await run("remove_manifest", name="a") == "a is removed with its tools."
        with pytest.raises(InvalidManifest) as refused:
            await run(
                "save_manifest", name="b", manifest=manifest(headers={"Authorization": "Bearer abcdefgh12345678"})
            )
        assert refused.value.problems[0].code == "secret-in-manifest"
        with pytest.raises(AuthoringRefused, match="is no name of a manifest"):
            await run("save_manifest", name="a/b", manifest=manifest())
