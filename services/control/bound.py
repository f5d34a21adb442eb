"""Processes that must not outlive the one that started them, even where that is killed and can stop nothing itself.

Linux can send a process a signal when its parent ends. The wish is lost in a fork and kept in an exec, so the program
is started by a few lines of Python that ask for it and then become the program: nothing of ours runs between a fork
and an exec, where the threads of other libraries could have left a lock taken. The signal comes when the thread that
started the process ends: start such processes in the main thread. On other systems nothing is asked for.
"""

import os
import sys
from signal import SIGTERM

_PR_SET_PDEATHSIG = 1
# A parent that ended before the wish was said sends nothing any more: then the process does not even begin.
_BECOME = """
import ctypes, os, sys
ctypes.CDLL(None).prctl({option}, {signal}, 0, 0, 0)
if os.getppid() != {parent}:
    sys.exit(1)
os.execv(sys.argv[1], sys.argv[1:])
"""


def bound(command: list[str]) -> list[str]:
    """Return the command that runs `command` with its own number, and asks it to end when this process has ended."""
    if sys.platform != "linux":
        return command
    become = _BECOME.format(option=_PR_SET_PDEATHSIG, signal=int(SIGTERM), parent=os.getpid())
    return [sys.executable, "-I", "-S", "-c", become, *command]
