"""What the bridge promises of delivery, as commands that print a figure beside its target: `make reliability`."""
