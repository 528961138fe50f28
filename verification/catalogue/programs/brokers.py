"""Brokers: RabbitMQ (MQTT and STOMP), a Nostr relay, the WAMP router Crossbar.io."""

from __future__ import annotations

import hashlib
import json
import subprocess
from typing import Any

from ..desk import SERVERS, Desk, check, debian, free_port, python_package, python_version


async def nostr(desk: Desk) -> str:
    """Publish a signed event to a relay, look it up and watch."""
    programs = python_package("nostr", "nostr-relay", "setuptools<80")
    port = free_port()
    config = desk.write(
        "config.yaml",
        f"DEBUG: false\nrelay_name: test\nstorage:\n  sqlalchemy.url: sqlite+aiosqlite:///{desk.folder}/nostr.sqlite3\n"
        "verification:\n  nip05_verification: disabled\n"
        f"gunicorn:\n  bind: 127.0.0.1:{port}\n  workers: 1\n  loglevel: info\n  reload: false\n",
    )
    await desk.start(programs / "nostr-relay", "-c", config, "serve", port=port)
    await desk.serve(NOSTR_URL=f"ws://127.0.0.1:{port}/")
    sign = (
        "import sys, json, time; from aionostr.event import Event; from aionostr.key import PrivateKey; "
        "k = PrivateKey(); "
        "e = Event(pubkey=k.public_key.hex(), content=sys.argv[1], kind=1, created_at=int(time.time())); "
        "e.sign(k.hex()); "
        "print(json.dumps(e.to_json_object()))"
    )
    texts = iter(range(1000))

    async def publish() -> Any:
        text = f"note {next(texts)}"
        made = subprocess.run([programs / "python", "-c", sign, text], check=True, capture_output=True, text=True)
        return await desk.call("publish", event=json.loads(made.stdout))

    await publish()
    found = await desk.call("query", kinds=[1])
    check(found["items"][0]["content"] == "note 0", str(found))
    if "nostr_watch" in desk.offered:
        check((await desk.call_while("watch", publish, kinds=[1], count=1, seconds=20))["items"], "nothing was seen")
    for name in sorted(each for each in desk.offered if each.endswith("_events")):
        check(await desk.event(name.removeprefix("nostr_").removesuffix("_events"), publish, kinds=[1]), "no event")
    return python_version(programs, "nostr-relay")


