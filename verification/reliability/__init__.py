"""Commands that measure the delivery guarantees of the bridge and compare each figure with its target.

`make reliability` runs all of them.
"""
