#!/usr/bin/env bash
# The MQTT broker Mosquitto, with one listener for WebSocket and one for its own command-line clients.
. "$SERVERS/_lib.sh"
need_deb mosquitto mosquitto
need_deb mosquitto_pub mosquitto-clients
fresh_run
BROKER_PORT="$(free_port)"
cat > "$RUN/mosquitto.conf" <<CONF
listener $PORT 127.0.0.1
protocol websockets
listener $BROKER_PORT 127.0.0.1
allow_anonymous true
persistence false
CONF
spawn mosquitto -c "$RUN/mosquitto.conf"
wait_until 20 port_open "$BROKER_PORT"
wait_until 20 port_open
echo "VAR BROKER_PORT=$BROKER_PORT"
ready /mqtt
