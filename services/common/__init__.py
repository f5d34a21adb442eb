"""Process plumbing; no business word."""
