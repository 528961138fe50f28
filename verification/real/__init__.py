"""The bridge against real servers: their manifests, the calls that users make, and what must come back.

    SERVERS=folder SERVERS_CACHE=folder python -m verification.real [--only NAME,NAME] [--era modern|legacy]

SERVERS is a folder with a launcher `NAME.sh` for each server and their `cases.json` (default: ../shared/servers beside
the project). SERVERS_CACHE is where they install what they need (default: .servers in the project).
"""
