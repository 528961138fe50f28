"""Connection pools: one pool for each call template, and what decides who uses which connection."""
