"""Agent hosts and frameworks, run end to end with a scripted model: `python -m scripts.agents`."""
