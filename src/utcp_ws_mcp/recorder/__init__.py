"""Draft a manifest from a recorded conversation. The draft is a guess that its author corrects."""
