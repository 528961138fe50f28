"""Deterministic simulation: the unchanged code of the bridge in virtual time, with a random network and endpoint.

`run.simulate(seed)` simulates one seed and returns the violations. The same seed repeats every event exactly.

loop.py       an event loop whose time jumps to the next timer, and whose sockets are those of `network`
network.py    TCP connections: latency, resets and silence, refused and slow connects
transport.py  the client's end of a connection
frames.py     the server's half of RFC 6455: parse and build frames
endpoint.py   the server: it executes requests and injects the faults of the scenario
http_server.py  the HTTP server of steps, with faults
manifests.py  the simulated manifests
scenario.py   a manifest, calls and faults for each seed
ledger.py     the events, as the endpoint and the callers see them
checks.py     the invariants of a ledger
run.py        one seed: the bridge, calls with faults, recovery without faults, shutdown
mutants.py    defects that the checks must find
feed_*.py     the same for feeds: `feed_run.simulate_feed(seed)`
"""
