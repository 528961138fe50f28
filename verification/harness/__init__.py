"""What the measuring commands share: a figure beside its target, a command that gives some, the table of many.

`reliability/` and `security/` hold the commands. Each runs alone (`python -m verification.reliability.NAME --seed 7`) and as part
of the whole (`python -m verification.reliability`, which is `make reliability`). `--nightly` chooses the large size.
"""
