"""One file for each channel; each answers one question: what became of this message."""
