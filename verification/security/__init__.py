"""What the bridge promises of safety, as commands that print a figure beside its target: `make security`."""
