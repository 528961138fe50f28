"""Protocols of libraries, with small servers of our own that use the library: Socket.IO, GraphQL, SurrealDB …"""

from __future__ import annotations

import json
import sys
from typing import Any

from ..desk import Desk, check, free_port, npm_package, own_server

SAMPLES = {"string": "text", "number": 2, "integer": 2, "boolean": True}
"""Arguments for tools that an endpoint announces."""


async def demo(desk: Desk) -> str:
    """Call the tools that the endpoint of this package announces."""
    port = free_port()
    await desk.start(sys.executable, "-m", "utcp_ws_mcp", "demo", "--endpoint-only", "--port", str(port), port=port)
    await desk.serve(DEMO_URL=f"ws://127.0.0.1:{port}/")
    tools: Any = {tool.name: tool for tool in (await desk.client.list_tools()).tools}
    desk.offered = set(tools)
    check(tools, "no tool was announced")
    for name, tool in tools.items():
        properties = tool.input_schema.get("properties", {})
        arguments = {key: schema.get("default", SAMPLES.get(schema.get("type"))) for key, schema in properties.items()}
        desk.called.add(name)
        await desk.client.call_tool(name, arguments)
    return "of this package"


async def _watch(desk: Desk, tool: str, trigger: Any, expected: str, **arguments: Any) -> None:
    """Use the stream of this name and the feeds that the entry offers; the trigger makes the events."""
    offered = {name.removeprefix(f"{desk.manual}_") for name in desk.offered}
    if tool in offered:
        check(expected in json.dumps(await desk.call_while(tool, trigger, **arguments)), f"{tool} saw nothing")
    own = {key: value for key, value in arguments.items() if key not in ("count", "seconds")}
    for name in sorted(each.removesuffix("_events") for each in offered if each.endswith("_events")):
        check(expected in json.dumps(await desk.event(name, trigger, **own)), f"{name} saw nothing")
        if f"{name}_latest" in offered:
            await desk.call(f"{name}_latest", **own)


async def socketio(desk: Desk) -> str:
    """Emit to a server that has the events of the entry."""
    folder, version = npm_package("socket.io", "socket.io")
    port = free_port()
    await desk.start("node", own_server(folder, "socketio.cjs"), port=port, PORT=str(port))
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    await desk.serve(SOCKETIO_URL=url, SOCKETIO_AUTH='{"token": "example"}')
    check("3" in json.dumps(await desk.call("add", a=1, b=2)), "another sum")
    check(len((await desk.call("count", n=3))["items"]) == 3, "another count")

    async def say() -> None:
        await desk.call("emit", event="say", arguments=["hello"])

    await _watch(desk, "watch", say, "hello", event="said")
    return version


async def graphql(desk: Desk) -> str:
    """Ask a small schema, and subscribe."""
    folder, version = npm_package("graphql-ws", "graphql-ws", "graphql", "ws")
    port = free_port()
    await desk.start("node", own_server(folder, "graphql.mjs"), port=port, PORT=str(port))
    await desk.serve(GRAPHQL_URL=f"ws://127.0.0.1:{port}/graphql", GRAPHQL_TOKEN="example-token")
    check("hello" in json.dumps(await desk.call("list_operations")), "the query is not listed")
    await desk.call("describe_type", name="Query")
    check("Hello Ada" in json.dumps(await desk.call("query", query='{ hello(name: "Ada") }')), "another answer")
    check("Emma" in json.dumps(await desk.call("mutate", mutation='mutation { add(title: "Emma") }')), "not added")
    counted = await desk.call("subscribe", subscription="subscription { countdown(from: 2) }")
    check(len(counted["items"]) == 3, str(counted))

    async def nothing() -> None:
        await desk.call("query", query="{ __typename }")

    offered = {name.removeprefix("graphql_") for name in desk.offered}
    for name in sorted(each.removesuffix("_events") for each in offered if each.endswith("_events")):
        await desk.event(name, nothing, subscription="subscription { countdown(from: 2) }")
    return version


async def bayeux(desk: Desk) -> str:
    """Publish to a channel of Faye, and watch it."""
    folder, version = npm_package("faye", "faye")
    port = free_port()
    await desk.start("node", own_server(folder, "faye.cjs"), port=port, PORT=str(port))
    await desk.serve(BAYEUX_URL=f"ws://127.0.0.1:{port}/faye")

    async def publish() -> None:
        await desk.call("publish", channel="/news", data={"text": "hello"})

    await publish()
    await _watch(desk, "watch", publish, "hello", channel="/news", count=1)
    return version


