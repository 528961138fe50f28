"""The cases of each server: one function per case, in the order of a user's session.

The function names are the names in `cases.json`.
"""
