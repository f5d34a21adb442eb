"""What can go wrong with a partition, by what has to be done about it."""


class CommitUnclearError(Exception):
    """A transaction failed or may have failed: new producer, tail of the changelog, same records again."""


class FencedError(Exception):
    """Somebody else owns the partition now: give it up."""


class StuckLogError(Exception):
    """Committed records of the changelog can't be told from open ones: nobody may guess; an operator must look."""


class AssignmentError(Exception):
    """The group assigned partitions that don't belong together: the process must not decide."""


class BrokenStoreError(Exception):
    """The local store could not be read or written: throw it away and read the changelog instead."""


class ForeignLogError(Exception):
    """The changelog goes on otherwise than the local store knows it: it is another log of the same name."""
