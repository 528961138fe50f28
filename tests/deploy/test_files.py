"""The files of deploy/ fit together, and to the program; `make deploy-check` checks them with schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import click
import pytest
import yaml

from tests.redis_server import needs_redis, redis_server
from utcp_ws_mcp.cli.main import main
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.shared.address import parse_store_address
from utcp_ws_mcp.client.shared.fleet import open_fleet
from utcp_ws_mcp.client.shared.rates import take_turn
from utcp_ws_mcp.server.auth.resource_server import METADATA_PATH
from utcp_ws_mcp.server.http.app import MCP_PATH, READY_PATH

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
RESOURCES: dict[tuple[str, str], Any] = {
    (each["kind"], each["metadata"]["name"]): each
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for each in yaml.safe_load_all(file.read_text(encoding="utf-8"))
}
POD = RESOURCES["Deployment", "utcp-ws-mcp"]["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
REPLICAS = {name: each for name, each in COMPOSE["services"].items() if name.startswith("mcp-")}
USERS = "user default off\nuser replica on >secret ~utcp-ws:* +@all -@admin -@dangerous\n"
GRACE = 10
"""Seconds that a replica gives running calls."""


def file_options(arguments: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (each.partition("=") for each in arguments) if value.startswith("/")}


def manifests(arguments: list[str]) -> list[str]:
    return [each for each in arguments[1:] if not each.startswith("-")]


def parse(arguments: list[str], folder: Path) -> click.Context:
    """Parse the arguments of `serve`, with files that exist in place of those of the container."""
    there = folder / "file"
    there.touch()
    local = [re.sub(r"(^|=)/.*", rf"\g<1>{there}", each) for each in arguments]
    command = main.commands[local[0]]
    return command.make_context(local[0], local[1:])


@pytest.mark.parametrize("arguments", [REPLICAS["mcp-1"]["command"], CONTAINER["args"]], ids=["compose", "kubernetes"])
def test_replicas_are_started_with_options_that_exist(arguments: list[str], tmp_path: Path) -> None:
    found = parse(arguments, tmp_path).params
    assert found["address"] == "0.0.0.0:8080"
    assert all(found[name] for name in ("token_file", "shared_file", "shared_key_file", "env_files"))


def test_each_replica_can_be_asked_for_its_metrics_at_its_own_address() -> None:
    for name, replica in REPLICAS.items():
        assert f"--allowed-host={name}:8080" in replica["command"]
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    assert address in CONTAINER["env"]
    assert "--allowed-host=$(POD_IP):8080" in CONTAINER["args"]


def test_compose_mounts_every_file_that_a_replica_is_given() -> None:
    for replica in REPLICAS.values():
        mounted = {each["target"] for each in replica["configs"]} | {f"/run/secrets/{n}" for n in replica["secrets"]}
        command = replica["command"]
        assert {*file_options(command).values(), *manifests(command)} == mounted


def test_compose_declares_what_its_services_use_and_needs_only_files_that_are_described() -> None:
    for service in COMPOSE["services"].values():
        for kind in ("configs", "secrets", "networks"):
            used = {each if isinstance(each, str) else each["source"] for each in service.get(kind, [])}
            assert used <= COMPOSE[kind].keys()
    head = (DEPLOY / "compose.yaml").read_text(encoding="utf-8").partition("name:")[0]
    for kind in ("configs", "secrets"):
        for each in COMPOSE[kind].values():
            assert each["file"] in head or (DEPLOY / each["file"]).exists(), each


def test_the_guide_makes_all_secrets_of_compose_and_lets_users_that_are_not_root_read_theirs() -> None:
    text = (DEPLOY.parent / "docs" / "guides" / "replicas.md").read_text(encoding="utf-8")
    commands = text.partition("mkdir -m 700 deploy/secrets\n")[2].partition("```")[0]
    files = {name: Path(each["file"]).name for name, each in COMPOSE["secrets"].items()}
    assert {name for name in files.values() if not re.search(rf"[> ]{re.escape(name)}\n", commands)} == set()
    [readable] = re.findall(r"^chmod 644 (.*)", commands, re.MULTILINE)
    used = {files[name] for service in (*REPLICAS, "redis") for name in COMPOSE["services"][service]["secrets"]}
    assert used | {"../manifest.json", "../redis.conf"} == set(readable.split())


def test_nginx_distributes_to_the_replicas_of_compose() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"server (\S+):8080", text) == [*REPLICAS] * 2
    targets = [each["target"] for each in COMPOSE["services"]["nginx"]["secrets"]]
    assert re.findall(r"ssl_certificate\S* (\S+);", text) == targets
    assert COMPOSE["services"]["nginx"]["depends_on"].keys() == REPLICAS.keys()


def test_redis_has_the_same_configuration_in_both_deployments() -> None:
    def settings(text: str) -> set[str]:
        return {line for line in text.splitlines() if line and not line.startswith(("#", "aclfile", "port"))}

    there = RESOURCES["ConfigMap", "utcp-ws-mcp"]["data"]["redis.conf"]
    assert settings(there) == settings((DEPLOY / "redis.conf").read_text(encoding="utf-8"))
    assert COMPOSE["services"]["redis"]["command"] == ["redis-server", "/etc/redis/redis.conf"]


def test_kubernetes_mounts_every_file_that_a_container_is_given() -> None:
    for pod in pods():
        [container] = pod["containers"]
        given = {*file_options(container["args"]).values(), *manifests(container["args"])}
        assert given <= mounted_files(pod, container)


def pods() -> Iterator[Any]:
    return (each["spec"]["template"]["spec"] for (kind, _), each in RESOURCES.items() if kind == "Deployment")


def mounted_files(pod: Any, container: Any) -> set[str]:
    paths = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    found = set()
    for volume in pod["volumes"]:
        if "configMap" in volume:
            data = RESOURCES["ConfigMap", volume["configMap"]["name"]]["data"]
            names = [each["path"] for each in volume["configMap"]["items"] if each["key"] in data]
        elif "secret" in volume:
            names = list(RESOURCES["Secret", volume["secret"]["secretName"]]["stringData"])
        else:
            names = []
        found |= {f"{paths[volume['name']]}/{name}" for name in names}
    return found


def test_kubernetes_selects_what_it_deploys() -> None:
    labels = {
        name: each["spec"]["template"]["metadata"]["labels"]
        for (kind, name), each in RESOURCES.items()
        if kind == "Deployment"
    }
    for (kind, name), each in RESOURCES.items():
        if kind == "Service":
            assert each["spec"]["selector"] == labels[name]
        if kind in ("Deployment", "PodDisruptionBudget"):
            assert each["spec"]["selector"]["matchLabels"] == labels[name]
        if kind == "NetworkPolicy":
            assert each["spec"]["podSelector"]["matchLabels"] == labels[name]
            [rule] = each["spec"]["ingress"]
            assert rule["from"] == [{"podSelector": {"matchLabels": labels["utcp-ws-mcp"]}}]
    paths = RESOURCES["Ingress", "utcp-ws-mcp"]["spec"]["rules"][0]["http"]["paths"]
    assert all(("Service", path["backend"]["service"]["name"]) in RESOURCES for path in paths)
    assert [(path["path"], path["pathType"]) for path in paths] == [(MCP_PATH, "Exact"), (METADATA_PATH, "Prefix")]


def test_probes_ask_for_paths_that_exist_and_calls_have_the_time_to_end() -> None:
    paths = {name: CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/healthz", "readiness": READY_PATH, "liveness": "/healthz"}
    pause = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert POD["terminationGracePeriodSeconds"] > pause + GRACE
    for replica in REPLICAS.values():
        assert int(replica["stop_grace_period"].removesuffix("s")) > GRACE
        assert READY_PATH in replica["healthcheck"]["test"][-1]


def test_no_container_runs_as_root_or_can_write_to_its_files() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    for name in (*REPLICAS, "redis"):
        service = COMPOSE["services"][name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_the_manifest_of_kubernetes_is_valid_and_its_variables_are_in_the_secret(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(RESOURCES["ConfigMap", "utcp-ws-mcp"]["data"]["manifest.json"], encoding="utf-8")
    lines = RESOURCES["Secret", "utcp-ws-mcp"]["stringData"]["variables"].split()
    loaded = load_manifest(file, dict(line.split("=") for line in lines), ())
    assert [entry.name for entry in loaded.manifest.entries] == ["echo"]
    assert json.loads(file.read_text(encoding="utf-8"))["name"] == "echo"


def test_replicas_find_redis_at_its_service() -> None:
    url = RESOURCES["Secret", "utcp-ws-mcp"]["stringData"]["shared-url"]
    address = parse_store_address(url, "")
    assert ("Service", address.host) in RESOURCES
    users = RESOURCES["Secret", "utcp-ws-mcp-redis"]["stringData"]["users"]
    assert f"user {address.username} on >{address.password} " in users


@needs_redis
async def test_the_configuration_of_redis_lets_replicas_in(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(USERS, encoding="utf-8")
    text = (DEPLOY / "redis.conf").read_text(encoding="utf-8")
    text = text.replace("/run/secrets/redis-users", str(users)).replace("bind * -::*", "")
    configuration = tmp_path / "redis.conf"
    configuration.write_text(text, encoding="utf-8")
    async with redis_server(tmp_path, configuration=configuration) as server:
        with anyio.fail_after(20):
            async with open_fleet("f", "a", server.address("replica", "secret"), [].append, "k" * 44) as fleet:
                assert await take_turn(fleet.store, fleet.key("rate"), 1, 1) == 0
