"""What the clients of the model raise."""


class SimError(Exception):
    """A call failed; it may have had its effect."""


class SimFencedError(SimError):
    """Another producer has this transactional id."""


class SequenceError(SimError):
    """A batch before this one is missing."""


class StateError(SimError):
    """There is no such transaction."""


class ConcurrentError(SimError):
    """The transaction before is still being ended: ask again."""


class UnknownMemberError(SimError):
    """The group has gone on without this member."""