async def _rabbitmq(desk: Desk, *plugins: str, **ports: int) -> str:
    version = debian("rabbitmq-server")
    lines = [f"listeners.tcp.1 = 127.0.0.1:{free_port()}", *(f"{key} = {port}" for key, port in ports.items())]
    name = "n" + hashlib.sha256(str(desk.folder).encode()).hexdigest()[:8]
    environ = {
        "RABBITMQ_NODENAME": f"{name}@localhost",
        "RABBITMQ_CONFIG_FILE": str(desk.write("rabbitmq.conf", "\n".join(lines).replace("__", "."))),
        "RABBITMQ_MNESIA_BASE": str(desk.folder / "data"),
        "RABBITMQ_LOG_BASE": str(desk.folder / "logs"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(desk.write("plugins", f"[{','.join(plugins)}].\n")),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    await desk.start("/usr/lib/rabbitmq/bin/rabbitmq-server", port=next(iter(ports.values())), **environ)
    return version


async def mqtt(desk: Desk) -> str:
    """Publish, subscribe and read a retained message."""
    port = free_port()
    version = await _rabbitmq(
        desk, "rabbitmq_web_mqtt", web_mqtt__tcp__port=port, mqtt__listeners__tcp__default=free_port()
    )
    await desk.serve(MQTT_URL=f"ws://127.0.0.1:{port}/ws", MQTT_USERNAME="guest", MQTT_PASSWORD="guest")
    await desk.call("publish", topic="home/lamp", payload="on", retain=True)
    kept = await desk.call("read_retained", topic="home/lamp")
    check("on" in json.dumps(kept), str(kept))

    async def publish() -> Any:
        return await desk.call("publish", topic="home/door", payload="open")

    if "mqtt_subscribe" in desk.offered:
        check("open" in json.dumps(await desk.call_while("subscribe", publish, topic="home/door")), "nothing came")
    for name in sorted(each for each in desk.offered if each.endswith("_events")):
        feed = name.removeprefix("mqtt_").removesuffix("_events")
        check("open" in json.dumps(await desk.event(feed, publish, topic="home/door")), "no event")
    for name in sorted(each for each in desk.offered if each.endswith("_latest")):
        await desk.call(name.removeprefix("mqtt_"), topic="home/door")
    return version


async def stomp_broker(desk: Desk) -> str:
    """Send to a queue and a topic, and read them."""
    port = free_port()
    version = await _rabbitmq(
        desk, "rabbitmq_web_stomp", web_stomp__tcp__port=port, stomp__listeners__tcp__default=free_port()
    )
    login = {"STOMP_LOGIN": "guest", "STOMP_PASSCODE": "guest"}
    await desk.serve(STOMP_URL=f"ws://127.0.0.1:{port}/ws", **login)
    await desk.call("send", destination="/queue/work", body="first")
    check("first" in json.dumps(await desk.call("peek_queue", queue="work")), "it was not in the queue")
    check("first" in json.dumps(await desk.call("receive", queue="work")), "it was not received")

    async def send() -> Any:
        return await desk.call("send", destination="/topic/news", body="hello")

    arguments = {"destination": "/topic/news"}
    if "broker_watch_topic" in desk.offered:
        check("hello" in json.dumps(await desk.call_while("watch_topic", send, **arguments)), "nothing came")
    for name in sorted(each for each in desk.offered if each.endswith("_events")):
        feed = name.removeprefix("broker_").removesuffix("_events")
        check("hello" in json.dumps(await desk.event(feed, send, **arguments)), "no event")
    return version


def _router(port: int) -> str:
    """Return a configuration of Crossbar.io: one role, which comes in without a login, by ticket or by secret."""
    everything = {"call": True, "register": True, "publish": True, "subscribe": True}
    role = {"name": "anyone", "permissions": [{"uri": "", "match": "prefix", "allow": everything}]}
    login = {
        "anonymous": {"type": "static", "role": "anyone"},
        "ticket": {"type": "static", "principals": {"ada": {"ticket": "example-ticket", "role": "anyone"}}},
        "wampcra": {"type": "static", "users": {"ada": {"secret": "example-secret", "role": "anyone"}}},
    }
    transport = {
        "type": "web",
        "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"},
        "paths": {"/": {"type": "json", "value": {}}, "ws": {"type": "websocket", "auth": login}},
    }
    worker = {"type": "router", "realms": [{"name": "realm1", "roles": [role]}], "transports": [transport]}
    return json.dumps({"version": 2, "workers": [worker]})


async def crossbar_wamp(desk: Desk) -> str:
    """Call, publish and watch at a router that has a callee; log in in each of the three ways."""
    programs = python_package("crossbar", "crossbar")
    port = free_port()
    url = f"ws://127.0.0.1:{port}/ws"
    desk.write("router/config.json", _router(port))
    await desk.start(programs / "crossbar", "start", "--cbdir", desk.folder / "router", port=port)
    await desk.start(programs / "python", SERVERS / "wamp_callee.py", URL=url, READY=str(desk.folder / "ready"))
    await desk.wait_until((desk.folder / "ready").exists)
    for login in ({}, {"WAMP_TICKET": "example-ticket"}, {"WAMP_SECRET": "example-secret"}):
        await desk.serve(WAMP_URL=url, **({"WAMP_AUTHID": "ada", **login} if login else {}))
        check(await desk.call("com.example.add", a=1, b=2) == 3, "another sum")
    check(await desk.call("call", procedure="com.example.add", kwargs={"a": 2, "b": 3}) == 5, "another sum")
    await desk.refused("call", "wamp.error.no_such_procedure", procedure="com.example.missing")
    counted = await desk.call("call_progressive", procedure="com.example.count", kwargs={"up_to": 3})
    check(counted["items"][:3] == [1, 2, 3], str(counted))
    check(await desk.call("find_procedure", procedure="com.example.add"), "the procedure was not found")

    async def publish() -> Any:
        return await desk.call("publish", topic="com.example.said", args=["hello"], kwargs={"by": "Ada"})

    check((await publish())["publication"], "no number of the publication")
    other = python_version(programs, "autobahn")
    say = (programs / "python", SERVERS / "wamp_callee.py")

    async def say_elsewhere() -> None:
        await desk.start(*say, URL=url, SAY="hello")

    said = await desk.event("topic", say_elsewhere, topic="com.example.said")
    check(said == {"topic": "com.example.said", "args": ["hello"], "kwargs": {}}, f"{said}, autobahn {other}")
    return python_version(programs, "crossbar")
