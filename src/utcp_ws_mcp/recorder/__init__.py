"""Draft a manifest from a conversation that was seen: what is written is a guess, for its author to correct."""
