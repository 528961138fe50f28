"""Test the bridge with real servers: their manifests, typical calls of users, and the expected results.

    SERVERS=folder SERVERS_CACHE=folder python -m verification.real [--only NAME,NAME] [--era modern|legacy]

SERVERS is a folder with a launcher `NAME.sh` for each server and a file `cases.json` (default: ../shared/servers beside
the project). The launchers install their servers into SERVERS_CACHE (default: .servers in the project). The servers
NAME-feed are those whose events are followed; launchers that SERVERS has not are in the folder `launchers`. Every
server listens on 127.0.0.1 only, except OBS Studio, which has no such setting: it asks for a password.
"""
