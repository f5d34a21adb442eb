"""The child that tries templates: little memory, little computing time for each, no other business.

It reads the work from standard input and writes the number of each wording before it tries it; after DONE comes what
it found. When a limit is passed the process is ended by the system, and the last number says which wording did it.
"""

import resource
import signal
import sys
from typing import Final

import msgspec
import psutil

from services.policy.trial import Trial, Work

WIDTH: Final = 4
DONE: Final = (1 << 32) - 1
MEMORY_LIMIT: Final = 64 << 20
TEMPLATE_S: Final = 0.8


def main() -> None:
    """Try what stands on standard input."""
    work = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Work)
    trial = Trial(work)
    _limit_memory(MEMORY_LIMIT)
    found = {}
    for index in range(len(work.wordings)):
        _announce(index)
        signal.setitimer(signal.ITIMER_PROF, TEMPLATE_S)
        if reason := trial.reason(index):
            found[index] = reason
    signal.setitimer(signal.ITIMER_PROF, 0)
    _announce(DONE)
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))
    sys.stdout.buffer.flush()


def _announce(number: int) -> None:
    sys.stdout.buffer.write(number.to_bytes(WIDTH, "big"))
    sys.stdout.buffer.flush()


def _limit_memory(more: int) -> None:
    """Take no more memory than now and so much besides, and leave no core file behind."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the limit is not kept, or can't be set
        allowed = psutil.Process().memory_info().vms + more
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


if __name__ == "__main__":
    main()
