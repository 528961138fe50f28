#!/usr/bin/env bash
# Home Assistant with 2,000 helpers, two users, and a ban of addresses whose logins are refused.
. "$SERVERS/_lib.sh"
mapfile -t PINS < "$(dirname "$0")/homeassistant.txt"
need_py homeassistant "${PINS[@]}"
fresh_run
mkdir "$RUN/config"
{
  cat <<CONF
http:
  server_host: 127.0.0.1
  server_port: $PORT
  ip_ban_enabled: true
  login_attempts_threshold: 5
onboarding:
config:
input_number:
  heat:
    min: 0
    max: 1000
template:
  - sensor:
      - name: Double
        state: "{{ states('input_number.heat') | float(0) * 2 }}"
script:
  burst:
    sequence:
      - repeat:
          count: 3000
          sequence:
            - event: burst
              event_data:
                number: "{{ repeat.index }}"
input_boolean:
CONF
  for number in $(seq 2000); do echo "  lamp_$number:"; done
} > "$RUN/config/configuration.yaml"
# Its own action homeassistant.restart ends the program with this code, so that a supervisor starts it again.
spawn bash -c 'while :; do "$@" && break; [ $? = 100 ] || break; done' - \
  "$PY/hass" --config "$RUN/config" --skip-pip
wait_until 90 port_open
"$PY/python" - "$PORT" <<'PYW'
import asyncio, sys
import aiohttp

HOME = f"http://127.0.0.1:{sys.argv[1]}"


async def command(session, token, **fields):
    async with session.ws_connect(f"{HOME}/api/websocket") as socket:
        await socket.receive()
        await socket.send_json({"type": "auth", "access_token": token})
        await socket.receive()
        await socket.send_json({"id": 1, **fields})
        return (await socket.receive_json())["result"]


async def post(session, path, **content):
    async with session.post(HOME + path, **content) as answer:
        return await answer.json()


async def access(session, code):
    grant = {"client_id": f"{HOME}/", "grant_type": "authorization_code", "code": code}
    return (await post(session, "/auth/token", data=grant))["access_token"]


async def main():
    async with aiohttp.ClientSession() as session:
        client = {"client_id": f"{HOME}/"}
        login = {"username": "ada", "password": "example-password"}
        made = await post(session, "/api/onboarding/users", json={**client, **login, "name": "Ada", "language": "en"})
        owner = await access(session, made["auth_code"])
        lasting = {"type": "auth/long_lived_access_token", "lifespan": 1}
        print("VAR OWNER_TOKEN=" + owner)
        print("VAR HOMEASSISTANT_TOKEN=" + await command(session, owner, **lasting, client_name="bridge"))
        group = {"name": "Bob", "group_ids": ["system-users"]}
        user = (await command(session, owner, type="config/auth/create", **group))["user"]
        login = {"username": "bob", "password": "example-password"}
        create = "config/auth_provider/homeassistant/create"
        await command(session, owner, type=create, user_id=user["id"], **login)
        page = {**client, "handler": ["homeassistant", None], "redirect_uri": f"{HOME}/"}
        flow = (await post(session, "/auth/login_flow", json=page))["flow_id"]
        code = (await post(session, f"/auth/login_flow/{flow}", json={**client, **login}))["result"]
        print("VAR USER_TOKEN=" + await access(session, code))


asyncio.run(main())
PYW
ready /api/websocket
