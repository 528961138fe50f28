"""Shared code of the measuring commands: a figure with its target, the command line, and the table of all commands.

The commands are the modules of `reliability/` and `security/`. Each can run alone
(`python -m verification.reliability.NAME --seed 7`) or with all others (`python -m verification.reliability`, which is
`make reliability`). `--nightly` selects the large size.
"""
