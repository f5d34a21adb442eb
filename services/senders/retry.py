"""When a send is tried again: pure, and the same for the same send and try.

Full jitter spreads what failed together, so that a provider that comes back is not hit by all at once.
Tries go on, five hours apart at most, until the send expires; nothing is tried at or after that.
"""

from hashlib import blake2b

_SECOND = 1_000_000
_STEPS = tuple(seconds * _SECOND for seconds in (5, 30, 120, 600, 1_800, 7_200, 18_000))


def due(send_id: bytes, attempt: int, now: int, expires: int) -> int:
    """Return when to look at a send again after its try number `attempt` (from 1) failed; `expires` at the latest."""
    longest = _STEPS[min(attempt, len(_STEPS)) - 1]
    return min(now + 1 + longest * _share(send_id, attempt) // (1 << 32), expires)


def _share(send_id: bytes, attempt: int) -> int:
    """Return a number below 2**32 that looks random and is the same each time."""
    return int.from_bytes(blake2b(send_id + attempt.to_bytes(4, "big"), digest_size=4).digest(), "big")
