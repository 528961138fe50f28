#!/usr/bin/env bash
# An Ethereum node for development, Hardhat: JSON-RPC and subscriptions on one WebSocket.
. "$SERVERS/_lib.sh"
need_npm hardhat hardhat@2
fresh_run
printf 'module.exports = {solidity: "0.8.28", networks: {hardhat: {mining: {auto: false, interval: 0}}}};\n' \
  > "$NPM/hardhat.config.js"
cd "$NPM"
export HARDHAT_DISABLE_TELEMETRY_PROMPT=true
spawn npx hardhat node --hostname 127.0.0.1 --port "$PORT"
wait_until 90 port_open
ready /