async def socketcluster(desk: Desk) -> str:
    """Call a procedure, publish, and watch a channel."""
    folder, version = npm_package("socketcluster-server", "socketcluster-server")
    port = free_port()
    await desk.start("node", own_server(folder, "socketcluster.cjs"), port=port, PORT=str(port))
    await desk.serve(SOCKETCLUSTER_URL=f"ws://127.0.0.1:{port}/socketcluster/")
    check("3" in json.dumps(await desk.call("add", a=1, b=2)), "another sum")

    async def publish() -> None:
        await desk.call("publish", channel="news", data={"text": "hello"})

    await publish()
    await _watch(desk, "watch", publish, "hello", channel="news", count=1)
    return version


async def ethereum(desk: Desk) -> str:
    """Read a chain of ganache, and watch its blocks."""
    folder, version = npm_package("ganache", "ganache")
    port = free_port()
    await desk.start(
        "node", own_server(folder, "ganache.cjs"), port=port, PORT=str(port), READY=str(desk.folder / "ready")
    )
    await desk.wait_until((desk.folder / "ready").exists)
    account, transaction, contract = json.loads((desk.folder / "ready").read_text())
    await desk.serve(ETHEREUM_URL=f"ws://127.0.0.1:{port}/")
    await desk.call("block_number")
    await desk.call("gas_price")
    await desk.call("get_balance", address=account)
    await desk.call("get_block", block="latest")
    check(account.lower() in json.dumps(await desk.call("get_transaction", hash=transaction)), "another transaction")
    await desk.call("call_contract", to=contract, data="0x")

    async def nothing() -> None:
        await desk.call("block_number")

    await desk.call("watch_blocks", count=1, seconds=10) if "ethereum_watch_blocks" in desk.offered else None
    await desk.call(
        "watch_logs", address=contract, count=1, seconds=10
    ) if "ethereum_watch_logs" in desk.offered else None
    offered = {name.removeprefix("ethereum_") for name in desk.offered}
    for name in sorted(each.removesuffix("_events") for each in offered if each.endswith("_events")):
        await desk.event(name, nothing, **({"address": contract} if "log" in name else {}))
        if f"{name}_latest" in offered:
            await desk.call(f"{name}_latest", **({"address": contract} if "log" in name else {}))
    return version


async def surrealdb(desk: Desk) -> str:
    """Change records of the engine that npm has, and follow a table."""
    folder, _ = npm_package("surrealdb", "@surrealdb/node", "surrealdb", "ws")
    port = free_port()
    program = own_server(folder, "surrealdb.mjs")
    await desk.start("node", program, port=port, PORT=str(port), NAME="ada", PASSWORD="example-password")
    login = {"SURREALDB_USER": "ada", "SURREALDB_PASSWORD": "example-password"}
    place = {"SURREALDB_NAMESPACE": "test", "SURREALDB_DATABASE": "test"}
    await desk.serve(SURREALDB_URL=f"ws://127.0.0.1:{port}/rpc", **login, **place)
    ada = {"id": "person:ada", "name": "Ada"}
    waiting = await desk.call("changes_events", table="person")
    check("does not exist" in waiting["state"], str(waiting))
    check(await desk.call("create", record="person:ada", data={"name": "Ada"}) in (ada, [ada]), "another record")
    await desk.refused("create", "already exists", record="person:ada", data={"name": "Ada"})
    await desk.call("merge", record="person:ada", data={"age": 36})
    check(await desk.call("select", **{"from": "person"}) == [{**ada, "age": 36}], "it was not changed")
    found = await desk.call("query", sql="SELECT name FROM person WHERE age = $age", variables={"age": 36})
    check(found[0]["result"] == [{"name": "Ada"}], str(found))

    async def create() -> Any:
        return await desk.call("create", record="person", data={"name": "Emma"})

    seen = await desk.event("changes", create, table="person")
    check((seen["action"], seen["record"]["name"]) == ("CREATE", "Emma"), str(seen))
    await desk.call("delete", record="person:ada")
    version = str(await desk.call("version"))
    return version.removeprefix("surrealdb-")
