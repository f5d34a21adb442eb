"""What the command line says when it cannot do what was asked: one sentence, no traceback."""


class ClarionError(Exception):
    """A failure that a person can act on; its text says what happened and what to do next."""
