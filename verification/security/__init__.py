"""Commands that measure the security guarantees of the bridge and compare each figure with its target.

`make security` runs all of them.
"""
