"""What can go wrong with a partition, by what has to be done about it."""


class CommitUnclearError(Exception):
    """A transaction failed or may have failed: new producer, tail of the changelog, same records again."""


class FencedError(Exception):
    """Somebody else owns the partition now: give it up."""


class StuckLogError(Exception):
    """Committed records of the changelog can't be told from open ones: nobody may guess; an operator must look."""


class AssignmentError(Exception):
    """The group assigned partitions that don't belong together: the process must not decide."""
