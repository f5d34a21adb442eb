"""What the figures of the README come from; each beside its baseline, measured in the same command."""
