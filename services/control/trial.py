"""Tries the templates of a policy in a child process, so that a hostile one takes nothing from us.

One child tries all of them and says before each which one it is. If it dies or passes its limits, that one is named
and another child tries the rest. Nothing is left running: the child limits its own memory and computing time.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from signal import SIGABRT, SIGPROF, SIGSEGV
from typing import Final

import msgspec

from services.control.errors import ClarionError
from services.control.trial_child import DONE, WIDTH
from services.policy.compile import Examined
from services.policy.mistakes import Mistake
from services.policy.trial import MEMORY, STEPS, Work, work_of

# Enough to name the templates that are wrong; with more of them, somebody repairs these first.
CULPRITS: Final = 3
_DEADLINE_S: Final = 60.0
_DEATHS: Final = {SIGABRT: MEMORY, SIGPROF: STEPS, SIGSEGV: "it is nested too deep"}
_COMMAND: Final = (sys.executable, "-m", "services.control.trial_child")

Run = Callable[[Work], tuple[int, bytes]]


def try_templates(examined: Examined) -> list[Mistake]:
    """Return a mistake for each template that takes too much; raise ClarionError when none could be tried."""
    return tried(work_of(examined))


def tried(work: Work, run: "Run | None" = None) -> list[Mistake]:
    """Return a mistake for each wording that takes too much; `run` gives exit code and answer of a child."""
    found: list[Mistake] = []
    while work.wordings and len(found) < CULPRITS:
        code, answer = (run or _run)(work)
        indexes = [int.from_bytes(answer[at : at + WIDTH], "big") for at in range(0, len(answer), WIDTH)]
        if code == 0 and DONE in indexes:
            reasons = msgspec.msgpack.decode(answer[(indexes.index(DONE) + 1) * WIDTH :], type=dict[int, str])
            return found + [_mistake(work, index, reason) for index, reason in sorted(reasons.items())]
        if not indexes:
            raise ClarionError(f"the templates could not be tried: the process for it ended with {code}")
        culprit = indexes[-1]
        found.append(_mistake(work, culprit, _cause(code)))
        rest = (*work.wordings[:culprit], *work.wordings[culprit + 1 :])
        work = msgspec.structs.replace(work, wordings=rest)
    return found


def _mistake(work: Work, index: int, reason: str) -> Mistake:
    wording = work.wordings[index]
    return Mistake(f"templates/{wording.name}/{wording.locale}.yaml", 1, 1, "", f"tried with sample data: {reason}")


def _cause(code: int) -> str:
    return next((cause for signal, cause in _DEATHS.items() if code == -signal), f"its process ended with {code}")


def _run(work: Work, command: Sequence[str] = _COMMAND) -> tuple[int, bytes]:
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603 - our own interpreter and module
    with child:
        try:
            answer, _ = child.communicate(msgspec.msgpack.encode(work), _DEADLINE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            answer, _ = child.communicate()
    return child.returncode, answer
