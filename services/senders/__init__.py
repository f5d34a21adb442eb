"""Sends: one program, started once for each channel."""
