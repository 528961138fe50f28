"""Run entries of the catalogue with the real programs: each tool of `manifests/NAME.json` once, with an MCP client.

    CATALOGUE_CACHE=folder python -m verification.catalogue [--only NAME,NAME]

Programs come from Debian, PyPI and npm; what is missing is installed on first use, Debian packages as root, the others
into CATALOGUE_CACHE (default: .servers in the project). Every program listens on 127.0.0.1 only, except OBS
Studio, which has no such setting: it asks for a password. While the case of Cockpit runs, the machine has an account
utcp-catalogue.
"""
