"""Brokers: RabbitMQ (MQTT and STOMP), a Nostr relay."""

from __future__ import annotations

import hashlib
import json
import subprocess
from typing import Any

from ..desk import Desk, check, debian, free_port, python_package, python_version


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
