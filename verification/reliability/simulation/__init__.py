"""The bridge in virtual time: its own code, unchanged, over a network and endpoints that a seed decides.

`run.simulate(seed)` plays one seed and gives what was violated. The same seed does the same again, to the byte.

loop.py       an event loop whose time jumps to the next timer, and whose sockets lead into `network`
network.py    TCP connections: latency, what cuts or silences them, refused and slow connects
transport.py  the client's end of a connection
frames.py     the server's half of RFC 6455: frames out of bytes and back
endpoint.py   the server: it executes requests, and answers as the seed says
manifests.py  the manifests that are simulated
scenario.py   from a seed to a manifest, calls and faults
ledger.py     what happened, as the endpoint and the callers saw it
checks.py     what must hold of a ledger
run.py        one seed: bridge, calls, calm, end
mutants.py    defects that the checks must find
"""
