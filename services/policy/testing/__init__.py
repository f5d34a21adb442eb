"""Rule tests: timelines of events, lived through on a virtual clock, and what is expected of them."""
