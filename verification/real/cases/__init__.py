"""The cases of each server, one function for each, in the order of a user's session."""
