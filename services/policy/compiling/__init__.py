"""The parts of the compiler: types, rules, caps, defaults, and what the files of a policy say about each other."""
